"""The state file of a gateway: a SQLite database of rows that are replaced one by one.

Only its owner can read it, and only one gateway at a time uses it. Rows written before the process is killed are kept.
If the whole machine loses power the last moments may be lost, but the file stays valid.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ibdesk.errors import ConfigError

OWNER_ONLY = 0o600
# Our mark in SQLite's header, "ibgw", and the format version of the rows.
APPLICATION = int.from_bytes(b"ibgw")
FORMAT = 1
_MAGIC = b"SQLite format 3\0"
_TABLE = """
CREATE TABLE kept (kind TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, name))
"""
_PUT = """
INSERT INTO kept (kind, name, value) VALUES (?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value
"""


class StoredRow(msgspec.Struct, frozen=True):
    """One stored value as JSON, with its kind and its name within the kind."""

    kind: str
    name: str
    value: bytes


class StateFile:
    """The file at `path`, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database: sqlite3.Connection | None = None

    def open(self) -> list[StoredRow]:
        """Open the file for this gateway alone, creating it if needed; return its rows, oldest first.

        Raises:
            ConfigError: If it cannot be read or created, is in use, or is not a state file. It is not changed.
        """
        if not self._is_there():
            self._make()
        try:
            self._database = database = sqlite3.connect(self.path, timeout=0, isolation_level=None)
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            # Each commit has reached the operating system when it returns; only a checkpoint waits for the disk.
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("BEGIN IMMEDIATE")
            [(verdict,)] = database.execute("PRAGMA quick_check (1)")
            if verdict != "ok":
                raise sqlite3.DatabaseError(f"it is damaged: {verdict}")
            rows = [StoredRow(*row) for row in database.execute("SELECT kind, name, value FROM kept ORDER BY rowid")]
            database.execute("COMMIT")
        except sqlite3.Error as error:
            self.close()
            if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                raise ConfigError(
                    f"gateway.state {self.path} is in use by another gateway: stop that one, or name another file"
                ) from error
            raise ConfigError(f"gateway.state {self.path} cannot be read: {error}") from error
        return rows

    def put(self, rows: Iterable[StoredRow], *, alone: bool = False) -> None:
        """Write all rows or none in place of those of the same kind and name; with `alone`, in place of all others too.

        Raises:
            OSError: If they cannot be written; the old ones stay.
        """
        if self._database is None:
            raise OSError(f"{self.path} is closed")
        try:
            with self._database as database:
                database.execute("BEGIN IMMEDIATE")
                if alone:
                    database.execute("DELETE FROM kept")
                database.executemany(_PUT, ((row.kind, row.name, row.value) for row in rows))
        except sqlite3.Error as error:
            raise OSError(f"{error}") from error

    def close(self) -> None:
        """Release the file for other gateways; further calls have no effect."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _is_there(self) -> bool:
        """Return whether the file exists. Its header, which is read without touching it, must be ours."""
        try:
            with self.path.open("rb") as stream:
                header = stream.read(100)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ConfigError(f"gateway.state {self.path} cannot be read: {error.strerror or error}") from error
        if header[:16] != _MAGIC or int.from_bytes(header[68:72]) != APPLICATION:
            raise ConfigError(f"gateway.state {self.path} is not a gateway's state file; it is not changed")
        found = int.from_bytes(header[60:64])
        if found != FORMAT:
            raise ConfigError(
                f"gateway.state {self.path} has format {found} and this gateway reads format {FORMAT}: "
                "name another file; this one is not changed"
            )
        return True

    def _make(self) -> None:
        """Create the file under a temporary name and then link it, so that a partial file is never found."""
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}.new")
        try:
            os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY))
            with contextlib.closing(sqlite3.connect(beside, isolation_level=None)) as database:
                database.execute(_TABLE)
                database.execute(f"PRAGMA application_id = {APPLICATION}")
                database.execute(f"PRAGMA user_version = {FORMAT}")
            # Unlike a rename, a link never replaces a file that another gateway has just created.
            with contextlib.suppress(FileExistsError):
                os.link(beside, self.path)
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(f"gateway.state {self.path} cannot be written: {reason}") from error
        finally:
            beside.unlink(missing_ok=True)
