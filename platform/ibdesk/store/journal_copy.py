"""A copy of another machine's journal: the events that changed books, so that a desk can continue from it here.

It lies among the journals of this machine under the name of the original, and is read like one; it contains a mark. It
holds the events that changed books from the first up to some number, without a gap.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from ibdesk.errors import JournalError
from ibdesk.store.journal import INSERT, CopyMark, JournalHeader, begin_file
from ibdesk.store.journal_reader import BookRow, JournalReader

# The names that desks give to journals; a name from another machine must not lead out of the folder.
_NAME = re.compile(r"(paper|live)-\d{8}-\d{6}-\d{6}\.sqlite")
# Several standbys of one machine may keep the same copy.
_LOCK_SECONDS = 2.0


class FaultyRowsError(JournalError):
    """The rows received for a copy are not those of a journal: no desk may continue from that copy."""


class JournalCopy:
    """Keeps one copy up to date. Any number of processes can do so at once, each from one thread."""

    def __init__(self, path: Path) -> None:
        """Open an existing copy; use `open` instead."""
        self.path = path
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=_LOCK_SECONDS)
        self.last = self._last()

    @classmethod
    def open(cls, folder: Path, name: str, header: JournalHeader, *, host: str) -> JournalCopy | None:
        """Open or create the copy of the journal `name` in a folder; return None if that journal itself is there.

        A copy from which no desk can continue is replaced.

        Raises:
            FaultyRowsError: If the name is not one of a desk's journal, or is that of another copy.
            JournalError: If the file cannot be used.
        """
        if not _NAME.fullmatch(name) or not name.startswith(f"{header.mode}-"):
            raise FaultyRowsError(f"{name[:80]!r} of mode {header.mode!r} is not the name of a journal")
        path = folder / name
        try:
            if path.exists():
                with JournalReader(path) as there:
                    known, mark = there.header, there.copy
                if mark is None:
                    return None
                if mark.fault:
                    for each in (path, *folder.glob(f"{name}-*")):
                        each.unlink(missing_ok=True)
                elif known != header:
                    raise FaultyRowsError(f"{path} is the copy of another journal of this name")
            if not path.exists():
                _begin(path, header, CopyMark(host=host))
            return cls(path)
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"the copy {path} cannot be used: {error}") from error

    def append(self, rows: Sequence[BookRow]) -> None:
        """Add the new rows among `rows`, all of them or none.

        Raises:
            FaultyRowsError: If a row cannot be read, or one before it is missing.
            JournalError: If the file cannot be written.
        """
        for row in rows:
            _check(row)
        with self._writing():
            last = self._last()
            for row in rows:
                if row.number <= last:
                    continue
                if row.after != last:
                    raise FaultyRowsError(f"event {row.number} follows {row.after}, but the copy ends with {last}")
                self._connection.execute(INSERT, (row.number, row.at_ns, row.event, row.actions, 1))
                last = row.number
        self.last = last

    def give_up(self, fault: str) -> None:
        """Record why no desk can continue from this copy.

        Raises:
            JournalError: If the file cannot be written.
        """
        with self._writing():
            [(mark,)] = self._connection.execute("SELECT value FROM meta WHERE key = 'copy'")
            marked = msgspec.structs.replace(msgspec.json.decode(mark, type=CopyMark), fault=fault)
            self._connection.execute("UPDATE meta SET value = ? WHERE key = 'copy'", (msgspec.json.encode(marked),))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Run the block in one transaction."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise JournalError(f"the copy {self.path} cannot be written: {error}") from error

    def _last(self) -> int:
        [(number,)] = self._connection.execute("SELECT max(number) FROM events")
        return number or 0


def _check(row: BookRow) -> None:
    """Check that a row can be read.

    Raises:
        FaultyRowsError: If it cannot.
    """
    if row.number <= row.after or row.after < 0:
        raise FaultyRowsError(f"event {row.number} cannot follow event {row.after}")
    try:
        row.entry()
    except JournalError as error:
        raise FaultyRowsError(str(error)) from None


def _begin(path: Path, header: JournalHeader, mark: CopyMark) -> None:
    """Create an empty copy, or accept one that another standby of this machine has just created."""
    try:
        begin_file(path, header, mark).close()
    except JournalError:
        if not path.exists():
            raise
