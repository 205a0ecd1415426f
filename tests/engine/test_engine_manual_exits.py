"""A limit also closes positions by hand, but not positions from trades outside the desk."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from ibdesk.engine import Engine, RiskLimits, snapshot_of
from ibdesk.model import (
    TAKEN_BACK,
    Alert,
    CancelOrder,
    Link,
    LinkChanged,
    OrderStatus,
    OrderType,
    PlaceRequest,
    Restore,
    ResumeTrading,
    SetTimer,
    Severity,
    Side,
    Stock,
    TimerFired,
    WatchMarket,
)
from ibdesk.strategy import Strategy

SECOND = 1_000_000_000


@pytest.fixture
def by_hand(tell_story) -> Callable[..., Any]:
    """A desk without a run that has bought so many AAPL at 10 by hand and may lose 100 a day; the story."""

    def by_hand(quantity: float = 100, **rules: Any) -> Any:
        limits = dataclasses.replace(RiskLimits.none(), max_daily_loss=100.0, on_daily_loss="flatten")
        story = tell_story(dataclasses.replace(limits, **rules))
        story.tell(WatchMarket(Stock("AAPL"), story.at_ns))
        story.quote(10.0, 10.0)
        place(story, "m1", Side.BUY, quantity)
        story.fill(story.order("m1"), price=10.0)
        return story

    return by_hand


def place(story: Any, order_id: str, side: Side, quantity: float, *, limit: float | None = None) -> None:
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    story.tell(
        PlaceRequest(
            order_id=order_id,
            instrument=Stock("AAPL"),
            side=side,
            quantity=quantity,
            order_type=kind,
            limit_price=limit,
            at_ns=story.at_ns,
        )
    )


def held(story: Any) -> float:
    quantity: float = story.engine.portfolio.open_book("manual").position("AAPL").quantity
    return quantity


def timer_in(actions: list[Any]) -> TimerFired:
    [timer] = [action for action in actions if isinstance(action, SetTimer)]
    return TimerFired(timer.timer_id, timer.at_ns)


def test_a_limit_closes_what_was_bought_by_hand(by_hand) -> None:
    story = by_hand()

    [closing] = story.placed(story.quote(8.5, 8.5))

    assert (closing.owner, closing.by, closing.type, closing.signed_remaining) == (
        "manual",
        "risk",
        OrderType.MARKET,
        -100,
    )
    story.fill(closing, price=8.5)
    assert held(story) == 0
    assert story.engine.orders.manual_exits.aims == {}
    assert story.placed(story.quote(5.0, 5.0)) == []


def test_a_rule_that_only_halts_closes_nothing(by_hand) -> None:
    story = by_hand(on_daily_loss="halt")

    assert story.placed(story.quote(8.5, 8.5)) == []


def test_orders_by_hand_are_withdrawn_first_and_what_they_filled_is_counted(by_hand) -> None:
    story = by_hand()
    place(story, "m2", Side.SELL, 100, limit=12.0)

    actions = story.quote(8.5, 8.5)

    assert (story.placed(actions), [a for a in actions if isinstance(a, CancelOrder)]) == ([], [CancelOrder("m2")])
    assert story.placed(story.fill(story.order("m2"), 40, price=12.0)) == []
    [closing] = story.placed(story.report(story.order("m2"), OrderStatus.CANCELLED))
    assert closing.signed_remaining == -60


def test_a_cancel_that_nobody_answers_is_asked_for_again(by_hand) -> None:
    story = by_hand()
    place(story, "m2", Side.SELL, 100, limit=12.0)
    timer = timer_in(story.quote(8.5, 8.5))

    story.at_ns = timer.at_ns

    assert CancelOrder("m2") in story.tell(timer)


def test_a_closing_order_by_hand_that_fails_is_tried_again(by_hand) -> None:
    story = by_hand()
    [closing] = story.placed(story.quote(8.5, 8.5))

    actions = story.report(closing, OrderStatus.REJECTED, reason="no")

    [alert] = [a for a in actions if isinstance(a, Alert) and a.severity is Severity.ERROR]
    assert "was rejected (no), and 100 are still held: the next one leaves in 2 s (1 of 5)" in alert.text
    timer = timer_in(actions)
    # An execution that comes late is not sold twice.
    story.fill(story.order(closing.id), 30, price=8.5)
    story.at_ns = timer.at_ns
    [again] = story.placed(story.tell(timer))
    assert again.signed_remaining == -70
    # And one that comes once the next has left withdraws it: it would go through zero.
    late = story.fill(story.order(closing.id), 70, price=8.5)
    assert [a for a in late if isinstance(a, CancelOrder)] == [CancelOrder(again.id)]


def test_what_a_person_cancels_at_the_broker_is_not_tried_again(by_hand) -> None:
    story = by_hand()
    [closing] = story.placed(story.quote(8.5, 8.5))

    actions = story.report(closing, OrderStatus.CANCELLED, by_other=True)

    assert [a for a in actions if isinstance(a, SetTimer)] == []
    assert story.engine.orders.manual_exits.aims == {}


def test_what_was_traded_outside_the_desk_is_left_alone(by_hand) -> None:
    story = by_hand()
    outside = story.order("m1")
    story.fill(msgspec.structs.replace(outside, id="of-tws"), 500, price=10.0)

    [closing] = story.placed(story.quote(8.5, 8.5))

    assert closing.signed_remaining == -100


def test_it_goes_on_after_a_restart(by_hand) -> None:
    story = by_hand()
    [closing] = story.placed(story.quote(8.5, 8.5))
    story.report(closing, OrderStatus.REJECTED, reason="no")
    heir = Engine(strategies=lambda _: Strategy(), limits=story.engine.gate.limits)
    heir.handle(Restore(account="DU1", at_ns=story.at_ns, snapshot=snapshot_of(story.engine, story.at_ns)))
    heir.handle(LinkChanged(Link.SYNCING, story.at_ns))

    [again] = story.placed(heir.handle(LinkChanged(Link.UP, story.at_ns + SECOND)))

    assert again.signed_remaining == -100


def test_a_late_execution_after_the_exit_is_done_is_closed_too(by_hand) -> None:
    story = by_hand()
    place(story, "m2", Side.BUY, 10, limit=8.0)
    story.quote(8.5, 8.5)
    [closing] = story.placed(story.report(story.order("m2"), OrderStatus.CANCELLED))
    story.fill(closing, price=8.5)
    assert held(story) == 0

    # The execution was on its way while the cancel was answered.
    [late] = story.placed(story.fill(story.order("m2"), price=8.0))

    assert late.signed_remaining == -10


def test_what_a_person_buys_after_an_exit_stays(by_hand) -> None:
    story = by_hand()
    actions = story.quote(8.5, 8.5)
    [closing] = story.placed(actions)
    story.fill(closing, price=8.5)
    [halt] = story.engine.gate.halts
    story.at_ns += 24 * 3600 * SECOND
    story.quote(10.0, 10.0)
    story.tell(ResumeTrading(halt, "a new day", story.at_ns))
    place(story, "m2", Side.BUY, 10, limit=10.0)
    story.report(story.order("m2"), OrderStatus.CANCELLED)

    assert story.placed(story.fill(story.order("m2"), price=10.0)) == []
    assert held(story) == 10


def test_the_timer_that_looks_after_cancels_does_not_shorten_the_pause_of_a_retry(by_hand) -> None:
    story = by_hand()
    place(story, "m2", Side.BUY, 10, limit=8.0)
    patience = timer_in(story.quote(8.5, 8.5))
    [closing] = story.placed(story.report(story.order("m2"), OrderStatus.CANCELLED))
    # The pauses are 2, 5 and 15 seconds: the last one ends 22 seconds after the breach.
    for _ in range(2):
        retry = timer_in(story.report(closing, OrderStatus.REJECTED, reason="no"))
        story.at_ns = retry.at_ns
        [closing] = story.placed(story.tell(retry))
    retry = timer_in(story.report(closing, OrderStatus.REJECTED, reason="no"))

    story.at_ns = patience.at_ns
    assert story.placed(story.tell(patience)) == []
    story.at_ns = retry.at_ns
    assert len(story.placed(story.tell(retry))) == 1


# --- a price that the venue corrects: the execution is taken back, and comes again at the right price


def test_a_corrected_price_of_the_closing_order_sells_nothing_again(by_hand) -> None:
    story = by_hand()
    [closing] = story.placed(story.quote(8.5, 8.5))
    story.fill(closing, price=8.5)

    taken_back = story.fill(closing, price=8.5, side=Side.BUY, execution_id=f"e2.01{TAKEN_BACK}")
    corrected = story.fill(closing, price=8.4, execution_id="e2.02")

    assert story.placed(taken_back) == story.placed(corrected) == []
    assert story.engine.portfolio.held("AAPL") == 0


def test_what_a_correction_leaves_is_closed(by_hand) -> None:
    story = by_hand()
    [closing] = story.placed(story.quote(8.5, 8.5))
    story.fill(closing, price=8.5)

    story.fill(closing, price=8.5, side=Side.BUY, execution_id=f"e2.01{TAKEN_BACK}")
    [rest] = story.placed(story.fill(closing, quantity=60, price=8.5, execution_id="e2.02"))

    assert rest.signed_remaining == -40
