"""What happens goes on the record before anything leaves; while the record cannot be written, nothing leaves."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from ibdesk.clock import SECOND, monotonic_ns
from ibdesk.desk.settings import DeskSettings
from ibdesk.errors import DeskError, IbdeskError, JournalError
from ibdesk.model import UNENCODABLE, Action, Event, decode_event, encode_event
from ibdesk.store import Journal, JournalHeader, OrderIdMark, Reserve
from ibdesk.telemetry import Performance

_log = logging.getLogger(__name__)

Command = TypeVar("Command", bound=msgspec.Struct)

# The journal is written at the latest so often; one that could not be written is tried again so often.
_COMMIT_SECONDS, _RETRY_SECONDS = 0.05, 0.5
# More orders than the pacing lets out between two commits.
_IDS_AHEAD = 50
# What may wait in memory for a journal that cannot be written: hours of many instruments.
_MOST_WAITING_BYTES = 256 * 1024 * 1024


class Recorder:
    """Writes journal and mark of order ids.

    Its first failure is told to `on_failure`, once, so that trading is halted. From then on `write` returns False
    until the record could be written again with all that waited, which is told to `on_recovery`. A reserve of disk
    space is given up at the first failure: what `last_words` writes has room although the disk is full.
    """

    def __init__(
        self,
        journal: Journal,
        mark: OrderIdMark,
        performance: Performance,
        *,
        on_failure: Callable[[str], None],
        on_recovery: Callable[[str], None],
    ) -> None:
        self.journal = journal
        # failure: why it cannot be written now, empty while it can.
        self.failure = ""
        # lost: which event the record lacks for good, empty while it has them all.
        self.lost = ""
        self._mark, self._performance = mark, performance
        # _commit_ns: how long the last commit took, until `measure` has taken it.
        self._commit_ns = 0
        self._on_failure, self._on_recovery = on_failure, on_recovery
        self._reserve: Reserve | None = None
        self._failed_ns = 0

    def keep_reserve(self, path: Path) -> None:
        """Set room aside for the last words.

        Raises:
            JournalError: If there is none: trading must not begin without.
        """
        reserve = Reserve(path)
        reserve.take()
        self._reserve = reserve

    def record(self, event: Event, actions: Sequence[Action]) -> None:
        """Take an event and the actions it caused into memory; one that cannot be encoded fails the journal."""
        try:
            self.journal.record(event, actions)
        except JournalError as error:
            self.lost = _valid(error)
            if self.failure:
                _log.critical("%s", self.lost)
            else:
                self._fail(error)

    def write(self, next_order_id: int) -> bool:
        """Write what is in memory, and that ids from `next_order_id` on may be used; return whether it is on disk."""
        if self.failure:
            return False
        try:
            self._commit(next_order_id)
        except JournalError as error:
            self._fail(error)
            return False
        return True

    def measure(self) -> None:
        """Take the time of the last commit into the figures: once the orders that waited for it have left."""
        if self._commit_ns:
            self._performance.add("journal_commit", self._commit_ns)
            self._commit_ns = 0

    def last_words(self) -> None:
        """Try to write what is in memory although the record has failed: why trading is halted must not be lost."""
        if self.failure:
            try:
                self.journal.commit()
            except JournalError:
                # It stays in memory until there is room.
                return

    async def keep(self, next_order_id: Callable[[], int]) -> None:
        """Write what no order has written, and set ids aside ahead, so that no order waits for the disk.

        Raises:
            JournalError: If too much waits for a journal that cannot be written.
        """
        while True:
            if self.failure:
                self._try_again(next_order_id())
            else:
                self.write(next_order_id())
                self.measure()
            await asyncio.sleep(_RETRY_SECONDS if self.failure else _COMMIT_SECONDS)

    def _commit(self, next_order_id: int) -> None:
        began_ns = monotonic_ns()
        self._mark.cover(next_order_id + _IDS_AHEAD)
        if self.journal.commit():
            self._commit_ns = monotonic_ns() - began_ns

    def _fail(self, error: JournalError) -> None:
        self.failure, self._failed_ns = _valid(error), monotonic_ns()
        if self._reserve is not None:
            self._reserve.release()
        self._on_failure(self.failure)

    def _try_again(self, next_order_id: int) -> None:
        if self.journal.waiting_bytes > _MOST_WAITING_BYTES:
            raise JournalError(f"{self.failure}; more than {_MOST_WAITING_BYTES >> 20} MiB wait for it")
        try:
            if self._reserve is not None:
                self._reserve.take()
            self._commit(next_order_id)
        except JournalError:
            if self._reserve is not None:
                self._reserve.release()
            return
        self.failure = ""
        seconds = (monotonic_ns() - self._failed_ns) / SECOND
        kept = self.lost or "what happened is recorded"
        self._on_recovery(f"the journal is written again, after {seconds:.1f} s in which no order left; {kept}")


def as_recorded(command: Command) -> Command:
    """Return the command as the journal returns it; the engine handles only such a one.

    Raises:
        DeskError: If a field is of a wrong type, or a text is not valid Unicode.
    """
    kind = command.__struct_config__.tag
    try:
        kept = decode_event(encode_event(command))  # type: ignore[arg-type]  # each command is an event
    except (*UNENCODABLE, msgspec.MsgspecError, IbdeskError) as error:
        raise DeskError(f"{kind} cannot be recorded, so nothing was done: {_fault(command, error)}") from None
    for name in command.__struct_fields__:
        given, read = getattr(command, name), getattr(kept, name)
        # NaN differs from itself, and is the engine's to refuse.
        if given != read and repr(given) != repr(read):
            raise DeskError(
                f"{kind} cannot be recorded, so nothing was done: {name} is of type {type(given).__name__}, "
                f"which the journal returns as {type(read).__name__}"
            )
    return kept  # type: ignore[return-value]


def _fault(command: msgspec.Struct, error: Exception) -> str:
    """Return what is wrong with a command, by the name of the field."""
    if isinstance(error, msgspec.ValidationError):
        return str(error)
    for name in command.__struct_fields__:
        try:
            msgspec.msgpack.encode(getattr(command, name))
        except UnicodeEncodeError:
            return f"{name} holds text that is not valid Unicode"
        except UNENCODABLE as fault:
            return f"{name}: {fault}"
    return _valid(error)


def _valid(error: Exception) -> str:
    """Return an error's sentence as text that the journal can hold."""
    return str(error).encode(errors="backslashreplace").decode()


def header_of(settings: DeskSettings, client_id: int, started_ns: int) -> JournalHeader:
    """Return what the journal of a desk with these settings begins with."""
    return JournalHeader(
        program=f"ibdesk {importlib.metadata.version('ibdesk')}",
        mode=settings.mode,
        account=settings.tws.account,
        started_ns=started_ns,
        limits=settings.risk,
        client_id=client_id,
    )
