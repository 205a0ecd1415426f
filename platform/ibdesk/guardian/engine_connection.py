"""The guardian's connection to the engine's desk port: checks that the engine lives, and reads its books.

The port's greeting and heartbeat come from the engine's process, which continues while a strategy loops forever. The
guardian therefore asks a question that only the desk's own event loop can answer.
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
# Far above the size of the books of a desk with thousands of runs.
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
    """The position of one owner in one contract, by the engine's books."""

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
    """Queries the engine every second while `run` runs; the last answers remain readable."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        # answered_ns, books_ns: when the engine last answered, and when its books were requested; 0 before.
        self.answered_ns = self.books_ns = 0
        self.runs: tuple[str, ...] = ()
        self.books: tuple[BookRow, ...] | None = None
        # booked: the ids of the executions last booked when the books were requested.
        self.booked: frozenset[str] = frozenset()
        self.halt_ids: frozenset[str] = frozenset()
        self._writer: asyncio.StreamWriter | None = None
        # address, account: the engine's TWS, and the account that it trades there.
        self.address = self.account = ""
        # pid: the process at the other end, 0 if there is none or the system does not report it.
        self.pid = 0

    async def run(self) -> None:
        """Query until cancelled; an absent engine is tried again."""
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
        """Return whether a process holds the other end; a stopped process does."""
        return self._writer is not None

    def forget(self) -> None:
        """Forget the answers of an engine that has gone."""
        self.answered_ns, self.books, self.books_ns = 0, None, 0
        if self._writer is not None:
            # Otherwise a stopped process would be queried forever.
            self._writer.transport.abort()

    def halt(self, reason: str, *, by: str, state: TradingState) -> None:
        """Ask the engine to halt itself; a hung engine does so when it recovers."""
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
        """Return the answer to a question, without a time limit.

        Raises:
            OSError: If the connection breaks, or the engine refuses.
            msgspec.MsgspecError: If the answer has the wrong type.
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
