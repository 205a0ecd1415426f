"""Packed journals: finished ones as a single compressed file, read like any journal."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

from ibdesk.config import owner_only
from ibdesk.errors import JournalError

PACKED = ".gz"
_CHUNK_BYTES = 1024 * 1024


def packed_path(path: Path) -> Path:
    """Return the path of a journal's packed form."""
    return path.with_name(f"{path.name}{PACKED}")


def stored_size(path: Path) -> int:
    """Return the bytes that a journal takes on disk, packed or not, also while it is being packed.

    Raises:
        FileNotFoundError: If neither form exists.
    """
    try:
        return path.stat().st_size
    except FileNotFoundError:
        # The packed form appears before the other one is removed.
        return packed_path(path).stat().st_size


def unpack(packed: Path) -> Path:
    """Unpack a journal into a temporary file in the same folder and return its path; the caller removes it.

    Raises:
        JournalError: If the journal is damaged, or the disk is full.
    """
    descriptor, name = tempfile.mkstemp(dir=packed.parent, prefix=".", suffix=".unpacked")
    unpacked = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file, gzip.open(packed, "rb") as source:
            shutil.copyfileobj(source, file, _CHUNK_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        unpacked.unlink(missing_ok=True)
        raise JournalError(f"{packed} cannot be unpacked: {error}") from None
    return unpacked


def pack(path: Path, *, is_ending: Callable[[], bool] = lambda: False) -> bool:
    """Replace a finished journal by a packed file; return whether that was done.

    It is not done while another connection, such as that of its desk, is open, or if `is_ending` returns True
    meanwhile. The packed file is compared with the journal before the journal is removed.

    Raises:
        OSError: If the packed file cannot be written.
    """
    found = path.stat()
    if not _settle(path):
        return False
    part = path.with_name(f".{path.name}.{os.getpid()}.new")
    part.unlink(missing_ok=True)
    try:
        with open(part, "xb", opener=owner_only) as file:
            written = hashlib.sha256()
            with path.open("rb") as source, gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as target:
                while chunk := source.read(_CHUNK_BYTES):
                    if is_ending():
                        return False
                    written.update(chunk)
                    target.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        read = hashlib.sha256()
        with gzip.open(part, "rb") as packed:
            while chunk := packed.read(_CHUNK_BYTES):
                if is_ending():
                    return False
                read.update(chunk)
        if read.digest() != written.digest():
            return False
        # The time of the last write is the age of the journal.
        os.utime(part, ns=(found.st_atime_ns, found.st_mtime_ns))
        part.replace(packed_path(path))
    finally:
        part.unlink(missing_ok=True)
    path.unlink()
    return True


def _settle(path: Path) -> bool:
    """Move all of a journal into its one file; return whether that worked and no other connection is open."""
    address = f"{path.absolute().as_uri()}?mode=rw"
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(address, uri=True, timeout=0.1)) as file,
    ):
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        # SQLite refuses this while another connection is open.
        [(mode,)] = file.execute("PRAGMA journal_mode=DELETE")
        return bool(mode == "delete")
    return False
