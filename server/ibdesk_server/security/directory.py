"""The file of users, keys and logins, shared by all server processes and commands of a machine."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ibdesk.config import private_folder
from ibdesk.errors import ConfigError

Row = tuple[Any, ...]

_VERSION = 1
_BUSY_SECONDS = 5.0
_SCHEMA = """
CREATE TABLE users (
    name TEXT PRIMARY KEY, role TEXT NOT NULL, password TEXT NOT NULL, disabled INTEGER NOT NULL,
    generation TEXT NOT NULL, created_ns INTEGER NOT NULL
) STRICT;
CREATE TABLE keys (
    prefix TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, digest BLOB NOT NULL, role TEXT NOT NULL, scopes TEXT,
    created_by TEXT NOT NULL, created_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL, revoked INTEGER NOT NULL,
    used_ns INTEGER
) STRICT;
CREATE TABLE logins (
    id TEXT PRIMARY KEY, user TEXT NOT NULL, generation TEXT NOT NULL, digest BLOB NOT NULL,
    created_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL
) STRICT;
CREATE TABLE tickets (
    digest BLOB PRIMARY KEY, use TEXT NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL, generation TEXT NOT NULL,
    created_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL
) STRICT;
CREATE TABLE attempts (
    subject TEXT PRIMARY KEY, failures INTEGER NOT NULL, at_ns INTEGER NOT NULL
) STRICT;
"""


class Directory:
    """A SQLite file that only its owner can read; without a path, an in-memory database for one process.

    Several threads may use it; calls are serialized. Passwords, keys and tickets are stored as hashes.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Open the file, or create it.

        Raises:
            ConfigError: If it cannot be opened or created, others may read it, or another version of ibdesk wrote it.
        """
        self.path = path
        self._lock = threading.Lock()
        try:
            if path is not None:
                _reserve(path)
            self._connection = sqlite3.connect(
                ":memory:" if path is None else path,
                isolation_level=None,
                check_same_thread=False,
                timeout=_BUSY_SECONDS,
            )
            self.close = weakref.finalize(self, self._connection.close)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"users and keys cannot be stored in {path}: {error}") from None

    def rows(self, query: str, *values: Any) -> list[Row]:
        """Return the rows of a query."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def row(self, query: str, *values: Any) -> Row | None:
        """Return the first row of a query, None if there is none."""
        return next(iter(self.rows(query, *values)), None)

    @contextlib.contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction: all changes in the block are made, or none."""
        with self._lock, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection

    def _begin_wal(self) -> None:
        """Switch to WAL mode, so that readers and a writer do not wait for each other.

        SQLite does not wait for locks during this switch.
        """
        ends = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.01)
            else:
                return

    def _prepare(self) -> None:
        self._begin_wal()
        # A confirmed revocation must survive a power failure.
        self._connection.execute("PRAGMA synchronous = FULL")
        with self.change() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                raise ConfigError(
                    f"{self.path} has version {version}, this ibdesk supports {_VERSION}: use another file"
                )


def _reserve(path: Path) -> None:
    """Create the file with access for its owner only, or check an existing file's permissions."""
    private_folder(path.parent)
    # An existing file is not opened: closing it would release this process's SQLite locks on it.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigError(f"others may read users and keys in {path}: run `chmod 600 {path}`")
