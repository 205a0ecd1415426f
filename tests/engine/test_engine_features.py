"""The allowed expressions of a strategy, and the values that it sees."""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl
import pytest

from ibdesk import Strategy, ema
from ibdesk.engine import ColumnFeatures, Engine, GrowingFeatures, evaluate
from ibdesk.errors import DecisionError
from ibdesk.model import Alert, Bar, BarHistory, StartStrategy, Stock, StrategySource

MINUTE = 60_000_000_000


def frame(*closes: float) -> pl.DataFrame:
    prices = {name: list(closes) for name in ("open", "high", "low", "close", "volume")}
    opened_at = pl.Series("opened_at", [i * MINUTE for i in range(len(closes))]).cast(pl.Datetime("ns", "UTC"))
    return pl.DataFrame(prices, schema=dict.fromkeys(prices, pl.Float64)).insert_column(0, opened_at)


def bar(number: int, close: float) -> Bar:
    return Bar("AAPL", number * MINUTE, MINUTE, close, close, close, close, close)


def live_targets(strategy: Strategy, closes: Sequence[float]) -> list[float | None]:
    live = GrowingFeatures(strategy)
    return [live.step(bar(number, close)) for number, close in enumerate(closes)]


class Given(Strategy):
    """Has the features and the target that a test gives it."""

    def features(self) -> dict[str, pl.Expr]:
        return FEATURES

    def target(self) -> pl.Expr | None:
        return TARGET[0]  # type: ignore[no-any-return] # also what is none, to see it refused


FEATURES: dict = {}
TARGET: list = [None]


@pytest.fixture
def given_strategy():
    def make(target=None, /, **features) -> Given:
        FEATURES.clear()
        FEATURES.update(features)
        TARGET[0] = target
        return Given()

    yield make
    make()


@pytest.mark.parametrize("features", [{}, {"fast": ema("close", 1)}])
def test_a_target_may_be_a_plain_number(given_strategy, features) -> None:
    strategy = given_strategy(pl.lit(100), **features)

    assert evaluate(strategy, frame(1.0, 2.0, 3.0))["target"].to_list() == [100.0, 100.0, 100.0]
    assert live_targets(strategy, [1.0, 2.0, 3.0]) == [100.0, 100.0, 100.0]


def test_what_is_missing_or_not_finite_is_no_opinion(given_strategy) -> None:
    strategy = given_strategy(pl.col("close").log(), up=pl.col("close") > 1)
    live = GrowingFeatures(strategy)

    assert evaluate(strategy, frame(0.0, 1.0, math.e)).rows() == [(0.0, None), (0.0, 0.0), (1.0, 1.0)]
    assert [live.step(bar(i, close)) for i, close in enumerate((0.0, 1.0, math.e))] == [None, 0.0, 1.0]
    assert live.values() == {"up": 1.0}


def test_a_strategy_without_features_and_target_has_no_columns(given_strategy) -> None:
    strategy = given_strategy()

    assert evaluate(strategy, frame(1.0, 2.0)).width == 0
    assert GrowingFeatures(strategy).step(bar(0, 1.0)) is None


@pytest.mark.parametrize(
    ("target", "features", "sentence"),
    [
        (pl.col("slow"), {}, "Given: its features or target fail: .*slow"),
        (None, {"fast": pl.col("close").filter(pl.col("close") > 1)}, "Given: its features or target fail"),
        (pl.col("close").head(2), {}, "Given: its features or target fail"),
        (pl.lit("long"), {}, "Given: target must be a number"),
        (None, {"close": pl.col("close")}, "Given: no feature may be called 'close'"),
        (None, {"target": pl.col("close")}, "Given: no feature may be called 'target'"),
        (100.0, {}, "Given: target.. must return a Polars expression or None, got 100.0"),
        (None, {"fast": 3}, "Given: features.. must return a Polars expression for 'fast', got 3"),
    ],
)
def test_expressions_that_cannot_be_used_are_refused_with_a_sentence(
    given_strategy, target, features, sentence
) -> None:
    strategy = given_strategy(target, **features)

    with pytest.raises(DecisionError, match=sentence):
        evaluate(strategy, frame(1.0, 2.0, 3.0))
    with pytest.raises(DecisionError, match=sentence):
        live_targets(strategy, [1.0, 2.0, 3.0])


def test_features_that_are_no_dictionary_are_refused_with_a_sentence() -> None:
    class Forgetful(Strategy):
        def features(self):
            {"fast": ema("close", 3)}

    with pytest.raises(DecisionError, match=r"Forgetful: features\(\) must return a dictionary, got None"):
        evaluate(Forgetful(), frame(1.0))


def test_a_feature_is_seen_only_after_its_bar(given_strategy) -> None:
    columns = ColumnFeatures(pl.DataFrame({"fast": [1.0, 2.0, 3.0]}))
    live = GrowingFeatures(given_strategy(fast=pl.col("close")))

    assert (columns.value("fast"), live.value("fast")) == (None, None)
    assert (columns.values(), live.values()) == ({"fast": None}, {"fast": None})
    for number, close in enumerate((1.0, 2.0)):
        columns.step(bar(number, close))
        live.step(bar(number, close))
    assert (columns.value("fast"), live.value("fast")) == (2.0, 2.0)


def test_an_unknown_feature_is_refused_with_those_there_are(given_strategy) -> None:
    for source in (
        ColumnFeatures(pl.DataFrame({"fast": [1.0], "slow": [2.0], "target": [1.0]})),
        GrowingFeatures(given_strategy(pl.lit(1.0), fast=pl.col("close"), slow=pl.col("open"))),
    ):
        with pytest.raises(DecisionError, match="there is no feature 'quick': the features are fast, slow"):
            source.value("quick")


def test_a_strategy_that_only_declares_features_reads_them_in_its_hooks() -> None:
    class Reader(Strategy):
        def features(self) -> dict[str, pl.Expr]:
            return {"twice": pl.col("close") * 2}

        def on_bar(self, bar: Bar) -> None:
            self.log(f"{self.feature('twice', bar.instrument):g}")

    engine = Engine(strategies=lambda _: Reader())
    engine.handle(
        StartStrategy(
            run_id="r",
            source=StrategySource("Reader"),
            parameters={},
            instruments=[Stock("AAPL")],
            interval_ns=MINUTE,
            at_ns=0,
        )
    )

    actions = [action for n in range(2) for action in engine.handle(bar(n, 4.0 + n))]
    assert [action.text for action in actions if isinstance(action, Alert)] == ["8", "10"]


def test_the_warm_up_grows_past_any_first_guess_of_its_length(given_strategy) -> None:
    closes = [float(i) for i in range(2_500)]
    live = GrowingFeatures(given_strategy(pl.col("close").cum_sum()))
    live.warm_up(BarHistory("AAPL", MINUTE, [i * MINUTE for i in range(2_500)], closes, closes, closes, closes, closes))

    assert live.step(bar(2_500, 1.0)) == sum(closes) + 1.0
