"""One topic as it is sent: its batches numbered and encoded once, whoever and how many listen.

A client is only a cursor into a channel: the `seq` of the last batch it was given. So a slow client costs no
memory of its own, catching up and resuming after a lost connection are the same thing, and how far behind a client
is can be told at any time.
"""

from __future__ import annotations

import abc
import collections
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from ibdesk.store.feed import Row, Topic
from ibdesk.store.layout import LAYOUTS
from ibdesk_server.feed.protocol import Delta, Snapshot, encode

Symbols = frozenset[str]

# As many things as the desk's own feed keeps of a topic; the oldest ones leave.
_KEPT_GROUPS = 10_000
_KEPT_FILTERS = 256

Filter = TypeVar("Filter", bound=Symbols | None)


class Channel(abc.ABC):
    """The sending side of one topic.

    `seq` is the number of the newest batch; what is known at that point is the snapshot.
    """

    def __init__(self, topic: Topic) -> None:
        self.topic, self.layout = topic, LAYOUTS[topic]
        self.seq = 0
        # _kept: by thing, then by time where a thing has more than one row.
        self._kept: dict[tuple[object, ...], dict[tuple[object, ...], Row]] = {}
        self._snapshots: dict[Symbols | None, bytes] = {}

    def append(self, rows: list[Row]) -> None:
        """Add a batch of rows, in order."""
        self.seq += 1
        self._snapshots = {}
        self._keep(rows)
        self._append(rows)

    def reset(self, rows: list[Row]) -> None:
        """Start over from a new snapshot: rows were lost, so that nobody can resume from before it."""
        self.seq += 1
        self._snapshots, self._kept = {}, {}
        self._keep(rows)
        self._forget()

    def snapshot(self, symbols: Symbols | None) -> bytes:
        """Return the encoded state at `seq`."""
        frame = self._snapshots.get(symbols)
        if frame is None:
            rows = [row for kept in self._kept.values() for row in kept.values()]
            columns = columns_of(self._chosen(rows, symbols))
            frame = encode(Snapshot(topic=self.topic, seq=self.seq, columns=columns))
            _remember(self._snapshots, symbols, frame)
        return frame

    @abc.abstractmethod
    def reaches(self, cursor: int) -> bool:
        """Return whether everything after `cursor` can still be sent as deltas."""

    @abc.abstractmethod
    def after(self, cursor: int, symbols: Symbols | None) -> tuple[int, bytes | None]:
        """Return the next cursor and the frame that leads to it, None when it holds nothing for these symbols.

        Only for a cursor that is behind `seq` and that the channel `reaches`.
        """

    @abc.abstractmethod
    def backlog(self, cursor: int) -> int:
        """Return how many bytes must be sent, none left out, to bring a cursor up to `seq`."""

    @abc.abstractmethod
    def _append(self, rows: list[Row]) -> None: ...

    @abc.abstractmethod
    def _forget(self) -> None: ...

    def _keep(self, rows: Iterable[Row]) -> None:
        for row in rows:
            group = self.layout.group_of(row)
            kept = self._kept.get(group)
            if kept is None:
                kept = self._kept[group] = {}
                if len(self._kept) > _KEPT_GROUPS:
                    del self._kept[next(iter(self._kept))]
            kept[self.layout.time_of(row)] = row
            if len(kept) > self.layout.kept:
                del kept[next(iter(kept))]

    def _chosen(self, rows: list[Row], symbols: Symbols | None) -> list[Row]:
        return rows if symbols is None else [row for row in rows if row["symbol"] in symbols]

    def _delta(self, seq: int, rows: list[Row]) -> bytes:
        return encode(Delta(topic=self.topic, seq=seq, columns=columns_of(rows)))


