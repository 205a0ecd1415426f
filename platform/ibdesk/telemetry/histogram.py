"""Counts how long things took, in buckets so fine that any percentile is right to within one in a hundred.

After HdrHistogram (Gil Tene): the first 128 buckets are 1 ns wide, and from there each doubling is cut into 64, so a
bucket is never wider than 1/64 of what is in it and its middle is off by 1/128 at most. Taking a measurement is a
shift and an addition, and nothing ever grows.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

# _CUTS: buckets in each doubling, as a power of two.
_CUTS = 6
_PER_DOUBLING = 1 << _CUTS
# The longest that is told apart, in ns: more than an hour.
LONGEST_NS = (1 << 42) - 1

RELATIVE_ERROR = 1 / (2 * _PER_DOUBLING)
"""How far a percentile may be off, as a fraction of the true one."""


class Counts(msgspec.Struct, frozen=True):
    """A histogram as plain data: how many measurements are in each bucket that has any; times are in ns."""

    buckets: dict[int, int] = {}
    count: int = 0
    total_ns: int = 0
    max_ns: int = 0


class Histogram:
    """Measurements in ns. One thread adds; others may read."""

    __slots__ = ("_buckets", "count", "max_ns", "total_ns")

    def __init__(self) -> None:
        self._buckets = [0] * (_index(LONGEST_NS) + 1)
        self.count = 0
        self.total_ns = 0
        self.max_ns = 0

    def add(self, ns: int) -> None:
        """Take one measurement; a negative one, of a clock that was set back, counts as 0."""
        if ns > self.max_ns:
            self.max_ns = ns
        elif ns < 0:
            ns = 0
        if ns > LONGEST_NS:  # noqa: PLR1730 - `min` is a call, and this is on the way of an order
            ns = LONGEST_NS
        shift = ns.bit_length() - _CUTS - 1
        if shift > 0:
            self._buckets[(shift << _CUTS) + (ns >> shift)] += 1
        else:
            self._buckets[ns] += 1
        self.count += 1
        self.total_ns += ns

    def merge(self, other: Counts) -> None:
        """Take all measurements of another one."""
        for index, count in other.buckets.items():
            self._buckets[index] += count
        self.count += other.count
        self.total_ns += other.total_ns
        self.max_ns = max(self.max_ns, other.max_ns)

    def counts(self) -> Counts:
        """Return it as plain data."""
        taken = {index: count for index, count in enumerate(self._buckets) if count}
        return Counts(taken, self.count, self.total_ns, self.max_ns)

    def percentiles(self, *fractions: float) -> list[float]:
        """Return the times in ns that these fractions of the measurements took at most (nearest rank), NaN for none."""
        return percentiles(self.counts(), *fractions)


def percentiles(counts: Counts, *fractions: float) -> list[float]:
    """Return the times in ns that these fractions of the measurements took at most (nearest rank), NaN for none.

    Each is within `RELATIVE_ERROR` of the true one.
    """
    if not counts.count:
        return [float("nan")] * len(fractions)
    ranks = [max(1, -int(-fraction * counts.count // 1)) for fraction in fractions]
    found = dict.fromkeys(ranks, float(counts.max_ns))
    left = sorted(found)
    seen = 0
    for index in sorted(counts.buckets):
        seen += counts.buckets[index]
        while left and left[0] <= seen:
            low, high = _bounds(index)
            found[left.pop(0)] = min((low + high) / 2, counts.max_ns)
    return [found[rank] for rank in ranks]


def cumulative(counts: Counts, limits_ns: Sequence[float]) -> list[int]:
    """Return how many measurements took at most as long as each of the rising limits; a bucket counts by its middle."""
    passed, seen, indices = [], 0, sorted(counts.buckets)
    position = 0
    for limit in limits_ns:
        while position < len(indices) and sum(_bounds(indices[position])) / 2 <= limit:
            seen += counts.buckets[indices[position]]
            position += 1
        passed.append(seen)
    return passed


def _index(ns: int) -> int:
    shift = max(0, ns.bit_length() - _CUTS - 1)
    return (shift << _CUTS) + (ns >> shift)


def _bounds(index: int) -> tuple[int, int]:
    """Return the least and the greatest time in ns that a bucket holds."""
    if index < 2 * _PER_DOUBLING:
        return index, index
    shift = (index >> _CUTS) - 1
    low = (index - (shift << _CUTS)) << shift
    return low, low + (1 << shift) - 1
