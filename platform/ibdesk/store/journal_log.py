"""Checkpoints of a journal's write-ahead log, made in a thread so that no order waits for them.

By default SQLite moves its log into the file when the log has grown to 1,000 pages, inside the next commit: that takes
two fsyncs and 10 ms. Here a thread with its own connection moves it without delaying a commit; only one fsync is left
to a commit, when the log starts over (https://www.sqlite.org/wal.html#ckpt).
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_log = logging.getLogger(__name__)

_LIMIT_BYTES = 16 * 1024 * 1024
_LOOK_SECONDS = 1.0
# More is written while a pass runs. A later pass has so little to move that nothing arrives during it.
_PASSES = 4


class JournalLogKeeper:
    """Checks a journal's log once a second during its ``with`` block, in its own thread."""

    def __init__(self, path: Path, *, limit_bytes: int = _LIMIT_BYTES, look_seconds: float = _LOOK_SECONDS) -> None:
        """Make a keeper for the journal at `path`, whose log stays close to `limit_bytes`."""
        self._path, self._limit_bytes, self._look_seconds = path, limit_bytes, look_seconds
        self._log_path = path.with_name(f"{path.name}-wal")
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ibdesk-journal-log", daemon=True)
        self._failed = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(self._look_seconds):
            try:
                if self._log_path.stat().st_size > self._limit_bytes:
                    self._shorten()
                    self._failed = False
            except (OSError, sqlite3.Error) as error:
                if not self._failed:
                    _log.warning("the log of journal %s cannot be shortened and grows: %s", self._path, error)
                self._failed = True

    def _shorten(self) -> None:
        # mode=rw creates no file if there is none.
        address = f"{self._path.absolute().as_uri()}?mode=rw"
        with contextlib.closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
            for _ in range(_PASSES):
                _, in_log, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                if moved == in_log:
                    # The next commit overwrites the log from its beginning.
                    return
