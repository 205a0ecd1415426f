"""Disk space reserved for the last journal entries: a file that is removed when the disk is full."""

from __future__ import annotations

import os
from pathlib import Path

from ibdesk.config import private_folder
from ibdesk.errors import JournalError

RESERVE_BYTES = 1024 * 1024


class Reserve:
    """A file of a fixed size; `release` frees its space for the next writes."""

    def __init__(self, path: Path, *, size: int = RESERVE_BYTES) -> None:
        self._path, self._size = path, size

    def take(self) -> None:
        """Reserve the space, if that is not done yet.

        Raises:
            JournalError: If the disk is full.
        """
        try:
            if self._path.exists() and self._path.stat().st_size == self._size:
                return
            private_folder(self._path.parent)
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._size)
            finally:
                os.close(descriptor)
        except OSError as error:
            self.release()
            raise JournalError(
                f"there is no room for a reserve of {self._size // 1024} KiB in {self._path.parent} "
                f"({error.strerror}): make room on that disk"
            ) from error

    def release(self) -> None:
        """Free the space."""
        self._path.unlink(missing_ok=True)
