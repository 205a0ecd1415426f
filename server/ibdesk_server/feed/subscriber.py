"""One client of the feed: what it asked for, how far it has got, and how far behind it may fall."""

from __future__ import annotations

import collections
import itertools
import time
from typing import Protocol

import msgspec

from ibdesk.store.feed import Topic
from ibdesk.store.layout import LAYOUTS
from ibdesk_server.feed.channel import Channel, Channels
from ibdesk_server.feed.coding import Coding
from ibdesk_server.feed.filter import Filter, Filters, excess
from ibdesk_server.feed.limits import Budget
from ibdesk_server.feed.protocol import (
    MALFORMED,
    TRY_AGAIN_LATER,
    FeedProtocolError,
    Ping,
    ServerMessage,
    Subscribe,
    Unsubscribe,
    topic_named,
)
from ibdesk_server.feed.token import FeedPosition, make_token, read_token

_numbers = itertools.count(1)


class Lag(msgspec.Struct, frozen=True):
    """How a client does: how long it has been behind, what waits for it, and how much it has skipped.

    `worst_ms` and `worst_bytes` are the largest of both since the ping before the last one; `skipped` counts batches
    of conflated topics of which it was only told what came of them.
    """

    client: str
    kind: str
    address: str
    lag_ms: float
    lag_bytes: int
    worst_ms: float
    worst_bytes: int
    skipped: int
    topics: list[str]


class Outlet(Protocol):
    """Where a client's bytes go."""

    coding: Coding

    @property
    def address(self) -> str:
        """Where the client is, empty when that is not known."""

    @property
    def taking(self) -> bool:
        """Whether everything written so far is on its way and more may be."""

    def write(self, data: bytes) -> None:
        """Send bytes, at once or as soon as the client takes them."""

    def end(self, code: int, reason: str) -> None:
        """Say goodbye and end the connection, also one that takes no bytes."""


_Asked = tuple[tuple[str, ...] | None, tuple[str, ...] | None]
# The symbols and the owners that a client asked for.


class _Subscription:
    """A topic as one client gets it; a cursor of None awaits a snapshot.

    `told` is the `seq` the client has, `cursor` up to where there was nothing more for it. `generation` is the
    channel's at that time; None while a place from a token, of an epoch, has still to be judged.
    """

    __slots__ = ("asked", "chosen", "cursor", "epoch", "generation", "told")

    def __init__(
        self,
        chosen: Filter | None,
        asked: _Asked,
        epoch: str,
        seq: int | None,
    ) -> None:
        self.chosen, self.asked = chosen, asked
        self.epoch, self.told = epoch, seq or 0
        self.cursor = seq
        self.generation: int | None = None


