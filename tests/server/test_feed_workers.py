"""Several servers of one desk: they count alike, so that a client goes on at any of them; and the desk may be away."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from ibdesk.store.batches import FeedState, Sequencer
from ibdesk.store.feed import Feed, Topic
from ibdesk_server.client import BlockingFeedClient, FeedClient, FeedError
from ibdesk_server.client import FeedState as ClientState
from ibdesk_server.feed.token import FeedPosition, make_token

if TYPE_CHECKING:
    from tests.server.conftest import Cable, FeedServer, Relay, StartFeed


async def test_a_client_goes_on_at_a_server_that_has_just_started(relay: Relay, start_feed: StartFeed) -> None:
    first = await start_feed(relay=relay, feed=relay.feed)
    first.publish_order()
    async with FeedClient(first.url, first.key, topics=["orders"]) as feed:
        snapshot = await anext(feed)
        token = feed.token
    rows = [first.publish_order() for _ in range(3)]

    second = await start_feed(relay=relay, feed=relay.feed)
    async with FeedClient(second.url, second.key, token=token) as feed:
        news = await asyncio.wait_for(anext(feed), 10)

    assert (snapshot.kind, news.kind) == ("snapshot", "delta")
    assert news.rows == rows


@pytest.mark.parametrize("seed", range(3))
async def test_through_restarts_of_servers_nothing_is_missing_and_nothing_came_twice(
    relay: Relay, start_feed: StartFeed, cable: Cable, seed: int
) -> None:
    chance, server = random.Random(seed), await start_feed(relay=relay, feed=relay.feed)
    cable.lead_to(server.port)
    published, received = [], []

    async with FeedClient(f"ws://127.0.0.1:{cable.port}/feed", server.key, topics=["orders"]) as feed:
        await anext(feed)
        for number in range(120):
            published.append(server.publish_order(padding=chance.randrange(500)))
            if number % 40 == 20:
                successor = await start_feed(relay=relay, feed=relay.feed)
                successor.published = server.published
                cable.lead_to(successor.port)
                server.hub.close()
                server = successor
            elif chance.random() < 0.6:
                await asyncio.sleep(0)
                received += (await asyncio.wait_for(anext(feed), 10)).rows if chance.random() < 0.3 else []
        while len(received) < len(published):
            received += (await asyncio.wait_for(anext(feed), 10)).rows

        assert feed.connections > 1
        assert received == published


async def test_a_client_that_knows_more_than_its_new_server_waits_for_it(relay: Relay, start_feed: StartFeed) -> None:
    server = await start_feed(relay=relay, feed=relay.feed)
    watcher = await server.join("orders")
    await watcher.receive_of("orders")
    client = await server.resume(make_token(server.hub.epoch, [FeedPosition({"orders": 2})]))

    for _ in range(4):
        server.publish_order()
        await watcher.receive_of("orders")
    news = await client.receive_of("orders")

    assert (news["type"], news["after"]) == ("delta", 2)
    assert news["columns"]["id"][0] == "3"


async def test_another_engine_starts_everybody_over(relay: Relay, start_feed: StartFeed) -> None:
    server = await start_feed(relay=relay, feed=relay.feed)
    server.publish_order("AAPL")
    async with FeedClient(server.url, server.key, topics=["orders", "fills"]) as feed:
        for _ in range(2):
            await anext(feed)
        before = feed.token

        other = Feed()
        other.publish(Topic.ORDERS, "9", {"id": "9", "symbol": "IBM", "status": "sent", "reason": ""})
        state: FeedState = await Sequencer(other).open()
        relay.hand_on(state)
        news = {message.topic: message for message in [await anext(feed) for _ in range(2)]}

        assert {message.kind for message in news.values()} == {"snapshot"}
        assert [row["symbol"] for row in feed.tables["orders"]] == ["IBM"]
        assert feed.token != before
        assert server.hub.epoch == state.epoch


async def test_while_the_desk_is_away_clients_stay_are_told_and_get_what_is_remembered(
    relay: Relay, start_feed: StartFeed
) -> None:
    server = await start_feed(relay=relay, feed=relay.feed, heartbeat_seconds=0.2)
    server.publish_order("AAPL")
    states: asyncio.Queue[ClientState] = asyncio.Queue()
    async with (
        asyncio.timeout(20),
        FeedClient(server.url, server.key, topics=["orders"], on_state=states.put_nowait) as feed,
    ):
        await anext(feed)

        relay.reachable = False
        waiting = asyncio.ensure_future(anext(feed))
        told = [await states.get(), await states.get()]
        remembered = await (await server.join("orders")).receive_of("orders")
        relay.reachable = True
        told.append(await states.get())
        row = server.publish_order("IBM")

        assert (await waiting).rows == [row]
    assert told == [ClientState.OPEN, ClientState.AWAY, ClientState.OPEN]
    assert remembered["columns"]["symbol"] == ["AAPL"]


async def test_programs_without_a_loop_go_on_by_a_token_too(relay: Relay, start_feed: StartFeed) -> None:
    first, second = [await start_feed(relay=relay, feed=relay.feed) for _ in range(2)]
    first.publish_order("AAPL")

    def begin() -> str:
        with BlockingFeedClient(first.url, lambda: first.key, topics=["orders"], symbols=["A*"]) as feed:
            next(feed)
            assert feed.state is ClientState.OPEN
            return feed.token

    def go_on(token: str) -> list[str]:
        with BlockingFeedClient(second.url, second.key, token=token) as feed:
            return list(next(feed).columns["symbol"])

    token = await asyncio.wait_for(asyncio.to_thread(begin), 10)
    for symbol in ("IBM", "ABNB", "MSFT"):
        first.publish_order(symbol)

    assert await asyncio.wait_for(asyncio.to_thread(go_on, token), 10) == ["ABNB"]


async def test_a_token_that_is_none_is_refused_before_connecting(feed_server: FeedServer) -> None:
    with pytest.raises(FeedError, match="the token is not valid"):
        FeedClient(feed_server.url, feed_server.key, token="rubbish")
