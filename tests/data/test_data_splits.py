"""Splits that were left in the prices are suspected, crashes are not, and `splits=` takes them out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.data import Split, adjust_for_splits, check_bars, read_bars
from ibdesk.data.sample import quoted_prices
from ibdesk.errors import DataError

MakeBars = Callable[..., pl.DataFrame]
# Moves of about one percent, as a share has them on usual days.
CALM = [100.0, 101.0, 100.2, 99.5, 100.4, 101.3, 100.8, 101.9, 101.1, 100.6]


def around(make_bars: MakeBars, ratio: float) -> pl.DataFrame:
    """Return ten days of a share, and ten after a split."""
    return make_bars([*CALM, *(price / ratio for price in CALM)])


@pytest.mark.parametrize(
    ("ratio", "words"),
    [(2, "2:1"), (4, "4:1"), (1.5, "3:2"), (3, "3:1"), (7, "7:1"), (20, "20:1"), (0.1, "1:10"), (0.05, "1:20")],
)
def test_a_split_in_the_prices_is_a_warning(make_bars: MakeBars, ratio: float, words: str) -> None:
    (warning,) = check_bars(around(make_bars, ratio)).suspected

    # The tenth close is 100.6, the next 100 divided by the ratio, on 12 January.
    assert warning == (
        f"AAPL: 2024-01-12 looks like a split of {words} (100.6 -> {100 / ratio:g}): pass "
        f"splits=['AAPL 2024-01-12 {words}'] if it was one"
    )


def test_the_split_that_was_seen_is_found_and_taken_out(tmp_path: Path) -> None:
    closes = [74.9, 75.8, 75.1, 75.32, 37.92, 37.6, 38.1]
    days = [3, 4, 5, 8, 9, 10, 11]
    path = tmp_path / "AAPL.csv"
    rows = (f"2024-01-{day:02},{close},{close},{close},{close},1000\n" for day, close in zip(days, closes, strict=True))
    path.write_text("Date,Open,High,Low,Close,Volume\n" + "".join(rows))

    assert read_bars(path).suspected[0].startswith("AAPL: 2024-01-09 looks like a split of 2:1 (75.32 -> 37.92)")
    adjusted = read_bars(path, splits=["AAPL 2024-01-09 2:1"])
    assert adjusted.suspected == ()
    assert adjusted["close"].to_list() == [37.45, 37.9, 37.55, 37.66, 37.92, 37.6, 38.1]
    assert adjusted["volume"].to_list() == [2000] * 4 + [1000] * 3


@pytest.mark.parametrize(
    "after",
    [
        # A crash by half: the day falls from where it opened, or the days after it are wild.
        [(98, 99, 48, 50), (50, 55, 44, 46), (46, 52, 45, 51)],
        [50, 46, 52, 47, 55],
        [(55, 58, 47, 50.5), 44, 49, 53, 48],
        # Down by half and back again at once, a wrong row.
        [50, 100, 101, 100.3, 99.8],
        # No ratio that companies use.
        [57, 57.5, 57.1, 56.6, 57.2],
        [85, 85.5, 84.9, 85.3, 85.1],
    ],
)
def test_a_crash_is_no_split(make_bars: MakeBars, after: list[float]) -> None:
    assert check_bars(make_bars([*CALM, *after])).suspected == ()


def test_the_volume_of_a_panic_is_none_of_a_split(make_bars: MakeBars) -> None:
    bars = around(make_bars, 2).with_columns(volume=pl.Series([1000.0] * 10 + [40_000.0] * 10))

    assert check_bars(bars).suspected == ()


def test_the_splits_of_the_sample_are_suspected_and_no_other_day_is() -> None:
    quoted = quoted_prices().with_columns(opened_at=pl.col("date"))

    suspected = [warning.split(" looks")[0] for warning in check_bars(quoted.sort("symbol", "opened_at")).suspected]

    # Apple fell by half on 29 September 2000; that is none.
    assert suspected == ["AAPL: 2000-06-21", "AAPL: 2005-02-28", "MSFT: 2003-02-18"]


def test_a_future_that_rolls_has_no_splits(make_bars: MakeBars) -> None:
    bars = around(make_bars, 2).with_columns(symbol=pl.lit("CL-202403"))

    assert check_bars(bars).suspected == ()


def test_a_split_is_seen_in_minutes_too(make_bars: MakeBars) -> None:
    minutes = [
        make_bars([price] * 3, start=dt.datetime(2024, 1, day, 14, 30, tzinfo=dt.UTC), step=dt.timedelta(minutes=1))
        for day, price in zip((2, 3, 4, 5, 8, 9), (100, 101, 100.5, 100.9, 50.3, 50.1), strict=True)
    ]

    (warning,) = check_bars(pl.concat(minutes)).suspected

    assert warning.startswith("AAPL: 2024-01-08 looks like a split of 2:1")


@given(
    ratio=st.sampled_from([1.5, 2.0, 4.0, 10.0, 0.1]),
    closes=st.lists(st.floats(1, 1000), min_size=2, max_size=20),
    day=st.integers(0, 25),
)
def test_adjusting_keeps_the_money_that_changed_hands(ratio: float, closes: list[float], day: int) -> None:
    first = dt.date(2024, 1, 1)
    dates = [first + dt.timedelta(days=n) for n in range(len(closes))]
    prices = dict.fromkeys(("open", "high", "low", "close"), closes)
    bars = pl.DataFrame(
        {"symbol": ["AAPL"] * len(closes), "opened_at": dates, **prices, "volume": [100.0] * len(closes)}
    )
    split = Split("AAPL", first + dt.timedelta(days=day), ratio)

    adjusted = adjust_for_splits(bars, [split])

    for date, old, new, volume in zip(dates, closes, adjusted["close"], adjusted["volume"], strict=True):
        factor = ratio if date < split.on else 1
        assert (new, volume) == (pytest.approx(old / factor), pytest.approx(100 * factor))


@pytest.mark.parametrize(("text", "ratio"), [("4:1", 4), ("3:2", 1.5), ("1:10", 0.1), ("2", 2), ("3/2", 1.5)])
def test_a_split_is_written_as_people_write_it(text: str, ratio: float) -> None:
    assert Split.parse(f"AAPL 2024-01-12 {text}") == Split("AAPL", dt.date(2024, 1, 12), ratio)


@pytest.mark.parametrize(
    "text", ["AAPL", "AAPL 12.1.2024 4:1", "AAPL 2024-01-12 4:0", "AAPL 2024-01-12 0", "AAPL 2024-13-12 4:1"]
)
def test_what_is_no_split_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="is not of the form 'AAPL 2020-08-31 4:1'"):
        Split.parse(text)
