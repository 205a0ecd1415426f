"""A backtest trades as the exchange and the clock allow, and says what it did."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import ibdesk
from ibdesk import Bar, Field, Fill, Strategy, TimeInForce
from ibdesk.backtest import Result, backtest
from ibdesk.engine import RiskLimits
from ibdesk.errors import ConfigError, DataError, StrategyError
from ibdesk.exchange import NoCommission, NoSlippage

MakeBars = Callable[..., pl.DataFrame]

EMA_CROSS = Path(__file__).parents[2] / "strategies" / "ema_cross.py"


class Above(Strategy):
    """Hold `size` shares while the close is above a level."""

    level: float = Field(10, gt=0)
    size: float = Field(100, gt=0)

    def target(self) -> pl.Expr:
        return pl.when(pl.col("close") > self.level).then(self.size).otherwise(0.0)


class Guarded(Strategy):
    """Buy once, and protect the position with a stop as soon as it is filled."""

    def on_bar(self, bar: Bar) -> None:
        if not self.state:
            self.state["bought"] = True
            self.buy(bar.instrument, 100)

    def on_fill(self, fill: Fill) -> None:
        if fill.side is ibdesk.Side.BUY:
            self.sell(fill.instrument, 100, stop=9.5, time_in_force=TimeInForce.GTC)


class Patient(Strategy):
    """Leave a limit order far below the market at the first bar."""

    def on_bar(self, bar: Bar) -> None:
        if not self.state:
            self.state["asked"] = True
            self.buy(bar.instrument, 100, limit=5)


class Alarmed(Strategy):
    """Set a timer at the start and note when it rings."""

    def on_start(self) -> None:
        self.after(36 * 3600, "ring")

    def on_timer(self, name: str) -> None:
        self.log(f"{name} at {self.now:%Y-%m-%d %H:%M}")


def test_a_decision_at_a_close_is_filled_at_the_next_open_with_costs(make_bars: MakeBars) -> None:
    bars = make_bars([(10, 10, 10, 10), (10, 11, 10, 11), (12, 13, 12, 13), (12.5, 12.5, 9, 9), (8, 8, 7.9, 8)])

    result = backtest(Above(), bars, cash=10_000)

    # Bought 100 at 12 and a tick, sold at 8 less a tick, a dollar of commission each.
    assert result.fills["price"].to_list() == [12.01, 7.99]
    assert result.fills["filled_at"].dt.day().to_list() == [4, 6]
    assert result.fills["commission"].to_list() == [1, 1]
    assert result.equity["equity"].to_list() == pytest.approx([10_000, 10_000, 10_098, 9_698, 9_596])
    assert result.stats.profit == pytest.approx(-404)
    assert (result.stats.commission, result.stats.slippage) == pytest.approx((2, 2))
    assert result.stats.max_drawdown == pytest.approx(9_596 / 10_098 - 1)
    assert result.stats.exposure_time == pytest.approx(2 / 5)
    assert result.round_trips["pnl"].to_list() == pytest.approx([-404])


def test_a_stop_placed_at_an_entry_guards_the_rest_of_that_bar(make_bars: MakeBars) -> None:
    bars = make_bars([10, (10, 10.5, 9, 10.2), 10.2])

    result = backtest(Guarded(), bars, commissions=NoCommission(), slippage=NoSlippage())

    assert result.fills.select("side", "price").rows() == [("buy", 10.0), ("sell", 9.5)]
    assert result.fills["bar_opened_at"].n_unique() == 1


def test_a_day_order_expires_when_the_next_day_is_over(make_bars: MakeBars) -> None:
    result = backtest(Patient(), make_bars([10, 10, (10, 10, 4, 10)]))

    assert result.orders.select("status", "reason").rows() == [("expired", "the trading day is over")]
    assert result.fills.is_empty()


def test_an_intraday_day_order_lives_to_the_end_of_its_session(make_bars: MakeBars) -> None:
    start = dt.datetime(2024, 1, 2, 20, 58, tzinfo=dt.UTC)
    minute = dt.timedelta(minutes=1)
    today = make_bars([10, 10], start=start, step=minute)
    tomorrow = make_bars([10, (10, 10, 4, 10)], start=start + dt.timedelta(days=1), step=minute)

    result = backtest(Patient(), pl.concat([today, tomorrow]))

    assert result.orders["status"].to_list() == ["expired"]
    assert result.orders["updated_at"].to_list() == [dt.datetime(2024, 1, 2, 21, tzinfo=dt.UTC)]


def test_timers_ring_between_bars(make_bars: MakeBars) -> None:
    result = backtest(Alarmed(), make_bars([10, 10, 10]))

    assert [getattr(alert, "text", "") for alert in result.alerts] == ["ring at 2024-01-03 12:00"]


def test_warm_up_rows_feed_features_and_are_not_traded(make_bars: MakeBars) -> None:
    bars = make_bars([11] * 5)

    result = backtest(Above(), bars, warm_up=3)

    assert result.equity["opened_at"].to_list() == bars["opened_at"].to_list()[3:]
    assert result.fills["bar_opened_at"].to_list() == bars["opened_at"].to_list()[4:]


def test_risk_limits_deny_orders_and_the_result_says_why(make_bars: MakeBars) -> None:
    limits = RiskLimits(max_order_shares=50)

    result = backtest(Above(), make_bars([11, 11, 11]), limits=limits)

    assert result.orders["status"].to_list() == ["denied"]
    assert result.orders["reason"].to_list() == ["max_order_shares allows 50 shares, asked 100"]


def test_a_strategy_may_be_given_by_class_or_file(make_bars: MakeBars) -> None:
    bars = make_bars([10] * 40)

    by_file = backtest(EMA_CROSS, bars)

    assert by_file.parameters == {"fast": 12, "slow": 26, "size": 100}
    assert len(by_file.source.sha256) == 64
    assert backtest(Above, bars).parameters == {"level": 10, "size": 100}


def test_the_package_can_be_called_like_the_function(make_bars: MakeBars) -> None:
    assert isinstance(ibdesk.backtest(Above(), make_bars([10, 10])), Result)
    assert isinstance(ibdesk.backtest(Above(), make_bars([10, 10])), Result)


def test_an_error_in_a_strategy_comes_through(make_bars: MakeBars) -> None:
    class Broken(Strategy):
        def on_bar(self, bar: Bar) -> None:
            raise ZeroDivisionError("of its own")

    with pytest.raises(ZeroDivisionError, match="of its own"):
        backtest(Broken(), make_bars([10, 10]))


def test_settings_that_make_no_sense_are_named(make_bars: MakeBars, tmp_path: Path) -> None:
    bars = make_bars([10, 10])

    with pytest.raises(ConfigError, match="cash must be a positive amount, got -1"):
        backtest(Above(), bars, cash=-1)
    with pytest.raises(ConfigError, match="warm_up must leave bars to trade on, got 2 of 2 rows"):
        backtest(Above(), bars, warm_up=2)
    with pytest.raises(StrategyError, match=r"none\.py cannot be read"):
        backtest(tmp_path / "none.py", bars)


def test_two_currencies_in_one_account_are_refused(make_bars: MakeBars) -> None:
    bars = pl.concat([make_bars([10, 10]), make_bars([150, 150], symbol="USD.JPY")])

    with pytest.raises(DataError, match="priced in JPY and USD, which cannot be added up in one account"):
        backtest(Above(), bars)


def test_missing_bars_are_told_with_the_result(make_bars: MakeBars) -> None:
    start = dt.datetime(2024, 1, 2, 15, tzinfo=dt.UTC)
    bars = make_bars([10] * 5, start=start, step=dt.timedelta(minutes=1))

    result = backtest(Above(), bars.filter(pl.int_range(pl.len()) != 2))

    assert len(result.warnings) == 1
    assert "1 bar of 1 min is missing" in result.warnings[0]
