"""The engine's sign of life, once a second, to the program that started it: `ibdesk up`, or systemd.

It is given while the desk's loop comes round. An engine that hangs, in whatever code, is silent, and so is one that was
stopped: what started it ends it and starts it again.
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
# A loop that has not come round for so long gives no sign of life.
_LATE_SECONDS = 2.0


class Heartbeat:
    """Gives the sign of life from a thread of its own, from `begin` to the end of the ``with`` block.

    To systemd it goes over the socket that ``NOTIFY_SOCKET`` names (sd_notify(3)); with `to_parent` it is a line on
    standard output, which nobody else reads then.
    """

    def __init__(self, *, to_parent: bool) -> None:
        self._to_parent, self._is_begun = to_parent, False
        self._seconds_behind: Callable[[], float] = float
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        """Have Python write down where all threads are when a signal such as systemd's SIGABRT ends this process."""
        with contextlib.suppress(ValueError, OSError):
            # A test may stand in for standard error with what is no file.
            faulthandler.enable()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._is_begun:
            self._thread.join()

    def begin(self, status: str) -> None:
        """Say that this process is ready, and give the sign of life from now on; later calls change the status only."""
        notify_systemd(f"READY=1\nSTATUS={status}")
        if not self._is_begun:
            self._is_begun = True
            self._thread.start()

    def follow(self, seconds_behind: Callable[[], float]) -> None:
        """Give it only while a loop comes round; `seconds_behind` says how long ago it did."""
        self._seconds_behind = seconds_behind

    def _run(self) -> None:
        while not self._stop.wait(_BEAT_SECONDS):
            if self._seconds_behind() > _LATE_SECONDS:
                continue
            notify_systemd("WATCHDOG=1")
            if self._to_parent:
                _write_line()


def _write_line() -> None:
    """Write a line without waiting: a parent that is stopped reads none, and must not hold this process up."""
    number = sys.stdout.fileno()
    with contextlib.suppress(OSError):
        os.set_blocking(number, False)
        os.write(number, b"\n")
