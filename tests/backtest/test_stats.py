"""The figures of a run, worked out by hand."""

from __future__ import annotations

import datetime as dt
import math

import polars as pl
import pytest

from ibdesk.backtest.round_trips import round_trips
from ibdesk.backtest.stats import Stats, compute_stats, periods_per_year
from ibdesk.backtest.table import stats_html, stats_table

DAY_NS = 86_400_000_000_000
MONDAY = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def _stats(values: list[float], *, cash: float = 100.0) -> Stats:
    frame = pl.DataFrame({"equity": [float(value) for value in values]}).with_columns(
        opened_at=pl.Series(
            [MONDAY + dt.timedelta(days=i) for i in range(len(values))], dtype=pl.Datetime("ns", "UTC")
        ),
        drawdown=pl.col("equity") / pl.max_horizontal(pl.col("equity").cum_max(), cash) - 1,
        exposed=pl.lit(value=True),
    )
    return compute_stats(
        frame,
        round_trips([]),
        frame["opened_at"].dt.date(),
        cash=cash,
        interval_ns=DAY_NS,
        orders=0,
        fills=0,
        commission=0,
        slippage=0,
    )


def test_returns_and_ratios() -> None:
    stats = _stats([110, 99, 108.9])  # +10 %, -10 %, +10 %

    assert stats.total_return == pytest.approx(0.089)
    assert stats.annual_return == pytest.approx(1.089 ** (252 / 3) - 1)
    # mean 1/30; deviations 2/30, -4/30, 2/30: variance 24/900/2
    deviation = math.sqrt(24 / 900 / 2)
    assert stats.annual_volatility == pytest.approx(deviation * math.sqrt(252))
    assert stats.sharpe == pytest.approx(1 / 30 / deviation * math.sqrt(252))
    assert stats.sortino == pytest.approx(1 / 30 / math.sqrt(0.01 / 3) * math.sqrt(252))
    assert stats.max_drawdown == pytest.approx(-0.1)
    assert stats.calmar == pytest.approx(stats.annual_return / 0.1)


def test_the_longest_drawdown_runs_from_high_to_high_or_to_the_end() -> None:
    # The high of the first close is reached again on the fourth; the fifth is a new high.
    assert _stats([110, 99, 105, 111, 112]).max_drawdown_time == dt.timedelta(days=3)
    assert _stats([90, 80, 70]).max_drawdown_time == dt.timedelta(days=3)
    assert _stats([110, 120, 130]).max_drawdown_time == dt.timedelta(0)


def test_nothing_to_divide_by_gives_nan_and_no_warning() -> None:
    flat = _stats([100, 100, 100])

    assert math.isnan(flat.sharpe)
    assert math.isnan(flat.sortino)
    assert math.isnan(flat.calmar)
    assert math.isnan(flat.win_rate)
    assert flat.max_drawdown == 0


def test_a_lost_account_has_no_annual_return() -> None:
    broke = _stats([50, -10, -20])

    assert math.isnan(broke.annual_return)
    assert broke.total_return == pytest.approx(-1.2)


@pytest.mark.parametrize(
    ("step", "bars", "interval", "expected"),
    [
        (dt.timedelta(days=1), 5, DAY_NS, 252),  # Monday to Friday
        (dt.timedelta(days=1), 7, DAY_NS, 365.25),  # a market that is open on Saturdays
        (dt.timedelta(days=7), 5, 7 * DAY_NS, 365.25 / 7),
        (dt.timedelta(minutes=1), 390, DAY_NS // 1440, 390 * 252),
    ],
)
def test_the_bar_spacing_says_how_many_bars_a_year_has(
    step: dt.timedelta, bars: int, interval: int, expected: float
) -> None:
    times = pl.Series([MONDAY + i * step for i in range(bars)], dtype=pl.Datetime("ns", "UTC"))

    assert periods_per_year(times.dt.date(), interval) == pytest.approx(expected)


def test_figures_are_written_as_people_write_them() -> None:
    page = stats_html(_stats([110, 99]), title="<Strategy>")

    assert "&lt;Strategy&gt;" in page
    assert "\N{MINUS SIGN}1.00%" in page
    assert "nan" not in page
    assert stats_table(_stats([110, 99]), title="x").row_count > 20
