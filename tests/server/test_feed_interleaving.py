"""Rows that come at the worst moments, while others are being sent, to clients that take bytes now and then."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import msgpack  # type: ignore[import-untyped] # it ships no types
import pytest
from prometheus_client import CollectorRegistry

from ibdesk.store.batches import Sequencer
from ibdesk.store.feed import Feed, Topic
from ibdesk_server.feed.coding import Coding
from ibdesk_server.feed.hub import FeedHub
from ibdesk_server.feed.limits import FeedLimits
from ibdesk_server.feed.metrics import FeedMetrics
from ibdesk_server.feed.pace import Pace
from ibdesk_server.feed.protocol import Subscribe


class Pipe:
    """An outlet into a list, which takes bytes or not by chance, and at each of which something else happens."""

    coding = Coding.MSGPACK
    address = ""

    def __init__(self, chance: random.Random, meanwhile: Callable[[], None]) -> None:
        self._chance, self._meanwhile = chance, meanwhile
        self.open = False
        self.messages: list[dict[str, Any]] = []

    @property
    def taking(self) -> bool:
        return self.open or self._chance.random() < 0.5

    def write(self, data: bytes) -> None:
        self._meanwhile()
        start = {126: 4, 127: 10}.get(data[1], 2)
        self.messages.append(msgpack.unpackb(data[start:]))

    def end(self, code: int, reason: str) -> None:
        raise AssertionError(f"cut with {code}: {reason}")


@pytest.mark.parametrize("seed", range(10))
async def test_what_is_published_while_a_batch_is_sent_is_neither_lost_nor_repeated(seed: int) -> None:
    chance, feed, published = random.Random(seed), Feed(), [0]

    def publish() -> None:
        if published[0] < 300 and chance.random() < 0.6:
            published[0] += 1
            row = {"id": str(published[0]), "symbol": chance.choice(("A", "B"))}
            feed.publish(Topic.ORDERS, row["id"], row)
            feed.publish(Topic.QUOTES, row["symbol"], {"symbol": row["symbol"], "bid": published[0]})

    hub = FeedHub(Sequencer(feed), limits=FeedLimits(flush_seconds=0.001), metrics=FeedMetrics(CollectorRegistry()))
    serving, loop = asyncio.create_task(hub.run()), asyncio.get_running_loop()
    pipe = Pipe(chance, publish)
    subscriber = hub.join(pipe)
    assert subscriber is not None
    subscriber.subscribe(Subscribe(topics=["orders", "quotes"]), loop.time())
    async with asyncio.timeout(30):
        while published[0] < 300:
            publish()
            await asyncio.sleep(0)
            subscriber.pump(loop.time())
        pipe.open = True
        while not pipe.messages or hub.seq(Topic.ORDERS) > _seq(pipe, "orders") or published[0] > _count(pipe):
            subscriber.pump(loop.time())
            await asyncio.sleep(0.001)
    serving.cancel()
    await asyncio.wait({serving})

    assert _ids(pipe) == [str(number) for number in range(1, 301)]
    for topic in ("orders", "quotes"):
        chain = [message for message in pipe.messages if message.get("topic") == topic]
        assert [message["after"] for message in chain[1:]] == [message["seq"] for message in chain[:-1]]


def _ids(pipe: Pipe) -> list[str]:
    orders = [message["columns"] for message in pipe.messages if message.get("topic") == "orders"]
    return [each for columns in orders for each in columns.get("id", [])]


def _count(pipe: Pipe) -> int:
    return len(_ids(pipe))


def _seq(pipe: Pipe, topic: str) -> int:
    return max((int(message["seq"]) for message in pipe.messages if message.get("topic") == topic), default=0)


def test_an_idle_feed_flushes_at_once_and_a_busy_one_leaves_the_longest_wait_at_most() -> None:
    pace = Pace(0.05)

    idle = pace.rest(10.0, 0.0002)
    busy = [pace.rest(began, 0.02) for began in (11.0, 11.001, 11.041)]

    assert idle <= 10.0
    # The second goes ahead early; from then on they follow each other within the longest wait.
    assert busy == pytest.approx([11.0, 11.04, 11.08])
    assert all(until - began <= 0.05 for until, began in zip(busy, (11.0, 11.001, 11.041), strict=True))


def test_changes_that_come_as_often_as_the_longest_wait_never_pile_up() -> None:
    pace, until, waits = Pace(0.05), 0.0, []
    chance = random.Random(1)

    for number in range(1, 200):
        arrived = number * 0.05 + chance.uniform(0, 0.01) + (0.2 if number == 50 else 0.0)
        began = max(arrived, until)
        waits.append(began - arrived)
        until = pace.rest(began, 0.02)

    assert max(waits[100:]) == 0.0
