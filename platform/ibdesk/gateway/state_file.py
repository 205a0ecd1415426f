"""The file in which what outlives a gateway is kept: a SQLite database of rows that are replaced one by one.

It is readable by its owner only, and one gateway at a time has it. What was written before the process is killed is
there afterwards; when the whole machine loses its power the last moments may be lost, and the file is sound.
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
# APPLICATION: what marks the file as ours, "ibgw" in SQLite's header; FORMAT: the version of what the rows hold.
APPLICATION = int.from_bytes(b"ibgw")
FORMAT = 1
_MAGIC = b"SQLite format 3\0"
_TABLE = """
CREATE TABLE kept (kind TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, name))
"""
_PUT = """
INSERT INTO kept (kind, name, value) VALUES (?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value
"""


class Row(msgspec.Struct, frozen=True):
    """One thing that is kept: what kind it is, its name among those, and its value as JSON."""

    kind: str
    name: str
    value: bytes


class StateFile:
    """The file at `path`, which need not be there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database: sqlite3.Connection | None = None

    def open(self) -> list[Row]:
        """Take the file for this gateway alone, making it where there is none; return its rows, the oldest first.

        Raises:
            ConfigError: If it cannot be read or made, is in use, or is not such a file; it is left as it is.
        """
        if not self._is_there():
            self._make()
        try:
            self._database = database = sqlite3.connect(self.path, timeout=0, isolation_level=None)
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            # Each commit is with the operating system when it returns; only a checkpoint waits for the disk.
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("BEGIN IMMEDIATE")
            [(verdict,)] = database.execute("PRAGMA quick_check (1)")
            if verdict != "ok":
                raise sqlite3.DatabaseError(f"it is damaged: {verdict}")
            rows = [Row(*row) for row in database.execute("SELECT kind, name, value FROM kept ORDER BY rowid")]
            database.execute("COMMIT")
        except sqlite3.Error as error:
            self.close()
            if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                raise ConfigError(
                    f"gateway.state {self.path} is in use by another gateway: stop that one, or name another file"
                ) from error
            raise ConfigError(f"gateway.state {self.path} cannot be read: {error}") from error
        return rows

    def put(self, rows: Iterable[Row], *, alone: bool = False) -> None:
        """Write these rows in the place of those of the same kind and name, all or none; `alone`, of all others too.

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
        """Let other gateways have it; doing so twice changes nothing."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _is_there(self) -> bool:
        """Return whether the file is there; one that is must be ours, and its header tells so without touching it."""
        try:
            with self.path.open("rb") as stream:
                header = stream.read(100)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ConfigError(f"gateway.state {self.path} cannot be read: {error.strerror or error}") from error
        if header[:16] != _MAGIC or int.from_bytes(header[68:72]) != APPLICATION:
            raise ConfigError(f"gateway.state {self.path} holds no state of a gateway, and is left as it is")
        found = int.from_bytes(header[60:64])
        if found != FORMAT:
            raise ConfigError(
                f"gateway.state {self.path} has format {found} and this gateway reads format {FORMAT}: "
                "name another file; this one is left as it is"
            )
        return True

    def _make(self) -> None:
        """Make the file under another name and then give it its own, so that half a file is never found."""
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}.new")
        try:
            os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY))
            with contextlib.closing(sqlite3.connect(beside, isolation_level=None)) as database:
                database.execute(_TABLE)
                database.execute(f"PRAGMA application_id = {APPLICATION}")
                database.execute(f"PRAGMA user_version = {FORMAT}")
            # Unlike a renaming, a link never takes the place of a file that another gateway has just made.
            with contextlib.suppress(FileExistsError):
                os.link(beside, self.path)
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(f"gateway.state {self.path} cannot be written: {reason}") from error
        finally:
            beside.unlink(missing_ok=True)
