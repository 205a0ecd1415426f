"""The guardian's line to the engine: asks it, over the desk port, whether it lives and what its books say.

The port's first words and its pulse come from the engine's process, which lives on while a strategy hangs in a loop.
So the heartbeat is a question: only the desk's own event loop can answer it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from pathlib import Path
from typing import TypeVar

import msgspec

from ibdesk.clock import boot_ns, monotonic_ns
from ibdesk.guardian.engine_process import peer_of
from ibdesk.model import TradingState

T = TypeVar("T")

_log = logging.getLogger(__name__)

_HEAD = 4
_CONNECT_SECONDS = 3.0
_ASK_SECONDS = 1.0
_RETRY_SECONDS = 0.5
_HALT_SECONDS = 60.0
# The books of a desk with thousands of runs are far below this.
_LONGEST_ANSWER = 64 * 1024 * 1024
_ENCODER = msgspec.msgpack.Encoder()


class _Health(msgspec.Struct, frozen=True):
    address: str
    account: str
    halt_ids: list[str]


class _Run(msgspec.Struct, frozen=True):
    run_id: str
    state: str


class BookRow(msgspec.Struct, frozen=True):
    """What one owner holds of one contract by the engine's books."""

    owner: str
    symbol: str
    con_id: int
    quantity: float


class _Books(msgspec.Struct, frozen=True):
    rows: list[BookRow]
    executions: list[str]


class _Message(msgspec.Struct, frozen=True):
    type: str
    number: int = 0
    text: str = ""
    value: msgspec.Raw = msgspec.Raw()


class EngineConnection:
    """Asks the engine every second while `run` runs; what it said last stays readable."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        # answered_ns, books_ns: when the engine answered last, and when its books were asked for; 0 before.
        self.answered_ns = self.books_ns = 0
        self.runs: tuple[str, ...] = ()
        self.books: tuple[BookRow, ...] | None = None
        # booked: the ids of the executions that the engine had booked last when its books were asked for.
        self.booked: frozenset[str] = frozenset()
        self.halt_ids: frozenset[str] = frozenset()
        self._writer: asyncio.StreamWriter | None = None
        # address, account: where the engine's TWS is, and what it trades there.
        self.address = self.account = ""
        # pid: the process at the other end, 0 while there is none or the system does not tell.
        self.pid = 0

    async def run(self) -> None:
        """Ask until cancelled; an engine that is away is asked again."""
        while True:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    reader, writer = await asyncio.open_unix_connection(self._socket)
            except (OSError, TimeoutError):
                self.books = None
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._writer, self.pid = writer, peer_of(writer.get_extra_info("socket"))
            try:
                await self._converse(reader, writer)
            except (OSError, EOFError, msgspec.MsgspecError, RecursionError) as error:
                _log.debug("the line to the engine broke: %s", error)
            finally:
                self._writer, self.pid = None, 0
                writer.transport.abort()
            await asyncio.sleep(_RETRY_SECONDS)

    @property
    def is_connected(self) -> bool:
        """Return whether somebody holds the other end; a process that is stopped does."""
        return self._writer is not None

    def forget(self) -> None:
        """Forget what an engine said that is gone."""
        self.answered_ns, self.books, self.books_ns = 0, None, 0
        if self._writer is not None:
            # One that is only stopped would be asked for ever.
            self._writer.transport.abort()

    def halt(self, reason: str, *, by: str, state: TradingState) -> None:
        """Have the engine halt itself; an engine that hangs does so when it comes to."""
        if self._writer is not None:
            arguments: dict[str, object] = {"reason": reason, "by": by, "state": state.value}
            begin_by_ns = boot_ns() + int(_HALT_SECONDS * 1e9)
            self._send(self._writer, "halt", arguments, begin_by_ns=begin_by_ns, seconds=_HALT_SECONDS)

    # --- inside

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            health = await self._ask("health", _Health, reader, writer)
            self.answered_ns = monotonic_ns()
            self.address, self.account = health.address, health.account
            self.halt_ids = frozenset(health.halt_ids)
            runs = await self._ask("runs", list[_Run], reader, writer)
            self.runs = tuple(run.run_id for run in runs if run.state == "running")
            asked_ns = monotonic_ns()
            books = await self._ask("books", _Books, reader, writer)
            self.books = tuple(books.rows)
            self.booked = frozenset(books.executions)
            self.books_ns = asked_ns
            await asyncio.sleep(_ASK_SECONDS)

    async def _ask(
        self, operation: str, kind: type[T], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> T:
        """Return the answer to a question, however long it takes.

        Raises:
            OSError: If the line breaks, or the engine refuses.
            msgspec.MsgspecError: If the answer is not what was asked for.
        """
        number = self._send(writer, operation, {})
        while True:
            length = int.from_bytes(await reader.readexactly(_HEAD))
            if length > _LONGEST_ANSWER:
                raise ConnectionError(f"the engine sends a message of {length:,} bytes")
            message = msgspec.msgpack.decode(await reader.readexactly(length), type=_Message)
            if message.number != number:
                continue
            if message.type == "failure":
                raise ConnectionError(message.text)
            return msgspec.msgpack.decode(message.value, type=kind)

    def _send(self, writer: asyncio.StreamWriter, operation: str, arguments: dict[str, object], **limits: float) -> int:
        number = next(self._numbers)
        call = {"type": "call", "number": number, "operation": operation, "arguments": arguments, **limits}
        data = _ENCODER.encode(call)
        writer.write(len(data).to_bytes(_HEAD) + data)
        return number
