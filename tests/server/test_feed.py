"""The feed over real WebSockets: what a client is told, in which order, and what happens to one that lags."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import msgpack  # type: ignore[import-untyped] # it ships no types

from ibdesk.store.feed import Topic
from ibdesk_server.feed.limits import Budget
from ibdesk_server.feed.token import FeedPosition, make_token

if TYPE_CHECKING:
    from tests.server.conftest import FeedServer, StartFeed

MEGABYTE = 1_000_000


async def test_a_client_is_greeted_with_the_topics_and_what_names_their_rows(feed_server: FeedServer) -> None:
    client = await feed_server.connect()

    hello = await client.receive()

    assert (hello["type"], hello["schema"], hello["heartbeat_seconds"]) == ("hello", 2, 5.0)
    topics = {topic["name"]: topic for topic in hello["topics"]}
    assert topics["orders"] == {"name": "orders", "key": ["id"], "conflated": False}
    assert topics["bars"] == {"name": "bars", "key": ["symbol", "interval_ns", "opened_ns"], "conflated": False}
    assert topics["quotes"]["conflated"] is True
    assert set(topics) == {topic.value for topic in Topic}


async def test_a_snapshot_comes_first_and_then_every_change_by_columns(feed_server: FeedServer) -> None:
    first = feed_server.publish_order("AAPL")
    client = await feed_server.join("orders")

    snapshot = await client.receive_of("orders")
    second, third = feed_server.publish_order("MSFT"), feed_server.publish_order("IBM")
    delta = await client.receive_of("orders")

    assert (snapshot["type"], delta["type"]) == ("snapshot", "delta")
    assert snapshot["columns"] == {name: [value] for name, value in first.items()}
    assert delta["columns"] == {name: [second[name], third[name]] for name in second}
    assert delta["seq"] == snapshot["seq"] + 1


async def test_a_filter_leaves_out_other_symbols_and_the_next_delta_continues_the_last(feed_server: FeedServer) -> None:
    client = await feed_server.join("orders", symbols=["MSFT", "ES-*"])
    start = (await client.receive_of("orders"))["seq"]
    everybody = await feed_server.join("orders")
    await everybody.receive_of("orders")

    for symbol in ("AAPL", "MSFT", "AAPL", "ES-202612"):
        feed_server.publish_order(symbol)
        await everybody.receive_of("orders")
    deltas = [await client.receive_of("orders") for _ in range(2)]

    assert [delta["columns"]["symbol"] for delta in deltas] == [["MSFT"], ["ES-202612"]]
    assert [(delta["after"] - start, delta["seq"] - start) for delta in deltas] == [(0, 2), (2, 4)]


async def test_owners_are_chosen_by_name_or_pattern(feed_server: FeedServer) -> None:
    client = await feed_server.join("positions", "runs", owners=["EmaCross-*"])
    await client.receive_of("positions")

    for owner in ("EmaCross-1", "Buyer-1", "EmaCross-2"):
        feed_server.feed.publish(Topic.RUNS, owner, {"run_id": owner, "symbols": ["AAPL"]})
        feed_server.feed.publish(Topic.POSITIONS, owner, {"owner": owner, "symbol": "AAPL", "quantity": 1.0})
    seen: dict[str, list[str]] = {"runs": [], "positions": []}
    while min(map(len, seen.values())) < 2:
        message = await client.receive()
        seen[message["topic"]] += message["columns"].get("run_id") or message["columns"].get("owner", [])

    assert seen == {"runs": ["EmaCross-1", "EmaCross-2"], "positions": ["EmaCross-1", "EmaCross-2"]}


async def test_a_topic_without_symbols_passes_every_symbol_filter(feed_server: FeedServer) -> None:
    client = await feed_server.join("link", symbols=["MSFT"])
    await client.receive_of("link")

    feed_server.feed.publish(Topic.LINK, "link", {"link": "up", "at_ns": 1})

    assert (await client.receive_of("link"))["columns"] == {"link": ["up"], "at_ns": [1]}


async def test_a_topic_left_off_is_sent_no_more(feed_server: FeedServer) -> None:
    client = await feed_server.join("orders", "quotes")
    await client.receive_of("quotes")

    await client.send(type="unsubscribe", topics=["orders"])
    await client.send(type="ping", at_ns=7)
    assert await client.receive() == {"type": "pong", "at_ns": 7}
    feed_server.publish_order()
    feed_server.publish_quote("AAPL", 100.0)

    assert (await client.receive())["topic"] == "quotes"


async def test_a_client_that_lags_gets_the_newest_quote_and_skips_what_is_outdated(feed_server: FeedServer) -> None:
    lagging = await feed_server.join("quotes", options={"max_queue": 1})
    healthy = await feed_server.join("quotes")
    await healthy.receive_of("quotes")

    bids = []
    for number in range(60):
        feed_server.publish_quote("AAPL", float(number), padding=MEGABYTE // 2)
        bids += (await healthy.receive_of("quotes"))["columns"]["bid"]
    seen = [-1.0]
    while seen[-1] != 59.0:
        seen += (await lagging.receive_of("quotes"))["columns"].get("bid", [])

    assert bids == [float(number) for number in range(60)]
    assert seen == sorted(seen)
    assert len(seen) < 50


async def test_conflation_loses_no_symbol(feed_server: FeedServer) -> None:
    lagging = await feed_server.join("quotes", options={"max_queue": 1})
    healthy = await feed_server.join("quotes")
    await healthy.receive_of("quotes")

    for number in range(60):
        feed_server.publish_quote(f"S{number}", 1.0, padding=MEGABYTE // 2)
        await healthy.receive_of("quotes")
    feed_server.publish_quote("LAST", 1.0)
    seen: set[str] = set()
    while "LAST" not in seen:
        seen |= set((await lagging.receive_of("quotes"))["columns"].get("symbol", []))

    assert seen == {f"S{number}" for number in range(60)} | {"LAST"}


async def test_a_client_too_far_behind_is_cut_with_the_reason_while_others_miss_nothing(start_feed: StartFeed) -> None:
    server = await start_feed(budget=Budget(bytes=MEGABYTE, seconds=60.0))
    slow = await server.join("orders", options={"max_queue": 1})
    healthy = await server.join("orders")
    start = (await healthy.receive_of("orders"))["seq"]

    async def publish() -> int:
        server.publish_order(padding=MEGABYTE // 2)
        seq: int = (await healthy.receive_of("orders"))["seq"]
        return seq

    seqs = []
    while server.hub.clients > 1:
        seqs.append(await publish())
        assert len(seqs) < 60
    # It has a second to read what is on its way and the goodbye.
    messages, code, reason = await slow.receive_rest()
    seqs += [await publish() for _ in range(5)]

    assert seqs == list(range(start + 1, start + 1 + len(seqs)))
    received = [message["seq"] for message in messages if message.get("topic") == "orders"]
    assert received == list(range(start, start + len(received)))
    assert len(received) < len(seqs) - 5
    assert code == 1013
    assert reason.startswith("too slow: ")
    assert reason.endswith("bytes behind, 1,000,000 allowed")


async def test_a_client_that_takes_nothing_at_all_is_cut_for_its_age(start_feed: StartFeed) -> None:
    server = await start_feed(budget=Budget(bytes=1_000 * MEGABYTE, seconds=0.2), heartbeat_seconds=0.2)
    await server.join("quotes", options={"max_queue": 1})
    healthy = await server.join("quotes")
    await healthy.receive_of("quotes")

    async with asyncio.timeout(10):
        number = 0
        while server.hub.clients > 1:
            number += 1
            server.publish_quote("AAPL", float(number), padding=MEGABYTE // 2)
            assert (await healthy.receive_of("quotes"))["columns"]["bid"] == [float(number)]


async def test_the_socket_of_a_client_that_is_cut_and_takes_nothing_is_dropped_without_its_help(
    start_feed: StartFeed,
) -> None:
    server = await start_feed(budget=Budget(bytes=MEGABYTE, seconds=60.0))
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1_024)
    writer.write(
        f"GET /feed HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        f"X-API-Key: {server.key}\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    message = msgpack.packb({"type": "subscribe", "topics": ["orders"]})
    # A final binary frame, masked (as a client must) with zeros.
    writer.write(bytes((0x82, 0x80 | len(message))) + bytes(4) + message)
    healthy = await server.join("orders")
    await healthy.receive_of("orders")

    while server.hub.clients > 1:
        server.publish_order(padding=MEGABYTE // 2)
        await healthy.receive_of("orders")

    # It never answers the close frame: only the server can end this.
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(10):
            while await reader.read(MEGABYTE):
                pass
    writer.close()


async def test_under_load_changes_travel_together_and_in_order(feed_server: FeedServer) -> None:
    client = await feed_server.join("orders")
    await client.receive_of("orders")

    def publish() -> None:
        for _ in range(5_000):
            feed_server.publish_order()

    publishing = asyncio.create_task(asyncio.to_thread(publish))
    messages, ids = 0, list[str]()
    while len(ids) < 5_000:
        ids += (await client.receive_of("orders"))["columns"]["id"]
        messages += 1
    await publishing

    assert ids == [str(number) for number in range(1, 5_001)]
    assert messages < 500


async def test_a_client_is_told_now_and_then_how_it_does(start_feed: StartFeed) -> None:
    server = await start_feed(heartbeat_seconds=0.05)
    client = await server.connect()
    await client.receive()

    ping = await client.receive()

    assert (ping["type"], ping["lag_ms"], ping["lag_bytes"], ping["skipped"]) == ("ping", 0.0, 0, 0)


async def test_who_lagged_is_told_by_how_much_and_what_it_skipped(start_feed: StartFeed) -> None:
    server = await start_feed(heartbeat_seconds=0.5)
    lagging = await server.join("orders", "quotes", options={"max_queue": 1})
    healthy = await server.join("quotes")
    await healthy.receive_of("quotes")
    for number in range(60):
        server.publish_quote("AAPL", float(number), padding=MEGABYTE // 2)
        await healthy.receive_of("quotes")
    server.publish_order()

    lag = server.hub.lags()[0]
    while (ping := await lagging.receive())["type"] != "ping" or not ping["skipped"]:
        pass

    assert (lag.client, lag.kind, lag.address, lag.topics) == ("local", "websocket", "127.0.0.1", ["orders", "quotes"])
    assert lag.lag_ms > 0
    assert ping["lag_ms"] > 0
    assert ping["skipped"] > 10
    assert server.hub.lags()[0].lag_bytes == 0


async def test_a_client_resumes_where_it_stopped(feed_server: FeedServer) -> None:
    watcher = await feed_server.join("orders")
    start = await watcher.receive_of("orders")
    for _ in range(3):
        feed_server.publish_order()
        await watcher.receive_of("orders")

    client = await feed_server.resume(make_token(start["epoch"], [FeedPosition({"orders": start["seq"] + 1})]))
    resumed = await client.receive_of("orders")

    assert resumed["type"] == "delta"
    assert (resumed["after"], resumed["seq"]) == (start["seq"] + 1, start["seq"] + 3)
    assert resumed["columns"]["id"] == ["2", "3"]


async def test_a_token_keeps_the_filter_and_a_ping_takes_it_past_what_was_left_out(start_feed: StartFeed) -> None:
    server = await start_feed(heartbeat_seconds=0.1)
    client = await server.join("orders", symbols=["MSFT"])
    start = await client.receive_of("orders")
    server.publish_order("AAPL")

    delta = await client.receive_of("orders")
    token = make_token(start["epoch"], [FeedPosition({"orders": delta["seq"]}, ["MSFT"])])
    server.publish_order("AAPL")
    server.publish_order("MSFT")
    resumed = await (await server.resume(token)).receive_of("orders")

    assert (delta["after"], delta["columns"]) == (start["seq"], {})
    assert resumed["type"] == "delta"
    assert resumed["columns"]["symbol"] == ["MSFT"]


async def test_who_comes_from_another_life_of_the_desk_gets_a_snapshot(feed_server: FeedServer) -> None:
    feed_server.publish_order()
    client = await feed_server.resume(make_token("another", [FeedPosition({"orders": 1})]))

    message = await client.receive_of("orders")

    assert (message["type"], message["epoch"]) == ("snapshot", feed_server.hub.epoch)


async def test_who_was_away_for_too_long_gets_a_snapshot(start_feed: StartFeed) -> None:
    server = await start_feed(replay_bytes=1_000)
    watcher = await server.join("orders")
    start = await watcher.receive_of("orders")
    for _ in range(5):
        server.publish_order(padding=500)
        await watcher.receive_of("orders")

    client = await server.resume(make_token(start["epoch"], [FeedPosition({"orders": start["seq"]})]))
    message = await client.receive_of("orders")

    assert (message["type"], message["seq"]) == ("snapshot", start["seq"] + 5)
    assert message["columns"]["id"] == ["1", "2", "3", "4", "5"]


async def test_a_feed_that_fell_behind_the_desk_starts_everybody_over(feed_server: FeedServer) -> None:
    client = await feed_server.join("orders")
    await client.receive_of("orders")

    # Nothing runs in between, so the hub's own queue of 100,000 rows overflows.
    for _ in range(100_001):
        feed_server.publish_order()
    message = await client.receive_of("orders")

    assert message["type"] == "snapshot"
    assert message["columns"]["id"] == [str(number) for number in range(90_002, 100_002)]


async def test_two_hundred_clients_see_the_same(feed_server: FeedServer) -> None:
    clients = await asyncio.gather(*(feed_server.join("orders") for _ in range(200)))
    await asyncio.gather(*(client.receive_of("orders") for client in clients))

    for _ in range(5):
        feed_server.publish_order()
        messages = await asyncio.gather(*(client.receive_of("orders") for client in clients))
        assert all(message == messages[0] for message in messages)


async def test_an_ending_server_tells_its_clients(feed_server: FeedServer) -> None:
    client = await feed_server.join("orders")
    await client.receive_of("orders")

    feed_server.hub.close()
    messages, code, reason = await client.receive_rest()

    assert messages == [{"type": "bye", "code": 1001, "reason": "the server ends"}]
    assert (code, reason) == (1001, "the server ends")
