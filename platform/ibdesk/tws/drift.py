"""How far our clock is from that of TWS, as its answers of whole seconds allow to tell."""

from __future__ import annotations

import math

import msgspec

_SECOND = 1_000_000_000


class Drift(msgspec.Struct, frozen=True):
    """The bounds of how far our clock is ahead of TWS's, in seconds; negative is behind.

    TWS tells its time as a whole second, at some moment between our question and the answer: what it shows may be
    almost a second old, and the round trip comes on top. The truth lies between `low` and `high`.
    """

    low: float
    high: float

    @classmethod
    def measured(cls, *, asked_ns: int, answered_ns: int, told_seconds: int) -> Drift:
        """Return the bounds by one question and its answer; both times are by our clock, ns UTC."""
        told_ns = told_seconds * _SECOND
        return cls((asked_ns - told_ns) / _SECOND - 1.0, (answered_ns - told_ns) / _SECOND)

    @property
    def likely(self) -> float:
        """Return the middle of the bounds, which takes half of the round trip for each way."""
        return (self.low + self.high) / 2

    def beyond(self, limit: float) -> float:
        """Return the drift when it is certainly farther from zero than `limit`, else zero."""
        nearest = max(self.low, 0.0) or min(self.high, 0.0)
        return self.likely if abs(nearest) > limit else 0.0


UNKNOWN = Drift(-math.inf, math.inf)
"""What is known before the first answer."""
