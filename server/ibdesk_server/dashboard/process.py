"""The dashboard as a child process: started, known to be ready, and ended with its parent."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO

from ibdesk.errors import IbdeskError


class DashboardError(IbdeskError):
    """The dashboard could not be started; the sentence says why."""


class DashboardProcess:
    """A running dashboard; `address` logs a browser in, once. Leaving the ``with`` block ends it."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self._process, self.address = process, address

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
        _end(self._process, timeout_seconds)

    def __enter__(self) -> DashboardProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start_dashboard(*, feed: str, key_file: Path, port: int = 5006, timeout_seconds: float = 40.0) -> DashboardProcess:
    """Start a dashboard that reads the feed at an address and return once it answers.

    The process ends when it is closed, and when this process dies, however it dies. Port 0 takes any free one. The
    feed need not be there yet: the pages say so and wait for it.

    Raises:
        DashboardError: If it ends before it is ready (a port that is taken, no key) or is not ready in time.
    """
    command = [sys.executable, "-m", "ibdesk_server.dashboard", "--end-with-stdin"]
    command += ["--feed", feed, "--key-file", str(key_file), "--port", str(port)]
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(  # noqa: S603 - our own module with our own arguments
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True
        )
        address = _first_line(process, timeout_seconds)
        if address:
            return DashboardProcess(process, address)
        ended = process.poll() is not None
        _end(process, timeout_seconds=5.0)
        raise DashboardError(_reason(complaints) if ended else f"the dashboard was not ready in {timeout_seconds:g} s")


def _first_line(process: subprocess.Popen[str], timeout_seconds: float) -> str:
    """Return the line that says it is ready, or nothing when it ended or the time is up."""
    lines: list[str] = []
    stdout = process.stdout
    assert stdout is not None  # noqa: S101 - it was asked for
    reader = threading.Thread(target=lambda: lines.append(stdout.readline()), daemon=True)
    reader.start()
    reader.join(timeout_seconds)
    if lines and not lines[0]:
        process.wait(timeout_seconds)
    return lines[0].strip() if lines else ""


def _reason(complaints: IO[str]) -> str:
    complaints.seek(0)
    lines = [line for line in complaints.read().splitlines() if line.strip()]
    return f"the dashboard did not start: {lines[-1] if lines else 'it ended without a word'}"


def _end(process: subprocess.Popen[str], timeout_seconds: float) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    try:
        process.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
