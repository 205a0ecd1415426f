"""The moving average by columns and the one by steps are the same floats, bit for bit."""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk import Ema, ema

spans = st.integers(1, 5000)
prices = st.floats(0.01, 1e5)
anything = st.none() | prices | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1.7e308])
columns = st.lists(st.none() | prices, max_size=120)


def bits(values: Sequence[float | None]) -> list[bytes | None]:
    """The values as bytes: -0.0 is not 0.0 then. A NaN is a NaN, whatever its sign."""
    return [None if value is None else struct.pack("<d", math.nan if math.isnan(value) else value) for value in values]


def by_steps(values: Sequence[float | None], span: int) -> list[float | None]:
    average = Ema(span)
    return [average.update(value) for value in values]


def by_columns(values: Sequence[float | None], span: int) -> list[float | None]:
    return pl.Series("x", values, dtype=pl.Float64).to_frame().select(ema("x", span)).to_series().to_list()


def test_the_average_is_the_one_worked_out_by_hand() -> None:
    # alpha = 2 / (3 + 1): 10, then 10 + (12 - 10) / 2, 11 + (11 - 11) / 2, 11 + (15 - 11) / 2
    assert by_steps([10.0, 12.0, 11.0, 15.0], 3) == [None, None, 11.0, 13.0]


def test_a_missing_value_gives_none_and_lets_the_past_fade_by_a_step() -> None:
    # After the null the past weighs 1/2 * 1/2 against 1/2: 10 + (16 - 10) * 2/3
    assert by_steps([10.0, 10.0, 10.0, None, 16.0], 3) == [None, None, 10.0, None, 14.0]


@given(values=st.lists(anything, max_size=80), span=st.integers(1, 40))
def test_columns_and_steps_agree_on_anything(values: list[float | None], span: int) -> None:
    assert bits(by_columns(values, span)) == bits(by_steps(values, span))


@given(values=columns, span=spans)
def test_columns_and_steps_agree_for_every_span_before_it_is_full(values: list[float | None], span: int) -> None:
    full = pl.Series("x", values, dtype=pl.Float64).ewm_mean(span=span, adjust=False, min_samples=1)
    average, seen = Ema(span), 0

    for value, wanted in zip(values, full.to_list(), strict=True):
        given_back = average.update(value)
        seen += value is not None
        assert bits([given_back]) == bits([wanted if seen >= span else None])
        if value is not None:
            assert bits([average._value]) == bits([wanted])


@pytest.mark.parametrize("span", [1, 2, 3, 12, 26, 200, 1999, 5000])
def test_columns_and_steps_agree_over_a_long_walk(span: int) -> None:
    steps = pl.Series("x", range(12_000)).hash(seed=span) % 2_001
    walk = (100.0 + (steps.cast(pl.Float64) - 1000.0) / 1000.0).cum_sum() / 10
    holes = walk.set(steps % 17 == 0, None)

    for values in (walk.to_list(), holes.to_list()):
        assert bits(by_columns(values, span)) == bits(by_steps(values, span))


@given(values=columns, span=st.integers(1, 30), cut=st.integers(0, 120))
def test_a_restart_that_takes_the_same_bars_again_goes_on_with_the_same_bits(
    values: list[float | None], span: int, cut: int
) -> None:
    restarted = Ema(span)
    for value in values[:cut]:
        restarted.update(value)

    assert bits([restarted.update(value) for value in values[cut:]]) == bits(by_columns(values, span)[cut:])


@given(values=columns, span=st.integers(1, 30), cuts=st.lists(st.integers(0, 120), max_size=5))
def test_a_series_in_chunks_gives_the_same_bits(values: list[float | None], span: int, cuts: list[int]) -> None:
    edges = sorted({0, *cuts, len(values)})
    parts = [pl.DataFrame({"x": values[a:b]}, schema={"x": pl.Float64}) for a, b in itertools.pairwise(edges)]
    chunked = pl.concat(parts or [pl.DataFrame(schema={"x": pl.Float64})], rechunk=False)

    assert bits(chunked.select(ema("x", span)).to_series().to_list()) == bits(by_columns(values, span))


@given(rows=st.lists(st.tuples(st.sampled_from("abc"), st.none() | prices), max_size=120), span=st.integers(1, 20))
def test_each_symbol_of_a_frame_has_its_own_average(rows: list[tuple[str, float | None]], span: int) -> None:
    frame = pl.DataFrame(rows, schema={"symbol": pl.String, "x": pl.Float64}, orient="row")

    together = frame.select("symbol", y=ema("x", span).over("symbol"))

    for symbol in "abc":
        alone = by_steps([value for name, value in rows if name == symbol], span)
        assert bits(together.filter(pl.col("symbol") == symbol)["y"].to_list()) == bits(alone)


@given(values=columns, span=st.integers(1, 20))
def test_the_streaming_engine_gives_the_same_bits(values: list[float | None], span: int) -> None:
    lazy = pl.LazyFrame({"x": values}, schema={"x": pl.Float64}).select(ema("x", span))

    assert bits(lazy.collect(engine="streaming").to_series().to_list()) == bits(by_columns(values, span))


@given(values=st.lists(anything, max_size=80), span=st.integers(1, 20), length=st.integers(0, 80))
def test_later_values_change_nothing(values: list[float | None], span: int, length: int) -> None:
    assert bits(by_columns(values[:length], span)) == bits(by_columns(values, span)[:length])


def test_an_expression_is_averaged_as_a_column_is() -> None:
    frame = pl.DataFrame({"high": [3.0, 5.0], "low": [1.0, 1.0]})

    assert frame.select(ema((pl.col("high") + pl.col("low")) / 2, 1)).to_series().to_list() == [2.0, 3.0]


@pytest.mark.parametrize("span", [0, -3])
def test_a_span_below_one_is_refused(span: int) -> None:
    for make in (Ema, lambda span: ema("close", span)):
        with pytest.raises(ValueError, match=f"an EMA needs a span of at least 1, got {span}"):
            make(span)
