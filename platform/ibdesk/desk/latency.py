"""The latency from a tick to the order that it causes."""

from __future__ import annotations

import msgspec

from ibdesk.display import HtmlRepr
from ibdesk.telemetry import Span


class LatencySummary(HtmlRepr, msgspec.Struct, frozen=True):
    """Time from the arrival of market data until its order's bytes are written to the socket, in ms.

    It covers features, strategy, risk gate, journal and encoding; NaN while `count` is zero. Percentiles are exact to
    one percent, the maximum is exact.
    """

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float

    @classmethod
    def of(cls, span: Span) -> LatencySummary:
        """Return the summary of one span's measurements."""
        found = span.summary()
        return cls(found.count, found.p50_ms, found.p99_ms, found.max_ms)
