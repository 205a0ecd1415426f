"""The effect of a halt in the event in which it begins, and the orders that pass while it is in force."""

from __future__ import annotations

import dataclasses

import pytest

from ibdesk.engine import RiskLimits
from ibdesk.model import (
    CancelOrder,
    HaltTrading,
    OrderDenied,
    OrderStatus,
    PlaceOrder,
    ResumeTrading,
    StopStrategy,
    TradingHalted,
    TradingState,
)


@pytest.mark.parametrize(
    ("keeps", "state", "stays"),
    [
        (True, TradingState.HALTED, True),
        (False, TradingState.REDUCING, True),
        (False, TradingState.HALTED, False),
    ],
)
def test_protection_stays_unless_the_setting_and_the_state_say_otherwise(
    tell_story, hands, keeps: bool, state: TradingState, stays: bool
) -> None:
    story = tell_story(dataclasses.replace(RiskLimits.none(), halt_keeps_protection=keeps))
    story.start(hands())
    story.hold(100)
    story.quote(10.0, 10.0)
    stop = story.act(lambda me: me.sell("AAPL", 100, stop=8.0))

    actions = story.tell(HaltTrading("news", story.at_ns, state=state))

    assert [type(action) for action in actions] == [TradingHalted, *([] if stays else [CancelOrder])]
    if not stays:
        story.report(story.order(stop), OrderStatus.CANCELLED)
    exit_id = story.act(lambda me: me.sell("AAPL", 100))
    assert story.order(exit_id).status is (OrderStatus.SENT if stays else OrderStatus.DENIED)


def test_a_person_flattens_where_strategies_may_not_even_reduce(tell_story, hands) -> None:
    story = tell_story(dataclasses.replace(RiskLimits.none(), halt_keeps_protection=False))
    story.start(hands())
    story.hold(100)
    story.tell(HaltTrading("news", story.at_ns))

    [order] = story.placed(story.tell(StopStrategy("run", story.at_ns, flatten=True)))

    assert order.signed_remaining == -100


def test_a_target_that_a_halt_cancelled_comes_back_once_it_is_lifted(tell_story) -> None:
    story = tell_story()
    story.start()
    [order] = story.placed(story.bar(10.0))
    halted, cancelled = story.tell(HaltTrading("news", story.at_ns))
    story.report(order, OrderStatus.CANCELLED)

    # It is asked for once more, is denied, and is not asked for again.
    assert cancelled == CancelOrder(order.id)
    assert [type(action) for action in story.bar(10.0)] == [OrderDenied]
    assert story.bar(10.0) == []
    story.tell(ResumeTrading(halted.id, "read it", story.at_ns))
    assert [type(action) for action in story.bar(10.0)] == [PlaceOrder]
