"""One line of the benchmark's table."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    """A figure, and what it is compared with: `ratio` is value by baseline, `budget` what the design allows."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    budget: str = ""


def against(name: str, value: float, unit: str, baseline: float, budget: str = "") -> Row:
    """Return a row with its ratio to a baseline measured in the same run."""
    return Row(name, value, unit, baseline, value / baseline, budget)


def percentile(values: list[float], fraction: float) -> float:
    """Return the value below which `fraction` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]
