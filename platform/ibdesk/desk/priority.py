"""Who goes first where processors are few: whoever trades, before whoever shows."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from ibdesk.telemetry.process_vitals import is_real_time

_NICE = 5
"""A third of the share of a process that has not given way, where both want a processor; all of it where not."""


def go_first() -> bool:
    """Have this process's threads, and those they start, run as soon as they can, before all other programs.

    They get the lowest of the real-time priorities (``SCHED_RR``, sched(7)), where this process may have it: as root,
    or with ``ulimit -r 1``. Without it a thread that wakes while others keep every processor busy waits for the
    kernel's next tick, up to 4 ms. The kernel keeps a twentieth of each processor for the others whatever happens.

    Returns:
        Whether all threads run so; if not, none was changed.
    """
    if sys.platform != "linux":
        return False
    # A thread that starts another one meanwhile has not been reached yet, nor has the one that it starts.
    while waiting := [thread for thread in _threads() if _waits(thread)]:
        try:
            for thread in waiting:
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(1))
        except OSError:
            return False
    return True


def give_way() -> None:
    """Have this process, and those it starts, go behind the one that trades when both want the processor.

    Where that is not allowed, as under a service manager that shares processors out itself, nothing happens.
    """
    if sys.platform != "linux" or os.getpriority(os.PRIO_PROCESS, 0) >= _NICE:
        return
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
        if os.getsid(0) == os.getpid():
            # Between sessions the kernel shares processors out by session and heeds only what is written here
            # (sched(7), "The autogroup feature"); one that is shared with a terminal is not ours to change.
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
