"""The stream of state changes from the desk to its readers, inside one process.

The desk's thread publishes rows; each reader, in its own thread, drains the rows since its last drain. A slow or stuck
reader never delays the publisher: conflated topics keep only the newest row per key for it; the other topics queue up
to a bound, beyond which the reader must take a fresh snapshot.
"""

from __future__ import annotations

import collections
import contextlib
import enum
import itertools
import threading
from collections.abc import Callable, Iterable
from typing import Any

Row = dict[str, Any]
"""One change: column name to a plain value (str, int, float, bool or None)."""


class Topic(enum.Enum):
    """The subject of rows; the value is the name on the wire."""

    QUOTES = "quotes"
    """Keyed by symbol: bid, ask and their sizes."""
    BARS = "bars"
    """Keyed by symbol and interval: closed bars."""
    PROGRESS = "progress"
    """Keyed by symbol and interval: the bars that are still being built."""
    EMAS = "emas"
    """Keyed by symbol and interval: moving averages of the closed bars, for viewers."""
    INDICATORS = "indicators"
    """Keyed by run, symbol and name: the features that a strategy decided on, bar by bar."""
    ORDERS = "orders"
    """Keyed by order: every change of every order."""
    FILLS = "fills"
    """Keyed by execution."""
    POSITIONS = "positions"
    """Keyed by owner and symbol."""
    ACCOUNT = "account"
    """Keyed by account."""
    RUNS = "runs"
    """Keyed by run: running and stopped strategies."""
    EQUITY = "equity"
    """Keyed by owner: profit over time."""
    PNL = "pnl"
    """Keyed by owner: the current profit."""
    RISK = "risk"
    """Denied orders, halts, and the limits in force."""
    RECONCILIATION = "reconciliation"
    """One row: the differences between books and account, and the time of the last comparison."""
    LINK = "link"
    """One row: the connection to TWS."""
    ALERTS = "alerts"
    """Denied orders, halts, warnings, and log lines of strategies."""

    @property
    def conflated(self) -> bool:
        """Return whether a slow reader gets only the newest row per key."""
        return self in _CONFLATED


_CONFLATED = frozenset(
    {Topic.QUOTES, Topic.PROGRESS, Topic.EMAS, Topic.POSITIONS, Topic.ACCOUNT, Topic.PNL, Topic.RECONCILIATION}
)
# Rows per key in a snapshot: one for state, more for histories that are drawn or listed.
_KEPT_PER_KEY = {Topic.BARS: 1_000, Topic.INDICATORS: 1_000, Topic.EQUITY: 2_000}
# Keys per topic in a snapshot; the oldest ones are dropped.
_KEPT_KEYS = 10_000


class FeedReader:
    """One reader's end of the feed; made by `Feed.subscribe`."""

    def __init__(
        self, wake: Callable[[], None], limit: int, lock: threading.Lock, topics: Iterable[Topic] = Topic
    ) -> None:
        self._wake, self._limit, self._lock, self._topics = wake, limit, lock, frozenset(topics)
        self._pending: dict[Topic, dict[Any, Row]] = {}
        self._overrun, self._awake = False, False
        self._number = itertools.count()

    def _offer(self, topic: Topic, key: str, row: Row) -> None:
        """Take a row; called with the feed's lock held."""
        if self._overrun or topic not in self._topics:
            return
        rows = self._pending.setdefault(topic, {})
        rows[key if topic.conflated else next(self._number)] = row
        if not topic.conflated and len(rows) > self._limit:
            self._pending, self._overrun = {}, True
        if not self._awake:
            self._awake = True
            # The loop of a departing reader may already be closed, which does not concern the publisher.
            with contextlib.suppress(RuntimeError):
                self._wake()

    def drain(self) -> tuple[dict[Topic, list[Row]], bool]:
        """Return the rows since the last call, by topic in order, and whether rows were lost since then.

        If rows were lost, the reader starts over from `Feed.snapshot`.
        """
        with self._lock:
            return self._drain()

    def _drain(self) -> tuple[dict[Topic, list[Row]], bool]:
        """Return the pending rows; called with the feed's lock held."""
        pending, overrun = self._pending, self._overrun
        self._pending, self._overrun, self._awake = {}, False, False
        return {topic: list(rows.values()) for topic, rows in pending.items()}, overrun


class Feed:
    """Receives rows from publishing threads and passes them to any number of readers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: list[FeedReader] = []
        self._kept: dict[Topic, collections.OrderedDict[str, collections.deque[Row]]] = {
            topic: collections.OrderedDict() for topic in Topic
        }

    def publish(self, topic: Topic, key: str, row: Row) -> None:
        """Pass a row to every reader and keep it for snapshots. The row must not be changed afterwards."""
        with self._lock:
            self._publish(topic, key, row)

    def publish_all(self, changes: Iterable[tuple[Topic, str, Row]]) -> None:
        """Publish rows, each with its topic and key, as one unit: no reader ever drains a part of them."""
        with self._lock:
            for topic, key, row in changes:
                self._publish(topic, key, row)

    def _publish(self, topic: Topic, key: str, row: Row) -> None:
        """Publish a row; called with the feed's lock held."""
        kept = self._kept[topic]
        history = kept.get(key)
        if history is None:
            history = kept[key] = collections.deque(maxlen=_KEPT_PER_KEY.get(topic, 1))
            if len(kept) > _KEPT_KEYS:
                kept.popitem(last=False)
        history.append(row)
        for reader in self._readers:
            reader._offer(topic, key, row)

    def forget(self, topic: Topic, key: str) -> None:
        """Leave a key out of later snapshots."""
        with self._lock:
            self._kept[topic].pop(key, None)

    def snapshot(self, topics: Iterable[Topic] = Topic) -> dict[Topic, list[Row]]:
        """Return the rows kept of each topic, in the order in which their keys first appeared."""
        with self._lock:
            return self._rows(topics)

    def _rows(self, topics: Iterable[Topic]) -> dict[Topic, list[Row]]:
        return {topic: [row for rows in self._kept[topic].values() for row in rows] for topic in topics}

    def subscribe(
        self, wake: Callable[[], None], *, limit: int = 100_000, topics: Iterable[Topic] = Topic
    ) -> tuple[FeedReader, dict[Topic, list[Row]]]:
        """Return a new reader of these topics and the snapshot that its first drain continues without a gap.

        `wake` is called from the publishing thread when the first row after a drain arrives; it must only signal
        (``loop.call_soon_threadsafe(event.set)``). `limit` bounds the queued rows of each topic that is not conflated.
        """
        reader = FeedReader(wake, limit, self._lock, topics)
        with self._lock:
            self._readers.append(reader)
            return reader, self._rows(Topic)

    def catch_up(self, reader: FeedReader) -> tuple[dict[Topic, list[Row]], bool, dict[Topic, list[Row]]]:
        """Drain a reader and take a snapshot atomically: the drained rows lead exactly to the snapshot.

        Returns the two values of `FeedReader.drain` and the snapshot.
        """
        with self._lock:
            return *reader._drain(), self._rows(Topic)

    def unsubscribe(self, reader: FeedReader) -> None:
        """Stop passing rows to the reader; a reader that is not subscribed is ignored."""
        with self._lock:
            if reader in self._readers:
                self._readers.remove(reader)
