"""The sending side of a topic: its batches are stored for a while and encoded once for all clients.

A client is only a cursor into a channel: the last `seq` sent to it, and the last `seq` examined for it (which is
higher if a filter excluded everything since). So a slow client needs no memory of its own, catching up and resuming
after a lost connection are the same, and a client's lag is known at any time.
"""

from __future__ import annotations

import abc
import collections
import itertools
from collections.abc import Iterable

import msgspec

from ibdesk.store.batches import Batch, FeedState, TopicState
from ibdesk.store.feed import Row, Topic
from ibdesk.store.layout import LAYOUTS
from ibdesk_server.feed.coding import Coding
from ibdesk_server.feed.filter import Filter
from ibdesk_server.feed.protocol import Delta, Snapshot

# As many keys as the desk's own feed stores per topic; the oldest are dropped.
_KEPT_GROUPS = 10_000
# How many bytes of snapshots, and how many snapshots, are cached for equal requests.
_KEPT_SNAPSHOT_BYTES = 33_554_432
_KEPT_SNAPSHOTS = 256
# How many deltas are cached between two flushes; clients at the same position share one.
_KEPT_DELTAS = 4_096
# A snapshot of this size is reused although it is a little old; deltas follow it.
_LONG_SNAPSHOT_BYTES = 65_536
# How many batches keep their decoded rows. Older ones keep only their bytes, a tenth of the memory.
_FRESH_BATCHES = 64
# A client far behind catches up in pieces, so that its socket's buffer does not fill with old data.
_PIECE_BYTES = 262_144
# How far ahead of this server a client from another server of the same desk may be.
_AHEAD = 100_000

Told = tuple[int, int, Filter | None, Coding]
"""The key of a cached delta: the client's `seq`, the last `seq` examined, its filter and its coding."""


class Channel(abc.ABC):
    """The sending side of one topic.

    `seq` is the number of the newest batch; a snapshot is the state at that point. `generation` counts the epochs: a
    cursor of an earlier one is not valid. `flushed` is the value of `seq` before the newest flush, and `first` the
    earliest cursor that can continue with deltas.
    """

    def __init__(self, topic: Topic) -> None:
        self.topic, self.layout, self.conflated = topic, LAYOUTS[topic], topic.conflated
        self.epoch, self.generation = "", 0
        self.seq = self.flushed = self.first = 0
        # _kept: by thing, then by time where a thing has more than one row.
        self._kept: dict[tuple[object, ...], dict[tuple[object, ...], Row]] = {}
        self._snapshots: dict[tuple[Filter | None, Coding], tuple[int, bytes]] = {}
        self._snapshot_bytes = 0
        self._deltas: dict[Told, tuple[int, bytes | None]] = {}

    def begin(self, state: TopicState, epoch: str) -> bool:
        """Continue from the desk's state of the topic; return whether all cursors stay valid."""
        self._deltas = {}
        if epoch == self.epoch and self._catch_up(state):
            return True
        if epoch != self.epoch or state.seq < self.seq:
            self.epoch, self.generation = epoch, self.generation + 1
        self.seq = self.flushed = state.seq
        self._kept = {}
        self._drop_snapshots()
        self._keep(state.rows)
        self._forget(state.recent)
        return False

    def append(self, batches: list[Batch]) -> None:
        """Add the batches of one flush, in order."""
        self._deltas = {}
        self.flushed = self.seq
        for batch in batches:
            self.seq = batch.seq
            self._keep(batch.rows)
            self._append(batch)

    def snapshot(self, chosen: Filter | None, coding: Coding) -> tuple[int, bytes]:
        """Return the `seq` and the bytes of a snapshot, the newest or a slightly older one."""
        found = self._snapshots.get((chosen, coding))
        if found is None or not self._still_good(*found):
            rows = [row for kept in self._kept.values() for row in kept.values()]
            columns = columns_of(rows if chosen is None else chosen.chosen(rows, self.layout))
            frame = coding.write(Snapshot(topic=self.topic, epoch=self.epoch, seq=self.seq, columns=columns))
            found = self.seq, frame
            self._snapshot_bytes += len(frame)
            if self._snapshot_bytes > _KEPT_SNAPSHOT_BYTES or len(self._snapshots) >= _KEPT_SNAPSHOTS:
                self._drop_snapshots()
                self._snapshot_bytes = len(frame)
            self._snapshots[chosen, coding] = found
        return found

    def after(self, told: int, looked: int, chosen: Filter | None, coding: Coding) -> tuple[int, bytes | None]:
        """Return the next position to examine from, and the frame that leads there, None if it would be empty.

        Only for a cursor that is behind `seq` and that the channel `reaches`.
        """
        key = told, looked, chosen, coding
        found = self._deltas.get(key)
        if found is None:
            if len(self._deltas) >= _KEPT_DELTAS:
                self._deltas.clear()
            found = self._deltas[key] = self._delta(*key)
        return found

    def nothing(self, told: int, looked: int, coding: Coding) -> bytes:
        """Return the frame that tells a client that nothing up to `looked` passes its filter."""
        return coding.write(Delta(topic=self.topic, after=told, seq=looked, columns={}))

    def reaches(self, cursor: int) -> bool:
        """Return whether everything after `cursor` can still be sent as deltas, or is yet to arrive."""
        return self.first <= cursor <= self.seq + _AHEAD

    @abc.abstractmethod
    def backlog(self, cursor: int) -> int:
        """Return how many bytes that must not be skipped lie between a cursor and `seq`."""

    @abc.abstractmethod
    def _catch_up(self, state: TopicState) -> bool:
        """Continue to a later state of the same epoch without a gap; return whether that was possible."""

    @abc.abstractmethod
    def _delta(self, told: int, looked: int, chosen: Filter | None, coding: Coding) -> tuple[int, bytes | None]: ...

    @abc.abstractmethod
    def _append(self, batch: Batch) -> None: ...

    @abc.abstractmethod
    def _forget(self, recent: list[Batch]) -> None:
        """Drop all batches except these, which lead up to `seq`."""

    def _still_good(self, seq: int, frame: bytes) -> bool:
        if seq == self.seq:
            return True
        return len(frame) > _LONG_SNAPSHOT_BYTES and self.reaches(seq) and 0 < self.backlog(seq) < len(frame) // 4

    def _drop_snapshots(self) -> None:
        self._snapshots, self._snapshot_bytes = {}, 0

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

    def _write(self, told: int, seq: int, rows: list[Row], coding: Coding) -> bytes:
        return coding.write(Delta(topic=self.topic, after=told, seq=seq, columns=columns_of(rows)))


