"""The engine's heartbeat, once a second, to the program that started it: `ibdesk up` or systemd.

It is sent while the desk's event loop runs. An engine that hangs or is stopped sends none, and its parent restarts it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import threading
from collections.abc import Callable
from typing import Self

from ibdesk.telemetry.systemd import notify_systemd

_BEAT_SECONDS = 1.0
# No heartbeat is sent while the loop is later than this.
_LATE_SECONDS = 2.0


class Heartbeat:
    """A thread that sends the heartbeat from `begin` to the end of the ``with`` block.

    systemd receives it on the socket named by ``NOTIFY_SOCKET`` (sd_notify(3)). With `to_parent` it is also a line on
    standard output, which only the parent reads.
    """

    def __init__(self, *, to_parent: bool) -> None:
        self._to_parent, self._is_begun = to_parent, False
        self._seconds_behind: Callable[[], float] = float
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        """Dump the stacks of all threads when a signal such as systemd's SIGABRT ends this process."""
        with contextlib.suppress(ValueError, OSError):
            # In a test, standard error may not be a file.
            faulthandler.enable()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._is_begun:
            self._thread.join()

    def begin(self, status: str) -> None:
        """Report this process as ready and start the heartbeat; later calls only change the status."""
        notify_systemd(f"READY=1\nSTATUS={status}")
        if not self._is_begun:
            self._is_begun = True
            self._thread.start()

    def follow(self, seconds_behind: Callable[[], float]) -> None:
        """Send the heartbeat only while a loop runs; `seconds_behind` returns the seconds since its last turn."""
        self._seconds_behind = seconds_behind

    def _run(self) -> None:
        while not self._stop.wait(_BEAT_SECONDS):
            if self._seconds_behind() > _LATE_SECONDS:
                continue
            notify_systemd("WATCHDOG=1")
            if self._to_parent:
                _write_line()


def _write_line() -> None:
    """Write a line without waiting: a stopped parent reads nothing, and must not block this process."""
    number = sys.stdout.fileno()
    with contextlib.suppress(OSError):
        os.set_blocking(number, False)
        os.write(number, b"\n")
