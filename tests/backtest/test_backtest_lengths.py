"""Bars of several lengths in one run: each arrives at its close, and no order trades on what it could not know."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import polars as pl
import pytest

from ibdesk.backtest import backtest
from ibdesk.data import check_bars
from ibdesk.errors import DataError
from ibdesk.exchange import NoCommission, NoSlippage
from ibdesk.model import Bar, Fill
from ibdesk.strategy import Strategy

MakeBars = Callable[..., pl.DataFrame]
MINUTE = dt.timedelta(minutes=1)
TUESDAY = dt.datetime(2024, 1, 2, tzinfo=dt.UTC)
LENGTHS = {"AAA": "1 min", "DLY": "1 day"}


def diary(seen: list[str]) -> Strategy:
    """Return a strategy that writes down what it learns, and buys DLY at one minute bar of AAA."""

    class Diary(Strategy):
        def on_bar(self, bar: Bar) -> None:
            seen.append(f"{bar.instrument} {bar.closed_at:%d %H:%M}")
            if seen[-1] == "AAA 03 14:31":
                self.buy("DLY", 10)

        def on_fill(self, fill: Fill) -> None:
            seen.append(f"fill at {fill.price:g}")

    return Diary()


@pytest.fixture
def mixed(make_bars: MakeBars) -> pl.DataFrame:
    """Two minute bars of AAA on two mornings, and three daily bars of DLY."""
    minutes = [
        make_bars([10, 11], symbol="AAA", start=TUESDAY + dt.timedelta(days=d, hours=14.5), step=MINUTE) for d in (0, 1)
    ]
    daily = make_bars([(50, 60, 40, 55), (56, 61, 41, 57), (58, 62, 42, 59)], symbol="DLY", start=TUESDAY)
    return pl.concat([*minutes, daily])


def test_lengths_that_differ_are_refused_until_they_are_declared(mixed: pl.DataFrame) -> None:
    with pytest.raises(DataError, match=r"those of AAA are 1 min apart, DLY has bars 1 d apart; pass interval=\{'AAA'"):
        backtest(diary([]), mixed)


def test_a_daily_bar_among_minutes_arrives_at_the_end_of_its_day(mixed: pl.DataFrame) -> None:
    seen: list[str] = []
    bars = check_bars(mixed, interval=LENGTHS)

    result = backtest(diary(seen), bars, commissions=NoCommission(), slippage=NoSlippage())

    # Bought at 14:31 of the 3rd, when the daily bar of the 3rd had long opened: the next open is that of the 4th, 58.
    assert seen == [
        "AAA 02 14:31",
        "AAA 02 14:32",
        "DLY 03 00:00",
        "AAA 03 14:31",
        "AAA 03 14:32",
        "DLY 04 00:00",
        "fill at 58",
        "DLY 05 00:00",
    ]
    # The last close of DLY is 59, one above the price paid.
    assert result.stats.profit == pytest.approx(10 * 1)


def test_equity_knows_a_daily_close_at_the_end_of_its_day(mixed: pl.DataFrame) -> None:
    bars = check_bars(mixed, interval=LENGTHS)

    result = backtest(diary([]), bars, commissions=NoCommission(), slippage=NoSlippage())

    # Bought at 58 at midnight, and worth 59 once the 4th is over.
    by_time = {f"{row['opened_at']:%d %H:%M}": row["equity"] for row in result.equity.iter_rows(named=True)}
    assert by_time == {
        "02 14:30": 100_000,
        "02 14:31": 100_000,
        "02 23:59": 100_000,
        "03 14:30": 100_000,
        "03 14:31": 100_000,
        "03 23:59": 100_000,
        "04 23:59": 100_000 + 10,
    }


def test_lengths_may_stand_in_a_column(mixed: pl.DataFrame) -> None:
    length = pl.when(pl.col("symbol") == "DLY").then(pl.lit("1 day")).otherwise(pl.lit("1 min"))

    checked = check_bars(mixed.with_columns(interval=length))

    assert checked.frame.equals(check_bars(mixed, interval=LENGTHS).frame)
    assert checked.intervals == {"AAA": 60_000_000_000, "DLY": 86_400_000_000_000}


def test_a_declared_length_that_bars_contradict_is_refused(mixed: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="AAA: row 1, 2024-01-02 14:31:00 UTC: only 1 min after the bar before"):
        check_bars(mixed, interval="1 day")


def test_the_first_bar_of_a_session_may_be_shorter(make_bars: MakeBars) -> None:
    # IB's hourly bars of New York: 09:30, 10:00, 11:00 ... there.
    hour = dt.timedelta(hours=1)
    days = [
        pl.concat(
            [
                make_bars([10], start=TUESDAY + dt.timedelta(days=day, hours=14.5)),
                make_bars([11] * 6, start=TUESDAY + dt.timedelta(days=day, hours=15), step=hour),
            ]
        )
        for day in (0, 1)
    ]

    checked = check_bars(pl.concat(days))

    assert checked.frame["interval"].to_list()[:3] == [hour / 2, hour, hour]
    assert (checked.intervals, checked.warnings) == ({"AAPL": 3_600_000_000_000}, ())
