"""Where time comes from outside the engine: the wall, a faster one, or a test's hand.

The engine reads no clock; the programs around it do, through this one protocol, so that the embedded gateway and
the TWS service beside it can agree on a market time that runs faster than the wall's.
"""

from __future__ import annotations

import math
import time
from typing import Protocol

SECOND = 1_000_000_000


class Clock(Protocol):
    """Tells the time in nanoseconds since 1970-01-01 UTC."""

    @property
    def speed(self) -> float:
        """Clock seconds that pass in one second of the wall."""
        ...

    def now_ns(self) -> int:
        """Return the present time, ns UTC."""
        ...


class SystemClock:
    """The wall's time."""

    speed = 1.0

    def now_ns(self) -> int:
        """Return the wall's time, ns UTC."""
        return time.time_ns()


class ScaledClock:
    """A clock that starts at `start_ns` now and runs `speed` times as fast as the wall.

    It is anchored on the monotonic clock, so that a correction of the wall's time does not make it jump.
    """

    def __init__(self, start_ns: int, speed: float) -> None:
        if not 0 < speed < math.inf:
            raise ValueError(f"speed must be positive, got {speed:g}")
        self.speed = speed
        self._start_ns = start_ns
        self._anchor_ns = time.monotonic_ns()

    def now_ns(self) -> int:
        """Return the scaled time, ns UTC."""
        return self._start_ns + int((time.monotonic_ns() - self._anchor_ns) * self.speed)


class ManualClock:
    """A clock that stands still until it is moved; for tests and stepped markets."""

    speed = 1.0

    def __init__(self, start_ns: int) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """Return where the clock was last put, ns UTC."""
        return self._now_ns

    def advance(self, nanoseconds: int) -> None:
        """Move the clock forward; time never goes back."""
        if nanoseconds < 0:
            raise ValueError(f"a clock only goes forward, got {nanoseconds} ns")
        self._now_ns += nanoseconds
