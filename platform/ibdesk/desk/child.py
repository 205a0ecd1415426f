"""A child process that ends with this one: start, readiness, output and end."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import io
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Self

from ibdesk.errors import ChildError

_log = logging.getLogger(__name__)

# At most this many lines are logged of a child that dies before it is ready.
_KEPT_LINES = 100
_LOOK_SECONDS = 0.5


class ChildProcess:
    """A running module of ours; leaving the ``with`` block ends it, and so does any end of this process.

    The child ends when its standard input is closed. Its standard error goes to our log under its `name`: line by line
    once it is ready, and before that only if it dies. Its last line is kept for the error message of its death.
    """

    def __init__(
        self, name: str, module: str, arguments: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start ``python -m module arguments`` in its own process group, so that Ctrl-C reaches only this process.

        `environment` replaces this process's environment.
        """
        self.name = name
        self.first_line = ""
        # The number of lines that it has printed, including the first.
        self.lines = 0
        self.last_words = ""
        self._early_lines: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
        self._process = subprocess.Popen(  # noqa: S603 - our own module with our own arguments
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
            env=environment,
        )
        self._ready = threading.Event()
        self._ended: concurrent.futures.Future[int] = concurrent.futures.Future()
        self._readers = [
            threading.Thread(target=read, name=f"{name} {read.__name__}", daemon=True)
            for read in (self._read_first_line, self._read_errors)
        ]
        for reader in self._readers:
            reader.start()
        threading.Thread(target=self._await_end, name=f"{name} end", daemon=True).start()

    @property
    def pid(self) -> int:
        """Return the id of the process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Return whether the process has not ended."""
        return self._process.poll() is None

    def tell(self, line: str) -> None:
        """Write a line to its standard input; a child that has ended is ignored."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(f"{line}\n")
                self._process.stdin.flush()

    def until_ready(self, timeout_seconds: float) -> str:
        """Wait for the line that it prints when it is ready, and return it.

        Raises:
            ChildError: If it ends before, or is not ready in time; it is then ended.
        """
        try:
            said = self._ready.wait(timeout_seconds)
        except BaseException:
            # Ctrl-C while it starts.
            self.close()
            raise
        if self.first_line:
            return self.first_line
        self.close()
        # The error contains a single line; a traceback has more.
        if len(self._early_lines) > 1:
            _log.error("%s did not start:\n%s", self.name, "\n".join(self._early_lines))
        if said:
            raise ChildError(self.name, self._process.returncode, self.last_words)
        raise ChildError(self.name, None, f"it was not ready in {timeout_seconds:g} s")

    async def until_ended(self) -> ChildError:
        """Wait for its end and return that as an error, for callers that depend on the process."""
        code = await asyncio.shield(asyncio.wrap_future(self._ended))
        return ChildError(self.name, code, self.last_words)

    async def until_silent(self, seconds: float) -> None:
        """Wait until it has printed nothing for `seconds`; time in which this process was stopped does not count."""
        seen, quiet = self.lines, 0.0
        while quiet < seconds:
            await asyncio.sleep(_LOOK_SECONDS)
            # Counted in checks, not by a clock: after a stop, printed lines may not have been read yet.
            seen, quiet = self.lines, quiet + _LOOK_SECONDS if self.lines == seen else 0.0

    def end_hung(self) -> None:
        """End a process that may hang: SIGTERM, then SIGABRT, with which it writes its stack, then SIGKILL."""
        for number, seconds in ((signal.SIGTERM, 2.0), (signal.SIGABRT, 2.0), (signal.SIGKILL, None)):
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
                return

    def close(self, *, timeout_seconds: float = 15.0) -> None:
        """End the process, by force after the time-out; a process that has ended is ignored."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            _log.warning("%s did not end within %g s and is killed", self.name, timeout_seconds)
            self._process.kill()
            self._process.wait()
        for reader in self._readers:
            reader.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _await_end(self) -> None:
        code = self._process.wait()
        for reader in self._readers:
            reader.join()
        self._ended.set_result(code)

    def _read_first_line(self) -> None:
        with self._process.stdout or io.StringIO() as lines:
            self.first_line = lines.readline().strip()
            self._ready.set()
            for _ in lines:
                self.lines += 1

    def _read_errors(self) -> None:
        with self._process.stderr or io.StringIO() as lines:
            for line in filter(str.strip, map(str.rstrip, lines)):
                self.last_words = line.strip()
                if self.first_line:
                    _log.warning("%s: %s", self.name, line)
                else:
                    self._early_lines.append(line)


def end_with_parent() -> None:
    """Send SIGTERM to this process when its standard input ends.

    It ends when the parent closes it or dies.
    """

    def watch() -> None:
        with contextlib.suppress(OSError, ValueError):
            while os.read(sys.stdin.fileno(), 4096):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()
