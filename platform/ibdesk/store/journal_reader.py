"""Reading a journal or a copy of one: all events, those that changed books, or a stretch."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from ibdesk.errors import IbdeskError, JournalError
from ibdesk.model import Action, Event, decode_actions, decode_event, encode_kind
from ibdesk.store.journal import SCHEMA_VERSION, CopyMark, JournalHeader, decode_header
from ibdesk.store.journal_packing import PACKED, packed_path, unpack

# Opening is tried again when a journal is closed or packed meanwhile.
_MOST_OPENINGS = 4


class UnbornJournalError(JournalError):
    """A journal file without a header: its process ended before it traded."""


class Entry(msgspec.Struct, frozen=True):
    """One event, numbered from 1, and the actions it caused."""

    number: int
    event: Event
    actions: list[Action]


class BookRow(msgspec.Struct, frozen=True, array_like=True):
    """An event that may have changed a book, and its actions, in written form.

    `after` is the number of the row before it, 0 for the first, so that no missing row goes unnoticed.
    """

    number: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    after: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    at_ns: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
    event: bytes
    actions: bytes | None = None

    @property
    def size(self) -> int:
        """Return the approximate size in bytes."""
        return len(self.event) + len(self.actions or b"") + 64

    def entry(self) -> Entry:
        """Return the decoded entry.

        Raises:
            JournalError: If it cannot be read.
        """
        try:
            return Entry(self.number, decode_event(self.event), decode_actions(self.actions) if self.actions else [])
        except (msgspec.DecodeError, IbdeskError) as error:
            raise JournalError(f"event {self.number} cannot be read: {error}") from None


def _mode(path: Path) -> str:
    """Return SQLite's mode for opening a journal, "" if only its packed form can be there.

    SQLite's files beside a journal are removed only by a connection that may write, when it is the last to close. So a
    journal that its desk has closed, without such files, is opened for writing.
    """
    if path.suffix == PACKED or not path.is_file():
        return ""
    is_closed = not any(path.with_name(f"{path.name}{suffix}").exists() for suffix in ("-wal", "-journal"))
    return "mode=rw" if is_closed else "mode=ro"


class JournalReader:
    """Reads a journal, packed or not, or a copy of one, also while it is written.

    `copy` is None for the journal itself.
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            UnbornJournalError: If nothing was ever written to it.
            JournalError: If it is missing, is not a journal, or has another schema.
        """
        self.path = path.with_suffix("") if path.suffix == PACKED else path
        for _ in range(_MOST_OPENINGS):
            mode = _mode(path)
            try:
                self._open(path, mode)
            except JournalError:
                # It may be closed or packed between the check and the opening.
                if _mode(path) == mode:
                    raise
            else:
                return
        raise JournalError(f"{path} cannot be opened: at each attempt it was closed or packed meanwhile")

    def _open(self, path: Path, mode: str) -> None:
        unpacked = None
        if not mode:
            packed = packed_path(self.path)
            if not packed.is_file():
                raise JournalError(f"there is no journal {path}")
            unpacked = unpack(packed)
        file = (unpacked or path).resolve().as_uri()
        try:
            self._connection = sqlite3.connect(f"{file}?{mode or 'mode=ro&immutable=1'}", uri=True)
            self._connection.execute("PRAGMA query_only=1")
        except sqlite3.Error as error:
            raise JournalError(f"{path} cannot be opened: {error}") from None
        try:
            self.header = self._read_header()
        except JournalError:
            self._connection.close()
            raise
        finally:
            if unpacked is not None:
                # It is open by now, and disappears with this reader.
                unpacked.unlink(missing_ok=True)

    def _read_header(self) -> JournalHeader:
        try:
            found = dict(self._connection.execute("SELECT key, value FROM meta WHERE key IN ('header', 'copy')"))
            header = decode_header(found["header"]) if "header" in found else None
            self.copy = msgspec.json.decode(found["copy"], type=CopyMark) if "copy" in found else None
        except (sqlite3.Error, msgspec.DecodeError, IbdeskError) as error:
            kind = UnbornJournalError if self._is_empty() else JournalError
            raise kind(f"{self.path} is not a journal of ibdesk: {error}") from None
        if header is None and self._is_empty():
            raise UnbornJournalError(f"{self.path} is not a journal of ibdesk: it has no header and no events")
        if header is None or header.schema != SCHEMA_VERSION:
            written = "no schema" if header is None else f"schema {header.schema}"
            raise JournalError(
                f"{self.path} was written by another version of ibdesk ({written}, this one reads {SCHEMA_VERSION}): "
                f"read it with that version"
            )
        return header

    def _is_empty(self) -> bool:
        """Return whether the file is empty or a database without events."""
        try:
            tables = {
                name for (name,) in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
            if "events" not in tables:
                return tables <= {"meta"}
            return not self._connection.execute("SELECT 1 FROM events LIMIT 1").fetchall()
        except sqlite3.Error:
            return False

    def entries(self) -> Iterator[Entry]:
        """Yield every event and its actions, in order.

        Raises:
            JournalError: At an entry that cannot be read or a missing number, or if this is a copy.
        """
        if self.copy is not None:
            raise JournalError(
                f"{self.path} is a copy, which holds only what changed books: use the journal of this name on "
                f"{self.copy.host}, where that desk ran"
            )
        for expected, row in enumerate(self._rows("SELECT number, event, actions FROM events ORDER BY 1"), 1):
            if row[0] != expected:
                raise JournalError(f"{self.path} lacks event {expected}: it is damaged")
            yield self._entry(*row)

    def rows(self) -> Iterator[BookRow]:
        """Yield every event in written form, in order, also after a missing one.

        Raises:
            JournalError: If the file cannot be read.
        """
        after = 0
        for number, at_ns, event, actions in self._select(
            "SELECT number, at_ns, event, actions FROM events ORDER BY number", ()
        ):
            yield BookRow(number, after, at_ns, event, actions)
            after = number

    def integrity_faults(self) -> list[str]:
        """Return the findings of SQLite's own check of the file, at most ten sentences.

        Raises:
            JournalError: If the file is too damaged for the check.
        """
        return [text for (text,) in self._select("PRAGMA integrity_check(10)", ()) if text != "ok"]

    def copy_into(
        self, target: sqlite3.Connection, *, pages: int, progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Copy the file as it is now into another database, while its writer continues.

        After each `pages` pages, `progress` receives the remaining and the total number.

        Raises:
            JournalError: If it cannot be copied.
        """

        def tell(_status: int, left: int, total: int) -> None:
            if progress is not None:
                progress(left, total)

        try:
            # One read transaction around everything: otherwise SQLite starts over whenever the writer commits.
            self._connection.execute("BEGIN")
            self._connection.execute("SELECT count(*) FROM meta").fetchall()
            try:
                self._connection.backup(target, pages=pages, progress=tell, sleep=0)
            finally:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise JournalError(f"{self.path} cannot be copied: {error}") from None

    def book_entries(self) -> Iterator[Entry]:
        """Yield the events that may have changed a book, an order or a run, in order; they are few among market data.

        Raises:
            JournalError: At an entry that cannot be read.
        """
        for row in self._rows("SELECT number, event, actions FROM events WHERE books ORDER BY 1"):
            yield self._entry(*row)

    def book_rows(self, after: int, *, at_most_bytes: int) -> list[BookRow]:
        """Return the events after number `after` that may have changed books, in written form, oldest first.

        Together they have at most `at_most_bytes`, but there is at least one if any exists.

        Raises:
            JournalError: If the file cannot be read.
        """
        rows: list[BookRow] = []
        size, query = 0, "SELECT number, at_ns, event, actions FROM events WHERE books AND number > ? ORDER BY number"
        with contextlib.closing(self._select(query, (after,))) as found:
            for number, at_ns, event, actions in found:
                row = BookRow(number, after, at_ns, event, actions)
                size += row.size
                if rows and size > at_most_bytes:
                    break
                rows.append(row)
                after = number
        return rows

    @property
    def last_book_number(self) -> int:
        """The number of the newest event that may have changed a book, or 0."""
        [(number,)] = self._select("SELECT max(number) FROM events WHERE books", ())
        return number or 0

    def book_bytes(self, last: int) -> int:
        """Return the approximate bytes of the events up to number `last` that may have changed a book."""
        query = "SELECT total(64 + length(event) + ifnull(length(actions), 0)) FROM events WHERE books AND number <= ?"
        [(size,)] = self._select(query, (last,))
        return int(size)

    @property
    def last_number(self) -> int:
        """The number of the newest written event, or 0."""
        [(number,)] = self._select("SELECT max(number) FROM events", ())
        return number or 0

    @property
    def first_lacking(self) -> int:
        """The lowest missing number among the written events; 0 if none is missing or this is a copy."""
        [(count, last)] = self._select("SELECT count(*), max(number) FROM events", ())
        if self.copy is not None or count == (last or 0):
            return 0
        for expected, (number,) in enumerate(self._select("SELECT number FROM events ORDER BY number", ()), 1):
            if number != expected:
                return expected
        return 0

    def between(
        self,
        first: int,
        last: int,
        *,
        texts: Sequence[str] = (),
        kinds: Sequence[str] = (),
        since_ns: int = 0,
        until_ns: int = 2**63 - 1,
        newest_first: bool = False,
    ) -> Iterator[Entry]:
        """Yield the events numbered from `first` to `last` that happened between two times.

        Most events that contain none of `texts` (if given), or are of none of `kinds`, are left out; not all, because
        SQLite compares bytes only.

        Raises:
            JournalError: At an entry that cannot be read.
        """
        conditions = ["number BETWEEN ? AND ?", "at_ns BETWEEN ? AND ?"]
        values: list[object] = [first, last, since_ns, until_ns]
        for text in texts:
            conditions.append("(instr(event, ?) OR instr(actions, ?))")
            values += [text.encode()] * 2
        if kinds:
            conditions.append(f"({' OR '.join('instr(event, ?)' for _ in kinds)})")
            values += [encode_kind(kind) for kind in kinds]
        order = "DESC" if newest_first else "ASC"
        query = f"SELECT number, event, actions FROM events WHERE {' AND '.join(conditions)} ORDER BY number {order}"  # noqa: S608 - of fixed parts
        for row in self._select(query, values):
            yield self._entry(*row)

    def _entry(self, number: int, event: bytes, actions: bytes | None) -> Entry:
        try:
            return Entry(number, decode_event(event), decode_actions(actions) if actions else [])
        except (msgspec.DecodeError, IbdeskError) as error:
            raise JournalError(f"{self.path}, event {number}, cannot be read: {error}") from None

    def _rows(self, query: str) -> Iterator[tuple[int, bytes, bytes | None]]:
        yield from self._select(query, ())

    def _select(self, query: str, values: Sequence[object]) -> Generator[Any]:
        try:
            yield from self._connection.execute(query, values)
        except sqlite3.Error as error:
            raise JournalError(f"{self.path} cannot be read: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
