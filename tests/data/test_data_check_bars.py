"""Bars that cannot be traded on are refused by name, row and time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import polars as pl
import pytest

from ibdesk.data import check_bars
from ibdesk.errors import DataError

MakeBars = Callable[..., pl.DataFrame]
MINUTE = dt.timedelta(minutes=1)


def _with(bars: pl.DataFrame, row: int, column: str, value: float | None) -> pl.DataFrame:
    values = bars[column].to_list()
    values[row] = value
    return bars.with_columns(pl.Series(column, values, dtype=bars.schema[column]))


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("close", float("nan"), "AAPL: row 1, 2024-01-03: close is not a number (nan)"),
        ("open", None, "AAPL: row 1, 2024-01-03: open is not a number (None)"),
        ("volume", float("inf"), "AAPL: row 1, 2024-01-03: volume is not a number (inf)"),
        ("low", 0.0, "AAPL: row 1, 2024-01-03: low is not positive (0.0)"),
        ("volume", -1.0, "AAPL: row 1, 2024-01-03: volume is negative (-1.0)"),
        ("high", 9.0, "AAPL: row 1, 2024-01-03: high is below open, low or close (9.0)"),
        ("low", 11.0, "AAPL: row 1, 2024-01-03: high is below open, low or close (10.0)"),
    ],
)
def test_a_value_that_cannot_be_is_named(make_bars: MakeBars, column: str, value: float | None, sentence: str) -> None:
    bars = _with(make_bars([10, 10, 10]), 1, column, value)

    with pytest.raises(DataError) as caught:
        check_bars(bars)

    assert str(caught.value).startswith(sentence)


def test_two_bars_of_one_time_are_refused(make_bars: MakeBars) -> None:
    bars = make_bars([10, 11, 12])

    with pytest.raises(DataError, match="AAPL: row 3, 2024-01-04: the bar is the second of this time: keep one"):
        check_bars(pl.concat([bars, bars.tail(1)]))


def test_bars_that_go_back_in_time_are_refused(make_bars: MakeBars) -> None:
    with pytest.raises(DataError, match="AAPL: row 1, 2024-01-03: the bar is older than the one before"):
        check_bars(make_bars([10, 11, 12]).reverse())


def test_missing_columns_are_named_with_what_there_is() -> None:
    with pytest.raises(DataError, match=r"bars lack the columns symbol, opened_at, .*they have price"):
        check_bars(pl.DataFrame({"price": [1.0]}))


def test_times_without_a_zone_are_refused_with_what_to_do(make_bars: MakeBars) -> None:
    naive = make_bars([10, 11]).with_columns(pl.col("opened_at").dt.replace_time_zone(None))

    with pytest.raises(DataError, match=r"opened_at has no time zone; .*replace_time_zone\('UTC'\)"):
        check_bars(naive)


def test_dates_mean_midnight_utc(make_bars: MakeBars) -> None:
    bars = make_bars([10, 11])

    checked = check_bars(bars.with_columns(pl.col("opened_at").dt.date()))

    assert checked.frame.equals(bars)


def test_symbols_in_blocks_are_sorted_by_time_and_symbol(make_bars: MakeBars) -> None:
    checked = check_bars(pl.concat([make_bars([10, 11], symbol="MSFT"), make_bars([20, 21])]))

    assert checked.frame["symbol"].to_list() == ["AAPL", "MSFT", "AAPL", "MSFT"]
    assert checked.symbols == ("AAPL", "MSFT")


def test_the_interval_is_the_most_common_step_and_weekends_are_no_gaps(make_bars: MakeBars) -> None:
    bars = make_bars([10] * 14).filter(pl.col("opened_at").dt.weekday() < 6)

    checked = check_bars(bars)

    assert checked.interval_ns == 86_400_000_000_000
    assert checked.warnings == ()


def test_bars_closer_than_the_interval_are_refused(make_bars: MakeBars) -> None:
    odd = make_bars([10], start=dt.datetime(2024, 1, 5, 6, tzinfo=dt.UTC))

    with pytest.raises(DataError, match="AAPL: row 4, 2024-01-05 06:00:00 UTC: only 6 h after the bar before"):
        check_bars(pl.concat([make_bars([10] * 4), odd]))


def test_bars_missing_inside_a_day_are_a_warning_or_an_error_when_asked(make_bars: MakeBars) -> None:
    start = dt.datetime(2024, 1, 2, 14, 30, tzinfo=dt.UTC)
    bars = make_bars([10] * 6, start=start, step=MINUTE)
    holed = pl.concat([bars.head(3), bars.tail(1)])
    sentence = "AAPL: 2 bars of 1 min are missing between 2024-01-02 14:32:00 UTC and 2024-01-02 14:35:00 UTC"

    assert check_bars(holed).warnings == (sentence,)
    with pytest.raises(DataError, match=f"{sentence}: add the missing bars, or pass allow_gaps=True"):
        check_bars(holed, allow_gaps=False)


def test_the_night_between_two_days_is_no_gap(make_bars: MakeBars) -> None:
    days = [make_bars([10] * 3, start=dt.datetime(2024, 1, day, 14, 30, tzinfo=dt.UTC), step=MINUTE) for day in (2, 3)]

    assert check_bars(pl.concat(days)).warnings == ()