class FeedSubscriber:
    """A client's cursors into the channels, and the pump that moves bytes to its outlet.

    `pump` writes as long as the outlet takes bytes, and never waits, so that a stuck client holds nobody up. While it
    takes none, conflated topics skip what becomes outdated; of the others nothing is skipped, until
    `cut_when_overdue` says goodbye.
    """

    def __init__(
        self, channels: Channels, filters: Filters, outlet: Outlet, *, budget: Budget, pinged_at: float
    ) -> None:
        """Make one that has subscribed to nothing; `pinged_at` is from when on its pings are counted."""
        self.number = next(_numbers)
        self.name, self.greeted = "", False
        self._channels, self._filters, self._outlet, self._budget = channels, filters, outlet, budget
        self.coding = outlet.coding
        self._subscriptions: dict[Topic, _Subscription] = {}
        self._lanes: tuple[tuple[Channel, _Subscription], ...] = ()
        self._words: collections.deque[bytes] = collections.deque()
        self._ended = False
        # _behind_since: when it last had everything and then something new came; None while it has everything.
        self._behind_since: float | None = None
        self._worst_seconds, self._worst_bytes = 0.0, 0
        self._skipped = 0
        self._pinged_at = pinged_at

    # --- what it asks for

    def subscribe(self, message: Subscribe, now: float) -> None:
        """Take on topics; those that can be resumed by the token are, the others start over.

        Raises:
            FeedProtocolError: If a topic is unknown, the filter too large, or the token none.
        """
        epoch, places = check(message)
        found = {topic: subscription for place in places for topic, subscription in self._at(place, epoch).items()}
        self._subscriptions |= found
        self._order_lanes()
        self.pump(now)

    def unsubscribe(self, message: Unsubscribe) -> None:
        """Leave topics off.

        Raises:
            FeedProtocolError: If a topic is unknown.
        """
        names = message.topics
        for topic in list(self._subscriptions) if names is None else [topic_named(name) for name in names]:
            self._subscriptions.pop(topic, None)
        self._order_lanes()

    @property
    def token(self) -> str:
        """Return the word with which a later connection goes on from here."""
        places: dict[object, FeedPosition] = {}
        # Before the desk is known all places are of the epoch of the token they came with, after it of the desk's.
        epoch = self._channels.epoch or next((at.epoch for at in self._subscriptions.values()), "")
        for topic, at in self._subscriptions.items():
            place = places.get(at.asked)
            if place is None:
                symbols, owners = at.asked
                place = places[at.asked] = FeedPosition({}, _list(symbols), _list(owners))
            place.seqs[topic.value] = None if at.cursor is None or at.epoch != epoch else at.told
        return make_token(epoch, places.values())

    # --- what it gets

    def say(self, message: ServerMessage, now: float) -> None:
        """Send a message, before anything else that waits."""
        self.say_written(self.coding.write(message), now)

    def say_written(self, data: bytes, now: float) -> None:
        """Send a message that is written in the client's coding already."""
        self._words.append(data + b"\n" if self.coding is Coding.JSON else data)
        self.pump(now)

    def pump(self, now: float) -> bool:
        """Write what is due as far as the client takes it, and return whether it is all; `now` is the loop's time."""
        outlet = self._outlet
        while outlet.taking:
            frame = self._words.popleft() if self._words else self._next_frame()
            if frame is None:
                if self._behind_since is not None:
                    self._worst_seconds = max(self._worst_seconds, now - self._behind_since)
                    self._behind_since = None
                return True
            outlet.write(frame)
        if self._behind_since is None:
            self._behind_since = now
        return False

    def keep_alive(self, now: float, silence_seconds: float) -> None:
        """Tell it from time to time how it does, and up to where there was nothing for it."""
        if now - self._pinged_at < silence_seconds or self._ended or not self.greeted:
            return
        self._note_backlog(now)
        if not self._outlet.taking:
            return
        self._pinged_at = now
        for channel, at in self._lanes:
            if at.cursor is not None and at.told != at.cursor and at.generation == channel.generation:
                frame = channel.nothing(at.told, at.cursor, self.coding)
                at.told = at.cursor
                self._words.append(self._with_id(frame))
        ping = Ping(
            at_ns=time.time_ns(),
            lag_ms=round(self._worst_seconds * 1e3, 1),
            lag_bytes=self._worst_bytes,
            skipped=self._skipped,
        )
        self._worst_seconds, self._worst_bytes = 0.0, 0
        self.say(ping, now)

    # --- how it does

    def cut(self, code: int, reason: str) -> None:
        """End the connection, once."""
        if not self._ended:
            self._ended = True
            self._outlet.end(code, reason)

    def cut_when_overdue(self, now: float) -> bool:
        """Cut the client when it has fallen further behind than its budget allows; return whether it was."""
        if self._behind_since is None or self._ended:
            return False
        self._note_backlog(now)
        backlog, age = self.backlog, now - self._behind_since
        if backlog > self._budget.bytes:
            reason = f"too slow: {backlog:,} bytes behind, {self._budget.bytes:,} allowed"
        elif age > self._budget.seconds:
            reason = f"too slow: {age:.1f} s behind, {self._budget.seconds:g} s allowed"
        else:
            return False
        self.cut(TRY_AGAIN_LATER, reason)
        return True

    @property
    def backlog(self) -> int:
        """Return how many bytes of topics never dropped wait to be sent."""
        return sum(channel.backlog(at.cursor) for channel, at in self._lanes if at.cursor is not None)

    def lag_seconds(self, now: float) -> float:
        """Return for how long it has been behind."""
        return 0.0 if self._behind_since is None else now - self._behind_since

    def lag(self, now: float) -> Lag:
        """Return how it does."""
        return Lag(
            client=self.name or f"client {self.number}",
            kind="websocket" if self.coding is Coding.MSGPACK else "events",
            address=self._outlet.address,
            lag_ms=round(self.lag_seconds(now) * 1e3, 1),
            lag_bytes=self.backlog,
            worst_ms=round(max(self._worst_seconds, self.lag_seconds(now)) * 1e3, 1),
            worst_bytes=self._worst_bytes,
            skipped=self._skipped,
            topics=[topic.value for topic in self._subscriptions],
        )

    # --- inside

    def _next_frame(self) -> bytes | None:
        """Move the first cursor that is behind and return the frame that does the same for the client."""
        for channel, at in self._lanes:
            while at.cursor != channel.seq or at.generation != channel.generation:
                if at.generation != channel.generation and not self._judge(channel, at):
                    break
                cursor = at.cursor
                # The same as not to be reached; but a call for each client of each flush is felt.
                if cursor is None or cursor < channel.first or (cursor > channel.seq and not channel.reaches(cursor)):
                    at.told, frame = channel.snapshot(at.chosen, self.coding)
                    at.cursor = at.told
                    return self._with_id(frame)
                if cursor >= channel.seq:
                    # It was told more by another server of the same desk than this one knows yet.
                    break
                if channel.conflated and cursor < channel.flushed:
                    self._skipped += channel.flushed - cursor
                at.cursor, delta = channel.after(at.told, cursor, at.chosen, self.coding)
                if delta is not None:
                    at.told = at.cursor
                    return self._with_id(delta)
        return None

    def _judge(self, channel: Channel, at: _Subscription) -> bool:
        """Decide where to go on in the channel's present generation; return False while it has none yet."""
        if not channel.epoch:
            return False
        if at.generation is not None or at.epoch != channel.epoch:
            at.cursor = None
        at.generation, at.epoch = channel.generation, channel.epoch
        return True

    def _with_id(self, frame: bytes) -> bytes:
        return b"%bid: %b\n\n" % (frame, self.token.encode()) if self.coding is Coding.JSON else frame

    def _note_backlog(self, now: float) -> None:
        if self._behind_since is not None:
            self._worst_seconds = max(self._worst_seconds, now - self._behind_since)
            self._worst_bytes = max(self._worst_bytes, self.backlog)

    def _at(self, place: FeedPosition, epoch: str) -> dict[Topic, _Subscription]:
        asked = _tuple(place.symbols), _tuple(place.owners)
        found = {}
        for name, seq in place.seqs.items():
            topic = topic_named(name)
            chosen = self._filters.get(place.symbols, place.owners, self._channels[topic].layout)
            found[topic] = _Subscription(chosen, asked, epoch, seq)
        return found

    def _order_lanes(self) -> None:
        """Lay out what to look at for news, in the order in which it is sent."""
        self._lanes = tuple(
            (channel, self._subscriptions[topic])
            for topic, channel in self._channels.by_topic.items()
            if topic in self._subscriptions
        )


def check(message: Subscribe) -> tuple[str, list[FeedPosition]]:
    """Return the epoch and the places that a message asks to hear from.

    Raises:
        FeedProtocolError: If a topic is unknown, a filter too large, or the token none.
    """
    if message.token and (message.topics, message.symbols, message.owners) != (None, None, None):
        raise FeedProtocolError(MALFORMED, "a token contains the subscription: leave out topics, symbols and owners")
    if message.token:
        epoch, places = read_token(message.token)
    else:
        names = [topic.value for topic in LAYOUTS] if message.topics is None else message.topics
        epoch, places = "", [FeedPosition(dict.fromkeys(names), message.symbols, message.owners)]
    for place in places:
        for name in place.seqs:
            topic_named(name)
        for words in (place.symbols, place.owners):
            sentence = excess(words)
            if sentence is not None:
                raise FeedProtocolError(MALFORMED, sentence)
    return epoch, places


def _tuple(words: list[str] | None) -> tuple[str, ...] | None:
    return None if words is None else tuple(words)


def _list(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)
