"""Copying the journal to continue from out of Redis, into the journals of this machine."""

from __future__ import annotations

import logging
from pathlib import Path

from ibdesk.store.journal_copy import FaultyRowsError, JournalCopy
from ibdesk.store.journal_stream import Head, JournalStream, StreamedJournal

_log = logging.getLogger(__name__)


class JournalStreamReader:
    """Keeps the copy of the current journal. Rows that it reads twice are in the copy once.

    `head` is the last report of that journal's engine, or None. `fault` says why no desk can continue from the copy, or
    is empty.
    """

    def __init__(self, stream: JournalStream, folder: Path) -> None:
        """Make a reader that keeps its copies in `folder`."""
        self.head: Head | None = None
        self.fault = ""
        self._stream, self._folder = stream, folder
        # None before there is a journal, and if the journal itself lies in the folder.
        self._copy: JournalCopy | None = None

    @property
    def journal(self) -> StreamedJournal | None:
        """Return the journal that is copied, or None."""
        return self.head.journal if self.head else None

    @property
    def last(self) -> int:
        """Return the number of the last event in the copy, or 0."""
        return self._copy.last if self._copy else 0

    @property
    def is_original(self) -> bool:
        """Return whether the journal itself lies here, so there is nothing to copy."""
        return self.head is not None and self._copy is None and not self.fault

    async def read(self) -> bool:
        """Read the next piece; return whether it was the last one.

        Rows that do not belong to a journal are never used: `fault` and the log say so, once.

        Raises:
            RedisError: If Redis cannot be read now; the next call continues.
            JournalError: If the copy cannot be written.
        """
        name = self.head.journal.name if self.head else ""
        try:
            head, rows = await self._stream.read(name, after=self.last)
            if head is None:
                return True
            if head.journal.name != name:
                self._turn_to(head)
                return False
            self.head = head
            if head.fault:
                raise FaultyRowsError(head.fault)
            if self._copy is None or self.fault:
                return True
            self._copy.append(rows)
        except FaultyRowsError as error:
            self._give_up(str(error))
            return True
        return not rows

    def close(self) -> None:
        """Close the copy."""
        if self._copy is not None:
            self._copy.close()
            self._copy = None

    def _turn_to(self, head: Head) -> None:
        self.close()
        self.head, journal = None, head.journal
        self._copy = JournalCopy.open(self._folder, journal.name, journal.header, host=journal.host)
        self.head, self.fault = head, ""
        if self._copy is None:
            _log.info("the journal of the engine that leads, %s, lies in %s itself", journal.name, self._folder)
        else:
            _log.info("keeping a copy of %s, the journal of the engine that leads, on %s", journal.name, journal.host)

    def _give_up(self, fault: str) -> None:
        if self.fault == fault:
            return
        self.fault = fault
        _log.error("the copy of the leading engine's journal cannot be used: %s", fault)
        if self._copy is not None:
            self._copy.give_up(fault)
