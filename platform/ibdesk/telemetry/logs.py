"""The log of one process: lines are made where things happen and written elsewhere, so that no order waits for a disk.

Whoever logs only puts the record into a queue. Each place that lines go to, the file and standard error, has a
queue and a thread of its own: a terminal that stands still holds up neither the desk nor the file. When a queue is
full, lines are dropped, counted, and told of as soon as there is room.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import logging.handlers
import os
import queue
import sys
import threading
from collections.abc import Iterable
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from ibdesk.config import owner_only, private_folder
from ibdesk.errors import ConfigError
from ibdesk.telemetry.lines import json_formatter, text_formatter
from ibdesk.telemetry.masking import Mask
from ibdesk.telemetry.settings import LogSettings
from ibdesk.telemetry.trace import correlation_id

# How long the end of a process waits for its last lines.
_CLOSE_SECONDS = 2.0
# How many processes of one name may write into one folder.
_NAMESAKES = 100


class Logs:
    """The log of this process, from `set_up` to `close`; leaving a ``with`` block closes it."""

    def __init__(self, mask: Mask, writers: list[_Writer], path: Path | None, lock: TextIO | None) -> None:
        self.path = path
        self._mask, self._writers, self._lock = mask, writers, lock
        self._handler = _Outbox(writers)
        self._before: tuple[list[logging.Handler], int, dict[str, int]] = ([], logging.WARNING, {})

    @classmethod
    def set_up(cls, process: str, settings: LogSettings, *, state_folder: Path, secrets: Iterable[str] = ()) -> Logs:
        """Send everything that this process logs where the settings say, in place of what was set up before.

        `process` is its name in every line and in the name of its file (``engine``: ``engine.log``; a second process
        of the name writes ``engine-2.log``). `secrets` are masked wherever they occur.

        Raises:
            ConfigError: If the file cannot be written.
        """
        mask = Mask(secrets)
        writers, path, lock = [_stderr_writer(settings, mask, process)], None, None
        if settings.file:
            path, lock = _claim(settings.folder or state_folder / "logs", process)
            file = _File(path, settings)
            file.setFormatter(json_formatter(mask, process))
            file.setLevel(settings.level.upper())
            writers.append(_Writer(file, settings.queue_lines))
        logs = cls(mask, writers, path, lock)
        logs._install(settings)
        return logs

    @property
    def dropped(self) -> int:
        """The number of lines that found a queue full so far."""
        return self._handler.dropped

    def hide(self, *secrets: str) -> None:
        """Mask these from now on, wherever they stand in a line."""
        self._mask.hide(*secrets)

    def close(self) -> None:
        """Write what waits, as far as that goes in two seconds, and leave logging as it was before."""
        root = logging.getLogger()
        if self._handler not in root.handlers:
            return
        root.handlers[:], level, levels = self._before
        root.setLevel(level)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
        logging.captureWarnings(False)
        for writer in self._writers:
            writer.close(_CLOSE_SECONDS)
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Logs:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _install(self, settings: LogSettings) -> None:
        root = logging.getLogger()
        self._before = (root.handlers[:], root.level, {n: logging.getLogger(n).level for n in settings.loggers})
        levels = [settings.stderr_level, *([settings.level] if settings.file else [])]
        root.setLevel(min(logging.getLevelName(level.upper()) for level in levels))
        root.handlers[:] = [self._handler]
        for name, level in settings.loggers.items():
            logging.getLogger(name).setLevel(level.upper())
        logging.captureWarnings(True)
        for writer in self._writers:
            writer.start()


def dropped_lines() -> int:
    """Return how many lines this process's log has lost so far; 0 when no log is set up."""
    outboxes = [handler for handler in logging.getLogger().handlers if isinstance(handler, _Outbox)]
    return sum(outbox.dropped for outbox in outboxes)


