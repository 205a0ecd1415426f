"""The clocks of the programs around the engine: system time, scaled time, or a clock moved by tests.

The engine reads no clock. The programs around it do, through one protocol, so that the embedded gateway and the TWS
service can share a market time that runs faster than the wall clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import threading
import time
from collections.abc import Iterator
from typing import Protocol

SECOND = 1_000_000_000


class MachineTime(Protocol):
    """The clocks of one machine, in nanoseconds."""

    def wall_ns(self) -> int:
        """Return the wall-clock time, ns UTC."""
        ...

    def monotonic_ns(self) -> int:
        """Return a time that never jumps and stops while the machine sleeps."""
        ...

    def boot_ns(self) -> int:
        """Return a time that never jumps and continues while the machine sleeps."""
        ...


# Linux's CLOCK_MONOTONIC stops while the machine sleeps; CLOCK_BOOTTIME does not. All processes of a machine read
# the same time from it.
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class _RealTime:
    """The clocks of the machine that this process runs on."""

    wall_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.perf_counter_ns)

    # Read four times per order: a partial needs no Python frame.
    boot_ns = staticmethod(functools.partial(time.clock_gettime_ns, _BOOT_CLOCK))


_machine: MachineTime = _RealTime()


def wall_ns() -> int:
    """Return the wall-clock time, ns UTC; events are stamped by a `Clock` instead."""
    return _machine.wall_ns()


def monotonic_ns() -> int:
    """Return the machine's monotonic time for measuring durations, ns."""
    return _machine.monotonic_ns()


def boot_ns() -> int:
    """Return the machine's monotonic time that continues while it sleeps, ns."""
    return _machine.boot_ns()


@contextlib.contextmanager
def machine_time(machine: MachineTime) -> Iterator[None]:
    """Make this process read its time from `machine` inside the block, as a simulation does."""
    global _machine  # noqa: PLW0603 - a process has one time
    before, _machine = _machine, machine
    try:
        yield
    finally:
        _machine = before


class Clock(Protocol):
    """A clock in nanoseconds since 1970-01-01 UTC."""

    @property
    def speed(self) -> float:
        """Clock seconds per wall-clock second."""
        ...

    def now_ns(self) -> int:
        """Return the current time, ns UTC."""
        ...

    async def wait_until(self, at_ns: int) -> None:
        """Return once this clock shows `at_ns` (ns UTC) or later."""
        ...


class SystemClock:
    """The wall clock, except that it never goes back.

    Ages and rates of orders are measured with it. If the wall clock is set back, this clock continues at half speed
    until the wall clock has caught up.
    """

    speed = 1.0

    def __init__(self) -> None:
        self._told_ns, self._boot_ns = wall_ns(), boot_ns()

    def now_ns(self) -> int:
        """Return the current time, ns UTC."""
        at_ns, machine_ns = wall_ns(), boot_ns()
        if at_ns < self._told_ns:
            at_ns = self._told_ns + max(0, machine_ns - self._boot_ns) // 2
        self._told_ns, self._boot_ns = at_ns, machine_ns
        return at_ns

    async def wait_until(self, at_ns: int) -> None:
        """Sleep until this clock shows `at_ns`, ns UTC."""
        await asyncio.sleep(max(0.0, (at_ns - self.now_ns()) / SECOND))


class ScaledClock:
    """A clock that starts at `start_ns` now and runs `speed` times as fast as the wall clock.

    It is based on the monotonic clock, so that a correction of the wall clock does not make it jump.
    """

    def __init__(self, start_ns: int, speed: float) -> None:
        if not 0 < speed < math.inf:
            raise ValueError(f"speed must be positive, got {speed:g}")
        self.speed = speed
        self._start_ns = start_ns
        self._anchor_ns = monotonic_ns()

    def now_ns(self) -> int:
        """Return the scaled time, ns UTC."""
        return self._start_ns + int((monotonic_ns() - self._anchor_ns) * self.speed)

    async def wait_until(self, at_ns: int) -> None:
        """Sleep until the scaled time is `at_ns`, ns UTC."""
        await asyncio.sleep(max(0.0, (at_ns - self.now_ns()) / SECOND / self.speed))


class ManualClock:
    """A clock that moves only by `advance`; for tests and stepped markets."""

    speed = 1.0

    def __init__(self, start_ns: int) -> None:
        self._now_ns = start_ns
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = []

    def now_ns(self) -> int:
        """Return the time that was last set, ns UTC."""
        return self._now_ns

    def advance(self, nanoseconds: int) -> None:
        """Move the clock forward and wake the waiting tasks; can be called from any thread."""
        if nanoseconds < 0:
            raise ValueError(f"a clock can only be moved forward, got {nanoseconds} ns")
        with self._lock:
            self._now_ns += nanoseconds
            due = [waiter for waiter in self._waiting if waiter[0] <= self._now_ns]
            self._waiting = [waiter for waiter in self._waiting if waiter[0] > self._now_ns]
        for _, loop, reached in due:
            # The event loop may belong to a desk that was closed meanwhile.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(reached.set)

    async def wait_until(self, at_ns: int) -> None:
        """Wait until the clock has been advanced to `at_ns`, ns UTC."""
        reached = asyncio.Event()
        with self._lock:
            if at_ns <= self._now_ns:
                return
            self._waiting.append((at_ns, asyncio.get_running_loop(), reached))
        await reached.wait()
