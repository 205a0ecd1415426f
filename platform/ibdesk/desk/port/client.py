"""The other side of the desk port: asks a desk in another process, hears its news, and comes back after a break."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from ibdesk.desk.port.addresses import Address, SocketAddress
from ibdesk.desk.port.following import Following
from ibdesk.desk.port.line import AnyLine, Line
from ibdesk.desk.port.messages import (
    LONGEST_ANSWER,
    PULSE_SECONDS,
    SCHEMA,
    Answer,
    Call,
    ClientMessage,
    Failure,
    News,
    Pulse,
    State,
    Watch,
    Welcome,
    decode_desk_message,
    encode,
)
from ibdesk.desk.port.values import Operation, decode_value, encode_arguments, error_of
from ibdesk.errors import DeskError, DetachedError
from ibdesk.store.redis import RedisHealth, RedisSettings
from ibdesk.telemetry.trace import correlation_id

if TYPE_CHECKING:
    from ibdesk.desk.port.stream_line import StreamLine
    from ibdesk.store.redis.pool import RedisPool

_log = logging.getLogger(__name__)

_FIRST_DELAY, _LONGEST_DELAY = 0.05, 1.0
_CONNECT_SECONDS = 5.0
# After so many pulses that did not come the desk is taken for dead.
_PATIENCE = 5.0
# How long an operation may take: history of a busy TWS is the slowest.
_ANSWER_SECONDS = 120.0


class PortClient:
    """A connection to one desk that keeps itself alive while `run` runs; used on that loop, except `following`."""

    def __init__(
        self, address: Address, redis: RedisSettings, *, on_change: Callable[[bool], None] = lambda _: None
    ) -> None:
        """Make one that is not connected; `on_change` hears whether the desk can be reached.

        `redis` is where a desk is found whose address is a name there.
        """
        self._address, self._redis, self._on_change = address, redis, on_change
        self._pool: RedisPool | None = None
        self._stream: StreamLine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._line: AnyLine | None = None
        self._outbox: asyncio.Queue[ClientMessage] = asyncio.Queue()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._followers: set[Following] = set()
        self._why_not = "not connected yet"

    async def run(self) -> None:
        """Connect, and again after each break, until cancelled.

        Raises:
            DeskError: If the other side speaks another version of the protocol.
        """
        self._loop = asyncio.get_running_loop()
        delay = _FIRST_DELAY
        try:
            while True:
                try:
                    line = await self._connect()
                    delay = _FIRST_DELAY
                    await self._converse(line)
                except (OSError, TimeoutError) as error:
                    self._lose(str(error) or "it does not answer")
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
                delay = min(2 * delay, _LONGEST_DELAY)
        finally:
            if self._pool is not None:
                await self._pool.close()

    async def call(self, operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Have an operation done at the desk and return what it gave.

        Raises:
            IbdeskError: What the operation raised there.
            DetachedError: If the desk cannot be reached, or was lost before it answered (it may have done it).
        """
        arguments = encode_arguments(operation, args, kwargs)
        if self._line is None:
            raise DetachedError(str(self._address), self._why_not)
        number = next(self._numbers)
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._outbox.put_nowait(
                Call(
                    number=number,
                    operation=operation.__name__,
                    arguments=msgspec.Raw(arguments),
                    correlation_id=correlation_id.get(),
                )
            )
            async with asyncio.timeout(_ANSWER_SECONDS):
                return decode_value(operation, bytes(await waiting))
        except TimeoutError:
            raise DetachedError(str(self._address), f"no answer within {_ANSWER_SECONDS:g} s") from None
        finally:
            del self._waiting[number]

    @property
    def pools(self) -> list[RedisHealth]:
        """Return how the pool is over which the desk is reached, if it is reached over Redis."""
        return [] if self._pool is None else [self._pool.health]

    def following(self) -> Following:
        """Return a place for one more follower of the feed, who may live on another loop."""
        return Following(self._soon(self._begin), self._soon(self._followers.discard))

    # --- inside

    def _soon(self, function: Callable[[Following], None]) -> Callable[[Following], None]:
        def later(follower: Following) -> None:
            if self._loop is not None:
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(function, follower)

        return later

    def _begin(self, follower: Following) -> None:
        self._followers.add(follower)
        follower.number, follower.pulses = next(self._numbers), 0
        if self._line is not None:
            self._outbox.put_nowait(Watch(number=follower.number))

    async def _connect(self) -> AnyLine:
        async with asyncio.timeout(_CONNECT_SECONDS):
            line = await self._open()
            try:
                welcome = decode_desk_message(await line.receive())
                if not isinstance(welcome, Welcome) or welcome.schema != SCHEMA:
                    raise DeskError(
                        f"the desk at {self._address} speaks another version of the desk port: use one version of "
                        f"ibdesk for all of its processes"
                    )
            except BaseException:
                line.close()
                raise
        return line

    async def _open(self) -> AnyLine:
        if isinstance(self._address, SocketAddress):
            reader, writer = await asyncio.open_unix_connection(self._address.path, limit=4 * 1024 * 1024)
            return Line(reader, writer, longest=LONGEST_ANSWER)
        from ibdesk.desk.port.stream_line import StreamLine
        from ibdesk.store.redis.pool import RedisPool

        if self._pool is None:
            self._pool = RedisPool(self._redis, name="desk port")
        self._stream = await StreamLine.open(
            self._pool, self._address.name, lowest_token=self._stream.lowest_token if self._stream is not None else 0
        )
        return self._stream

    async def _converse(self, line: AnyLine) -> None:
        """Speak over a line until it breaks.

        Raises:
            OSError: When it does.
            TimeoutError: When the desk is silent for too long.
        """
        self._line, self._outbox = line, asyncio.Queue()
        for follower in self._followers:
            self._begin(follower)
        self._on_change(True)
        sending = asyncio.create_task(self._send(line), name="desk port sender")
        try:
            while True:
                async with asyncio.timeout(_PATIENCE * PULSE_SECONDS):
                    data = await line.receive()
                self._hear(data)
        finally:
            self._line = None
            sending.cancel()
            await asyncio.wait({sending})
            line.close()
            self._lose("the connection broke")

    async def _send(self, line: AnyLine) -> None:
        # A broken line is noticed, and told, where it is read.
        with contextlib.suppress(OSError):
            while True:
                await line.send(encode(await self._outbox.get()))

    def _hear(self, data: bytes) -> None:
        match decode_desk_message(data):
            case Answer(number=number, value=value):
                self._settle(number, value)
            case Failure(number=number, error=error, arguments=facts, text=text):
                self._settle(number, error_of(error, facts, text))
            case News(batches=batches):
                for follower in self._followers:
                    if not follower.take_batches(batches):
                        self._begin(follower)
            case State() as answer:
                for follower in self._followers:
                    if answer.number in (0, follower.number):
                        follower.take_state(answer.state)
            case Pulse() | Welcome():
                self._ask_again()

    def _ask_again(self) -> None:
        """Ask once more for states that do not come: what was asked for may be lost on the way through Redis."""
        for follower in self._followers:
            follower.pulses += 1
            if follower.number and follower.pulses > _PATIENCE:
                self._begin(follower)

    def _settle(self, number: int, outcome: msgspec.Raw | Exception) -> None:
        waiting = self._waiting.get(number)
        if waiting is None or waiting.done():
            return
        if isinstance(outcome, Exception):
            waiting.set_exception(outcome)
        else:
            waiting.set_result(outcome)

    def _lose(self, reason: str) -> None:
        """Let everybody know who waits for an answer that it will not come."""
        self._why_not = reason
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(DetachedError(str(self._address), f"{reason} before it answered"))
        self._on_change(False)
