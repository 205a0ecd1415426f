"""Journaling before sending: every event is written before an order leaves; without a journal no order leaves."""

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

# The longest time between two writes of the journal, and between two attempts after a failure.
_COMMIT_SECONDS, _RETRY_SECONDS = 0.05, 0.5
# More orders than the pacing allows between two commits.
_IDS_AHEAD = 50
# How much may wait in memory for a journal that cannot be written: hours of many instruments.
_MOST_WAITING_BYTES = 256 * 1024 * 1024


class Recorder:
    """Writes the journal and the mark of order ids.

    The first failure calls `on_failure` once, so that trading is halted. From then on `write` returns False until the
    journal and everything that waited could be written, which calls `on_recovery`. A reserve of disk space is released
    at the first failure, so that `last_words` can write although the disk is full.
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
        # Why the journal cannot be written now, empty while it can.
        self.failure = ""
        # The event that the journal will never contain, empty while it has all.
        self.lost = ""
        self._mark, self._performance = mark, performance
        # Duration of the last commit, until `measure` counts it.
        self._commit_ns = 0
        self._on_failure, self._on_recovery = on_failure, on_recovery
        self._reserve: Reserve | None = None
        self._failed_ns = 0

    def keep_reserve(self, path: Path) -> None:
        """Reserve disk space for `last_words`.

        Raises:
            JournalError: If there is not enough space: trading must not begin without it.
        """
        reserve = Reserve(path)
        reserve.take()
        self._reserve = reserve

    def record(self, event: Event, actions: Sequence[Action]) -> None:
        """Buffer an event and its actions; an event that cannot be encoded fails the journal."""
        try:
            self.journal.record(event, actions)
        except JournalError as error:
            self.lost = _valid(error)
            if self.failure:
                _log.critical("%s", self.lost)
            else:
                self._fail(error)

    def write(self, next_order_id: int) -> bool:
        """Write the buffer, and that ids from `next_order_id` on may be used; return whether it is on disk."""
        if self.failure:
            return False
        try:
            self._commit(next_order_id)
        except JournalError as error:
            self._fail(error)
            return False
        return True

    def measure(self) -> None:
        """Count the time of the last commit; called after the orders that waited for it have left."""
        if self._commit_ns:
            self._performance.add("journal_commit", self._commit_ns)
            self._commit_ns = 0

    def last_words(self) -> None:
        """Try to write the buffer after a failure: the reason of the halt must not be lost."""
        if self.failure:
            try:
                self.journal.commit()
            except JournalError:
                # It stays in memory until there is space.
                return

    async def keep(self, next_order_id: Callable[[], int]) -> None:
        """Write events that no order has written, and reserve ids ahead, so that no order waits for the disk.

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
    """Return the command as it is read back from the journal; the engine handles only such commands.

    Raises:
        DeskError: If a field has a wrong type, or text is not valid Unicode.
    """
    kind = command.__struct_config__.tag
    try:
        kept = decode_event(encode_event(command))  # type: ignore[arg-type]  # each command is an event
    except (*UNENCODABLE, msgspec.MsgspecError, IbdeskError) as error:
        raise DeskError(f"{kind} cannot be recorded, so nothing was done: {_fault(command, error)}") from None
    for name in command.__struct_fields__:
        given, read = getattr(command, name), getattr(kept, name)
        # NaN differs from itself; the engine refuses it.
        if given != read and repr(given) != repr(read):
            raise DeskError(
                f"{kind} cannot be recorded, so nothing was done: {name} is of type {type(given).__name__}, "
                f"which the journal returns as {type(read).__name__}"
            )
    return kept  # type: ignore[return-value]


def _fault(command: msgspec.Struct, error: Exception) -> str:
    """Return the fault of a command, with the name of the field."""
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
    """Return an error's text in a form that the journal can store."""
    return str(error).encode(errors="backslashreplace").decode()


def header_of(settings: DeskSettings, client_id: int, started_ns: int) -> JournalHeader:
    """Return the header of the journal of a desk with these settings."""
    return JournalHeader(
        program=f"ibdesk {importlib.metadata.version('ibdesk')}",
        mode=settings.mode,
        account=settings.tws.account,
        started_ns=started_ns,
        limits=settings.risk,
        client_id=client_id,
    )
