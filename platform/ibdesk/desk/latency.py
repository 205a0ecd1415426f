"""How long it takes from a tick to the order it causes."""

from __future__ import annotations

import collections

import msgspec


class LatencySummary(msgspec.Struct, frozen=True):
    """Time from the arrival of market data to the moment its order's bytes are with the socket, in ms.

    It covers features, strategy, risk gate, journal and encoding; NaN while `count` is zero.
    """

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class LatencyRecorder:
    """Collects the newest 100,000 measurements."""

    def __init__(self) -> None:
        self._nanoseconds: collections.deque[int] = collections.deque(maxlen=100_000)

    def add(self, nanoseconds: int) -> None:
        """Take one measurement."""
        self._nanoseconds.append(nanoseconds)

    def summary(self) -> LatencySummary:
        """Return count, median, 99th percentile (nearest rank) and maximum."""
        values = sorted(self._nanoseconds)
        if not values:
            return LatencySummary(0, float("nan"), float("nan"), float("nan"))

        def at(fraction: float) -> float:
            return values[min(len(values) - 1, int(fraction * len(values)))] / 1e6

        return LatencySummary(len(values), at(0.5), at(0.99), values[-1] / 1e6)
