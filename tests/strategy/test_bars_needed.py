"""How many bars a strategy needs is read from its expressions."""

from __future__ import annotations

import polars as pl
import pytest

from ibdesk import Strategy, ema
from ibdesk.strategy import bars_needed

CLOSE = pl.col("close")


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        (CLOSE, 1),
        (CLOSE.shift(), 2),
        (CLOSE.shift(5), 6),
        (CLOSE.shift(pl.lit(5)), 6),
        (CLOSE.shift(5, fill_value=0.0), 6),
        (CLOSE.diff(5), 6),
        (CLOSE.pct_change(), 2),
        (CLOSE / CLOSE.shift(20) - 1, 21),
        (CLOSE.rolling_mean(20), 20),
        (CLOSE.rolling_mean(20, min_samples=1), 20),
        (pl.col("high").rolling_max(20).shift(1), 21),
        (CLOSE.diff().abs().rolling_std(10), 11),
        (pl.rolling_corr("close", "volume", window_size=30), 30),
        (ema("close", 500), 500),
        (ema(ema("close", 10), 20), 29),
        # No null stands for what these lack.
        (CLOSE.ewm_mean(span=500), 500),
        (CLOSE.ewm_mean(com=249.5), 500),
        (CLOSE.ewm_mean(alpha=1.0), 1),
        # A half-life of 10 bars is an alpha of 1 - 0.5 ** 0.1 = 0.067, which is that of a span of 28.9.
        (CLOSE.ewm_std(half_life=10), 29),
        (CLOSE.cum_sum(), 1),
        (pl.lit(5.0), 1),
        (CLOSE.rolling_map(lambda window: window.sum(), 7), 7),
        (CLOSE.map_batches(lambda column: column * 2), 1),
    ],
)
def test_a_feature_needs_the_bars_of_its_windows(feature: pl.Expr, expected: int) -> None:
    class One(Strategy):
        def features(self) -> dict[str, pl.Expr]:
            return {"one": feature}

    assert bars_needed(One()) == expected


def test_a_target_needs_what_its_features_need_and_its_own() -> None:
    class Cross(Strategy):
        def features(self) -> dict[str, pl.Expr]:
            return {"fast": ema("close", 10), "slow": ema("close", 40)}

        def target(self) -> pl.Expr:
            return pl.when(pl.col("slow").shift(2) > pl.col("fast")).then(1).otherwise(0)

    assert bars_needed(Cross()) == 42


def test_a_strategy_of_hooks_needs_one_bar() -> None:
    class Hooks(Strategy):
        pass

    assert bars_needed(Hooks()) == 1