class _Outbox(logging.Handler):
    """Takes records where they are made: finishes what only that place knows, and queues them."""

    def __init__(self, writers: list[_Writer]) -> None:
        super().__init__()
        self._writers = writers

    @property
    def dropped(self) -> int:
        """Return how many lines found a queue full."""
        return sum(writer.dropped for writer in self._writers)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record."""
        # The arguments may change before the line is written.
        record.msg, record.args = record.getMessage(), None
        if not getattr(record, "correlation_id", ""):
            record.correlation_id = correlation_id.get()
        for writer in self._writers:
            writer.offer(record)


class _Writer:
    """A place that lines go to, with the queue before it and the thread that empties it."""

    def __init__(self, handler: logging.Handler, limit: int) -> None:
        self.dropped = 0
        self._handler = handler
        self._told = 0
        self._queue: queue.Queue[logging.LogRecord | None] = queue.Queue(limit)
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._write, name="log writer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def offer(self, record: logging.LogRecord) -> None:
        """Take a record when there is room, without waiting."""
        # A forked child has the queue but not the thread, and maybe a lock that nobody will ever release.
        if record.levelno < self._handler.level or self._process != os.getpid():
            return
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def close(self, seconds: float) -> None:
        """Write what is queued, for so long at most."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=seconds)
        self._thread.join(seconds)
        if not self._thread.is_alive():
            # What a full disk did not take before, it does not take now.
            with contextlib.suppress(OSError):
                self._handler.close()

    def _write(self) -> None:
        while (record := self._queue.get()) is not None:
            self._tell_dropped()
            self._handler.handle(record)
        self._tell_dropped()

    def _tell_dropped(self) -> None:
        lost, self._told = self.dropped - self._told, self.dropped
        if lost:
            text = f"{lost:,} log lines were dropped: they came faster than they could be written"
            extra = {"dropped": lost}
            record = logging.makeLogRecord(
                {"name": __name__, "levelno": 30, "levelname": "WARNING", "msg": text} | extra
            )
            self._handler.handle(record)


class _Stream(logging.StreamHandler[TextIO]):
    """Standard error, as it is when a line is written."""

    def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        """Let a line go that nobody can read any more: the reader of the pipe is gone."""


class _File(logging.handlers.RotatingFileHandler):
    """A log file that only its owner may read; at its full length it becomes ``.1``, and so on up to the count."""

    def __init__(self, path: Path, settings: LogSettings) -> None:
        self._complained = False
        super().__init__(
            path, maxBytes=settings.file_bytes, backupCount=settings.file_count - 1, encoding="utf-8", errors="replace"
        )

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", errors="replace", opener=owner_only)

    def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        """Say once that the disk takes no more; later lines are tried again each."""
        if not self._complained:
            self._complained = True
            with contextlib.suppress(OSError):
                sys.stderr.write(f"ibdesk: the log {self.baseFilename} cannot be written: {sys.exc_info()[1]}\n")


def _stderr_writer(settings: LogSettings, mask: Mask, process: str) -> _Writer:
    handler = _Stream(sys.stderr)
    is_terminal = sys.stderr.isatty()
    wants_text = settings.stderr_format == "text" or (settings.stderr_format == "auto" and is_terminal)
    colors = is_terminal and not os.environ.get("NO_COLOR")
    formatter = text_formatter(mask, process, colors=colors) if wants_text else json_formatter(mask, process)
    handler.setFormatter(formatter)
    handler.setLevel(settings.stderr_level.upper())
    return _Writer(handler, settings.queue_lines)


def _claim(folder: Path, process: str) -> tuple[Path, TextIO]:
    """Return a log file that no other process writes, and what holds the claim to it.

    Raises:
        ConfigError: If none can be written.
    """
    try:
        private_folder(folder)
        for number in range(1, _NAMESAKES):
            name = process if number == 1 else f"{process}-{number}"
            descriptor = os.open(folder / f".{name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
            lock = os.fdopen(descriptor, "r+")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            return folder / f"{name}.log", lock
    except OSError as error:
        raise ConfigError(f"log.folder {folder} cannot be written: {error.strerror}") from None
    raise ConfigError(f"log.folder {folder}: {_NAMESAKES} processes named {process} write there already")
