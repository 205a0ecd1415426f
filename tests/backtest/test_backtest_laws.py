"""What holds for every backtest, whatever the prices."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibdesk import Field, Strategy, ema
from ibdesk.backtest import Result, backtest

COLUMNS = ["fills", "orders", "round_trips", "equity", "bars"]


class Swing(Strategy):
    """Be long above the average and short below it."""

    span: int = Field(3, ge=1)

    def features(self) -> dict[str, pl.Expr]:
        return {"mean": ema("close", self.span)}

    def target(self) -> pl.Expr:
        return pl.when(pl.col("close") > pl.col("mean")).then(30.0).otherwise(-20.0)


def _frame(symbol: str, ticks: list[tuple[int, int, int, int]]) -> pl.DataFrame:
    """Return daily bars from (open, close, reach up, reach down) in cents."""
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    return pl.DataFrame(
        [
            (
                symbol,
                start + dt.timedelta(days=i),
                open_ / 100,
                (max(open_, close) + up) / 100,
                (min(open_, close) - down) / 100,
                close / 100,
                1.0,
            )
            for i, (open_, close, up, down) in enumerate(ticks)
        ],
        schema=["symbol", "opened_at", "open", "high", "low", "close", "volume"],
        orient="row",
    )


_TICK = st.tuples(st.integers(500, 2000), st.integers(500, 2000), st.integers(0, 200), st.integers(0, 200))
_BARS = st.lists(_TICK, min_size=4, max_size=40)


def _bytes(result: Result) -> list[bytes]:
    return [getattr(result, name).serialize() for name in COLUMNS]


@settings(max_examples=40, deadline=None)
@given(ticks=_BARS)
def test_cash_and_inventory_are_the_profit(ticks: list[tuple[int, int, int, int]]) -> None:
    bars = _frame("AAPL", ticks)
    result = backtest(Swing(), bars, cash=5_000)
    fills = result.fills
    signs = {"buy": 1.0, "sell": -1.0}
    held = sum(signs[side] * quantity for side, quantity in fills.select("side", "quantity").rows())

    cash = 5_000 + sum(fills["cash"]) - sum(fills["commission"])
    inventory = held * bars["close"][-1]

    assert result.equity["cash"][-1] == pytest.approx(cash)
    assert result.stats.end_equity == pytest.approx(cash + inventory)
    if held == 0:
        assert result.stats.profit == pytest.approx(sum(result.round_trips["pnl"]))


@settings(max_examples=15, deadline=None)
@given(ticks=_BARS)
def test_the_same_inputs_give_the_same_bytes(ticks: list[tuple[int, int, int, int]]) -> None:
    bars = _frame("AAPL", ticks)

    assert _bytes(backtest(Swing(), bars)) == _bytes(backtest(Swing(), bars))


@settings(max_examples=15, deadline=None)
@given(first=_BARS, second=_BARS)
def test_symbols_together_trade_as_each_alone(
    first: list[tuple[int, int, int, int]], second: list[tuple[int, int, int, int]]
) -> None:
    apart = {"AAPL": _frame("AAPL", first), "MSFT": _frame("MSFT", second)}
    together = backtest(Swing(), pl.concat(apart.values()))

    profit = 0.0
    for symbol, bars in apart.items():
        alone = backtest(Swing(), bars)
        names = ["bar_opened_at", "filled_at", "side", "quantity", "price", "commission"]
        of_symbol = together.fills.filter(pl.col("symbol") == symbol)
        assert of_symbol.select(names).equals(alone.fills.select(names))
        profit += alone.stats.profit

    assert together.stats.profit == pytest.approx(profit)
