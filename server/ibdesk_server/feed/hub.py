"""The one listener on the desk's feed, which hands what it hears to all clients."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ibdesk.store.feed import Feed, FeedReader, Row, Topic
from ibdesk.store.layout import LAYOUTS
from ibdesk_server.feed.channel import make_channel
from ibdesk_server.feed.protocol import GOING_AWAY, Hello, TopicInfo
from ibdesk_server.feed.subscriber import Budget, Subscriber

_log = logging.getLogger(__name__)

# A flush rests the feed for so many times as long as it kept the processor busy (which a busy machine does not draw
# out), so that the feed takes a fifth of its thread at most.
_REST = 4.0


class FeedLimits(msgspec.Struct, frozen=True):
    """What the feed allows itself and its clients.

    `flush_seconds` is the longest a change waits under load; `budget` how far a client may fall behind;
    `replay_bytes` how much of each topic never dropped is kept for clients to catch up or resume.
    """

    flush_seconds: float = 0.05
    heartbeat_seconds: float = 5.0
    auth_seconds: float = 5.0
    budget: Budget = Budget(bytes=4_194_304, seconds=10.0)
    replay_bytes: int = 8_388_608
    clients: int = 2_000


class FeedMetrics:
    """What the feed counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.clients = Gauge("ibdesk_feed_clients", "Connected feed clients", registry=registry)
        self.rows = Counter("ibdesk_feed_rows", "Rows taken from the desk", ["topic"], registry=registry)
        self.cut = Counter("ibdesk_feed_cut", "Clients cut because they were too slow", registry=registry)
        self.lost = Counter("ibdesk_feed_overruns", "Times the feed itself fell behind", registry=registry)
        self.flush = Histogram(
            "ibdesk_feed_flush_seconds",
            "Processor time from taking a batch off the desk to its bytes being with every client that keeps up",
            buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5),
            registry=registry,
        )


class FeedHub:
    """Drains the desk's feed, numbers and encodes each batch once, and wakes the clients.

    It flushes at once when idle. After a flush it rests for as long as the load asks, `flush_seconds` at most, and
    what comes meanwhile goes out together. A batch is taken off the desk whole before anything is awaited.
    """

    def __init__(self, feed: Feed, *, limits: FeedLimits, metrics: FeedMetrics) -> None:
        self.limits, self.epoch = limits, secrets.token_hex(8)
        self._feed, self._metrics = feed, metrics
        self._channels = {topic: make_channel(topic, replay_bytes=limits.replay_bytes) for topic in LAYOUTS}
        self._subscribers: set[Subscriber] = set()
        self._closing, self._deserted = False, asyncio.Event()
        self._ended = asyncio.Event()
        self._failure: Exception | None = None

    @property
    def clients(self) -> int:
        """Return how many clients are connected."""
        return len(self._subscribers)

    def hello(self, server_time_ns: int) -> Hello:
        """Return the first message to a client."""
        topics = [TopicInfo(topic.value, layout.key, topic.conflated) for topic, layout in LAYOUTS.items()]
        return Hello(
            epoch=self.epoch,
            server_time_ns=server_time_ns,
            heartbeat_seconds=self.limits.heartbeat_seconds,
            topics=topics,
        )

    def join(self) -> Subscriber | None:
        """Return the place of a new client, None when all are taken or the feed is closing."""
        if self._closing or len(self._subscribers) >= self.limits.clients:
            return None
        now = asyncio.get_running_loop().time()
        subscriber = Subscriber(self._channels, budget=self.limits.budget, now=now)
        self._subscribers.add(subscriber)
        self._metrics.clients.set(len(self._subscribers))
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Give a client's place back."""
        self._subscribers.discard(subscriber)
        self._metrics.clients.set(len(self._subscribers))
        if not self._subscribers:
            self._deserted.set()

    async def until_deserted(self) -> None:
        """Wait until no client is left; for after `close`."""
        if self._subscribers:
            self._deserted.clear()
            await self._deserted.wait()

    def close(self) -> None:
        """Ask every client to go, and take no new one."""
        self._closing = True
        for subscriber in self._subscribers:
            subscriber.cut(GOING_AWAY, "the server ends")

    @property
    def failed(self) -> bool:
        """Return whether `run` has failed, so that clients are told nothing any more."""
        return self._failure is not None

    async def until_failed(self) -> None:
        """Wait until `run` has failed.

        Raises:
            Exception: What it failed of.
        """
        await self._ended.wait()
        if self._failure is not None:
            raise self._failure

    async def run(self) -> None:
        """Serve until cancelled; a failure is logged, ends the service, and is told by `until_failed`."""
        try:
            await self._run()
        except* Exception as failures:  # noqa: BLE001 - logged and handed on, whatever it is
            _log.exception("the feed has failed")
            self._failure = failures.exceptions[0]
            self._ended.set()
            self.close()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            # Called on the desk's thread, which a loop that has just been closed must not disturb.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(woken.set)

        reader, rows = self._feed.subscribe(wake)
        try:
            self._reset(rows)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._patrol())
                while True:
                    await woken.wait()
                    woken.clear()
                    started = time.thread_time()
                    reader = self._flush(reader, wake)
                    # Everybody who was woken and can send has sent when this task's turn comes again.
                    await asyncio.sleep(0)
                    busy = time.thread_time() - started
                    self._metrics.flush.observe(busy)
                    await asyncio.sleep(min(_REST * busy, self.limits.flush_seconds))
        finally:
            self._feed.unsubscribe(reader)

    def _flush(self, reader: FeedReader, wake: Callable[[], None]) -> FeedReader:
        """Move what came into the channels and wake everybody; return the reader to go on with."""
        batch, overrun = reader.drain()
        if overrun:
            _log.warning("the feed fell behind the desk and starts over from a snapshot")
            self._metrics.lost.inc()
            self._feed.unsubscribe(reader)
            reader, rows = self._feed.subscribe(wake)
            self._reset(rows)
        for topic, rows_of_topic in batch.items():
            self._channels[topic].append(rows_of_topic)
            self._metrics.rows.labels(topic.value).inc(len(rows_of_topic))
        self._wake_all()
        return reader

    def _reset(self, rows: dict[Topic, list[Row]]) -> None:
        for topic, channel in self._channels.items():
            channel.reset(rows[topic])

    def _wake_all(self) -> None:
        now = asyncio.get_running_loop().time()
        for subscriber in self._subscribers:
            if subscriber.cut_when_overdue(now):
                self._metrics.cut.inc()
            subscriber.notice(now)

    async def _patrol(self) -> None:
        """Keep silent connections alive and cut stuck ones, also while the desk has no news."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(self.limits.heartbeat_seconds, self.limits.budget.seconds) / 4)
            now = loop.time()
            for subscriber in self._subscribers:
                if subscriber.cut_when_overdue(now):
                    self._metrics.cut.inc()
                subscriber.keep_alive(now, self.limits.heartbeat_seconds)
