"""What happens goes on the record before anything leaves; while the record cannot be written, nothing leaves."""

from __future__ import annotations

import asyncio
import importlib.metadata
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ibdesk.desk.settings import DeskSettings
from ibdesk.errors import JournalError
from ibdesk.model import Action, Event
from ibdesk.store import Journal, JournalHeader, OrderIdMark, Reserve
from ibdesk.telemetry import Performance

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
        on_recovery: Callable[[float], None],
    ) -> None:
        self.journal = journal
        # failure: why it cannot be written now, empty while it can.
        self.failure = ""
        self._mark, self._performance = mark, performance
        self._on_failure, self._on_recovery = on_failure, on_recovery
        self._reserve: Reserve | None = None
        self._failed_at = 0.0

    def keep_reserve(self, path: Path) -> None:
        """Set room aside for the last words.

        Raises:
            JournalError: If there is none: trading must not begin without.
        """
        reserve = Reserve(path)
        reserve.take()
        self._reserve = reserve

    def record(self, event: Event, actions: Sequence[Action]) -> None:
        """Take an event and the actions it caused into memory."""
        self.journal.record(event, actions)

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
            await asyncio.sleep(_RETRY_SECONDS if self.failure else _COMMIT_SECONDS)

    def _commit(self, next_order_id: int) -> None:
        began_ns = time.perf_counter_ns()
        self._mark.cover(next_order_id + _IDS_AHEAD)
        if self.journal.commit():
            self._performance.add("journal_commit", time.perf_counter_ns() - began_ns)

    def _fail(self, error: JournalError) -> None:
        self.failure, self._failed_at = str(error), time.monotonic()
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
        self._on_recovery(time.monotonic() - self._failed_at)


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
