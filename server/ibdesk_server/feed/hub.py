"""The one listener on the desk's feed, which hands what it hears to all clients."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable

from ibdesk.errors import IbdeskError
from ibdesk.store.batches import Batch, BatchSource, FeedState
from ibdesk.store.feed import Topic
from ibdesk.store.layout import LAYOUTS
from ibdesk.telemetry import track_performance
from ibdesk_server.feed.channel import Channels
from ibdesk_server.feed.coding import Coding
from ibdesk_server.feed.filter import Filters
from ibdesk_server.feed.limits import FeedLimits
from ibdesk_server.feed.metrics import FeedMetrics
from ibdesk_server.feed.pace import Pace
from ibdesk_server.feed.protocol import GOING_AWAY, Hello, Status, TopicInfo
from ibdesk_server.feed.subscriber import FeedSubscriber, Lag, Outlet

_log = logging.getLogger(__name__)

# So long a broadcast may keep the loop to itself before others get a turn.
_SLICE_SECONDS = 0.005
# After so many clients it is looked at the clock.
_SLICE_CLIENTS = 64
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 2.0
# The patrol looks at so many parts of the clients in turn, and multiples of the golden ratio spread their pings evenly,
# so that no flush has to wait until a thousand clients have been looked after.
_PATROL_PARTS, _GOLDEN_RATIO = 10, 0.618034


class FeedHub:
    """Follows the desk's batches, has each encoded once, and moves the bytes to all clients that take them.

    It flushes at once when idle; under load it rests between two flushes, `flush_seconds` at most, and what comes
    meanwhile goes out together. While the desk is away, clients stay, are told so, and get from memory what there is.
    """

    def __init__(
        self,
        source: BatchSource,
        *,
        limits: FeedLimits,
        metrics: FeedMetrics,
        is_reachable: Callable[[], bool] = lambda: True,
    ) -> None:
        """Make one that follows nothing yet; `is_reachable` tells whether the desk behind the source is."""
        self.limits, self._is_reachable = limits, is_reachable
        self._source, self._metrics = source, metrics
        # filters: those in use, shared by who asks for the same.
        self._channels, self.filters = Channels(replay_bytes=limits.replay_bytes), Filters()
        self._pace = Pace(limits.flush_seconds)
        self._subscribers: set[FeedSubscriber] = set()
        self._joined = itertools.count()
        self._closing, self._deserted = False, asyncio.Event()
        self._ended = asyncio.Event()
        self._failure: Exception | None = None
        self.status = Status(desk="away", at_ns=time.time_ns(), detail="the desk is not known yet")

    @property
    def clients(self) -> int:
        """Return how many clients are connected."""
        return len(self._subscribers)

    @property
    def epoch(self) -> str:
        """Return the epoch of the desk's numbering, empty before the desk is known."""
        return self._channels.epoch

    def seq(self, topic: Topic) -> int:
        """Return the number of the newest batch of a topic."""
        return self._channels[topic].seq

    @property
    def attached(self) -> bool:
        """Return whether news come from the desk."""
        return self.status.desk == "attached"

    def lags(self) -> list[Lag]:
        """Return how each client does, the one furthest behind first."""
        now = asyncio.get_running_loop().time()
        return sorted((each.lag(now) for each in self._subscribers), key=lambda lag: (-lag.lag_ms, lag.client))

    def hello(self) -> Hello:
        """Return the first message to a client."""
        topics = [TopicInfo(topic.value, layout.key, topic.conflated) for topic, layout in LAYOUTS.items()]
        return Hello(
            server_time_ns=time.time_ns(),
            heartbeat_seconds=self.limits.heartbeat_seconds,
            topics=topics,
            desk=self.status.desk,
            desk_at_ns=self.status.at_ns,
        )

    def join(self, outlet: Outlet) -> FeedSubscriber | None:
        """Return the place of a new client, None when all are taken or the feed is closing."""
        if self._closing or len(self._subscribers) >= self.limits.clients:
            return None
        early = next(self._joined) * _GOLDEN_RATIO % 1 * self.limits.heartbeat_seconds
        subscriber = FeedSubscriber(
            self._channels,
            self.filters,
            outlet,
            budget=self.limits.budget,
            pinged_at=asyncio.get_running_loop().time() - early,
        )
        self._subscribers.add(subscriber)
        self._metrics.clients.set(len(self._subscribers))
        return subscriber

    def leave(self, subscriber: FeedSubscriber) -> None:
        """Give a client's place back."""
        self._subscribers.discard(subscriber)
        self._metrics.clients.set(len(self._subscribers))
        if not self._subscribers:
            self._deserted.set()

    def refused(self) -> None:
        """Take note that a client is cut for what it sent."""
        self._metrics.refused.inc()

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
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._patrol(), name="feed patrol")
                tasks.create_task(self._follow(), name="feed source")
        except* Exception as failures:  # noqa: BLE001 - logged and handed on, whatever it is
            _log.exception("the feed has failed")
            self._failure = failures.exceptions[0]
            self._ended.set()
            self.close()

    async def _follow(self) -> None:
        """Take news from the desk for ever, and from memory while it is away."""
        delay = _FIRST_DELAY
        while True:
            try:
                await self._take(await self._source.open())
                delay = _FIRST_DELAY
                while True:
                    self._tell(attached=True)
                    await self._take(await self._source.next())
            except (IbdeskError, OSError) as error:
                self._tell(attached=False, detail=str(error))
            finally:
                await self._source.close()
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)

    async def _take(self, news: list[Batch] | FeedState) -> None:
        """Move news into the channels and on to everybody, then rest."""
        loop = asyncio.get_running_loop()
        began, started = loop.time(), time.thread_time()
        if isinstance(news, FeedState):
            if not self._channels.begin(news):
                self._metrics.lost.inc()
        else:
            self._channels.append(news)
            for batch in news:
                self._metrics.rows.labels(batch.topic.value).inc(len(batch.rows))
        with track_performance("feed_flush"):
            await self._pump_all()
        busy = time.thread_time() - started
        self._metrics.flush.observe(busy)
        await asyncio.sleep(self._pace.rest(began, busy) - loop.time())

    async def _pump_all(self) -> None:
        loop = asyncio.get_running_loop()
        slice_ends = loop.time() + _SLICE_SECONDS
        now = loop.time()
        for number, subscriber in enumerate(tuple(self._subscribers), start=1):
            if not subscriber.pump(now):
                self._cut_when_overdue(subscriber, now)
            if number % _SLICE_CLIENTS == 0:
                now = loop.time()
                if now > slice_ends:
                    await asyncio.sleep(0)
                    slice_ends = loop.time() + _SLICE_SECONDS

    def _cut_when_overdue(self, subscriber: FeedSubscriber, now: float) -> None:
        if subscriber.cut_when_overdue(now):
            self._metrics.cut.inc()

    def _tell(self, *, attached: bool, detail: str = "") -> None:
        """Let everybody know when the desk goes or comes."""
        if attached == self.attached:
            return
        if not attached:
            _log.warning("the feed goes on from memory: %s", detail)
        self.status = Status(desk="attached" if attached else "away", at_ns=time.time_ns(), detail=detail)
        self._metrics.attached.set(attached)
        now = asyncio.get_running_loop().time()
        written = {coding: coding.write(self.status) for coding in Coding}
        for subscriber in tuple(self._subscribers):
            if subscriber.greeted:
                subscriber.say_written(written[subscriber.coding], now)

    async def _patrol(self) -> None:
        """Tell clients how they do, and cut those that are too far behind, also while the desk has no news."""
        loop = asyncio.get_running_loop()
        round_seconds = min(self.limits.heartbeat_seconds, self.limits.budget.seconds, 1.0) / 4
        for part in itertools.cycle(range(_PATROL_PARTS)):
            await asyncio.sleep(round_seconds / _PATROL_PARTS)
            now = loop.time()
            for subscriber in tuple(self._subscribers)[part::_PATROL_PARTS]:
                self._cut_when_overdue(subscriber, now)
                subscriber.keep_alive(now, self.limits.heartbeat_seconds)
            if part == 0:
                if self.epoch:
                    self._tell(attached=self._is_reachable(), detail="the desk cannot be reached")
                self._metrics.observe_lags([each.lag_seconds(now) for each in self._subscribers])
