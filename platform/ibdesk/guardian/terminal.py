"""Lines for a person to read, which never hold up the guardian: a terminal after Ctrl-S or a full pipe takes none."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading

# So many lines wait; those beyond are in the guardian's log alone.
_MOST_LINES = 1_000


class Terminal:
    """An output of the process; a thread of its own writes to it, and whatever it does not take is dropped."""

    def __init__(self, descriptor: int | None) -> None:
        """Make one; without a descriptor the process has no such output."""
        self._descriptor = descriptor
        self._lines: queue.Queue[bytes | None] = queue.Queue(_MOST_LINES)
        # A thread that can be left behind: it may be writing for ever when the process ends.
        self._thread = threading.Thread(target=self._write, name="terminal", daemon=True)
        self._thread.start()

    def say(self, text: str) -> None:
        """Have a line written; this never waits."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(text.encode("utf-8", "backslashreplace") + b"\n")

    def close(self, *, seconds: float) -> None:
        """Wait until all lines are written, or for so long."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(None)
            self._thread.join(seconds)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            with contextlib.suppress(OSError):
                while line and self._descriptor is not None:
                    line = line[os.write(self._descriptor, line) :]


class TerminalHandler(logging.Handler):
    """Log records as lines of a terminal."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Have a record written."""
        self._terminal.say(self.format(record))
