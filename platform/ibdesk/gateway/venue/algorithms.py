"""Simple models of IB's algorithms.

* Adaptive: the limit or market order as it is, at once.
* Twap: ten equal parts, evenly spread between startTime and endTime.
* Vwap: ten parts at the same times, larger near both ends, like the volume of a trading day.

Without times they run for thirty minutes from now. A part that has not filled when the next one is due stays open.
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
"""The parameters of each algorithm. Those without an effect here are accepted and shown."""
DEFAULT_SPAN_NS = 1800 * SECOND
WEIGHTS: dict[str, tuple[int, ...]] = {"Twap": (1,) * 10, "Vwap": (16, 11, 9, 7, 7, 7, 7, 9, 11, 16)}
"""The relative sizes of the parts."""


def parts(algorithm: Algorithm, quantity: float, increment: float, now_ns: int) -> Iterator[tuple[int, float]]:
    """Yield each time (ns UTC) and the total quantity that may have traded by then; the last is the whole order.

    Quantities are multiples of `increment`.
    """
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
