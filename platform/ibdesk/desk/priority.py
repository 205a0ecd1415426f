"""Process priorities: the trading process runs before processes that display."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from ibdesk.telemetry.process_vitals import is_real_time

_NICE = 5
"""A third of the share of a process at normal priority if both need a processor; all of it otherwise."""


def go_first() -> bool:
    """Run this process's threads, and threads that they start, before all other programs.

    They receive the lowest real-time priority (``SCHED_RR``, sched(7)) if this process may have it: as root, or with
    ``ulimit -r 1``. Without it a thread that wakes while all processors are busy waits for the kernel's next tick, up
    to 4 ms. The kernel always reserves a twentieth of each processor for other programs.

    Returns:
        Whether all threads have the priority; if not, none was changed.
    """
    if sys.platform != "linux":
        return False
    # Repeated, because a thread that has not been changed yet may start another one meanwhile.
    while waiting := [thread for thread in _threads() if _waits(thread)]:
        try:
            for thread in waiting:
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(1))
        except OSError:
            return False
    return True


def give_way() -> None:
    """Lower the priority of this process, and of processes that it starts, below the trading process's.

    Nothing happens where that is not allowed, for example under a service manager that assigns shares itself.
    """
    if sys.platform != "linux" or os.getpriority(os.PRIO_PROCESS, 0) >= _NICE:
        return
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
        if os.getsid(0) == os.getpid():
            # The kernel divides processors between sessions and respects only the value written here (sched(7), "The
            # autogroup feature"). A session that is shared with a terminal must not be changed.
            Path("/proc/self/autogroup").write_text(str(_NICE), encoding="ascii")
    except OSError:
        return


def _threads() -> list[int]:
    return [int(path.name) for path in Path("/proc/self/task").iterdir()]


def _waits(thread: int) -> bool:
    try:
        return not is_real_time(thread)
    except ProcessLookupError:
        return False
