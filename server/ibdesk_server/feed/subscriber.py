"""One client of the feed: what it asked for, how far it has got, and how far behind it may fall."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec
from starlette.types import Send

from ibdesk.store.feed import Topic
from ibdesk_server.feed.channel import Channel, Symbols
from ibdesk_server.feed.protocol import TRY_AGAIN_LATER, Ping, Subscribe, Unsubscribe, encode


class Budget(msgspec.Struct, frozen=True):
    """How far a client may fall behind: unsent bytes of topics never dropped, and seconds since it last had all."""

    bytes: int
    seconds: float


class Farewell(Exception):  # noqa: N818 - it ends a connection in an orderly way and tells of no fault
    """The server ends a connection, with this close code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code, self.reason = code, reason


class _Subscription:
    """A topic as one client gets it; a cursor of None awaits a snapshot."""

    __slots__ = ("cursor", "symbols")

    def __init__(self, symbols: Symbols | None, cursor: int | None) -> None:
        self.symbols, self.cursor = symbols, cursor


class Subscriber:
    """A client's cursors into the channels.

    `deliver` is its own task, so that one whose socket does not take bytes holds nobody else up. While it is held
    up, conflated topics skip what becomes outdated; of the others nothing is skipped, until `overdue` says that
    the client is to be cut.
    """

    def __init__(self, channels: Mapping[Topic, Channel], *, budget: Budget, now: float) -> None:
        self._channels, self._budget = channels, budget
        self._subscriptions: dict[Topic, _Subscription] = {}
        self._lanes: tuple[tuple[Channel, _Subscription], ...] = ()
        # _news, _waiter: an event would do, at the price of a microsecond for every client and change.
        self._news = False
        self._waiter: asyncio.Future[None] | None = None
        self._ending = asyncio.Event()
        self._farewell: Farewell | None = None
        self._ping_due = False
        # _behind_since: when it last had everything and then something new came; None while it has everything.
        self._behind_since: float | None = None
        self._sent_at = now

    def subscribe(self, message: Subscribe, epoch: str) -> None:
        """Take on topics; those that can be resumed from the client's own `seq` are, the others start over."""
        symbols = None if message.symbols is None else frozenset(message.symbols)
        for topic in self._channels if message.topics is None else message.topics:
            channel = self._channels[topic]
            cursor = message.since.get(topic) if message.epoch == epoch else None
            if cursor is not None and not channel.reaches(cursor):
                cursor = None
            self._subscriptions[topic] = _Subscription(symbols if channel.layout.by_symbol else None, cursor)
        self._order_lanes()
        self.notice(asyncio.get_running_loop().time())

    def unsubscribe(self, message: Unsubscribe) -> None:
        """Leave topics off."""
        for topic in list(self._subscriptions) if message.topics is None else message.topics:
            self._subscriptions.pop(topic, None)
        self._order_lanes()

    def notice(self, now: float) -> None:
        """Take note that there may be something to send; `now` is the loop's time."""
        if self._behind_since is None:
            self._behind_since = now
        self._news = True
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def keep_alive(self, now: float, silence_seconds: float) -> None:
        """Have a ping sent when nothing else was for so long."""
        if now - self._sent_at >= silence_seconds:
            self._ping_due = True
            self.notice(now)

    def cut(self, code: int, reason: str) -> None:
        """End the connection, once; a second reason is not heard."""
        if self._farewell is None:
            self._farewell = Farewell(code, reason)
            self._ending.set()

    def cut_when_overdue(self, now: float) -> bool:
        """Cut the client when it has fallen further behind than its budget allows; return whether it was."""
        if self._behind_since is None or self._farewell is not None:
            return False
        backlog, age = self.backlog, now - self._behind_since
        if backlog > self._budget.bytes:
            reason = f"too slow: {backlog:,} bytes behind, {self._budget.bytes:,} allowed"
        elif age > self._budget.seconds:
            reason = f"too slow: {age:.1f} s behind, {self._budget.seconds:g} s allowed"
        else:
            return False
        self.cut(TRY_AGAIN_LATER, reason)
        return True

    async def until_cut(self) -> None:
        """Wait for `cut`.

        Raises:
            Farewell: When it comes.
        """
        await self._ending.wait()
        if self._farewell is not None:
            raise self._farewell

    async def deliver(self, send: Send) -> None:
        """Send what is due, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            self._news = False
            for channel, subscription in self._lanes:
                while subscription.cursor != channel.seq:
                    frame = _advance(channel, subscription)
                    if frame is not None:
                        await send({"type": "websocket.send", "bytes": frame})
                        self._sent_at = loop.time()
            if self._ping_due:
                self._ping_due = False
                await send({"type": "websocket.send", "bytes": encode(Ping())})
                self._sent_at = loop.time()
            if not self._news:
                self._behind_since = None
                self._waiter = loop.create_future()
                await self._waiter

    @property
    def backlog(self) -> int:
        """Return how many bytes of topics never dropped wait to be sent."""
        return sum(
            self._channels[topic].backlog(subscription.cursor)
            for topic, subscription in self._subscriptions.items()
            if subscription.cursor is not None
        )

    def _order_lanes(self) -> None:
        """Lay out what to look at for news, in the order in which it is sent."""
        self._lanes = tuple(
            (channel, self._subscriptions[topic])
            for topic, channel in self._channels.items()
            if topic in self._subscriptions
        )


def _advance(channel: Channel, subscription: _Subscription) -> bytes | None:
    """Move a cursor on and return the frame that does the same for the client, None when it needs none."""
    cursor = subscription.cursor
    if cursor is None or not channel.reaches(cursor):
        subscription.cursor = channel.seq
        return channel.snapshot(subscription.symbols)
    subscription.cursor, frame = channel.after(cursor, subscription.symbols)
    return frame
