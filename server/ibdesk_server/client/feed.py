"""The feed's client::

    async with FeedClient("ws://127.0.0.1:8000/feed", key, topics=["orders", "fills"]) as feed:
        async for message in feed:
            print(message.topic, message.rows, len(feed.tables["orders"]))

It connects by itself and again after a lost connection, and goes on where it stopped: on topics that are not
conflated nothing is missed and nothing comes twice. Where the server cannot tell any more what was missed, a
message of kind ``snapshot`` comes instead, which replaces what there was.
"""

from __future__ import annotations

import asyncio
import enum
import random
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Literal, Self

import msgpack  # type: ignore[import-untyped] # it ships no types
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from ibdesk.errors import IbdeskError
from ibdesk_server.client.table import Row, Table
from ibdesk_server.feed.protocol import MALFORMED, NOT_ALLOWED, NOT_BINARY, SCHEMA
from ibdesk_server.security.presented import KEY_HEADER

# Close codes after which the same client would fare no better.
_FINAL_CODES = frozenset({NOT_BINARY, MALFORMED, NOT_ALLOWED})
_REFUSALS = frozenset({401, 403, 404})
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 5.0
# After so many heartbeats without a word the connection is taken for dead.
_PATIENCE = 3.0
_HELLO_SECONDS = 10.0
_LAST_WORDS = frozenset({"error", "bye"})
_NEWS_FIELDS = ("topic", "seq", "columns")


class FeedError(IbdeskError):
    """The server refuses this client for good; the sentence says why."""


class FeedState(enum.Enum):
    """How the connection is doing."""

    # CONNECTING: not connected; another attempt is under way or about to be.
    CONNECTING = "connecting"
    # OPEN: what happens at the desk arrives.
    OPEN = "open"
    # CLOSED: it was closed, or refused for good.
    CLOSED = "closed"


class FeedMessage(msgspec.Struct, frozen=True):
    """News of one topic; `columns` maps a column's name to its values.

    A ``snapshot`` is the whole state at `seq`, a ``delta`` what changed since the message before.
    """

    kind: Literal["snapshot", "delta"]
    topic: str
    seq: int
    columns: dict[str, list[Any]]

    @property
    def rows(self) -> list[Row]:
        """Return the news row by row."""
        return [dict(zip(self.columns, values, strict=True)) for values in zip(*self.columns.values(), strict=True)]


class _HoleError(Exception):
    """A message is missing between two of a topic that is not conflated."""


_LOST = (OSError, TimeoutError, ConnectionClosed, InvalidHandshake, _HoleError)


class FeedClient:
    """A connection to the feed that keeps itself alive, and tables of what it has told.

    `topics` and `symbols` narrow what is sent, None is everything. A reader that is slow is sent only the newest
    quotes, positions and the like; one that is much too slow is cut, and resumes.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        topics: Iterable[str] | None = None,
        symbols: Iterable[str] | None = None,
    ) -> None:
        self._url, self._key = url, key
        self._topics = None if topics is None else list(topics)
        self._symbols = None if symbols is None else list(symbols)
        self.state = FeedState.CONNECTING
        self.tables: dict[str, Table] = {}
        self.connections = 0
        self._connection: ClientConnection | None = None
        self._delay = _FIRST_DELAY
        self._patience_seconds = _HELLO_SECONDS
        self._epoch = ""
        self._seqs: dict[str, int] = {}
        self._conflated: frozenset[str] = frozenset()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> FeedMessage:
        """Return the next news; waits as long as it takes, through lost connections.

        Raises:
            FeedError: If the server refuses this client for good.
        """
        while self.state is not FeedState.CLOSED:
            try:
                if self._connection is None:
                    self._connection = await self._connect()
                return await self._next_news(self._connection)
            except _LOST:
                await self._recover()
        raise StopAsyncIteration

    async def close(self) -> None:
        """End the connection; there will be no more news."""
        self.state = FeedState.CLOSED
        await self._drop()

    async def _connect(self) -> ClientConnection:
        """Return a connection on which the subscription has been sent."""
        try:
            connection = await connect(
                self._url,
                additional_headers={KEY_HEADER: self._key},
                compression=None,
                max_size=None,
                proxy=None,
                close_timeout=1,
            )
        except InvalidStatus as error:
            if error.response.status_code in _REFUSALS:
                raise self._refused(f"HTTP status {error.response.status_code}") from None
            raise
        try:
            await self._greet(connection)
        except BaseException:
            await connection.close()
            raise
        self.connections += 1
        self.state, self._delay = FeedState.OPEN, _FIRST_DELAY
        return connection

    async def _greet(self, connection: ClientConnection) -> None:
        hello = await self._receive(connection, _HELLO_SECONDS)
        if hello["type"] != "hello" or hello["schema"] != SCHEMA:
            raise self._refused(f"it speaks version {hello.get('schema')} of the feed, this client {SCHEMA}")
        self._patience_seconds = _PATIENCE * hello["heartbeat_seconds"]
        self._conflated = frozenset(topic["name"] for topic in hello["topics"] if topic["conflated"])
        for topic in hello["topics"]:
            self.tables.setdefault(topic["name"], Table(topic["key"]))
        if hello["epoch"] != self._epoch:
            self._epoch, self._seqs = hello["epoch"], {}
        subscription = {"type": "subscribe", "topics": self._topics, "symbols": self._symbols}
        await connection.send(msgpack.packb(subscription | {"epoch": self._epoch, "since": self._seqs}))

    async def _next_news(self, connection: ClientConnection) -> FeedMessage:
        while True:
            message = await self._receive(connection, self._patience_seconds)
            match message["type"]:
                case "snapshot" | "delta":
                    return self._take(FeedMessage(*(message[name] for name in ("type", *_NEWS_FIELDS))))
                case "ping":
                    await connection.send(msgpack.packb({"type": "pong", "at_ns": message["at_ns"]}))

    def _take(self, news: FeedMessage) -> FeedMessage:
        """Book news: its rows into the table, its number as the place to resume from."""
        table = self.tables[news.topic]
        if news.kind == "snapshot":
            table.clear()
        elif news.topic not in self._conflated and news.seq != self._seqs[news.topic] + 1:
            raise _HoleError(news.topic, self._seqs[news.topic], news.seq)
        table.update(news.rows)
        self._seqs[news.topic] = news.seq
        return news

    async def _receive(self, connection: ClientConnection, seconds: float) -> dict[str, Any]:
        """Return the next message; a farewell is passed over, for the close frame after it says the same."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    message: dict[str, Any] = msgpack.unpackb(await connection.recv(decode=False))
                    if message["type"] not in _LAST_WORDS:
                        return message
        except ConnectionClosed as closed:
            if closed.rcvd is not None and closed.rcvd.code in _FINAL_CODES:
                raise self._refused(closed.rcvd.reason) from None
            raise

    def _refused(self, reason: str) -> FeedError:
        self.state = FeedState.CLOSED
        return FeedError(f"{self._url} refuses this client: {reason}")

    async def _recover(self) -> None:
        """Let go of a lost connection and wait before the next one."""
        if self.state is FeedState.CLOSED:
            return
        self.state = FeedState.CONNECTING
        await self._drop()
        # Clients of one server should not all come back at the same instant.
        await asyncio.sleep(self._delay * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        self._delay = min(2 * self._delay, _LONGEST_DELAY)

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
