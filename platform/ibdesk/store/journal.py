"""The append-only record of a desk: every event that reached the engine, and the actions it caused.

One SQLite file in WAL mode. Events are buffered and written, with the actions they caused, in one transaction
before any action's bytes leave; a tick that trades nothing costs no separate write. A commit survives the death of
the process at any point; after a loss of power the last moments may be missing (``synchronous=NORMAL``).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ibdesk.config import private_folder
from ibdesk.engine import RiskLimits
from ibdesk.errors import JournalError
from ibdesk.model import (
    UNENCODABLE,
    AccountReport,
    Action,
    Bar,
    BooksCompared,
    Event,
    Notice,
    Quote,
    RunInterrupted,
    Tick,
    TimerFired,
    encode_actions,
    encode_event,
)

# 5: `Restore` and its `EngineSnapshot` have these names.
# 4: halts have a scope and a state, and runs a budget.
# 3: halts have ids, and the states of strategies are written by change.
# 2: the table `events` marks those that change books, and a journal says which one it continues.
SCHEMA_VERSION = 5

# Events that change no book, order or run unless they cause an action.
_PASSING: frozenset[type] = frozenset(
    {Bar, Quote, Tick, AccountReport, BooksCompared, Notice, RunInterrupted, TimerFired}
)

_SCHEMA = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL)",
    "CREATE TABLE events (number INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, event BLOB NOT NULL, actions BLOB, "
    "books INTEGER)",
    "CREATE INDEX book_events ON events (number) WHERE books",
)
# The longest wait of a commit for another program that has locked the file; the desk stands still meanwhile.
_LOCKED_SECONDS = 0.1
# The maximum of SQLite, in any version.
_MOST_PAGES = 2**30
INSERT = "INSERT INTO events (number, at_ns, event, actions, books) VALUES (?, ?, ?, ?, ?)"


class JournalHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The facts that a replay needs besides the events; `limits` are those of the risk gate.

    `account` is the one in the settings, empty if TWS's only account is traded; `client_id` is the desk's at TWS.
    """

    program: str
    mode: str
    account: str
    started_ns: int
    limits: RiskLimits
    client_id: int = 0
    schema: int = SCHEMA_VERSION


class CopyMark(msgspec.Struct, frozen=True, kw_only=True):
    """The mark of a copy, which holds only the events that may have changed books.

    `host` is the machine that has the journal itself. `fault` says why no desk can continue from the copy, or is empty.
    """

    host: str
    fault: str = ""


class Journal:
    """Writes the journal. Used from one thread; a `JournalLogKeeper` keeps the file's write-ahead log short."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._buffer: list[tuple[int, int, bytes, bytes | None, int | None]] = []
        self._number = 0
        # Bytes that are recorded and not written yet.
        self.waiting_bytes = 0

    @classmethod
    def create(cls, path: Path, header: JournalHeader) -> Journal:
        """Begin a journal in a new file that only its owner may read.

        Raises:
            JournalError: If the file exists or cannot be written.
        """
        connection = begin_file(path, header)
        # `JournalLogKeeper` makes the checkpoints, where no order waits for them.
        connection.execute("PRAGMA wal_autocheckpoint=0")
        # A log that starts over is truncated, because its keeper checks its length.
        connection.execute("PRAGMA journal_size_limit=0")
        return cls(path, connection)

    @property
    def count(self) -> int:
        """The number of events recorded so far."""
        return self._number

    def limit_pages(self, more: int | None) -> None:
        """Let the file grow by at most `more` pages, as on a full disk; None removes the limit."""
        [pages] = self._connection.execute("PRAGMA page_count").fetchone()
        self._connection.execute(f"PRAGMA max_page_count={_MOST_PAGES if more is None else pages + more}")

    def record(self, event: Event, actions: Sequence[Action]) -> None:
        """Add an event and the actions it caused to the buffer.

        Raises:
            JournalError: If one of them has no journal form; the journal then lacks the event's number.
        """
        self._number += 1
        try:
            encoded = encode_actions(actions) if actions else None
            data = encode_event(event)
        except UNENCODABLE as error:
            kind = event.__struct_config__.tag
            raise JournalError(f"journal {self.path} lacks event {self._number} ({kind}): {error}") from None
        books = 1 if encoded is not None or event.__class__ not in _PASSING else None
        self._buffer.append((self._number, event.at_ns, data, encoded, books))
        self.waiting_bytes += len(data) + len(encoded or b"")

    def commit(self) -> bool:
        """Write the buffer in one transaction; return whether it held anything.

        Raises:
            JournalError: If it cannot be written; then nothing may be sent.
        """
        if not self._buffer:
            return False
        try:
            if len(self._buffer) == 1:
                # A single statement, the most frequent case, is its own transaction.
                self._connection.execute(INSERT, self._buffer[0])
            else:
                self._connection.execute("BEGIN")
                self._connection.executemany(INSERT, self._buffer)
                self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            # Nothing was written; the events stay in the buffer for the next commit.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise JournalError(f"journal {self.path} cannot be written: {error}") from error
        self._buffer.clear()
        self.waiting_bytes = 0
        return True

    def close(self) -> None:
        """Write the buffer and close the file; a second call does nothing."""
        try:
            self.commit()
        finally:
            self._connection.close()


def begin_file(path: Path, header: JournalHeader, copy: CopyMark | None = None) -> sqlite3.Connection:
    """Create a file without events that only its owner may read, and return a connection that writes it.

    The file appears complete, with its header and on disk, or not at all: a process that dies meanwhile leaves no file
    of this name.

    Raises:
        JournalError: If the file exists or cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        private_folder(path.parent)
        try:
            _write_header(beside, header, copy)
            os.link(beside, path)
        finally:
            for suffix in ("", "-journal", "-wal", "-shm"):
                beside.with_name(f"{beside.name}{suffix}").unlink(missing_ok=True)
        _sync(path.parent)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_LOCKED_SECONDS)
        connection.execute("PRAGMA synchronous=NORMAL")
    except (OSError, sqlite3.Error) as error:
        if isinstance(error, FileExistsError) and path.exists():
            raise JournalError(f"journal {path} already exists: a journal is never overwritten") from None
        raise JournalError(f"journal {path} cannot be created: {error}") from error
    return connection


def _write_header(path: Path, header: JournalHeader, copy: CopyMark | None) -> None:
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        for statement in _SCHEMA:
            connection.execute(statement)
        if copy is not None:
            connection.execute("INSERT INTO meta VALUES ('copy', ?)", (msgspec.json.encode(copy),))
        connection.execute("INSERT INTO meta VALUES ('header', ?)", (encode_header(header),))
        connection.execute("COMMIT")
        # Set in the temporary file: dying while the mode changes leaves a file that a reader cannot open.
        connection.execute("PRAGMA journal_mode=WAL")


def _sync(folder: Path) -> None:
    """Fsync the names in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def encode_header(header: JournalHeader) -> bytes:
    """Return the header as JSON; limits are written as text, because JSON has no infinity."""
    plain: dict[str, object] = msgspec.to_builtins(header)
    limits = {name: str(value) for name, value in msgspec.to_builtins(header.limits).items()}
    return msgspec.json.encode(plain | {"limits": limits})


def decode_header(data: bytes) -> JournalHeader:
    """Return the header that `data` encodes.

    Raises:
        msgspec.DecodeError: If `data` is not a header.
        IbdeskError: If it holds impossible limits.
    """
    return msgspec.json.decode(data, type=JournalHeader, strict=False)
