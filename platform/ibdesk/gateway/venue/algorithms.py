"""IB's algorithms as they are worked here: a simple model of each.

* Adaptive: as the limit or market order it is, at once.
* Twap: ten equal parts, evenly spread between startTime and endTime.
* Vwap: ten parts at the same times, larger near both ends, as volume is over a trading day.

Without times they run for thirty minutes from now. A part that has not filled when the next one comes stays.
"""

from __future__ import annotations

from collections.abc import Iterator

from ibdesk.clock import SECOND
from ibdesk.gateway.venue.terms import Algorithm

ALGORITHMS: dict[str, frozenset[str]] = {
    "Adaptive": frozenset({"adaptivePriority"}),
    "Twap": frozenset({"strategyType", "startTime", "endTime", "allowPastEndTime", "catchUp", "monetaryValue"}),
    "Vwap": frozenset(
        {"maxPctVol", "startTime", "endTime", "allowPastEndTime", "noTakeLiq", "speedUp", "monetaryValue"}
    ),
}
"""What each takes; parameters that change nothing here are taken and shown."""
DEFAULT_SPAN_NS = 1800 * SECOND
WEIGHTS: dict[str, tuple[int, ...]] = {"Twap": (1,) * 10, "Vwap": (16, 11, 9, 7, 7, 7, 7, 9, 11, 16)}
"""The size of each part relative to the others."""


def parts(algorithm: Algorithm, quantity: float, increment: float, now_ns: int) -> Iterator[tuple[int, float]]:
    """Yield when (ns UTC) how much of an order may have traded, in multiples of `increment`; the last is all of it."""
    weights = WEIGHTS[algorithm.name]
    start_ns = max(now_ns, algorithm.start_ns)
    end_ns = max(start_ns, algorithm.end_ns or start_ns + DEFAULT_SPAN_NS)
    step_ns, passed = (end_ns - start_ns) // len(weights), 0
    for index, weight in enumerate(weights):
        passed += weight
        share = quantity * passed / sum(weights)
        yield (
            start_ns + index * step_ns,
            quantity if index == len(weights) - 1 else int(share / increment + 1e-6) * increment,
        )
