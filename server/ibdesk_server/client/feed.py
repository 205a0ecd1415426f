"""The feed's client::

    async with FeedClient("ws://127.0.0.1:8000/feed", key, topics=["orders", "fills"]) as feed:
        async for message in feed:
            print(message.topic, message.rows, len(feed.tables["orders"]))

It connects by itself and again after a lost connection, and goes on where it stopped, also at another server of the
same desk: on topics that are not conflated nothing is missed and nothing comes twice. Where the server cannot tell any
more what was missed, a message of kind ``snapshot`` comes instead, which replaces what there was.
"""

from __future__ import annotations

import asyncio
import enum
import inspect
import random
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Literal, Self

import msgpack  # type: ignore[import-untyped] # it ships no types
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from ibdesk.errors import IbdeskError
from ibdesk_server.client.table import Row, Table
from ibdesk_server.feed.protocol import FINAL_CODES, SCHEMA, FeedProtocolError
from ibdesk_server.feed.token import FeedPosition, make_token, read_token
from ibdesk_server.security.presented import KEY_HEADER

_REFUSALS = frozenset({401, 403, 404})
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 5.0
# After so many heartbeats without a word the connection is taken for dead.
_PATIENCE = 3.0
_HELLO_SECONDS = 10.0
_LAST_WORDS = frozenset({"error", "bye"})

Key = str | Callable[[], str | Awaitable[str]]
"""An API key or access token, or what returns the present one; it is asked before each connection."""


class FeedError(IbdeskError):
    """The server refuses this client for good; the sentence says why."""


class FeedState(enum.Enum):
    """How the connection is doing."""

    # CONNECTING: not connected; another attempt is under way or about to be.
    CONNECTING = "connecting"
    # OPEN: what happens at the desk arrives.
    OPEN = "open"
    # AWAY: the server is there, but has lost the desk for now; what it tells is from memory.
    AWAY = "away"
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


class FeedLag(msgspec.Struct, frozen=True):
    """How this client did, as the server sees it, between its last two pings.

    `lag_ms` is the longest it was behind, `lag_bytes` the most that waited for it, `skipped` how many batches of
    conflated topics it was spared in all.
    """

    lag_ms: float = 0.0
    lag_bytes: int = 0
    skipped: int = 0


class _HoleError(Exception):
    """A message is missing between two of a topic."""


_LOST = (OSError, TimeoutError, ConnectionClosed, InvalidHandshake, _HoleError)


