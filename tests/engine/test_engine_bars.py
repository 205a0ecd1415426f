"""Bars are built from shorter bars, trade prints and quotes."""

from __future__ import annotations

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.engine import BarBuilder
from ibdesk.errors import ConfigError
from ibdesk.model import Bar, BarSource, Quote, Tick

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
TEN = 1_773_151_200 * SECOND  # 2026-03-10 14:00 UTC


def part(seconds: int, *prices: float, volume: float = 1.0) -> Bar:
    """A five-second bar that opens so many seconds after ten, from its open, high, low and close."""
    first, high, low, last = prices if len(prices) == 4 else prices * 4
    return Bar("AAPL", TEN + seconds * SECOND, 5 * SECOND, first, high, low, last, volume)


def minute(number: int, first: float, high: float, low: float, last: float, volume: float) -> Bar:
    return Bar("AAPL", TEN + number * MINUTE, MINUTE, first, high, low, last, volume)


def test_twelve_five_second_bars_make_a_minute_at_the_close_of_the_last() -> None:
    builder = BarBuilder("AAPL", MINUTE)

    for seconds in range(0, 55, 5):
        assert builder.add_bar(part(seconds, 10, 11, 9, 10 + seconds / 100)) == []

    assert builder.add_bar(part(55, 10, 12, 9.5, 10.7)) == [minute(0, 10, 12, 9, 10.7, 12)]


def test_a_minute_whose_last_part_is_missing_ends_with_the_next_part() -> None:
    builder = BarBuilder("AAPL", MINUTE)
    builder.add_bar(part(0, 10))
    builder.add_bar(part(30, 12))

    assert builder.add_bar(part(65, 11)) == [minute(0, 10, 12, 10, 12, 2)]


def test_after_a_gap_one_part_may_end_two_bars_and_the_empty_ones_between_are_left_out() -> None:
    builder = BarBuilder("AAPL", MINUTE)
    builder.add_bar(part(0, 10))

    assert builder.add_bar(part(295, 13)) == [minute(0, 10, 10, 10, 10, 1), minute(4, 13, 13, 13, 13, 1)]


def test_bars_are_aligned_to_whole_intervals_since_1970() -> None:
    builder = BarBuilder("AAPL", 15 * MINUTE)
    builder.add_bar(part(17 * 60, 10))

    (bar,) = builder.add_bar(part(31 * 60, 11))

    assert bar.opened_ns == TEN + 15 * MINUTE


def test_a_part_that_is_told_again_counts_once() -> None:
    builder = BarBuilder("AAPL", MINUTE)
    for seconds in (0, 5, 5, 0, 10, 55):
        done = builder.add_bar(part(seconds, 10))

    assert done == [minute(0, 10, 10, 10, 10, 4)]
    assert builder.add_bar(part(55, 10)) == []
    assert builder.add_bar(part(115, 11)) == [minute(1, 11, 11, 11, 11, 1)]


def test_trade_prints_make_a_bar_when_the_first_one_after_it_comes() -> None:
    builder = BarBuilder("AAPL", MINUTE)
    for seconds, price, size in ((1, 10, 5), (20, 12, 1), (59, 11, 2)):
        assert builder.add_tick(Tick("AAPL", TEN + seconds * SECOND, price, size)) == []

    assert builder.add_tick(Tick("AAPL", TEN + 60 * SECOND, 20, 7)) == [minute(0, 10, 12, 10, 11, 8)]


def test_a_print_that_comes_after_its_bar_has_closed_is_passed_over() -> None:
    builder = BarBuilder("AAPL", MINUTE)
    for seconds, price in ((30, 10), (61, 20), (59, 1), (62, 21)):
        builder.add_tick(Tick("AAPL", TEN + seconds * SECOND, price, 1))

    assert builder.add_tick(Tick("AAPL", TEN + 120 * SECOND, 0, 1)) == [minute(1, 20, 21, 20, 21, 2)]


