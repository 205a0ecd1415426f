"""A run that repeats an order without effect is halted until a person lifts the halt."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ibdesk.backtest import backtest
from ibdesk.data import sample_daily_bars
from ibdesk.engine import RiskLimits
from ibdesk.model import (
    Alert,
    ClockRead,
    Link,
    LinkChanged,
    OrderStatus,
    ResumeTrading,
    Side,
    Stock,
    TradingHalted,
    TradingState,
)
from ibdesk.strategy import load_strategy

SECOND = 1_000_000_000
STRATEGIES = Path(__file__).parents[2] / "strategies"


def limits(**rules: Any) -> RiskLimits:
    return dataclasses.replace(RiskLimits.none(), **rules)


def halts(actions) -> list[TradingHalted]:
    return [action for action in actions if isinstance(action, TradingHalted)]


@pytest.fixture
def begun(tell_story, hands):
    def make(**rules: Any):
        story = tell_story(limits(**rules))
        story.tell(ClockRead(story.at_ns))
        story.start(hands())
        story.quote(9.9, 10.1)
        return story

    return make


def buy(story, quantity: float = 1.0, **terms: Any):
    return story.order(story.act(lambda me: me.buy("AAPL", quantity, **terms)))


def held_by(story) -> list[str]:
    return [halt.by for halt in story.engine.gate.halts.values()]


def test_orders_denied_again_and_again_halt_their_run(begun) -> None:
    story = begun(max_order_shares=10, max_repeated_orders=3, repeat_window_seconds=60)

    for _ in range(2):
        buy(story, 11)
    assert held_by(story) == []
    buy(story, 11)

    [halt] = story.engine.gate.halts.values()
    assert (halt.by, halt.scope, halt.state) == ("repetition", "run:run", TradingState.REDUCING)
    assert halt.reason == (
        "run asked for the same in AAPL 3 times within 60 s without effect, the last time run.3 was denied; "
        "risk.max_repeated_orders is 3"
    )
    assert buy(story, 1).status is OrderStatus.DENIED


def test_what_is_asked_for_less_often_than_the_window_is_no_repetition(begun) -> None:
    story = begun(max_order_shares=10, max_repeated_orders=3, repeat_window_seconds=60)

    for _ in range(10):
        buy(story, 11)
        story.at_ns += 31 * SECOND

    assert held_by(story) == []


def test_repetition_is_found_over_the_border_of_two_windows(begun) -> None:
    """The third at 61 s is within 60 s of the first, which came at 55 s."""
    story = begun(max_order_shares=10, max_repeated_orders=3, repeat_window_seconds=60)
    buy(story, 12)
    for seconds in (55, 3, 3):
        story.at_ns += seconds * SECOND
        buy(story, 11)

    assert held_by(story) == ["repetition"]


def test_other_terms_are_another_intent(begun) -> None:
    """A strategy that moves its quote with the market cancels at another price each time."""
    story = begun(max_repeated_orders=3, repeat_window_seconds=60)

    for cents in range(20):
        order = buy(story, limit=9.0 + cents / 100)
        story.report(order, OrderStatus.CANCELLED)
    assert held_by(story) == []
    for _ in range(3):
        order = buy(story, limit=9.0)
        story.report(order, OrderStatus.CANCELLED)

    assert held_by(story) == ["repetition"]


def test_an_order_that_had_filled_in_part_was_not_without_effect(begun) -> None:
    story = begun(max_repeated_orders=2, repeat_window_seconds=60)

    for _ in range(4):
        order = buy(story, 2, limit=9.0)
        story.fill(order, 1)
        story.report(order, OrderStatus.CANCELLED)

    assert held_by(story) == []


def test_buying_and_selling_the_same_again_and_again_halts(begun) -> None:
    story = begun(max_repeated_orders=3, repeat_window_seconds=60)

    for _ in range(2):
        story.fill(buy(story, 5))
        story.fill(story.order(story.act(lambda me: me.sell("AAPL", 5))))
    assert held_by(story) == []
    story.fill(buy(story, 5))
    story.fill(story.order(story.act(lambda me: me.sell("AAPL", 5))))

    assert held_by(story) == ["repetition"]


def test_rejections_in_a_row_halt_and_an_accepted_order_begins_the_row_anew(begun) -> None:
    story = begun(max_consecutive_rejections=3)
    for _ in range(2):
        story.report(buy(story), OrderStatus.REJECTED, reason="no")
    story.report(buy(story), OrderStatus.WORKING)
    for number in range(3):
        order = buy(story, 1 + number)
        story.report(order, OrderStatus.REJECTED, reason="margin")
        # The venue says more about the same rejection.
        story.report(order, OrderStatus.REJECTED, reason="margin, really")
        assert held_by(story) == (["repetition"] if number == 2 else [])

    [halt] = story.engine.gate.halts.values()
    assert halt.reason == (
        "run was rejected 3 times in a row by the venue, the last time run.6 (margin); "
        "risk.max_consecutive_rejections is 3"
    )


def test_what_a_run_could_not_help_is_not_counted(begun) -> None:
    story = begun(max_repeated_orders=2, repeat_window_seconds=60)
    story.tell(LinkChanged(Link.SYNCING, story.at_ns))

    assert [buy(story).status for _ in range(5)] == [OrderStatus.DENIED] * 5
    assert held_by(story) == []


def test_a_run_that_repeats_itself_may_still_get_out(begun) -> None:
    story = begun(max_order_shares=10, max_repeated_orders=2, repeat_window_seconds=60)
    story.hold(5)
    for _ in range(2):
        buy(story, 11)

    out = story.order(story.act(lambda me: me.close("AAPL")))

    assert held_by(story) == ["repetition"]
    assert out.status is OrderStatus.SENT


def test_other_runs_go_on(begun, hands) -> None:
    story = begun(max_order_shares=10, max_repeated_orders=2, repeat_window_seconds=60)
    story.start(hands(), "other")
    for _ in range(2):
        buy(story, 11)

    order = story.order(story.act(lambda me: me.buy("AAPL", 1), "other"))

    assert order.status is OrderStatus.SENT


def test_a_person_lets_a_run_go_on_and_it_is_counted_anew(begun) -> None:
    story = begun(max_order_shares=10, max_repeated_orders=3, repeat_window_seconds=60)
    for _ in range(3):
        buy(story, 11)
    [halt_id] = story.engine.gate.halts

    story.tell(ResumeTrading(halt_id, "mended", story.at_ns))
    buy(story, 11)
    buy(story, 11)

    assert held_by(story) == []
    assert buy(story, 1).status is OrderStatus.SENT


@pytest.mark.parametrize("path", sorted(STRATEGIES.glob("*.py")), ids=lambda path: path.stem)
def test_the_defaults_never_stop_a_sample_strategy(path: Path) -> None:
    """Also where its daily bars are squeezed into 5 s each, as a desk plays them."""
    bars = sample_daily_bars()
    days = pl.col("opened_at").rank("dense").cast(pl.Int64)
    squeezed = bars.with_columns((days * 5 * SECOND).cast(pl.Datetime("ns", "UTC")).alias("opened_at"))

    result = backtest(load_strategy(path).cls(), squeezed, limits=RiskLimits(max_daily_loss=math.inf))

    assert len(result.fills) > 0
    assert result.halt is None


def test_a_strategy_that_goes_in_and_out_thirty_times_a_minute_is_left_alone(tell_story, hands) -> None:
    story = tell_story(RiskLimits())
    story.tell(ClockRead(story.at_ns))
    story.start(hands())
    told: list[str] = []
    for _ in range(100):
        story.at_ns += 2 * SECOND
        story.quote(9.99, 10.01)
        for side in (Side.BUY, Side.SELL):
            order = story.order(story.act(lambda me, side=side: (me.buy if side is Side.BUY else me.sell)("AAPL", 10)))
            told += [action.text for action in story.fill(order, price=10.0) if isinstance(action, Alert)]

    assert held_by(story) == []
    assert told == []
    assert story.run().position(Stock("AAPL").id).quantity == 0
