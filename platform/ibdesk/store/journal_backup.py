"""Backups of a journal while its desk writes it: consistent, and without making the desk wait.

SQLite's backup API copies pages inside one read transaction. In WAL mode a reader takes no lock that a writer needs:
the desk commits meanwhile, and the copy is the journal as it was when the copying began. The write-ahead log cannot
start over until the copy ends; for a journal of gigabytes that takes some seconds.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec

from ibdesk.config import private_folder
from ibdesk.errors import JournalError
from ibdesk.store.journal_packing import pack
from ibdesk.store.journal_reader import JournalReader

# Pages copied between two calls of `progress`.
_PAGES = 4_096


class BackupReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a backup: its file, its size, and the number of its last event."""

    journal: str
    path: str
    size_bytes: int
    events: int


def back_up(path: Path, target: Path, *, progress: Callable[[int, int], None] | None = None) -> BackupReport:
    """Copy a journal, packed or not, into a new file that only its owner may read; packed if it ends in ``.gz``.

    The file appears complete and on disk, or not at all. `progress` receives the remaining and the total pages.

    Raises:
        JournalError: If the journal cannot be read, or the file exists or cannot be written.
    """
    is_packed = target.suffix == ".gz"
    plain = target.with_suffix("") if is_packed else target
    beside = target.with_name(f".{plain.name}.{os.getpid()}.backup")
    if target.exists():
        raise _exists(target)
    try:
        private_folder(target.parent)
        beside.unlink(missing_ok=True)
        os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            with JournalReader(path) as journal, contextlib.closing(sqlite3.connect(beside)) as copy:
                journal.copy_into(copy, pages=_PAGES, progress=progress)
                copy.execute("PRAGMA journal_mode=DELETE")
            with JournalReader(beside) as copied:
                events = copied.last_number
            made = beside
            if is_packed:
                if not pack(beside):
                    raise JournalError(f"the backup {target} cannot be packed: the data read back differs")
                made = beside.with_name(f"{beside.name}.gz")
            _sync(made)
            _name(made, target)
            _sync(target.parent)
        finally:
            for each in (beside, beside.with_name(f"{beside.name}.gz")):
                for suffix in ("", "-journal", "-wal", "-shm"):
                    each.with_name(f"{each.name}{suffix}").unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        raise JournalError(f"the backup {target} cannot be written: {error}") from error
    return BackupReport(journal=path.name, path=str(target), size_bytes=target.stat().st_size, events=events)


def _name(made: Path, target: Path) -> None:
    try:
        # Unlike a rename, a link never replaces a file that was just made.
        os.link(made, target)
    except FileExistsError:
        raise _exists(target) from None


def _exists(target: Path) -> JournalError:
    return JournalError(f"{target} already exists: a backup is never overwritten; name another file")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
