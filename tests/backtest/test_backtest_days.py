"""A trading day is that of each instrument's session: for orders that last a day, and for figures of a year."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from ibdesk import Bar, Strategy, TimeInForce
from ibdesk.backtest import Result, backtest
from ibdesk.data.trading_dates import trading_dates
from ibdesk.model import Future, Session, instrument_of

MakeBars = Callable[..., pl.DataFrame]

CHICAGO, NEW_YORK = ZoneInfo("America/Chicago"), ZoneInfo("America/New_York")
MINUTE, HOUR = dt.timedelta(minutes=1), dt.timedelta(hours=1)
HOUR_NS = 3_600_000_000_000


class OrderAt(Strategy):
    """Leaves an order that nothing reaches in one symbol at the close of the bar of one time."""

    symbol: str
    at: str
    time_in_force: str = "day"

    def on_bar(self, bar: Bar) -> None:
        if bar.instrument == self.symbol and f"{self.now.astimezone(CHICAGO):%a %H:%M}" == self.at:
            self.buy(bar.instrument, 1, limit=5, time_in_force=TimeInForce(self.time_in_force))


def chicago(day: int, hour: int, minute: int = 0) -> dt.datetime:
    return dt.datetime(2024, 1, day, hour, minute, tzinfo=CHICAGO).astimezone(dt.UTC)


@pytest.fixture
def future_and_share(make_bars: MakeBars) -> pl.DataFrame:
    """Return minutes of ES from Sunday evening to Tuesday, and of AAPL on Monday."""
    future = [chicago(7, 18), chicago(7, 23), chicago(8, 8, 30), chicago(8, 15, 58), chicago(8, 17), chicago(9, 15, 58)]
    share = [chicago(8, 8, 30), chicago(8, 14, 58)]
    parts = [make_bars([100, 100], symbol="ES-202403", start=start, step=MINUTE) for start in future]
    return pl.concat([*parts, *(make_bars([100, 100], start=start, step=MINUTE) for start in share)])


@pytest.mark.parametrize(
    ("symbol", "at", "ends"),
    [
        ("ES-202403", "Sun 18:01", chicago(8, 16)),
        ("ES-202403", "Mon 08:31", chicago(8, 16)),
        ("ES-202403", "Mon 16:00", chicago(9, 16)),  # after the close: tomorrow's
        ("AAPL", "Mon 08:31", chicago(8, 15)),
    ],
)
def test_a_day_order_lasts_to_the_end_of_its_own_session(
    future_and_share: pl.DataFrame, symbol: str, at: str, ends: dt.datetime
) -> None:
    together = backtest(OrderAt(symbol=symbol, at=at), future_and_share)
    alone = backtest(OrderAt(symbol=symbol, at=at), future_and_share.filter(pl.col("symbol") == symbol))

    for result in (together, alone):
        orders = result.orders.select("updated_at", "status", "reason").rows()
        assert orders == [(ends, "expired", "the trading day is over")]


@pytest.mark.parametrize("time_in_force", ["day", "gtc", "ioc"])
def test_an_order_of_the_last_close_ends_with_the_data(future_and_share: pl.DataFrame, time_in_force: str) -> None:
    strategy = OrderAt(symbol="ES-202403", at="Tue 16:00", time_in_force=time_in_force)

    orders = backtest(strategy, future_and_share).orders

    assert orders.select("status", "reason").rows() == [("cancelled", "the data ended")]


# --- figures of a year


def walk(symbol: str, opened_at: list[dt.datetime]) -> pl.DataFrame:
    """Return bars of a seeded random walk."""
    close = 4_000 * np.exp(np.cumsum(np.random.default_rng(5).normal(0.0001, 0.003, len(opened_at))))
    opened = np.concatenate([[4_000.0], close[:-1]])
    return pl.DataFrame(
        {
            "symbol": symbol,
            "opened_at": opened_at,
            "open": opened,
            "high": np.maximum(opened, close) * 1.001,
            "low": np.minimum(opened, close) * 0.999,
            "close": close,
            "volume": 1000.0,
        },
        schema_overrides={"opened_at": pl.Datetime("ns", "UTC")},
    )


def week_of(zone: ZoneInfo, opens: dt.time, closes: dt.time, step: dt.timedelta, weeks: int) -> list[dt.datetime]:
    """Return the opening times of a market that trades from Sunday evening to Friday with an hour's pause each day."""
    times = []
    for week, day in itertools.product(range(weeks), range(5)):
        sunday = dt.date(2024, 1, 7) + dt.timedelta(weeks=week, days=day)
        time = dt.datetime.combine(sunday, opens, zone).astimezone(dt.UTC)
        end = dt.datetime.combine(sunday + dt.timedelta(days=1), closes, zone).astimezone(dt.UTC)
        while time < end:
            times.append(time)
            time += step
    return times


