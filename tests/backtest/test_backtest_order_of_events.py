"""What a strategy does in `on_fill` meets the rest of that bar, and of the bars beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from ibdesk import Bar, Fill, Side, Strategy, TimeInForce
from ibdesk.backtest import Result, backtest
from ibdesk.engine import RiskLimits
from ibdesk.exchange import NoCommission, NoSlippage, TickSlippage

MakeBars = Callable[..., pl.DataFrame]

GTC = TimeInForce.GTC


def free(strategy: Strategy, bars: pl.DataFrame, **settings: Any) -> Result:
    """Backtest without costs and limits."""
    costs: dict[str, Any] = {"commissions": NoCommission(), "slippage": NoSlippage(), "limits": RiskLimits.none()}
    return backtest(strategy, bars, **(costs | settings))


def prices(result: Result) -> list[tuple[str, float]]:
    """Return side and price of each fill."""
    rows: list[tuple[str, float]] = result.fills.select("side", "price").rows()
    return rows


class FirstBar(Strategy):
    """Orders once, after the first bar."""

    def on_bar(self, bar: Bar) -> None:
        if bar.instrument not in self.state:
            self.state[bar.instrument] = True
            self.enter(bar.instrument)

    def enter(self, symbol: str) -> None:
        raise NotImplementedError


class StopLimits(FirstBar):
    def enter(self, symbol: str) -> None:
        self.buy(symbol, 100, stop=102, limit=110)
        self.sell(symbol, 100, stop=99.5, limit=80)


def test_a_stop_limit_fills_at_its_stop_and_inside_its_bar(make_bars: MakeBars) -> None:
    result = free(StopLimits(), make_bars([100, (100, 103, 99, 102)]))

    # Both ways have a stop. At the close of 102 the sale at 99.5 has lost 2.5, the purchase at 102 nothing.
    assert prices(result) == [("sell", 99.5), ("buy", 102.0)]


class Protected(FirstBar):
    def enter(self, symbol: str) -> None:
        self.buy(symbol, 100, limit=99)

    def on_fill(self, fill: Fill) -> None:
        if fill.side is Side.BUY:
            self.sell(fill.instrument, 100, stop=97, time_in_force=GTC)


def test_a_stop_placed_at_a_fill_inside_the_bar_guards_the_rest_of_it(make_bars: MakeBars) -> None:
    result = free(Protected(), make_bars([100, (100, 100.5, 95, 98)]))

    # Bought 100 at 99, sold at 97: two points lost on each.
    assert prices(result) == [("buy", 99.0), ("sell", 97.0)]
    assert result.stats.end_equity == 99_800


class Straddle(FirstBar):
    def enter(self, symbol: str) -> None:
        self.buy(symbol, 100, stop=102)
        self.sell(symbol, 100, stop=98)

    def on_fill(self, fill: Fill) -> None:
        for order in self.open_orders(fill.instrument):
            self.cancel(order.id)


def test_of_two_entry_stops_only_one_fills_when_it_withdraws_the_other(make_bars: MakeBars) -> None:
    result = free(Straddle(), make_bars([100, (100, 103, 97, 101)]))

    # Short at 98 with a close of 101 is the worse of the two.
    assert prices(result) == [("sell", 98.0)]
    assert result.orders["status"].to_list() == ["cancelled", "filled"]


class Pair(Straddle):
    """Buys whichever of two symbols breaks out first."""

    def enter(self, symbol: str) -> None:
        self.buy(symbol, 100, stop=102)

    def on_fill(self, fill: Fill) -> None:
        for symbol in self.symbols:
            for order in self.open_orders(symbol):
                self.cancel(order.id)


@pytest.mark.parametrize("bar", [(103.0, 104.0, 103.0, 104.0), (100.0, 103.0, 99.0, 102.0)], ids=["open", "inside"])
def test_an_order_withdrawn_at_a_fill_of_another_symbol_does_not_fill(
    make_bars: MakeBars, bar: tuple[float, float, float, float]
) -> None:
    bars = pl.concat([make_bars([100, bar]), make_bars([100, bar], symbol="MSFT")])

    result = free(Pair(), bars)

    assert result.fills["symbol"].to_list() == ["AAPL"]
    assert result.orders.select("symbol", "status").rows() == [("AAPL", "filled"), ("MSFT", "cancelled")]


class Hedged(FirstBar):
    """Buys one symbol and sells the other as soon as it has it."""

    limit: float | None = None

    def enter(self, symbol: str) -> None:
        if symbol == "AAPL":
            self.buy(symbol, 100, limit=self.limit)

    def on_fill(self, fill: Fill) -> None:
        if fill.instrument == "AAPL":
            self.sell("MSFT", 100)


@pytest.mark.parametrize(
    ("limit", "close", "expected"),
    [
        # Filled at the open of both: MSFT is sold at the worse of its open and its close.
        (None, 49.0, 49.0),
        (None, 51.0, 50.0),
        # Filled inside: what MSFT stood at then is unknown.
        (99.0, 49.0, 49.0),
        (99.0, 51.0, 50.0),
    ],
)
def test_a_market_order_that_answers_a_fill_trades_in_the_same_bar_at_the_worse_known_price(
    make_bars: MakeBars, limit: float | None, close: float, expected: float
) -> None:
    aapl = make_bars([100, (100, 101, 98, 100), 100])
    msft = make_bars([50, (50, 52, 48, close), 60], symbol="MSFT")

    result = free(Hedged(limit=limit), pl.concat([aapl, msft]))

    assert prices(result) == [("buy", limit or 100.0), ("sell", expected)]


class Churning(FirstBar):
    """Answers every fill with an order the other way, at the market."""

    def enter(self, symbol: str) -> None:
        self.buy(symbol, 100)

    def on_fill(self, fill: Fill) -> None:
        if fill.side is Side.BUY:
            self.sell(fill.instrument, 100)
        else:
            self.buy(fill.instrument, 100)


def test_a_bar_ends_also_when_every_fill_is_answered_at_the_market(make_bars: MakeBars) -> None:
    result = free(Churning(), make_bars([100, (100, 103, 99, 101), (100, 103, 99, 102)]))

    # In each bar: the one that waited, at the open, and its answer at the worse of open and close.
    assert prices(result) == [("buy", 100.0), ("sell", 100.0), ("buy", 100.0), ("sell", 100.0)]


def test_slippage_ends_at_the_bar_and_the_result_says_how_often(make_bars: MakeBars) -> None:
    # A dollar is asked: the buy at 100 slips to the high of 100.50, the sale at 103 to the low of 102.75.
    bars = make_bars([100, (100, 100.5, 99, 99), (103, 104, 102.75, 103)])

    class Turning(Strategy):
        def target(self) -> pl.Expr:
            return pl.when(pl.col("close") >= 100).then(100).otherwise(0)

    result = free(Turning(), bars, slippage=TickSlippage(100))

    assert prices(result) == [("buy", 100.5), ("sell", 102.75)]
    assert (result.stats.slippage, result.stats.slippage_cut, result.stats.fills_cut) == (75.0, 125.0, 2)
