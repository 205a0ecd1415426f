"""The append-only record of a desk: every event that reached the engine, and the actions it caused.

One SQLite file in WAL mode. Events are buffered and written, with the actions they caused, in one transaction
before any action's bytes leave; a tick that trades nothing costs no write of its own. A commit survives the death of
the process at any point; after a loss of power the last moments may be missing (``synchronous=NORMAL``).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ibdesk.engine import RiskLimits
from ibdesk.errors import IbdeskError, JournalError
from ibdesk.model import (
    AccountReport,
    Action,
    Bar,
    Event,
    Notice,
    Quote,
    Tick,
    TimerFired,
    decode_actions,
    decode_event,
    encode_actions,
    encode_event,
    encode_kind,
)

# 2: the table `events` marks those that change books, and lives take over from each other (`TakeOver`).
SCHEMA_VERSION = 2

# Events that change no book, no order and no run as long as they cause no action.
_PASSING: frozenset[type] = frozenset({Bar, Quote, Tick, AccountReport, Notice, TimerFired})

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    at_ns INTEGER NOT NULL,
    event BLOB NOT NULL,
    actions BLOB,
    books INTEGER
);
CREATE INDEX book_events ON events (number) WHERE books;
"""
_INSERT = "INSERT INTO events (number, at_ns, event, actions, books) VALUES (?, ?, ?, ?, ?)"


class JournalHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay must know besides the events; `limits` are those of the risk gate.

    `account` is the one in the settings, empty where TWS's only one is traded; `client_id` is the desk's at TWS.
    """

    program: str
    mode: str
    account: str
    started_ns: int
    limits: RiskLimits
    client_id: int = 0
    schema: int = SCHEMA_VERSION


class Entry(msgspec.Struct, frozen=True):
    """One event, numbered from 1, and the actions it caused."""

    number: int
    event: Event
    actions: list[Action]


class Journal:
    """Writes the record. Used from one thread."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._buffer: list[tuple[int, int, bytes, bytes | None, int | None]] = []
        self._number = 0

    @classmethod
    def create(cls, path: Path, header: JournalHeader) -> Journal:
        """Begin a journal in a new file that only its owner may read.

        Raises:
            JournalError: If the file exists or cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.executescript(_SCHEMA)
            connection.execute("INSERT INTO meta VALUES ('header', ?)", (msgspec.json.encode(_plain(header)),))
        except (OSError, sqlite3.Error) as error:
            if isinstance(error, FileExistsError) and path.exists():
                raise JournalError(f"journal {path} exists already: a journal is never written over") from None
            raise JournalError(f"journal {path} cannot be begun: {error}") from error
        return cls(path, connection)

    @property
    def count(self) -> int:
        """The number of events recorded so far."""
        return self._number

    def record(self, event: Event, actions: Sequence[Action]) -> None:
        """Take an event and the actions it caused into the buffer."""
        self._number += 1
        encoded = encode_actions(actions) if actions else None
        books = 1 if encoded is not None or event.__class__ not in _PASSING else None
        self._buffer.append((self._number, event.at_ns, encode_event(event), encoded, books))

    def commit(self) -> bool:
        """Write what is buffered, in one transaction; return whether there was anything.

        Raises:
            JournalError: If it cannot be written; then nothing may be sent either.
        """
        if not self._buffer:
            return False
        try:
            self._connection.execute("BEGIN")
            self._connection.executemany(_INSERT, self._buffer)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            # Nothing of it counts; it stays in the buffer for the next time.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise JournalError(f"journal {self.path} cannot be written: {error}") from error
        self._buffer.clear()
        return True

    def close(self) -> None:
        """Write what is buffered and let go of the file; closing twice is one closing."""
        try:
            self.commit()
        finally:
            self._connection.close()


class JournalReader:
    """Reads a journal, also one that is still being written."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            JournalError: If it is missing, no journal, or of another schema.
        """
        self.path = path
        if not path.is_file():
            raise JournalError(f"there is no journal {path}")
        try:
            self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        except sqlite3.Error as error:
            raise JournalError(f"{path} cannot be opened: {error}") from None
        try:
            self.header = self._read_header()
        except JournalError:
            self._connection.close()
            raise

    def _read_header(self) -> JournalHeader:
        try:
            row = self._connection.execute("SELECT value FROM meta WHERE key = 'header'").fetchone()
            header = msgspec.json.decode(row[0], type=JournalHeader, strict=False) if row else None
        except (sqlite3.Error, msgspec.DecodeError, IbdeskError) as error:
            raise JournalError(f"{self.path} is not a journal of ibdesk: {error}") from None
        if header is None or header.schema != SCHEMA_VERSION:
            written = "no schema" if header is None else f"schema {header.schema}"
            raise JournalError(
                f"{self.path} was written by another version of ibdesk ({written}, this one reads {SCHEMA_VERSION}): "
                f"read it with that version"
            )
        return header

    def entries(self) -> Iterator[Entry]:
        """Give every event and its actions, in order.

        Raises:
            JournalError: At an entry that cannot be read, or a number that is missing.
        """
        for expected, row in enumerate(self._rows("SELECT number, event, actions FROM events ORDER BY 1"), 1):
            if row[0] != expected:
                raise JournalError(f"{self.path} lacks event {expected}: it is damaged")
            yield self._entry(*row)

    def book_entries(self) -> Iterator[Entry]:
        """Give the events that may have changed a book, an order or a run, in order: few among those of the market.

        Raises:
            JournalError: At an entry that cannot be read.
        """
        for row in self._rows("SELECT number, event, actions FROM events WHERE books ORDER BY 1"):
            yield self._entry(*row)

    @property
    def last_number(self) -> int:
        """The number of the newest event that has been written, 0 when none has."""
        [(number,)] = self._select("SELECT max(number) FROM events", ())
        return number or 0

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
        """Give the events numbered from `first` to `last` that happened between two times.

        Those that contain none of `texts` (when there are any), or are of none of `kinds`, are left out, not all of
        them: SQLite looks at bytes only.

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

    def _select(self, query: str, values: Sequence[object]) -> Iterator[Any]:
        try:
            yield from self._connection.execute(query, values)
        except sqlite3.Error as error:
            raise JournalError(f"{self.path} cannot be read: {error}") from None

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _plain(header: JournalHeader) -> dict[str, object]:
    """Return the header for JSON, which knows no infinity: a limit that is off is written as text."""
    plain: dict[str, object] = msgspec.to_builtins(header)
    limits = {name: str(value) for name, value in msgspec.to_builtins(header.limits).items()}
    return plain | {"limits": limits}
