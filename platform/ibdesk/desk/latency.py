"""How long it takes from a tick to the order it causes."""

from __future__ import annotations

import msgspec

from ibdesk.display import HtmlRepr
from ibdesk.telemetry import Span


class LatencySummary(HtmlRepr, msgspec.Struct, frozen=True):
    """Time from the arrival of market data to the moment its order's bytes are with the socket, in ms.

    It covers features, strategy, risk gate, journal and encoding; NaN while `count` is zero. Percentiles are right
    to one in a hundred, the maximum is exact.
    """

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float

    @classmethod
    def of(cls, span: Span) -> LatencySummary:
        """Return what people look at of the measurements of one span."""
        found = span.summary()
        return cls(found.count, found.p50_ms, found.p99_ms, found.max_ms)