class ConflatedChannel(Channel):
    """A topic of which only the newest row per key matters: a slow client skips outdated rows."""

    def __init__(self, topic: Topic) -> None:
        super().__init__(topic)
        # _changed: thing to the batch that changed it last, the latest change at the end.
        self._changed: dict[tuple[object, ...], int] = {}

    def backlog(self, cursor: int) -> int:  # noqa: ARG002 - other channels need it
        """Return 0: waiting rows may be replaced by newer ones."""
        return 0

    def _delta(self, told: int, looked: int, chosen: Filter | None, coding: Coding) -> tuple[int, bytes | None]:
        """Collect the newest row of every key that has changed, up to `seq`."""
        rows = self._changed_after(looked)
        if chosen is not None:
            rows = chosen.chosen(rows, self.layout)
        return self.seq, self._write(told, self.seq, rows, coding) if rows else None

    def _catch_up(self, state: TopicState) -> bool:
        if state.seq <= self.seq:
            return state.seq == self.seq
        newest = {self.layout.group_of(row): row for row in state.rows}
        if not newest.keys() >= self._kept.keys():
            return False
        rows = [row for group, row in newest.items() if row not in self._kept.get(group, {}).values()]
        self.append([Batch(self.topic, state.seq, rows)])
        return True

    def _append(self, batch: Batch) -> None:
        for row in batch.rows:
            group = self.layout.group_of(row)
            self._changed.pop(group, None)
            self._changed[group] = self.seq
        while len(self._changed) > _KEPT_GROUPS:
            self.first = self._changed.pop(next(iter(self._changed)))

    def _forget(self, recent: list[Batch]) -> None:  # noqa: ARG002 - other channels need it
        self.first, self._changed = self.seq, {}

    def _changed_after(self, cursor: int) -> list[Row]:
        rows: list[Row] = []
        for group, seq in reversed(self._changed.items()):
            if seq <= cursor:
                break
            rows.extend(self._kept.get(group, {}).values())
        return rows[::-1]


class _Kept(msgspec.Struct):
    """A batch that every subscriber must receive: its columns as msgpack, and its rows while it is recent.

    `end` is where `data` ends among all bytes of the channel.
    """

    seq: int
    data: bytes
    end: int
    rows: list[Row] | None


