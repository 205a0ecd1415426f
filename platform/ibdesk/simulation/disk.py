"""The content of a process's folder after the process, or the power of its machine, has gone."""

from __future__ import annotations

import collections
import itertools
import shutil
from pathlib import Path

_LOG = "-wal"
# SQLite rebuilds it when the first connection opens.
_SHARED = "-shm"


class Disk:
    """The folder of one process.

    After a crash the files are copies: the ended process's open files, locks and connections belong to the old files
    and change nothing any longer.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # journal: the file whose log is watched, once it exists.
        self.journal: Path | None = None
        self._sizes: collections.deque[tuple[int, int]] = collections.deque(maxlen=4_000)
        self._crashes = itertools.count(1)

    def log_bytes(self) -> int:
        """Return the present length of the journal's log."""
        if self.journal is None:
            return 0
        try:
            return self.journal.with_name(f"{self.journal.name}{_LOG}").stat().st_size
        except FileNotFoundError:
            return 0

    def note(self, now_ns: int) -> None:
        """Record the length of the log at this time."""
        size = self.log_bytes()
        if not self._sizes or self._sizes[-1][1] != size:
            self._sizes.append((now_ns, size))

    def log_bytes_at(self, at_ns: int) -> int:
        """Return the length of the log at a time, 0 before the first record."""
        return next((size for noted_ns, size in reversed(self._sizes) if noted_ns <= at_ns), 0)

    def crash(self, *, log_bytes: int | None = None) -> None:
        """Keep what a crash keeps: all written data, but only the first `log_bytes` of the journal's log."""
        if not self.folder.exists():
            return
        old = self.folder.with_name(f"{self.folder.name}.ended-{next(self._crashes)}")
        self.folder.rename(old)
        shutil.copytree(old, self.folder, ignore=lambda _, names: [name for name in names if name.endswith(_SHARED)])
        if self.journal is not None and log_bytes is not None:
            log = self.journal.with_name(f"{self.journal.name}{_LOG}")
            if log.exists() and log.stat().st_size > log_bytes:
                with log.open("r+b") as file:
                    file.truncate(log_bytes)
        self.journal = None
        self._sizes.clear()