def test_quotes_make_bars_of_their_middle_without_volume() -> None:
    builder = BarBuilder("AAPL", MINUTE)
    for seconds, bid, ask in ((0, 10, 10.5), (10, math.nan, 10), (20, 11, 10), (30, 9, 9.5), (40, 10, math.nan)):
        assert builder.add_quote(Quote("AAPL", TEN + seconds * SECOND, bid, ask)) == []

    # One side alone, and a bid above the ask, tell no price.
    assert builder.add_quote(Quote("AAPL", TEN + MINUTE, 8, 8)) == [minute(0, 10.25, 10.25, 9.25, 9.25, 0)]


@pytest.mark.parametrize("interval_ns", [0, -MINUTE])
def test_an_interval_must_be_positive(interval_ns: int) -> None:
    with pytest.raises(ConfigError, match="a bar interval must be positive"):
        BarBuilder("AAPL", interval_ns)


figures = st.floats(1, 1000)
parts_of_a_day = st.lists(
    st.tuples(st.integers(0, 720), st.lists(figures, min_size=4, max_size=4), st.integers(0, 1000)),
    min_size=1,
    max_size=120,
    unique_by=lambda drawn: drawn[0],
).map(lambda drawn: [_part(number, prices, volume) for number, prices, volume in sorted(drawn)])


def _part(number: int, prices: list[float], volume: int) -> Bar:
    high, low = max(prices), min(prices)
    return part(5 * number, prices[0], high, low, prices[1], volume=float(volume))


@given(parts=parts_of_a_day, seconds=st.sampled_from([10, 15, 60, 300, 3600]))
def test_built_bars_are_those_that_polars_groups(parts: list[Bar], seconds: int) -> None:
    frame = pl.DataFrame(
        [(bar.opened_ns, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in parts],
        schema=["t", "open", "high", "low", "close", "volume"],
        orient="row",
    ).with_columns(pl.col("t").cast(pl.Datetime("ns")))
    grouped = frame.group_by_dynamic("t", every=f"{seconds}s").agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
    )
    builder = BarBuilder("AAPL", seconds * SECOND)

    built = [bar for each in parts for bar in builder.add_bar(each)]
    # A bar far in the future shows that the last one is over.
    built += builder.add_bar(Bar("AAPL", TEN + 86_400 * SECOND, 5 * SECOND, 1, 1, 1, 1, 1))[:1]

    rows = [(bar.opened_ns, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in built]
    wanted = grouped.with_columns(pl.col("t").cast(pl.Int64)).rows()
    assert rows[: len(wanted)] == wanted


def test_a_run_on_minutes_decides_once_its_minute_is_whole(story) -> None:
    story.start(interval=60)

    assert [len(story.placed(story.bar(7.0, interval=5))) for _ in range(12)] == [0] * 11 + [1]
    (order,) = story.engine.blotter.orders.values()
    assert (order.quantity, order.created_ns) == (7.0, TEN + MINUTE)


def test_a_run_on_trade_prints_builds_its_bars_from_them_alone(story) -> None:
    story.start(interval=60, bar_source=BarSource.TICKS)

    assert story.bar(9.0, interval=60) == []
    story.tell(Tick("AAPL", TEN + 70 * SECOND, 3.0, 1))
    (order,) = story.placed(story.tell(Tick("AAPL", TEN + 120 * SECOND, 5.0, 1)))
    assert order.quantity == 3.0


def test_a_run_on_quotes_builds_its_bars_from_their_middle(story) -> None:
    story.start(interval=60, bar_source=BarSource.QUOTES)
    story.tell(Quote("AAPL", TEN + 1, 4.0, 6.0))
    story.tell(Tick("AAPL", TEN + 2, 50.0, 1))

    (order,) = story.placed(story.tell(Quote("AAPL", TEN + MINUTE, 7.0, 7.0)))

    assert order.quantity == 5.0


def test_longer_bars_than_its_own_are_nothing_to_a_run(story) -> None:
    story.start(interval=60)

    assert story.bar(9.0, interval=3600) == []