class OrderedChannel(Channel):
    """A topic whose rows must not be dropped: recent batches are stored, so that clients can catch up."""

    def __init__(self, topic: Topic, *, replay_bytes: int) -> None:
        super().__init__(topic)
        self._replay_bytes = replay_bytes
        self._batches: collections.deque[_Kept] = collections.deque()
        self._end = 0

    def backlog(self, cursor: int) -> int:
        """Return the bytes of all stored batches after `cursor`."""
        if cursor >= self.seq or not self._batches:
            return 0
        batch = self._batches[cursor - self.seq] if self.reaches(cursor) else self._batches[0]
        return self._end - batch.end + len(batch.data)

    def _delta(self, told: int, looked: int, chosen: Filter | None, coding: Coding) -> tuple[int, bytes | None]:
        """Merge the following batches, up to the size of a piece, without gaps."""
        batches = self._piece(looked)
        seq = batches[-1].seq
        if chosen is None and coding is Coding.MSGPACK and len(batches) == 1:
            columns = msgspec.Raw(batches[0].data)
            return seq, coding.write(Delta(topic=self.topic, after=told, seq=seq, columns=columns))
        rows = [row for batch in batches for row in _rows(batch)]
        if chosen is not None:
            rows = chosen.chosen(rows, self.layout)
        return seq, self._write(told, seq, rows, coding) if rows else None

    def _piece(self, looked: int) -> list[_Kept]:
        first = self._batches[looked - self.seq]
        if first.seq == self.seq:
            return [first]
        start, limit = len(self._batches) - (self.seq - looked), first.end - len(first.data) + _PIECE_BYTES
        following = itertools.islice(self._batches, start + 1, None)
        return [first, *itertools.takewhile(lambda batch: batch.end <= limit, following)]

    def _catch_up(self, state: TopicState) -> bool:
        if state.seq <= self.seq:
            return state.seq == self.seq
        missing = [batch for batch in state.recent if batch.seq > self.seq]
        if not missing or missing[0].seq != self.seq + 1:
            return False
        self.append(missing)
        return True

    def _append(self, batch: Batch) -> None:
        data = msgspec.msgpack.encode(columns_of(batch.rows))
        self._end += len(data)
        self._batches.append(_Kept(batch.seq, data, self._end, batch.rows))
        if len(self._batches) > _FRESH_BATCHES:
            self._batches[-1 - _FRESH_BATCHES].rows = None
        while len(self._batches) > 1 and self._end - self._batches[0].end > self._replay_bytes:
            self._batches.popleft()
        self.first = batch.seq - len(self._batches)

    def _forget(self, recent: list[Batch]) -> None:
        self._batches.clear()
        self.first = self.seq
        for batch in recent:
            self._append(batch)


class Channels:
    """The channels of all topics, in sending order; before the desk is known, they and `epoch` are empty."""

    def __init__(self, *, replay_bytes: int) -> None:
        """Make the channels; `replay_bytes` limits the batches stored per ordered topic."""
        self.epoch = ""
        self.by_topic: dict[Topic, Channel] = {
            topic: ConflatedChannel(topic) if topic.conflated else OrderedChannel(topic, replay_bytes=replay_bytes)
            for topic in LAYOUTS
        }

    def __getitem__(self, topic: Topic) -> Channel:
        return self.by_topic[topic]

    def begin(self, state: FeedState) -> bool:
        """Continue from the desk's state of all topics; return whether all cursors stay valid."""
        self.epoch = state.epoch
        kept = [channel.begin(state.topics[topic], state.epoch) for topic, channel in self.by_topic.items()]
        return all(kept)

    def append(self, batches: Iterable[Batch]) -> None:
        """Add the batches since the last flush."""
        by_topic: dict[Topic, list[Batch]] = {}
        for batch in batches:
            by_topic.setdefault(batch.topic, []).append(batch)
        for topic, of_topic in by_topic.items():
            self.by_topic[topic].append(of_topic)


def columns_of(rows: list[Row]) -> dict[str, list[object]]:
    """Convert rows to columns; all rows of a topic have the columns of the first one."""
    return {name: [row.get(name) for row in rows] for name in rows[0]} if rows else {}


def _rows(batch: _Kept) -> list[Row]:
    if batch.rows is not None:
        return batch.rows
    columns: dict[str, list[object]] = msgspec.msgpack.decode(batch.data)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
