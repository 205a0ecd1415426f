"""Percentiles that are right to one in a hundred, at the price of an addition, and warnings of what was slow."""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.telemetry import PerformanceSettings, correlated
from ibdesk.telemetry.histogram import LONGEST_NS, RELATIVE_ERROR, Histogram, cumulative, percentiles
from ibdesk.telemetry.performance import Performance, track_performance

# Times from a nanosecond to an hour, as evenly over the sizes as over the times.
TIMES = st.one_of(st.integers(0, LONGEST_NS), st.integers(0, 41).flatmap(lambda bits: st.integers(0, 1 << bits)))
MANY = st.lists(TIMES, min_size=1, max_size=200)
FRACTIONS = st.floats(0, 1)


def histogram_of(times: list[int]) -> Histogram:
    histogram = Histogram()
    for ns in times:
        histogram.add(ns)
    return histogram


def exact(times: list[int], fraction: float) -> int:
    """The nearest rank: the least time that at least this fraction of all does not exceed."""
    return sorted(times)[max(1, math.ceil(fraction * len(times))) - 1]


@given(MANY, FRACTIONS)
def test_a_percentile_is_within_its_error_of_the_exact_one(times: list[int], fraction: float) -> None:
    [found] = histogram_of(times).percentiles(fraction)

    assert found == pytest.approx(exact(times, fraction), rel=RELATIVE_ERROR, abs=0.5)


@given(MANY, MANY)
def test_merging_is_as_if_one_had_counted_everything(ours: list[int], theirs: list[int]) -> None:
    merged = histogram_of(ours)

    merged.merge(histogram_of(theirs).counts())

    assert merged.counts() == histogram_of(ours + theirs).counts()


@given(MANY)
def test_count_sum_and_maximum_are_exact(times: list[int]) -> None:
    counts = histogram_of(times).counts()

    assert (counts.count, counts.total_ns, counts.max_ns) == (len(times), sum(times), max(times))
    assert sum(counts.buckets.values()) == len(times)


@given(MANY, st.lists(TIMES, min_size=1, max_size=5).map(sorted))
def test_limits_are_passed_by_those_that_took_less(times: list[int], limits: list[int]) -> None:
    found = cumulative(histogram_of(times).counts(), limits)

    for count, limit in zip(found, limits, strict=True):
        assert sum(t * (1 + RELATIVE_ERROR) < limit for t in times) <= count
        assert count <= sum(t * (1 - RELATIVE_ERROR) <= limit for t in times)


def test_clocks_set_back_and_times_beyond_an_hour_are_counted() -> None:
    histogram = histogram_of([-5, LONGEST_NS * 10])

    assert histogram.count == 2
    assert histogram.percentiles(0.25)[0] == 0
    assert all(math.isnan(value) for value in percentiles(Histogram().counts(), 0.5, 0.99))


def test_taking_measurements_makes_nothing_grow() -> None:
    histogram = histogram_of([1_000])
    size = sys.getsizeof(histogram._buckets)

    for ns in range(0, 10_000_000, 997):
        histogram.add(ns)

    assert sys.getsizeof(histogram._buckets) == size


async def test_functions_coroutines_and_blocks_are_measured_the_same_way() -> None:
    @track_performance("sync")
    def plain(number: int) -> int:
        return number + 1

    @track_performance("async")
    async def waiting(number: int) -> int:
        await asyncio.sleep(0.002)
        return number + 1

    performance = Performance()
    with performance.recording():
        assert plain(1) == 2
        assert await waiting(1) == 2
        assert await waiting(2) == 3
        with pytest.raises(ZeroDivisionError), track_performance("block"):
            1 / 0  # noqa: B018 - what fails is measured too

    assert {name: span.counts.count for name, span in performance.spans().items()} == {
        "sync": 1,
        "async": 2,
        "block": 1,
    }
    assert performance.span("async").summary().p50_ms >= 1.9


def test_without_a_recorder_nothing_is_measured_and_nothing_is_wrong() -> None:
    with track_performance("block"):
        pass


async def test_a_task_measures_for_whoever_started_it() -> None:
    async def work() -> None:
        with track_performance("work"):
            await asyncio.sleep(0)

    ours, theirs = Performance(), Performance()
    with ours.recording():
        first = asyncio.create_task(work())
    with theirs.recording():
        second = asyncio.create_task(work())
    await asyncio.gather(first, second)

    assert (ours.span("work").counts.count, theirs.span("work").counts.count) == (1, 1)


def test_a_slow_step_is_warned_of_with_its_order(caplog: pytest.LogCaptureFixture) -> None:
    performance = Performance(PerformanceSettings(order_execution_ms=10))

    with correlated("abc-12345"):
        performance.add("order_execution", 9_900_000, order_id="O-1", symbol="AAPL")
        performance.add("order_execution", 14_200_000, order_id="O-2", symbol="AAPL")

    [record] = caplog.records
    assert (record.levelno, record.getMessage()) == (
        logging.WARNING,
        "slow order execution: 14.2 ms, budget 10 ms",
    )
    assert (record.__dict__["order_id"], record.__dict__["symbol"], record.__dict__["latency_ms"]) == (
        "O-2",
        "AAPL",
        14.2,
    )
    assert performance.span("order_execution").slow == 1


def test_many_slow_steps_make_few_warnings_which_say_how_many(caplog: pytest.LogCaptureFixture) -> None:
    performance = Performance(PerformanceSettings(order_execution_ms=10, warn_seconds=0.05))

    for _ in range(100):
        performance.add("order_execution", 20_000_000)
    assert len(caplog.records) == 1
    time.sleep(0.06)
    performance.add("order_execution", 20_000_000)

    assert caplog.records[1].getMessage() == "slow order execution: 20 ms, budget 10 ms, and 99 more before it"
    assert performance.span("order_execution").slow == 101


def test_a_step_without_a_budget_is_never_slow(caplog: pytest.LogCaptureFixture) -> None:
    Performance().add("something_else", 10**12)

    assert not caplog.records
