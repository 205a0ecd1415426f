"""Backtests trade on the instrument's prices and sizes, by whatever name it goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from ibdesk import Bar, Field, Strategy
from ibdesk.backtest import backtest
from ibdesk.engine import RiskLimits
from ibdesk.exchange import NoCommission, NoSlippage, TickSlippage

MakeBars = Callable[..., pl.DataFrame]
FREE: dict[str, Any] = {"commissions": NoCommission(), "slippage": NoSlippage(), "limits": RiskLimits.none()}


class Hold(Strategy):
    """Hold so many from the first bar on."""

    size: float = Field(53.4178)

    def target(self) -> pl.Expr:
        return pl.lit(self.size)


class Once(Strategy):
    """Send one order at the first bar."""

    symbol: str = Field("AAPL")
    quantity: float = Field(1.0)
    limit: float | None = Field(None)
    buys: bool = Field(True)

    def on_bar(self, bar: Bar) -> None:
        if not self.state:
            self.state["done"] = 1
            order = self.buy if self.buys else self.sell
            order(self.symbol, self.quantity, limit=self.limit)


def test_a_target_between_two_sizes_is_rounded_towards_nothing(make_bars: MakeBars) -> None:
    result = backtest(Hold(), make_bars([100.0] * 4), **FREE)
    short = backtest(Hold(size=-53.9), make_bars([100.0] * 4), **FREE)

    assert result.fills["quantity"].to_list() == [53]
    assert short.fills["quantity"].to_list() == [53]


def test_the_lot_of_the_exchange_is_the_least_that_is_traded(make_bars: MakeBars) -> None:
    tokyo = make_bars([2500.0] * 4, symbol="7203.T")

    assert backtest(Hold(size=250.0), tokyo, cash=1e7, **FREE).fills["quantity"].to_list() == [200]
    assert backtest(Hold(size=99.0), tokyo, cash=1e7, **FREE).orders.is_empty()


def test_an_order_of_a_fraction_is_denied_with_a_sentence(make_bars: MakeBars) -> None:
    result = backtest(Once(quantity=1.5), make_bars([100.0] * 3), **FREE)

    assert result.orders["status"].to_list() == ["denied"]
    assert result.orders["reason"].to_list() == [
        "its size of 1.5 is not a multiple of 1, the instrument's size increment"
    ]


@pytest.mark.parametrize(
    ("buys", "limit", "opens", "filled"),
    [
        # A penny share: the limit of 0.97765 becomes 0.9776, not 0.98, so that an open of 0.9777 buys nothing.
        (True, 0.97765, 0.9777, None),
        (True, 0.97765, 0.9776, 0.9776),
        (False, 1.0153, 1.01, None),
        (False, 1.0153, 1.02, 1.02),
    ],
)
def test_nothing_is_traded_beyond_the_limit_that_was_asked_for(
    make_bars: MakeBars, buys: bool, limit: float, opens: float, filled: float | None
) -> None:
    result = backtest(Once(limit=limit, buys=buys), make_bars([1.0, opens]), **FREE)

    assert result.fills["price"].to_list() == ([] if filled is None else [filled])


@pytest.mark.parametrize("name", ["BRK.B", "BRK-B", "brk b"])
def test_bars_and_strategy_may_spell_an_instrument_as_they_like(make_bars: MakeBars, name: str) -> None:
    result = backtest(Once(symbol="BRK/B", limit=500.0), make_bars([400.0] * 3, symbol=name), **FREE)

    assert result.fills["symbol"].to_list() == ["BRK.B"]


def test_a_tick_of_slippage_is_as_wide_as_it_is_at_the_price(make_bars: MakeBars) -> None:
    costs: dict[str, Any] = {"commissions": NoCommission(), "slippage": TickSlippage(1), "limits": RiskLimits.none()}
    wide = [(price - 0.5, price + 1, price - 1, price) for price in (5.0, 5.0)]
    narrow = [(2.0, 2.5, 1.5, 2.0)] * 2
    name = "SPXW-20240119-C-4500"

    dear = backtest(Once(symbol=name), make_bars(wide, symbol=name), **costs)
    cheap = backtest(Once(symbol=name), make_bars(narrow, symbol=name), **costs)

    # Options on the index move by 0.10 from 3 dollars and by 0.05 below.
    assert dear.fills["price"].to_list() == [4.6]
    assert cheap.fills["price"].to_list() == [2.05]


@pytest.mark.parametrize(
    ("name", "gained"),
    [("CL-202403", 1000.0), ("NQ-202403", 20.0), ("6E-202403", 125_000.0), ("ZC-202403", 50.0), ("SIL-202405", 1000.0)],
)
def test_a_future_earns_by_its_own_multiplier(make_bars: MakeBars, name: str, gained: float) -> None:
    result = backtest(Hold(size=1.0), make_bars([70.0, 70.0, 71.0], symbol=name), cash=1e6, **FREE)

    assert result.equity["equity"].to_list()[-1] - 1e6 == pytest.approx(gained)