class Holding(Strategy):
    def target(self) -> pl.Expr:
        return pl.lit(1.0)


def sharpe(returns: list[float], per_year: float) -> float:
    """Return the ratio by its definition."""
    mean = sum(returns) / len(returns)
    variance = sum((each - mean) ** 2 for each in returns) / (len(returns) - 1)
    return float(mean / variance**0.5 * per_year**0.5)


def sessions_of(result: Result, zone: ZoneInfo, opens: dt.time) -> list[dt.date]:
    """Return the session's date of each row of the equity: after the evening's open it is tomorrow's."""
    dates = []
    for moment in result.equity["opened_at"]:
        local = moment.astimezone(zone)
        dates.append(local.date() + dt.timedelta(days=local.time() >= opens))
    return dates


@pytest.mark.parametrize(
    ("symbol", "zone", "opens", "closes", "step"),
    [
        ("ES-202403", CHICAGO, dt.time(17), dt.time(16), HOUR),
        ("ES-202403", CHICAGO, dt.time(17), dt.time(16), 15 * MINUTE),
        # The first hour of a pair begins before its session does, as many files have it.
        ("EUR.USD", NEW_YORK, dt.time(17), dt.time(17), HOUR),
    ],
)
def test_a_year_has_as_many_bars_as_its_sessions_have(
    symbol: str, zone: ZoneInfo, opens: dt.time, closes: dt.time, step: dt.timedelta
) -> None:
    # Twelve weeks over the change to summer time.
    result = backtest(Holding(), walk(symbol, week_of(zone, opens, closes, step, weeks=12)), cash=1_000_000)
    dates, equity = sessions_of(result, zone, opens), [1_000_000.0, *result.equity["equity"]]
    by_date = dict(zip(dates, equity[1:], strict=True))
    daily = [1_000_000.0, *by_date.values()]

    assert len(by_date) == 60
    assert result.stats.days == 60
    returns = [after / before - 1 for before, after in itertools.pairwise(equity)]
    assert result.stats.sharpe == pytest.approx(sharpe(returns, len(returns) / 60 * 252))
    of_days = [after / before - 1 for before, after in itertools.pairwise(daily)]
    assert result.stats.daily_sharpe == pytest.approx(sharpe(of_days, 252))
    downside = (sum(min(each, 0) ** 2 for each in of_days) / len(of_days)) ** 0.5
    assert result.stats.daily_sortino == pytest.approx(sum(of_days) / len(of_days) / downside * 252**0.5)


def test_on_daily_bars_the_daily_figures_are_the_same(make_bars: MakeBars) -> None:
    stats = backtest(Holding(), make_bars([10, 11, 10.5, 12, 11.5])).stats

    assert (stats.daily_sharpe, stats.daily_volatility) == (stats.sharpe, stats.annual_volatility)
    assert stats.days == stats.bars == 5


def test_a_future_beside_a_share_has_one_calendar(future_and_share: pl.DataFrame) -> None:
    assert backtest(Holding(), future_and_share).stats.days == 2


@pytest.mark.parametrize(
    ("session", "opened_at", "expected"),
    [
        (Future("ES", expiry="202403").session, chicago(7, 17), dt.date(2024, 1, 8)),
        (Future("ES", expiry="202403").session, chicago(8, 15), dt.date(2024, 1, 8)),
        (Future("ES", expiry="202403").session, chicago(12, 15), dt.date(2024, 1, 12)),
        # An hour from 16:30 on trades from 17:00 on.
        (Future("ES", expiry="202403").session, chicago(8, 16, 30), dt.date(2024, 1, 9)),
        (instrument_of("EUR.USD").session, chicago(7, 16), dt.date(2024, 1, 8)),
        (instrument_of("AAPL").session, chicago(8, 8, 30), dt.date(2024, 1, 8)),
        # The opening of Tokyo is midnight in UTC.
        (Session("Asia/Tokyo", 9 * 60, 15 * 60), dt.datetime(2024, 1, 8, 0, tzinfo=dt.UTC), dt.date(2024, 1, 8)),
    ],
)
def test_a_bar_belongs_to_the_session_in_which_it_ends(
    session: Session, opened_at: dt.datetime, expected: dt.date
) -> None:
    times = pl.Series([opened_at], dtype=pl.Datetime("ns", "UTC"))

    assert trading_dates(times, HOUR_NS, session).to_list() == [expected]
