"""Protective orders, `close` and the rate of orders in a backtest: what a desk would do is what the result shows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import polars as pl
import pytest

from ibdesk import Bar, Fill, Side, Strategy, TimeInForce
from ibdesk.backtest import Result, backtest
from ibdesk.engine import RiskLimits
from ibdesk.exchange import NoCommission, NoSlippage

MakeBars = Callable[..., pl.DataFrame]


def run(strategy: Strategy, bars: pl.DataFrame, limits: RiskLimits | None = None) -> Result:
    return backtest(strategy, bars, commissions=NoCommission(), slippage=NoSlippage(), limits=limits or RiskLimits())


class Protected(Strategy):
    """Hold 100 shares until the price falls below a level; protect each purchase with a stop and a profit target."""

    def target(self) -> pl.Expr:
        return pl.when(pl.col("close") > 20).then(100.0).otherwise(0.0)

    def on_fill(self, fill: Fill) -> None:
        if fill.side is Side.BUY:
            self.sell(fill.instrument, fill.quantity, stop=5, time_in_force=TimeInForce.GTC)
            self.sell(fill.instrument, fill.quantity, limit=500, time_in_force=TimeInForce.GTC)


def test_a_target_with_a_stop_and_a_profit_target_holds_what_it_says_for_forty_bars(make_bars: MakeBars) -> None:
    result = run(Protected(), make_bars([100.0] * 40))

    assert result.fills["quantity"].to_list() == [100.0]


def test_a_target_of_zero_leaves_at_the_next_open_and_withdraws_what_protected(make_bars: MakeBars) -> None:
    result = run(Protected(), make_bars([100.0, 100.0, 10.0, 12.0, 12.0]))

    assert result.fills.select("side", "quantity", "price").rows() == [("buy", 100.0, 100.0), ("sell", 100.0, 12.0)]
    assert sorted(result.orders["status"]) == ["cancelled", "cancelled", "filled", "filled"]


class Closes(Strategy):
    """Buy 100 with a stop, and get out at the fourth bar in one of several ways."""

    way: str

    def on_bar(self, bar: Bar) -> None:
        bars = self.state["bars"] = self.state.get("bars", 0) + 1
        if bars == 1:
            self.buy(bar.instrument, 100)
        if bars == 4:
            if self.way == "cancel first":
                self.cancel(self.state["stop"])
            self.close(bar.instrument)
            if self.way == "twice":
                self.close(bar.instrument)
            if self.way == "and turn":
                self.sell(bar.instrument, 40)

    def on_fill(self, fill: Fill) -> None:
        if fill.side is Side.BUY:
            self.state["stop"] = self.sell(fill.instrument, 100, stop=5, time_in_force=TimeInForce.GTC)


@pytest.mark.parametrize(("way", "left"), [("plain", 0.0), ("cancel first", 0.0), ("twice", 0.0), ("and turn", -40.0)])
def test_close_beside_a_working_stop_fills_at_the_next_open(make_bars: MakeBars, way: str, left: float) -> None:
    result = run(Closes(way=way), make_bars([10.0, 11.0, 12.0, 13.0, 14.0, 4.0, 4.0]))

    exits = result.fills.filter(pl.col("side") == "sell")
    assert (exits["quantity"].sum(), exits["price"].unique().to_list()) == (100.0 - left, [14.0])
    assert result.orders.filter(pl.col("status").is_in(["held", "working"])).is_empty()


class All(Strategy):
    """Buy ten of everything at the second close."""

    def on_bar(self, bar: Bar) -> None:
        if self.open_orders(bar.instrument) or self.position(bar.instrument).quantity:
            return
        if bar.close == 11.0:
            self.buy(bar.instrument, 10)


@pytest.mark.parametrize(("symbols", "filled"), [(100, 100), (500, 440)])
@pytest.mark.parametrize("step", [dt.timedelta(days=1), dt.timedelta(minutes=1)])
def test_symbols_that_decide_at_one_close_all_fill_at_the_next_open(
    make_bars: MakeBars, symbols: int, filled: int, step: dt.timedelta
) -> None:
    """40 orders a second for the 10 s that one may wait, and 40 at once: what a desk would not send is denied."""
    start = dt.datetime(2024, 1, 2, 15, tzinfo=dt.UTC)
    frames = [make_bars([10.0, 11.0, 12.0, 12.5], symbol=f"S{n:03}", step=step, start=start) for n in range(symbols)]
    bars = pl.concat(frames).sort("opened_at", "symbol")

    result = run(All(), bars)

    assert result.fills["price"].to_list() == [12.0] * filled
    denied = result.orders.filter(pl.col("status") == "denied")
    assert denied.height == symbols - filled
    assert denied["reason"].str.contains("max_order_wait_seconds allows 10").all()
