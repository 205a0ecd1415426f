"""Symbols of different histories: who starts when, who not at all, and what is said of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import polars as pl
import pytest

from ibdesk import Bar, Strategy, ema
from ibdesk.backtest import backtest
from ibdesk.errors import ConfigError

MakeBars = Callable[..., pl.DataFrame]


class Average(Strategy):
    """Hold a share from the first average on, and write down what is known of each symbol at each bar."""

    span: int

    def features(self) -> dict[str, pl.Expr]:
        return {"mean": ema("close", self.span)}

    def target(self) -> pl.Expr:
        return pl.when(pl.col("mean").is_not_null()).then(1.0)


class Watching(Strategy):
    """Notes the last close of each symbol that it knows."""

    def features(self) -> dict[str, pl.Expr]:
        return {"last": pl.col("close") * 1}

    def on_bar(self, bar: Bar) -> None:
        known = [self.feature("last", symbol) for symbol in self.symbols]
        self.log(f"{self.now:%d}: {known}")


def test_a_symbol_shorter_than_the_warm_up_is_left_out_with_a_warning(make_bars: MakeBars) -> None:
    bars = pl.concat([make_bars([10] * 9), make_bars([10] * 5, symbol="MSFT")])

    result = backtest(Average(span=3), bars, warm_up=5)

    assert result.orders["symbol"].to_list() == ["AAPL"]
    assert result.warnings == ("MSFT is not traded: it has 5 bars, and 5 of each symbol are the warm-up",)
    assert result.stats.bars == 4
    with pytest.raises(ConfigError, match="warm_up must leave bars to trade on, got 9 of 9 rows"):
        backtest(Average(span=3), bars, warm_up=9)


def test_a_symbol_that_begins_later_is_warmed_up_later_and_not_known_before(make_bars: MakeBars) -> None:
    late = dt.datetime(2024, 1, 4, tzinfo=dt.UTC)
    bars = pl.concat([make_bars([1, 2, 3, 4, 5]), make_bars([10, 20, 30], symbol="MSFT", start=late)])

    result = backtest(Watching(), bars, warm_up=2)

    # AAPL trades from its third bar on, which closes on the 5th; MSFT's third bar closes on the 7th.
    assert [alert.text for alert in result.alerts if hasattr(alert, "text")] == [
        "05: [3.0, None]",
        "06: [4.0, None]",
        "07: [5.0, None]",
        "07: [5.0, 30.0]",
    ]


@pytest.mark.parametrize(
    ("span", "warm_up", "warnings"),
    [
        (50, 0, ("AAPL: Average needs 50 bars before it can decide, and there are 40: it never does",)),
        (30, 20, ("AAPL: Average needs 30 bars before it can decide, and the warm-up has 20: use warm_up=30",)),
        (30, 29, ()),  # the first bar after the warm-up is the thirtieth
        (30, 0, ()),
    ],
)
def test_a_warning_says_how_many_bars_are_needed(
    make_bars: MakeBars, span: int, warm_up: int, warnings: tuple[str, ...]
) -> None:
    result = backtest(Average(span=span), make_bars([10] * 40), warm_up=warm_up)

    assert result.warnings == warnings
    assert result.orders.is_empty() == (span == 50)
