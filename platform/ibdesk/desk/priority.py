"""Who goes first where processors are few: whoever trades, before whoever shows."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_NICE = 5
"""A third of the share of a process that has not given way, where both want a processor; all of it where not."""


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
