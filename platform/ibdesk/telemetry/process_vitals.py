"""How a process is: processor, memory, garbage collection, threads, lines of the log that were lost."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from ibdesk.clock import monotonic_ns
from ibdesk.telemetry.logs import dropped_lines
from ibdesk.telemetry.performance import Performance

# How often the lag of a loop is measured.
_LAG_SECONDS = 0.1


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """A process at one instant; `memory_bytes` is what it holds of the machine's memory, `cpu_seconds` since it began.

    `collections` counts garbage collections of all generations, `dropped_lines` what the log lost; `real_time` says
    whether it goes before all other programs of the machine.
    """

    pid: int
    cpu_seconds: float
    memory_bytes: int
    threads: int
    open_files: int
    collections: int
    dropped_lines: int
    real_time: bool


def vitals() -> Vitals:
    """Return how this process is."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Vitals(
        pid=os.getpid(),
        cpu_seconds=used.ru_utime + used.ru_stime,
        memory_bytes=_memory_bytes(used.ru_maxrss),
        threads=threading.active_count(),
        open_files=_open_files(),
        collections=sum(generation["collections"] for generation in gc.get_stats()),
        dropped_lines=dropped_lines(),
        real_time=is_real_time(os.getpid()),
    )


async def measure_lag(performance: Performance, on_beat: Callable[[], None] = lambda: None) -> None:
    """Measure for ever how late this loop comes to its work, as the span ``loop_lag``; `on_beat` hears each time."""
    while True:
        on_beat()
        due_ns = monotonic_ns() + int(_LAG_SECONDS * 1e9)
        await asyncio.sleep(_LAG_SECONDS)
        performance.add("loop_lag", max(0, monotonic_ns() - due_ns))


def _memory_bytes(most: int) -> int:
    """Return the resident memory; where the system does not tell the present one, the most there was."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return most if sys.platform == "darwin" else most * 1024
    return pages * resource.getpagesize()


def _open_files() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only counted
    except OSError:
        return 0


def is_real_time(thread: int) -> bool:
    """Return whether a thread goes before all that are not of real-time priority.

    Raises:
        ProcessLookupError: If it has ended.
    """
    return sys.platform == "linux" and os.sched_getscheduler(thread) in (os.SCHED_FIFO, os.SCHED_RR)
