"""The audit trail of one server: changes and refusals of requests, written in a thread."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from ibdesk.store.audit import AuditEntry, AuditError, AuditLog
from ibdesk.telemetry import correlation_id

_log = logging.getLogger(__name__)

# How many lines may wait for the disk. Further lines are dropped, counted and reported.
_LIMIT = 10_000
_RETRY_SECONDS = 1.0


class AuditTrail:
    """Accepts entries without blocking the loop, and appends them in a thread while `run` runs."""

    def __init__(self, log: AuditLog) -> None:
        self.log = log
        self.dropped = 0
        self.written = 0
        self.failure = ""
        self._waiting: list[AuditEntry] = []
        self._told = 0
        self._news = asyncio.Event()
        # Once `run` has ended, late entries are written at once.
        self._over = False

    @property
    def waiting(self) -> int:
        """Return the number of entries that are not on disk yet."""
        return len(self._waiting)

    def note(self, action: str, *, by: str, outcome: str, role: str = "", correlation: str = "", **facts: Any) -> None:
        """Record an entry, with the present correlation id unless one is given."""
        if len(self._waiting) >= _LIMIT:
            self.dropped += 1
            return
        entry = AuditEntry(
            action=action,
            by=by,
            role=role,
            outcome=outcome,
            correlation_id=correlation or correlation_id.get(),
            at_ns=time.time_ns(),
            facts=facts,
        )
        self._waiting.append(entry)
        self._news.set()
        if self._over:
            self._write_the_rest()

    async def run(self) -> None:
        """Write entries until cancelled, then write those still waiting."""
        self._over = False
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._waiting:
                    await self._write()
        finally:
            self._over = True
            self._write_the_rest()

    async def _write(self) -> None:
        entries, self._waiting = self._waiting, []
        writing = asyncio.ensure_future(asyncio.to_thread(self.log.extend, [*entries, *self._lost()]))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            # The thread cannot be cancelled: its write completes.
            await asyncio.wait({writing})
            raise
        except AuditError as error:
            self._waiting = entries + self._waiting
            self._fail(error)
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            self.written += len(entries)
            self.failure = ""

    def _write_the_rest(self) -> None:
        entries, self._waiting = [*self._waiting, *self._lost()], []
        if entries:
            try:
                self.log.extend(entries)
                self.written += len(entries)
            except AuditError as error:
                self._fail(error)

    def _lost(self) -> list[AuditEntry]:
        lost, self._told = self.dropped - self._told, self.dropped
        if not lost:
            return []
        facts = {"lines": lost, "why": "they came faster than they could be written"}
        return [AuditEntry(action="audit.dropped", by="ibdesk", outcome="told", at_ns=time.time_ns(), facts=facts)]

    def _fail(self, error: AuditError) -> None:
        if not self.failure:
            _log.error("%s", error)
        self.failure = str(error)