class FeedClient:
    """A connection to the feed that keeps itself alive, and tables of what it has told.

    `topics` narrow what is sent, `symbols` and `owners` too, by name or pattern (``ES-*``); None is everything. With
    a `token` of an earlier client it goes on where that one stopped, with the same subscription. A reader that is
    slow is sent only the newest quotes, positions and the like; one that is much too slow is cut, and resumes.
    `on_state` is told each change of `state`; `desk_at_ns` (UTC) is when the desk was found there, or away.
    """

    def __init__(
        self,
        url: str,
        key: Key,
        *,
        topics: Iterable[str] | None = None,
        symbols: Iterable[str] | None = None,
        owners: Iterable[str] | None = None,
        token: str = "",
        on_state: Callable[[FeedState], None] | None = None,
    ) -> None:
        """Make one that connects when it is first asked for news.

        Raises:
            FeedError: If the token is none.
        """
        self._url, self._key, self._on_state = url, key, on_state
        self._state = FeedState.CONNECTING
        self.tables: dict[str, Table] = {}
        self.desk_at_ns = 0
        self.connections = 0
        self.lag = FeedLag()
        self._connection: ClientConnection | None = None
        self._delay = _FIRST_DELAY
        self._patience_seconds = _HELLO_SECONDS
        self._wants = {"topics": _list(topics), "symbols": _list(symbols), "owners": _list(owners)}
        self._epoch, self._places = self._resumed(token)

    @property
    def state(self) -> FeedState:
        """Return how the connection is doing."""
        return self._state

    @property
    def token(self) -> str:
        """Return the word with which another client can go on from here; empty before the first connection."""
        return make_token(self._epoch, self._places) if self._places else ""

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
        self._become(FeedState.CLOSED)
        await self._drop()

    async def _connect(self) -> ClientConnection:
        """Return a connection on which the subscription has been sent."""
        try:
            connection = await connect(
                self._url,
                additional_headers={KEY_HEADER: await self._present_key()},
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
            desk = await self._greet(connection)
        except BaseException:
            await connection.close()
            raise
        self.connections += 1
        self._delay = _FIRST_DELAY
        self._heard_of(desk)
        return connection

    async def _present_key(self) -> str:
        key = self._key() if callable(self._key) else self._key
        return await key if inspect.isawaitable(key) else key

    async def _greet(self, connection: ClientConnection) -> str:
        """Hear the server's hello and subscribe; return whether the desk is there."""
        hello = await self._receive(connection, _HELLO_SECONDS)
        if hello["type"] != "hello" or hello["schema"] != SCHEMA:
            raise self._refused(f"it speaks version {hello.get('schema')} of the feed, this client {SCHEMA}")
        self._patience_seconds = _PATIENCE * hello["heartbeat_seconds"]
        for topic in hello["topics"]:
            self.tables.setdefault(topic["name"], Table(topic["key"]))
        if not self._places:
            names = self._wants["topics"]
            if names is None:
                names = [topic["name"] for topic in hello["topics"]]
            self._places = [FeedPosition(dict.fromkeys(names), self._wants["symbols"], self._wants["owners"])]
        await connection.send(msgpack.packb({"type": "subscribe", "token": self.token}))
        self.desk_at_ns = hello["desk_at_ns"]
        desk: str = hello["desk"]
        return desk

    async def _next_news(self, connection: ClientConnection) -> FeedMessage:
        while True:
            message = await self._receive(connection, self._patience_seconds)
            match message["type"]:
                case "snapshot" | "delta":
                    return self._take(message)
                case "ping":
                    self.lag = FeedLag(message["lag_ms"], message["lag_bytes"], message["skipped"])
                    await connection.send(msgpack.packb({"type": "pong", "at_ns": message["at_ns"]}))
                case "status":
                    self.desk_at_ns = message["at_ns"]
                    self._heard_of(message["desk"])

    def _take(self, message: dict[str, Any]) -> FeedMessage:
        """Book news: its rows into the table, its number as the place to resume from."""
        news = FeedMessage(message["type"], message["topic"], message["seq"], message["columns"])
        table, place = self.tables[news.topic], self._place_of(news.topic)
        if news.kind == "snapshot":
            if message["epoch"] != self._epoch:
                self._epoch = message["epoch"]
                for other in self._places:
                    other.seqs.update(dict.fromkeys(other.seqs))
            table.clear()
        elif message["after"] != place.seqs[news.topic]:
            raise _HoleError(news.topic, place.seqs[news.topic], message["after"])
        table.update(news.rows)
        place.seqs[news.topic] = news.seq
        return news

    def _place_of(self, topic: str) -> FeedPosition:
        return next(place for place in self._places if topic in place.seqs)

    async def _receive(self, connection: ClientConnection, seconds: float) -> dict[str, Any]:
        """Return the next message; a farewell is passed over, for the close frame after it says the same."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    message: dict[str, Any] = msgpack.unpackb(await connection.recv(decode=False))
                    if message["type"] not in _LAST_WORDS:
                        return message
        except ConnectionClosed as closed:
            if closed.rcvd is not None and closed.rcvd.code in FINAL_CODES:
                raise self._refused(closed.rcvd.reason) from None
            raise

    def _resumed(self, token: str) -> tuple[str, list[FeedPosition]]:
        if not token:
            return "", []
        try:
            return read_token(token)
        except FeedProtocolError as error:
            raise FeedError(str(error)) from None

    def _refused(self, reason: str) -> FeedError:
        self._become(FeedState.CLOSED)
        return FeedError(f"{self._url} refuses this client: {reason}")

    def _heard_of(self, desk: str) -> None:
        self._become(FeedState.OPEN if desk == "attached" else FeedState.AWAY)

    def _become(self, state: FeedState) -> None:
        if state is not self._state:
            self._state = state
            if self._on_state is not None:
                self._on_state(state)

    async def _recover(self) -> None:
        """Let go of a lost connection and wait before the next one."""
        if self._state is FeedState.CLOSED:
            return
        self._become(FeedState.CONNECTING)
        await self._drop()
        # Clients of one server should not all come back at the same instant.
        await asyncio.sleep(self._delay * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        self._delay = min(2 * self._delay, _LONGEST_DELAY)

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _list(words: Iterable[str] | None) -> list[str] | None:
    return None if words is None else list(words)
