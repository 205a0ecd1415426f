"""Lines for a person that never block the guardian: a terminal after Ctrl-S and a full pipe accept none."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading

# The longest queue of lines; further lines are only in the guardian's log.
_MOST_LINES = 1_000


class Terminal:
    """An output of the process; its own thread writes to it, and lines that it cannot take are dropped."""

    def __init__(self, descriptor: int | None) -> None:
        """Create an output; without a descriptor the process has none."""
        self._descriptor = descriptor
        self._lines: queue.Queue[bytes | None] = queue.Queue(_MOST_LINES)
        # A daemon thread: it may still be writing when the process ends.
        self._thread = threading.Thread(target=self._write, name="terminal", daemon=True)
        self._thread.start()

    def say(self, text: str) -> None:
        """Queue a line; this never waits."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(text.encode("utf-8", "backslashreplace") + b"\n")

    def close(self, *, seconds: float) -> None:
        """Wait until all lines are written, or for `seconds`."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(None)
            self._thread.join(seconds)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            with contextlib.suppress(OSError):
                while line and self._descriptor is not None:
                    line = line[os.write(self._descriptor, line) :]


class TerminalHandler(logging.Handler):
    """A log handler that writes records as lines of a terminal."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record."""
        self._terminal.say(self.format(record))
