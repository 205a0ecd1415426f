"""The feed's client.

For example::

    async with FeedClient("ws://127.0.0.1:8000/feed", key, topics=["orders", "fills"]) as feed:
        async for message in feed:
            print(message.topic, message.rows, len(feed.tables["orders"]))

The client reconnects by itself and continues where it stopped, also at another server of the same desk. On topics that
are not conflated, no message is lost or repeated. If the server cannot send the missed messages any more, it sends a
message of kind ``snapshot``, which replaces the earlier state.
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
# After this many heartbeat intervals without a message, the connection counts as lost.
_PATIENCE = 3.0
_HELLO_SECONDS = 10.0
_LAST_WORDS = frozenset({"error", "bye"})

Key = str | Callable[[], str | Awaitable[str]]
"""An API key or access token, or a function that returns it, called before each connection."""


class FeedError(IbdeskError):
    """The server refuses this client permanently; the message says why."""


class FeedState(enum.Enum):
    """The state of the connection."""

    CONNECTING = "connecting"
    """Not connected; another attempt is in progress or follows soon."""
    OPEN = "open"
    """Connected to server and desk."""
    AWAY = "away"
    """Connected to a server that has lost the desk for now; its data is from memory."""
    CLOSED = "closed"
    """Closed, or refused permanently."""


class FeedMessage(msgspec.Struct, frozen=True):
    """A message of one topic; `columns` maps a column's name to its values.

    A ``snapshot`` is the whole state at `seq`, a ``delta`` the changes since the previous message.
    """

    kind: Literal["snapshot", "delta"]
    topic: str
    seq: int
    columns: dict[str, list[Any]]

    @property
    def rows(self) -> list[Row]:
        """Return the message's rows."""
        return [dict(zip(self.columns, values, strict=True)) for values in zip(*self.columns.values(), strict=True)]


class FeedLag(msgspec.Struct, frozen=True):
    """This client's lag between the server's last two pings, as the server measures it.

    `lag_ms` is the longest lag, `lag_bytes` the largest backlog, `skipped` the total number of batches of conflated
    topics that were merged into later ones.
    """

    lag_ms: float = 0.0
    lag_bytes: int = 0
    skipped: int = 0


class _HoleError(Exception):
    """A message of a topic is missing."""


_LOST = (OSError, TimeoutError, ConnectionClosed, InvalidHandshake, _HoleError)


class FeedClient:
    """A connection to the feed that reconnects by itself, and tables of the received rows.

    `topics`, `symbols` and `owners` filter the messages, by name or pattern (``ES-*``); None means everything. With the
    `token` of an earlier client, it continues where that one stopped, with the same subscription. A slow reader
    receives
    only the newest rows of conflated topics, such as quotes and positions. A reader that is much too slow is
    disconnected, and resumes. `on_state` is called with each change of `state`. `desk_at_ns` (UTC) is when the server
    last found the desk reachable or away.
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
        """Make a client that connects at the first request for a message.

        Raises:
            FeedError: If the token is not valid.
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
        """Return the state of the connection."""
        return self._state

    @property
    def token(self) -> str:
        """Return the token with which another client can continue from here; empty before the first connection."""
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
        """Wait for the next message and return it, reconnecting if necessary.

        Raises:
            FeedError: If the server refuses this client permanently.
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
        """Close the connection; no more messages follow."""
        self._become(FeedState.CLOSED)
        await self._drop()

    async def _connect(self) -> ClientConnection:
        """Connect and send the subscription."""
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
        """Receive the server's hello and subscribe; return the state of the desk."""
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
        """Add a message's rows to the table, and remember its number as the position to resume from."""
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
        """Return the next message. An end message is skipped, because the close frame after it says the same."""
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
        """Drop a lost connection and wait before the next attempt."""
        if self._state is FeedState.CLOSED:
            return
        self._become(FeedState.CONNECTING)
        await self._drop()
        # Jitter, so that the clients of one server do not all reconnect at the same time.
        await asyncio.sleep(self._delay * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
        self._delay = min(2 * self._delay, _LONGEST_DELAY)

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _list(words: Iterable[str] | None) -> list[str] | None:
    return None if words is None else list(words)
