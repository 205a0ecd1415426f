"""Finished journals, packed: a compressed file beside which nothing else is needed, read like any journal."""

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
    """Return where the packed form of a journal lies."""
    return path.with_name(f"{path.name}{PACKED}")


def stored_size(path: Path) -> int:
    """Return the bytes that a journal takes on disk, packed or not, also while it is being packed.

    Raises:
        FileNotFoundError: If it is there in neither form.
    """
    try:
        return path.stat().st_size
    except FileNotFoundError:
        # The packed form is there before the other one goes.
        return packed_path(path).stat().st_size


def unpack(packed: Path) -> Path:
    """Unpack a journal into a file of its own in the same folder, to be removed by the caller, and return its path.

    Raises:
        JournalError: If it is damaged, or there is no room.
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
    """Put a packed file in the place of a finished journal; return whether that was done.

    It is not while another connection, such as that of the desk that writes it, is open, or when `is_ending` says yes
    on the way. The packed file is compared with the journal before that is removed.

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
        # When it was written last tells how old it is.
        os.utime(part, ns=(found.st_atime_ns, found.st_mtime_ns))
        part.replace(packed_path(path))
    finally:
        part.unlink(missing_ok=True)
    path.unlink()
    return True


def _settle(path: Path) -> bool:
    """Have all of a journal in its one file; return whether it is, and nobody else has it open."""
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
