"""The client's side of the desk port: calls a desk in another process, follows its feed, and reconnects."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from ibdesk.clock import boot_ns
from ibdesk.desk.handle import COMMANDS
from ibdesk.desk.port.addresses import Address, SocketAddress
from ibdesk.desk.port.connection import AnyConnection, PortConnection
from ibdesk.desk.port.feed_follower import FeedFollower
from ibdesk.desk.port.messages import (
    HEARTBEAT_SECONDS,
    LONGEST_ANSWER,
    SCHEMA,
    Answer,
    BatchMessage,
    Call,
    ClientMessage,
    Failure,
    Heartbeat,
    State,
    Watch,
    Welcome,
    decode_desk_message,
    encode,
)
from ibdesk.desk.port.values import Operation, decode_value, encode_arguments, error_of
from ibdesk.errors import DeskError, DetachedError, OutcomeUnknownError
from ibdesk.store.redis import RedisHealth, RedisSettings
from ibdesk.telemetry.trace import correlation_id

if TYPE_CHECKING:
    from ibdesk.desk.port.stream_connection import StreamConnection
    from ibdesk.store.redis.pool import RedisPool

_log = logging.getLogger(__name__)

_FIRST_DELAY, _LONGEST_DELAY = 0.05, 1.0
_CONNECT_SECONDS = 5.0
# The desk counts as dead after this many missing heartbeats.
_PATIENCE = 5.0
# Time limit of a query, and of starting a run: history from a busy TWS is the slowest.
_ANSWER_SECONDS = 120.0
# How long after its deadline the answer to a command may still be on its way.
_SPARE_SECONDS = 2.0
# Commands that wait for history first.
_SLOW = frozenset({"start"})


class PortClient:
    """A connection to one desk that reconnects while `run` runs; used on that loop, except `following`."""

    def __init__(
        self,
        address: Address,
        redis: RedisSettings,
        *,
        command_seconds: float = 15.0,
        on_change: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """Make one that is not connected; `on_change` is called with whether the desk can be reached.

        A command may take effect until `command_seconds` after its call. `redis` is used for addresses in Redis.
        """
        self._address, self._redis, self._on_change = address, redis, on_change
        self._command_seconds = command_seconds
        self._pool: RedisPool | None = None
        self._stream: StreamConnection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: AnyConnection | None = None
        self._outbox: asyncio.Queue[ClientMessage] = asyncio.Queue()
        self._numbers = itertools.count(1)
        self._asked: dict[int, _Asked] = {}
        self._followers: set[FeedFollower] = set()
        self._why_not = "not connected yet"

    async def run(self) -> None:
        """Connect, and reconnect after each break, until cancelled.

        Raises:
            DeskError: If the other side uses another version of the protocol.
        """
        self._loop = asyncio.get_running_loop()
        delay = _FIRST_DELAY
        try:
            while True:
                try:
                    connection = await self._connect()
                    delay = _FIRST_DELAY
                    await self._converse(connection)
                except TimeoutError:
                    self._lose("it does not answer", may_go_on=True)
                except OSError as error:
                    self._lose(str(error) or "it does not answer")
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
                delay = min(2 * delay, _LONGEST_DELAY)
        finally:
            if self._pool is not None:
                await self._pool.close()

    async def call(self, operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operation at the desk and return its result.

        The call waits for a command until its deadline has passed, even if the desk counts as dead before: after an
        error from here, the command never takes effect.

        Raises:
            IbdeskError: Any error of the operation.
            DetachedError: If the desk cannot be reached; a command was not carried out and never will be.
            OutcomeUnknownError: If a command was sent and not answered.
        """
        arguments = encode_arguments(operation, args, kwargs)
        if self._connection is None:
            raise DetachedError(str(self._address), self._why_not)
        number = next(self._numbers)
        asked = self._asked[number] = _Asked(self._seconds_of(operation.__name__))
        call = Call(
            number=number,
            operation=operation.__name__,
            arguments=msgspec.Raw(arguments),
            correlation_id=correlation_id.get(),
            begin_by_ns=asked.begin_by_ns,
        )
        try:
            self._outbox.put_nowait(call)
            seconds = asked.seconds + _SPARE_SECONDS if asked.is_command else _ANSWER_SECONDS
            async with asyncio.timeout(seconds):
                return decode_value(operation, bytes(await asked.answer))
        except TimeoutError:
            raise self._unanswered(asked, f"no answer within {seconds:g} s") from None
        finally:
            del self._asked[number]

    @property
    def pools(self) -> list[RedisHealth]:
        """Return the state of the connection pool, if the desk is reached over Redis."""
        return [] if self._pool is None else [self._pool.health]

    def following(self) -> FeedFollower:
        """Return a new follower of the feed, which may be read on another loop."""
        return FeedFollower(self._soon(self._begin), self._soon(self._followers.discard))

    # --- inside

    def _seconds_of(self, operation: str) -> float:
        """Return the seconds until an operation must have taken effect, 0 for a query."""
        if operation not in COMMANDS:
            return 0.0
        return max(self._command_seconds, _ANSWER_SECONDS) if operation in _SLOW else self._command_seconds

    def _soon(self, function: Callable[[FeedFollower], None]) -> Callable[[FeedFollower], None]:
        def later(follower: FeedFollower) -> None:
            if self._loop is not None:
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(function, follower)

        return later

    def _begin(self, follower: FeedFollower) -> None:
        self._followers.add(follower)
        follower.number, follower.heartbeats = next(self._numbers), 0
        if self._connection is not None:
            self._outbox.put_nowait(Watch(number=follower.number))

    async def _connect(self) -> AnyConnection:
        async with asyncio.timeout(_CONNECT_SECONDS):
            connection = await self._open()
            try:
                welcome = decode_desk_message(await connection.receive())
                if not isinstance(welcome, Welcome) or welcome.schema != SCHEMA:
                    raise DeskError(
                        f"the desk at {self._address} speaks another version of the desk port: use one version of "
                        f"ibdesk for all of its processes"
                    )
            except BaseException:
                connection.close()
                raise
        return connection

    async def _open(self) -> AnyConnection:
        if isinstance(self._address, SocketAddress):
            reader, writer = await asyncio.open_unix_connection(self._address.path, limit=4 * 1024 * 1024)
            return PortConnection(reader, writer, longest=LONGEST_ANSWER)
        from ibdesk.desk.port.stream_connection import StreamConnection
        from ibdesk.store.redis.pool import RedisPool

        if self._pool is None:
            self._pool = RedisPool(self._redis, name="desk port")
        self._stream = await StreamConnection.open(
            self._pool, self._address.name, lowest_token=self._stream.lowest_token if self._stream is not None else 0
        )
        return self._stream

    async def _converse(self, connection: AnyConnection) -> None:
        """Exchange messages over a connection until it breaks.

        Raises:
            OSError: When it breaks.
            TimeoutError: When the desk is silent for too long.
        """
        self._connection, self._outbox = connection, asyncio.Queue()
        for follower in self._followers:
            self._begin(follower)
        self._on_change(True)
        sending = asyncio.create_task(self._send(connection), name="desk port sender")
        is_silent = False
        try:
            while True:
                try:
                    async with asyncio.timeout(_PATIENCE * HEARTBEAT_SECONDS):
                        data = await connection.receive()
                except TimeoutError:
                    is_silent = True
                    raise
                self._hear(data)
        finally:
            self._connection = None
            sending.cancel()
            await asyncio.wait({sending})
            connection.close()
            self._lose("it does not answer" if is_silent else "the connection broke", may_go_on=is_silent)

    async def _send(self, connection: AnyConnection) -> None:
        # The reading side notices and reports a broken connection.
        with contextlib.suppress(OSError):
            while True:
                message = await self._outbox.get()
                if isinstance(message, Call):
                    asked = self._asked.get(message.number)
                    if asked is None or not asked.may_be_sent():
                        continue
                    message = msgspec.structs.replace(message, seconds=asked.seconds_left)
                await connection.send(encode(message))

    def _hear(self, data: bytes) -> None:
        match decode_desk_message(data):
            case Answer(number=number, value=value):
                self._settle(number, value)
            case Failure(number=number, error=error, arguments=facts, text=text):
                self._settle(number, error_of(error, facts, text))
            case BatchMessage(batches=batches):
                for follower in self._followers:
                    if not follower.take_batches(batches):
                        self._begin(follower)
            case State() as answer:
                for follower in self._followers:
                    if answer.number in (0, follower.number):
                        follower.take_state(answer.state)
            case Heartbeat() | Welcome():
                self._ask_again()

    def _ask_again(self) -> None:
        """Repeat requests for states that do not arrive: a request may be lost on the way through Redis."""
        for follower in self._followers:
            follower.heartbeats += 1
            if follower.number and follower.heartbeats > _PATIENCE:
                self._begin(follower)

    def _settle(self, number: int, outcome: msgspec.Raw | Exception) -> None:
        asked = self._asked.get(number)
        if asked is not None:
            asked.settle(outcome)

    def _lose(self, reason: str, *, may_go_on: bool = False) -> None:
        """Fail the calls that wait for an answer.

        A desk that is only silent may still carry out the commands that it has (`may_go_on`): their callers wait until
        they expire.
        """
        self._why_not = reason
        for asked in self._asked.values():
            if not (may_go_on and asked.is_command and asked.was_sent):
                asked.settle(self._unanswered(asked, f"{reason} before it answered"))
        self._on_change(False)

    def _unanswered(self, asked: _Asked, reason: str) -> DetachedError:
        """Return the error for a caller without an answer, and withdraw a call that was not sent."""
        if asked.is_command and asked.was_sent:
            return OutcomeUnknownError(str(self._address), reason)
        asked.is_withdrawn = True
        return DetachedError(str(self._address), reason)


class _Asked:
    """An unanswered call; a command has a deadline."""

    def __init__(self, seconds: float) -> None:
        """Make one that may take effect within `seconds` from now; 0 for a query."""
        self.is_command, self.seconds = seconds > 0, seconds
        self.begin_by_ns = boot_ns() + int(1e9 * seconds) if seconds else 0
        self.answer: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self.was_sent = self.is_withdrawn = False

    @property
    def seconds_left(self) -> float:
        """Return for how many seconds a command may still take effect, 0 for a query."""
        return (self.begin_by_ns - boot_ns()) / 1e9 if self.is_command else 0.0

    def may_be_sent(self) -> bool:
        """Return whether it may still be sent, and mark it as sent."""
        if self.is_withdrawn or (self.is_command and self.seconds_left <= 0):
            return False
        self.was_sent = True
        return True

    def settle(self, outcome: msgspec.Raw | Exception) -> None:
        """Pass the answer to the caller, once."""
        if self.answer.done():
            return
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)
