"""The file that says who may use the server; all of a machine's server processes and commands share it."""

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
    """A small SQLite file, readable by its owner alone; without a path it is in memory, for one process.

    It may be used by several threads; each call waits its turn. Passwords, keys and tickets are in it as hashes.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Open the file; it is made when there is none.

        Raises:
            ConfigError: If it cannot be opened or made, others may read it, or another version of ibdesk wrote it.
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
            raise ConfigError(f"users and keys cannot be kept in {path}: {error}") from None

    def rows(self, query: str, *values: Any) -> list[Row]:
        """Return the rows that a query finds."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def row(self, query: str, *values: Any) -> Row | None:
        """Return the first row that a query finds."""
        return next(iter(self.rows(query, *values)), None)

    @contextlib.contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Hold the file for a change of several steps, which is made whole or not at all."""
        with self._lock, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection

    def _begin_wal(self) -> None:
        """Have readers and a writer not wait for each other; SQLite waits for nobody while it changes to that."""
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
        # A revocation that was confirmed must outlive a loss of power.
        self._connection.execute("PRAGMA synchronous = FULL")
        with self.change() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                raise ConfigError(
                    f"{self.path} is of version {version}, this ibdesk knows {_VERSION}: use another file"
                )


def _reserve(path: Path) -> None:
    """Make the file for its owner alone, or see that it is."""
    private_folder(path.parent)
    # One that is there is not even opened: closing it again would take SQLite's locks from all of this process.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigError(f"others may read users and keys in {path}: run `chmod 600 {path}`")
