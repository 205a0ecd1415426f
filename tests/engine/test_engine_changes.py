"""Changes at run time: parameters, as if they had been so from the start, and limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field

from ibdesk.engine import Engine, RiskLimits, snapshot_of
from ibdesk.errors import DecisionError, DeskError, StrategyError
from ibdesk.indicators import ema
from ibdesk.model import (
    Alert,
    BarHistory,
    ChangeLimits,
    ChangeParameters,
    OrderDenied,
    Restore,
    StateChanged,
    StopStrategy,
    TradingHalted,
)
from ibdesk.strategy import Strategy, make_strategy

UNLIMITED = RiskLimits.none()


class Follow(Strategy):
    """Holds so many shares for each point of the close above its average; fails where a test wants it to."""

    span: int = Field(3, ge=1)
    size: float = Field(1, gt=0)

    def features(self) -> dict[str, pl.Expr]:
        return {"average": ema("close" if self.span < 100 else "nothing", self.span)}

    def target(self) -> pl.Expr:
        return ((pl.col("close") - pl.col("average")) * self.size).round()


class Hooked(Follow):
    """Decides by itself, and keeps what it saw."""

    def on_bar(self, bar: Any) -> None:
        self.state["seen"] = [*self.state.get("seen", []), self.feature("average", bar.instrument)]


def begin(story: Any, cls: type[Strategy], parameters: dict[str, Any], history: Sequence[BarHistory] = ()) -> None:
    """Start a run whose parameters a later command may change."""
    story.engine._strategies = lambda start: make_strategy(cls, start.parameters)
    story.start(make_strategy(cls, parameters), parameters=parameters, history=list(history))


def change(story: Any, **parameters: Any) -> list[Any]:
    return list(story.tell(ChangeParameters(run_id="run", parameters=parameters, at_ns=story.at_ns, by="alice")))


def live(story: Any, closes: Sequence[float]) -> list[tuple[float | None, float]]:
    """What is seen and held at each bar; every order is filled at once."""
    seen = []
    for close in closes:
        for order in story.placed(story.bar(close)):
            story.fill(order)
        lane = story.run().lanes["AAPL"]
        seen.append((lane.features.value("average"), story.run().position("AAPL").quantity))
    return seen


prices = st.lists(st.integers(50, 150).map(float), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(past=prices, before=prices, after=prices, spans=st.tuples(st.integers(1, 8), st.integers(1, 8)))
def test_from_a_change_on_it_decides_as_a_run_that_was_started_so(past, before, after, spans, tell_story) -> None:
    changed, fresh = tell_story(), tell_story()
    for story, span in zip((changed, fresh), spans, strict=True):
        begin(story, Follow, {"span": span, "size": 2}, [story.history(past)])
        live(story, before)
        if story is changed:
            change(story, span=spans[1], size=2)

    here, there = live(changed, after), live(fresh, after)

    averages = [average for average, _ in here]
    assert averages == [average for average, _ in there]
    # Where a target is known, both hold it; before that, each holds what it did.
    assert [row for row in here if row[0] is not None] == [row for row in there if row[0] is not None]


def test_a_change_is_told_with_what_and_by_whom(story) -> None:
    begin(story, Follow, {"span": 3, "size": 1})

    [alert] = change(story, span=5, size=1)

    assert (alert.origin, alert.text) == ("run", "parameters changed by alice: span 3 -> 5")
    assert story.run().start.parameters == {"span": 5, "size": 1}


@pytest.mark.parametrize(
    ("parameters", "error"),
    [({"span": 0}, StrategyError), ({"spam": 3}, StrategyError), ({"span": 100}, DecisionError)],
)
def test_a_wrong_parameter_refuses_the_change_as_a_whole(story, parameters: dict[str, Any], error: type) -> None:
    begin(story, Follow, {"span": 3, "size": 1})
    live(story, [10.0, 11.0, 12.0])
    features = story.run().lanes["AAPL"].features

    with pytest.raises(error):
        change(story, **({"size": 9.0} | parameters))

    run = story.run()
    assert (run.start.parameters, run.strategy.size, run.lanes["AAPL"].features) == (
        {"span": 3, "size": 1},
        1,
        features,
    )


def test_state_and_features_by_hand_go_on(story) -> None:
    begin(story, Hooked, {"span": 2})
    for close in (10.0, 20.0):
        story.bar(close)
    change(story, span=1)

    *_, kept = story.bar(40.0)

    # EMA of span 2 over 10, 20 is 10 + 2/3 * 10; of span 1 it is the close.
    assert kept == StateChanged("run", [["splice", ["seen"], 2, 0, [40.0]]])
    assert story.run().saved_state == {"seen": [None, pytest.approx(50 / 3), 40.0]}
    assert story.run().strategy.feature("average", "AAPL") == 40.0


def test_a_run_that_has_ended_or_never_was_takes_no_parameters(story) -> None:
    begin(story, Follow, {"span": 2})
    story.tell(StopStrategy("run", story.at_ns))

    with pytest.raises(DeskError, match="run is stopped: start it again with the new parameters"):
        change(story, span=1)
    with pytest.raises(DeskError, match="there is no run 'other': the runs are run"):
        story.tell(ChangeParameters(run_id="other", parameters={}, at_ns=1))


def test_a_restart_goes_on_with_the_changed_parameters(story) -> None:
    begin(story, Follow, {"span": 2, "size": 1})
    change(story, span=7, size=1)

    [left] = snapshot_of(story.engine, story.at_ns).runs

    assert left.start.parameters == {"span": 7, "size": 1}


# --- limits


def limits(**changes: Any) -> ChangeLimits:
    return ChangeLimits(limits=UNLIMITED.by_name | changes, at_ns=1, by="alice")


def test_changed_limits_hold_from_the_next_order_on(story) -> None:
    story.start()
    story.bar(10.0)

    [alert] = story.tell(limits(max_order_shares=2.0))
    [denied, *_] = story.bar(15.0)

    assert (alert.origin, alert.text) == ("risk", "the limits were changed by alice: max_order_shares inf -> 2.0")
    assert isinstance(denied, OrderDenied)
    assert (denied.rule, denied.limit) == ("max_order_shares", 2.0)


def test_what_was_refused_is_asked_again_when_the_limit_is_raised(tell_story) -> None:
    story = tell_story(UNLIMITED.but({"max_order_shares": 5.0}))
    story.start()
    story.bar(10.0)
    assert story.bar(10.0) == []

    story.tell(limits(max_order_shares=20.0))

    assert len(story.placed(story.bar(10.0))) == 1


def test_a_limit_below_what_the_day_has_lost_halts_at_once(tell_story) -> None:
    story = tell_story(UNLIMITED.but({"max_daily_loss": 100.0}))
    story.start()
    story.fill(story.placed(story.bar(10.0))[0], price=13.0)

    actions = story.tell(limits(max_daily_loss=20.0))

    # Ten shares bought at 13 and worth 10: thirty are lost.
    assert [type(action) for action in actions] == [Alert, TradingHalted]
    assert "loss of 30.00 is beyond risk.max_daily_loss of 20" in actions[1].reason


def test_a_day_that_was_not_counted_is_counted_from_the_change_on(story) -> None:
    story.start()
    story.fill(story.placed(story.bar(10.0))[0], price=13.0)
    story.tell(limits(max_daily_loss=20.0))

    story.quote(9.99, 10.01)
    assert story.engine.losses.loss == 0.0
    story.tell(limits())
    assert story.engine.losses.loss is None


def heir_of(engine: Engine, settings_now: RiskLimits) -> tuple[Engine, list[Any]]:
    heir = Engine(strategies=lambda _: Strategy(), limits=settings_now)
    return heir, list(heir.handle(Restore(account="DU1", at_ns=1, snapshot=snapshot_of(engine, 1))))


def test_changed_limits_outlive_a_restart_until_the_settings_are_changed(story) -> None:
    story.tell(limits(max_order_shares=2.0))

    same, [kept] = heir_of(story.engine, UNLIMITED)
    other, [dropped] = heir_of(story.engine, RiskLimits())

    assert same.gate.limits.max_order_shares == 2.0
    assert "still apply" in kept.text
    assert other.gate.limits == RiskLimits()
    assert "no longer apply: the settings were changed since" in dropped.text
    assert snapshot_of(same, 1) == snapshot_of(story.engine, 1)