class ConflatedChannel(Channel):
    """A topic of which only the newest row per thing matters: a client that lags skips what is outdated."""

    def __init__(self, topic: Topic) -> None:
        super().__init__(topic)
        self._first = 0
        # _changed: thing to the batch that changed it last, the latest change at the end.
        self._changed: dict[tuple[object, ...], int] = {}
        self._deltas: dict[tuple[int, Symbols | None], bytes | None] = {}

    def reaches(self, cursor: int) -> bool:
        """Return whether everything after `cursor` is known, which only a start-over prevents."""
        return self._first <= cursor <= self.seq

    def after(self, cursor: int, symbols: Symbols | None) -> tuple[int, bytes | None]:
        """Return `seq` and one frame with the newest row of all that changed since `cursor`."""
        if (cursor, symbols) not in self._deltas:
            rows = self._chosen(self._changed_after(cursor), symbols)
            self._deltas[cursor, symbols] = self._delta(self.seq, rows) if rows else None
        return self.seq, self._deltas[cursor, symbols]

    def backlog(self, cursor: int) -> int:  # noqa: ARG002 - other channels need it
        """Return nothing: whatever waits can be left out for something newer."""
        return 0

    def _append(self, rows: list[Row]) -> None:
        self._deltas = {}
        for row in rows:
            group = self.layout.group_of(row)
            self._changed.pop(group, None)
            self._changed[group] = self.seq
        while len(self._changed) > _KEPT_GROUPS:
            self._first = self._changed.pop(next(iter(self._changed)))

    def _forget(self) -> None:
        self._first, self._changed, self._deltas = self.seq, {}, {}

    def _changed_after(self, cursor: int) -> list[Row]:
        rows: list[Row] = []
        for group, seq in reversed(self._changed.items()):
            if seq <= cursor:
                break
            rows.extend(self._kept.get(group, {}).values())
        return rows[::-1]


class _Batch(msgspec.Struct):
    """One batch that every subscriber must get; `end` is where its frame ends among all bytes of the channel."""

    seq: int
    rows: list[Row]
    frame: bytes
    end: int
    filtered: dict[Symbols, bytes]


class OrderedChannel(Channel):
    """A topic of which nothing may be dropped: recent batches are kept, so that clients can catch up."""

    def __init__(self, topic: Topic, *, replay_bytes: int) -> None:
        super().__init__(topic)
        self._replay_bytes = replay_bytes
        self._batches: collections.deque[_Batch] = collections.deque()
        self._end = 0

    def reaches(self, cursor: int) -> bool:
        """Return whether every batch after `cursor` is still kept."""
        return self.seq - len(self._batches) <= cursor <= self.seq

    def after(self, cursor: int, symbols: Symbols | None) -> tuple[int, bytes | None]:
        """Return the next batch, with no rows in it when none is of these symbols."""
        batch = self._batches[cursor - self.seq]
        if symbols is None:
            return batch.seq, batch.frame
        frame = batch.filtered.get(symbols)
        if frame is None:
            frame = self._delta(batch.seq, self._chosen(batch.rows, symbols))
            _remember(batch.filtered, symbols, frame)
        return batch.seq, frame

    def backlog(self, cursor: int) -> int:
        """Return the bytes of all batches after `cursor` that are still kept."""
        if cursor >= self.seq or not self._batches:
            return 0
        batch = self._batches[cursor - self.seq] if self.reaches(cursor) else self._batches[0]
        return self._end - batch.end + len(batch.frame)

    def _append(self, rows: list[Row]) -> None:
        frame = self._delta(self.seq, rows)
        self._end += len(frame)
        self._batches.append(_Batch(self.seq, rows, frame, self._end, {}))
        while len(self._batches) > 1 and self._end - self._batches[0].end > self._replay_bytes:
            self._batches.popleft()

    def _forget(self) -> None:
        self._batches.clear()


def make_channel(topic: Topic, *, replay_bytes: int) -> Channel:
    """Return the channel that suits the topic; `replay_bytes` bounds what is kept for clients to catch up."""
    return ConflatedChannel(topic) if topic.conflated else OrderedChannel(topic, replay_bytes=replay_bytes)


def _remember(frames: dict[Filter, bytes], symbols: Filter, frame: bytes) -> None:
    """Keep a frame for others with the same filter; a client that makes up filters does not fill the memory."""
    if len(frames) >= _KEPT_FILTERS:
        frames.clear()
    frames[symbols] = frame


def columns_of(rows: list[Row]) -> dict[str, list[object]]:
    """Return the rows by column; rows of one topic share their columns, so the first one names them."""
    return {name: [row.get(name) for row in rows] for name in rows[0]} if rows else {}
