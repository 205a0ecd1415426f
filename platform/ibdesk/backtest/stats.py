"""The performance figures of a run."""

from __future__ import annotations

import datetime as dt
import math
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

_DAY_NS = 86_400_000_000_000
_TRADING_DAYS = 252.0
_CALENDAR_DAYS = 365.25
_NAN = float("nan")

_Floats = npt.NDArray[np.float64]


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a backtest; NaN if there is no data for a figure.

    A return is that of the equity from one bar's close to the next, the first one from the cash at the start.
    `periods_per_year` (P) annualizes: bars per trading date, times 252, or times 365.25 when there are bars on
    Saturdays; for bars longer than a day, 365.25 days over the bar. A trading date is that of the instrument's
    session, so that Sunday evening in a future is Monday. Ratios assume a riskless rate of zero. Fractions are of
    one (0.05 is 5 %), money is in the instruments' currency.
    """

    started_at: dt.datetime
    ended_at: dt.datetime
    bars: int
    days: int
    """Trading dates with bars; for bars longer than a day, the number of bars."""
    periods_per_year: float
    start_equity: float
    end_equity: float
    profit: float
    """End equity less start equity, commissions and slippage paid, open positions at their last close."""
    total_return: float
    """End equity / start equity - 1."""
    annual_return: float
    """(end / start) ** (P / number of returns) - 1; NaN once the equity is not positive."""
    annual_volatility: float
    """Standard deviation of the returns (n - 1) * sqrt(P)."""
    sharpe: float
    """Mean return / standard deviation * sqrt(P)."""
    sortino: float
    """Mean return / root of the mean square of the negative returns (over all returns) * sqrt(P)."""
    # daily_volatility, daily_sharpe, daily_sortino: the same of the returns from one trading date's last close to the
    # next, which is how intraday strategies are compared with others; P is 252 or 365.25 then.
    daily_volatility: float
    daily_sharpe: float
    daily_sortino: float
    max_drawdown: float
    """The lowest equity / highest equity before - 1; zero or negative."""
    max_drawdown_time: dt.timedelta
    """The longest time between two highs of the equity, or from the last high to the end."""
    calmar: float
    """Annual return / -max drawdown."""
    exposure_time: float
    """The fraction of bars at whose close a position was open."""
    trades: int
    """Closed round trips; the figures below are of their profit after commission."""
    win_rate: float
    """The fraction of them that made money."""
    profit_factor: float
    """Sum of the winners / sum of the losers, both positive; infinite without a loser."""
    average_trade: float
    best_trade: float
    worst_trade: float
    orders: int
    fills: int
    commission: float
    slippage: float
    # slippage_cut, fills_cut: what slippage would have cost more had prices not ended at their bar's high and low.
    slippage_cut: float = 0.0
    fills_cut: int = 0
    denied: int = 0
    """Orders, and changes of orders, that a risk rule denied."""
    halted_at: dt.datetime | None = None
    """When a risk rule halted trading, which lasts to the end."""


def compute_stats(
    equity: pl.DataFrame,
    trips: pl.DataFrame,
    dates: pl.Series,
    *,
    cash: float,
    interval_ns: int,
    orders: int,
    fills: int,
    commission: float,
    slippage: float,
    slippage_cut: float = 0.0,
    fills_cut: int = 0,
    denied: int = 0,
    halted_at: dt.datetime | None = None,
) -> Stats:
    """Return the figures of an equity curve (see `equity_curve`), the trading date of each row, and round trips."""
    per_year = periods_per_year(dates, interval_ns)
    values = equity["equity"].to_numpy()
    bar = _ratios(values, cash, per_year)
    last_of_days = dates.ne_missing(dates.shift(-1)).to_numpy() if interval_ns < _DAY_NS else slice(None)
    daily = values[last_of_days]
    day = _ratios(daily, cash, per_year * len(daily) / len(values))
    end = float(values[-1])
    annual = _power(end / cash, per_year / len(values)) - 1 if end > 0 else _NAN
    drawdown = float(equity["drawdown"].to_numpy().min())
    pnl = trips["pnl"].to_numpy()
    gained, lost = float(pnl[pnl > 0].sum()), float(-pnl[pnl < 0].sum())
    return Stats(
        started_at=equity["opened_at"][0],
        ended_at=equity["opened_at"][-1] + dt.timedelta(microseconds=interval_ns // 1000),
        bars=equity.height,
        days=len(daily),
        periods_per_year=per_year,
        start_equity=cash,
        end_equity=end,
        profit=end - cash,
        total_return=end / cash - 1,
        annual_return=annual,
        annual_volatility=bar.volatility,
        sharpe=bar.sharpe,
        sortino=bar.sortino,
        daily_volatility=day.volatility,
        daily_sharpe=day.sharpe,
        daily_sortino=day.sortino,
        max_drawdown=drawdown,
        max_drawdown_time=_longest_drawdown(equity, interval_ns),
        calmar=_ratio(annual, -drawdown),
        exposure_time=float(equity["exposed"].to_numpy().mean()),
        trades=trips.height,
        win_rate=_ratio(int((pnl > 0).sum()), len(pnl)),
        profit_factor=math.inf if gained and not lost else _ratio(gained, lost),
        average_trade=_ratio(float(pnl.sum()), len(pnl)),
        best_trade=float(pnl.max()) if len(pnl) else _NAN,
        worst_trade=float(pnl.min()) if len(pnl) else _NAN,
        orders=orders,
        fills=fills,
        commission=commission,
        slippage=slippage,
        slippage_cut=slippage_cut,
        fills_cut=fills_cut,
        denied=denied,
        halted_at=halted_at,
    )


def periods_per_year(dates: pl.Series, interval_ns: int) -> float:
    """Return the number of bars per year, from their trading dates and their interval."""
    if interval_ns > _DAY_NS:
        return _CALENDAR_DAYS * _DAY_NS / interval_ns
    different = dates.unique()
    # Weekday 6 is Saturday: a market open on Saturdays is open every day.
    days = _CALENDAR_DAYS if (different.dt.weekday() == 6).any() else _TRADING_DAYS
    return len(dates) / len(different) * days


class _Ratios(NamedTuple):
    volatility: float
    sharpe: float
    sortino: float


def _ratios(values: _Floats, cash: float, per_year: float) -> _Ratios:
    """Return the annualized ratios of an equity series that began with `cash`."""
    before = np.concatenate([[cash], values[:-1]])
    # A return on zero or negative equity is undefined; the ratios are NaN.
    returns = (values - before) / np.where(before > 0, before, _NAN)
    root = math.sqrt(per_year)
    mean, deviation = float(np.mean(returns)), _deviation(returns)
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    return _Ratios(deviation * root, _ratio(mean, deviation) * root, _ratio(mean, downside) * root)


def _longest_drawdown(equity: pl.DataFrame, interval_ns: int) -> dt.timedelta:
    """Return the longest time from a high to the next high, or to the end."""
    closed_ns = equity["opened_at"].to_physical().to_numpy() + interval_ns
    at_high = equity["drawdown"].to_numpy() >= 0
    # The start counts as a high: the first bar's opening.
    highs = np.concatenate([[closed_ns[0] - interval_ns], closed_ns[at_high], closed_ns[-1:]])
    steps = np.diff(highs)
    # A step from one bar's high to the next bar's high is not a drawdown.
    below = np.concatenate([[0], np.cumsum(~at_high)])
    between = np.concatenate([[0], below[1:][at_high], below[-1:]])
    spans = steps[np.diff(between) > 0]
    return dt.timedelta(microseconds=int(spans.max(initial=0)) // 1000)


def _deviation(returns: _Floats) -> float:
    return float(np.std(returns, ddof=1)) if len(returns) > 1 else _NAN


def _ratio(over: float, under: float) -> float:
    return over / under if under else _NAN


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf
