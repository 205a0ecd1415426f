"""The feed in numbered batches: the form in which it leaves the engine's process, the same for all followers.

Each topic counts its batches by `seq` within an `epoch`, one generation of the numbering. A follower that holds a
state and then takes every batch misses nothing. Because the engine's side numbers the batches, and not each web
server, a client of one server can continue at another.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import secrets
from typing import Protocol

import msgspec

from ibdesk.store.feed import Feed, FeedReader, Row, Topic

# Rows kept per topic that is never dropped, for followers that return.
_KEPT_ROWS = 20_000


class Batch(msgspec.Struct, frozen=True):
    """Rows of one topic that were passed on together; the batch before has `seq` - 1."""

    topic: Topic
    seq: int
    rows: list[Row]


class TopicState(msgspec.Struct, frozen=True):
    """All rows of a topic at `seq`, and the newest batches that led there, without a gap between them.

    With `recent` a follower that knew an earlier state catches up; it is empty for conflated topics.
    """

    seq: int
    rows: list[Row]
    recent: list[Batch] = []


class FeedState(msgspec.Struct, frozen=True):
    """The state of every topic in an epoch."""

    epoch: str
    topics: dict[Topic, TopicState]


class BatchSource(Protocol):
    """The source of a follower of the feed; used from one event loop by one follower."""

    async def open(self) -> FeedState:
        """Return the state of the feed; `next` continues from it."""

    async def next(self) -> list[Batch] | FeedState:
        """Wait for batches and return all that are ready.

        A state instead of batches means that rows were lost on the way, or that another engine has taken over (then
        its epoch is new): start over from it.
        """

    async def close(self) -> None:
        """Stop following."""


class Sequencer:
    """Numbers the rows that a feed of this process publishes; a `BatchSource`."""

    def __init__(self, feed: Feed, *, kept_rows: int = _KEPT_ROWS) -> None:
        """Make a sequencer that follows nothing yet; `kept_rows` bounds each `TopicState.recent`."""
        self._feed, self._kept_rows = feed, kept_rows
        self._reader: FeedReader | None = None
        self._woken = asyncio.Event()
        self._seqs: dict[Topic, int] = {}
        self._recent: dict[Topic, collections.deque[Batch]] = {}
        self._kept: dict[Topic, int] = {}
        # Batches that `state` had to make and `next` has not returned yet.
        self._made: list[Batch] = []
        self._lost = False
        self._begin()

    async def open(self) -> FeedState:
        """Start following and return the state of the feed."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            # Called on the publishing thread; the loop may just have been closed.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._woken.set)

        await self.close()
        self._begin()
        self._reader, rows = self._feed.subscribe(wake)
        return self._state(rows)

    async def next(self) -> list[Batch] | FeedState:
        """Wait for batches and return them; a state if rows were lost because `next` was not called for too long."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            self._number(*self._opened().drain())
            if self._lost:
                state = self.state()
                self._lost, self._made = False, []
                return state
            if self._made:
                made, self._made = self._made, []
                return made

    async def close(self) -> None:
        """Stop following."""
        if self._reader is not None:
            self._feed.unsubscribe(self._reader)
            self._reader = None

    def state(self) -> FeedState:
        """Return the current state of the feed; `next` still returns the batches that led to it.

        It is for a further follower beside the one that calls `next`: that one ignores later batches whose `seq` the
        state has already reached.
        """
        pending, overrun, rows = self._feed.catch_up(self._opened())
        self._number(pending, overrun)
        if self._made:
            self._woken.set()
        return self._state(rows)

    def _begin(self) -> None:
        """Begin an epoch: rows that passed while nobody followed have no numbers, so no one can resume from before."""
        self.epoch = secrets.token_hex(8)
        self._seqs = dict.fromkeys(Topic, 0)
        self._recent = {topic: collections.deque() for topic in Topic}
        self._kept = dict.fromkeys(Topic, 0)
        self._made, self._lost = [], False

    def _opened(self) -> FeedReader:
        if self._reader is None:
            raise RuntimeError("call open() before next() or state()")
        return self._reader

    def _number(self, rows_by_topic: dict[Topic, list[Row]], overrun: bool) -> None:
        if overrun:
            # A gap in the numbers: no follower can resume from before it.
            self._lost = True
            self._woken.set()
            for topic in Topic:
                self._seqs[topic] += 1
                self._recent[topic].clear()
                self._kept[topic] = 0
        for topic, rows in rows_by_topic.items():
            seq = self._seqs[topic] = self._seqs[topic] + 1
            batch = Batch(topic, seq, rows)
            self._made.append(batch)
            if not topic.conflated:
                self._keep(topic, batch)

    def _keep(self, topic: Topic, batch: Batch) -> None:
        recent = self._recent[topic]
        recent.append(batch)
        self._kept[topic] += len(batch.rows)
        while self._kept[topic] > self._kept_rows and len(recent) > 1:
            self._kept[topic] -= len(recent.popleft().rows)

    def _state(self, rows: dict[Topic, list[Row]]) -> FeedState:
        return FeedState(
            self.epoch,
            {topic: TopicState(self._seqs[topic], rows[topic], list(self._recent[topic])) for topic in Topic},
        )
