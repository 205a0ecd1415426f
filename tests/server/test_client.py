"""The Python clients of the feed, through cut cables and restarted servers."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from ibdesk.store.feed import Row, Topic
from ibdesk_server.client import BlockingFeedClient, FeedClient, FeedError, FeedMessage, FeedState
from ibdesk_server.client.table import Table

if TYPE_CHECKING:
    from tests.server.conftest import Cable, FeedServer, StartFeed


async def test_news_arrive_and_build_tables(feed_server: FeedServer) -> None:
    feed_server.publish_order("AAPL")
    async with FeedClient(feed_server.url, feed_server.key, topics=["orders"]) as feed:
        snapshot = await anext(feed)
        second = feed_server.publish_order("MSFT")
        delta = await anext(feed)

        assert (snapshot.kind, delta.kind, delta.rows) == ("snapshot", "delta", [second])
        assert [row["symbol"] for row in feed.tables["orders"]] == ["AAPL", "MSFT"]
        states = [feed.state]
    states.append(feed.state)

    assert states == [FeedState.OPEN, FeedState.CLOSED]


async def test_after_cut_cables_nothing_is_missing_and_nothing_came_twice(
    feed_server: FeedServer, cable: Cable
) -> None:
    chance = random.Random(7)
    published: dict[str, list[Row]] = {"orders": [], "fills": []}
    received: dict[str, list[Row]] = {"orders": [], "fills": []}

    async with FeedClient(f"ws://127.0.0.1:{cable.port}/feed", feed_server.key, topics=["orders", "fills"]) as feed:
        assert {(await anext(feed)).topic for _ in range(2)} == {"orders", "fills"}
        for number in range(300):
            published["orders"].append(feed_server.publish_order(padding=chance.randrange(2_000)))
            fill: Row = {"execution_id": f"E{number}", "order_id": str(number), "symbol": "AAPL", "price": 1.0}
            feed_server.feed.publish(Topic.FILLS, fill["execution_id"], fill)
            published["fills"].append(fill)
            if number % 60 == 30:
                cable.cut()
            elif chance.random() < 0.5:
                _take(await asyncio.wait_for(anext(feed), 10), received)
        while received != published:
            _take(await asyncio.wait_for(anext(feed), 10), received)

        assert feed.connections > 3
        assert list(feed.tables["orders"]) == published["orders"]
        assert list(feed.tables["fills"]) == published["fills"]


def _take(message: FeedMessage, received: dict[str, list[Row]]) -> None:
    assert message.kind == "delta"
    received[message.topic] += message.rows


async def test_a_restarted_server_is_found_again_and_sends_a_snapshot(
    feed_server: FeedServer, cable: Cable, start_feed: StartFeed
) -> None:
    feed_server.publish_order("AAPL")
    async with FeedClient(f"ws://127.0.0.1:{cable.port}/feed", feed_server.key, topics=["orders"]) as feed:
        await anext(feed)

        successor = await start_feed()
        successor.publish_order("IBM")
        cable.lead_to(successor.port)
        cable.cut()
        message = await asyncio.wait_for(anext(feed), 10)

        assert message.kind == "snapshot"
        assert [row["symbol"] for row in feed.tables["orders"]] == ["IBM"]


async def test_a_server_gone_silent_is_left_for_a_new_connection(start_feed: StartFeed, cable: Cable) -> None:
    server = await start_feed(heartbeat_seconds=0.05)
    cable.lead_to(server.port)
    async with FeedClient(f"ws://127.0.0.1:{cable.port}/feed", server.key, topics=["orders"]) as feed:
        await anext(feed)
        cable.freeze()
        server.publish_order()

        message = await asyncio.wait_for(anext(feed), 10)

        assert (message.columns["id"], feed.connections) == (["1"], 2)


async def test_a_wrong_key_is_refused_for_good(feed_server: FeedServer) -> None:
    async with FeedClient(feed_server.url, "wrong") as feed:
        with pytest.raises(FeedError, match="refuses this client: this key or token is not valid"):
            await anext(feed)

        assert feed.state is FeedState.CLOSED


async def test_closing_ends_a_wait(feed_server: FeedServer) -> None:
    feed = FeedClient(feed_server.url, feed_server.key, topics=["orders"])
    await anext(feed)
    waiting = asyncio.ensure_future(anext(feed))
    # One turn of the loop, so that the wait has begun.
    await asyncio.sleep(0)

    await feed.close()

    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(waiting, 10)


async def test_programs_without_a_loop_read_the_feed_too(feed_server: FeedServer) -> None:
    feed_server.publish_order("AAPL")

    def read() -> list[str]:
        with BlockingFeedClient(feed_server.url, feed_server.key, topics=["orders"]) as feed:
            return [*next(feed).columns["symbol"], *(row["id"] for row in feed.tables["orders"])]

    assert await asyncio.wait_for(asyncio.to_thread(read), 10) == ["AAPL", "1"]


def test_a_table_keeps_the_newest_rows() -> None:
    table = Table(["id"], limit=2)

    table.update([{"id": 1, "n": 0}, {"id": 2, "n": 0}, {"id": 1, "n": 1}, {"id": 3, "n": 0}])

    assert table.rows == [{"id": 2, "n": 0}, {"id": 3, "n": 0}]
    assert (len(table), table.get(2), table.get(1)) == (2, {"id": 2, "n": 0}, None)
