"""The dashboard as a child process: started, known to be ready, and ended with its parent."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import threading
from pathlib import Path

from ibdesk.errors import IbdeskError

_log = logging.getLogger(__name__)


class DashboardError(IbdeskError):
    """The dashboard could not be started; the sentence says why."""


class DashboardProcess:
    """A running dashboard; `address` logs a browser in, once. Leaving the ``with`` block ends it.

    What the process writes to its standard error goes to our log, once it is ready.
    """

    def __init__(self, command: list[str], timeout_seconds: float) -> None:
        """Start the process and wait until it answers; `start_dashboard` knows the command."""
        self.address = ""
        self._last_words = "it ended without a word"
        self._process = subprocess.Popen(  # noqa: S603 - our own module with our own arguments
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._ready = threading.Event()
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_address, self._read_errors)]
        for reader in self._readers:
            reader.start()
        try:
            ended = self._ready.wait(timeout_seconds)
        except BaseException:
            # Ctrl-C while it starts.
            self.close()
            raise
        if self.address:
            return
        self.close()
        if ended:
            raise DashboardError(f"the dashboard did not start: {self._last_words}")
        raise DashboardError(f"the dashboard was not ready in {timeout_seconds:g} s")

    @property
    def pid(self) -> int:
        """Return the id of the process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Return whether it has not ended."""
        return self._process.poll() is None

    def close(self, *, timeout_seconds: float = 5.0) -> None:
        """End the process, by force if it takes longer than the time-out; one that has ended is left alone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for reader in self._readers:
            reader.join()

    def __enter__(self) -> DashboardProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_address(self) -> None:
        """Read the one line that a dashboard prints when it answers; one that does not start prints nothing."""
        with self._process.stdout or io.StringIO() as lines:
            self.address = lines.readline().strip()
            self._ready.set()
            lines.read()

    def _read_errors(self) -> None:
        with self._process.stderr or io.StringIO() as lines:
            for line in filter(None, map(str.strip, lines)):
                self._last_words = line
                if self.address:
                    _log.warning("dashboard: %s", line)


def start_dashboard(*, feed: str, key_file: Path, port: int = 5006, timeout_seconds: float = 40.0) -> DashboardProcess:
    """Start a dashboard that reads the feed at an address and return once it answers.

    The process ends when it is closed, and when this process dies, however it dies. Port 0 takes any free one. The
    feed need not be there yet: the pages say so and wait for it.

    Raises:
        DashboardError: If it ends before it is ready (a port that is taken, no key) or is not ready in time.
    """
    command = [sys.executable, "-m", "ibdesk_server.dashboard", "--end-with-stdin"]
    command += ["--feed", feed, "--key-file", str(key_file), "--port", str(port)]
    return DashboardProcess(command, timeout_seconds)
