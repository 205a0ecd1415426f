"""A strategy that knows tomorrow is caught; one that does not is left alone."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ibdesk import Strategy, load_strategy
from ibdesk.backtest import LookAheadError, backtest
from ibdesk.backtest.look_ahead import sample_lengths
from ibdesk.errors import StrategyError

EMA_CROSS = Path(__file__).parents[2] / "strategies" / "ema_cross.py"


class Prophet(Strategy):
    """Hold a share whenever the price is about to rise."""

    def target(self) -> pl.Expr:
        return pl.when(pl.col("close").shift(-1) > pl.col("close")).then(1.0).otherwise(0.0)


class Historian(Strategy):
    """Compare the price with its mean over all of the data, the future included."""

    def features(self) -> dict[str, pl.Expr]:
        return {"mean": pl.col("close").mean()}

    def target(self) -> pl.Expr:
        return (pl.col("close") > pl.col("mean")).cast(pl.Float64)


class Masked(Strategy):
    """Look ahead, and cover it up where there is nothing to see yet."""

    def target(self) -> pl.Expr:
        tomorrow = pl.col("close").shift(-1).fill_null(pl.col("close"))
        return (tomorrow > pl.col("close").shift(1)).cast(pl.Float64)


@pytest.fixture
def walk() -> pl.DataFrame:
    """Return 500 days of a random walk, the same each time."""
    closes = 100 * np.exp(np.cumsum(np.random.default_rng(7).normal(0, 0.01, 500)))
    return pl.DataFrame(
        {
            "symbol": "AAPL",
            "opened_at": pl.Series(np.arange(500) * 86_400_000_000_000).cast(pl.Datetime("ns", "UTC")),
            "open": closes,
            "high": closes,
            "low": closes,
            "close": closes,
            "volume": 1.0,
        }
    )


@pytest.mark.parametrize("cheat", [Prophet, Historian, Masked])
def test_a_strategy_that_looks_ahead_fails(walk: pl.DataFrame, cheat: type[Strategy]) -> None:
    with pytest.raises(LookAheadError) as caught:
        backtest(cheat(), walk)

    error = caught.value
    assert (error.strategy, error.symbol) == (cheat.__name__, "AAPL")
    assert error.with_later != error.without_later
    assert walk["opened_at"][error.row].strftime("%Y-%m-%d") in error.time
    assert isinstance(error, StrategyError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_crossing_averages_do_not_look_ahead(walk: pl.DataFrame) -> None:
    strategy = load_strategy(EMA_CROSS).cls()

    assert backtest(strategy, walk, look_ahead_samples=100).stats.bars == 500


def test_the_sample_is_the_same_each_time_and_holds_the_ends_and_changes_of_mind() -> None:
    columns = pl.DataFrame({"target": [0.0] * 50 + [1.0] * 50})

    lengths = sample_lengths(columns, 8)

    assert lengths == sample_lengths(columns, 8)
    assert lengths[0] == 1
    assert lengths[-1] == 99
    assert 51 in lengths
    assert sample_lengths(columns, 0) == []
