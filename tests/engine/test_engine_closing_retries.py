"""A failed closing order of a limit: reported at once, tried again, and given up with the remaining position."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from ibdesk.engine import Engine, RiskLimits, snapshot_of
from ibdesk.model import (
    Alert,
    CancelOrder,
    CancelRequest,
    Link,
    LinkChanged,
    OrderStatus,
    Restore,
    SetTimer,
    Severity,
    TimerFired,
)

SECOND = 1_000_000_000


@pytest.fixture
def breach(tell_story, hands) -> Callable[..., Any]:
    """A run holds 100 AAPL, and a price breaks the day's limit, so that they are sold; the story and that order."""

    def breach() -> Any:
        limits = dataclasses.replace(RiskLimits.none(), max_daily_loss=100.0, on_daily_loss="flatten")
        story = tell_story(limits)
        story.start(hands())
        story.hold(100, price=10.0)
        [closing] = story.placed(story.quote(8.5, 8.5))
        assert closing.signed_remaining == -100
        return story, closing

    return breach


def alerts(actions: list[Any]) -> list[Alert]:
    return [action for action in actions if isinstance(action, Alert) and action.severity is Severity.ERROR]


def timer_in(story: Any, actions: list[Any]) -> tuple[float, TimerFired]:
    """Return the seconds until the only timer that was set, and what it will fire."""
    [timer] = [action for action in actions if isinstance(action, SetTimer)]
    return (timer.at_ns - story.at_ns) / SECOND, TimerFired(timer.timer_id, timer.at_ns)


def elapse(story: Any, timer: TimerFired) -> list[Any]:
    story.at_ns = timer.at_ns
    actions: list[Any] = story.tell(timer)
    return actions


@pytest.mark.parametrize("status", [OrderStatus.REJECTED, OrderStatus.CANCELLED, OrderStatus.EXPIRED])
def test_a_closing_order_that_fails_is_told_at_once_and_tried_again(breach, status: OrderStatus) -> None:
    story, closing = breach()
    story.report(closing, OrderStatus.WORKING)
    story.fill(closing, 30, price=8.5)

    actions = story.report(story.order(closing.id), status, reason="no short locate")

    [alert] = alerts(actions)
    assert (alert.origin, alert.text) == (
        "run",
        f"AAPL: the closing order {closing.id} was {status.value} (no short locate), and 70 are still held: the next "
        f"one leaves in 2 s (1 of 5)",
    )
    assert story.placed(actions) == []
    seconds, timer = timer_in(story, actions)
    assert seconds == 2
    # A price meanwhile does not shorten the pause.
    assert story.placed(story.quote(8.4, 8.4)) == []
    [again] = story.placed(elapse(story, timer))
    assert again.signed_remaining == -70
    story.fill(again, price=8.4)
    assert story.run().position("AAPL").quantity == 0
    assert story.run().lanes["AAPL"].aim is None


def test_after_five_more_tries_one_alert_says_what_is_left_and_what_to_do(breach) -> None:
    story, closing = breach()
    pauses = []
    for _ in range(5):
        seconds, timer = timer_in(story, story.report(closing, OrderStatus.REJECTED, reason="no"))
        pauses.append(seconds)
        [closing] = story.placed(elapse(story, timer))

    actions = story.report(closing, OrderStatus.REJECTED, reason="not today")

    assert pauses == [2, 5, 15, 30, 60]
    [alert] = alerts(actions)
    assert (alert.origin, alert.text) == (
        "run",
        "run still holds 100 AAPL: 6 closing orders failed, the last one was rejected (not today); close it with "
        "`ibdesk stop --flatten`, or in TWS",
    )
    assert [action for action in actions if isinstance(action, SetTimer)] == []
    assert story.placed(elapse(story, timer)) == []
    assert story.placed(story.quote(5.0, 5.0)) == []


def test_a_late_execution_of_a_failed_order_is_not_sold_twice(breach) -> None:
    story, closing = breach()
    _, timer = timer_in(story, story.report(closing, OrderStatus.CANCELLED, reason="gone"))

    story.fill(story.order(closing.id), price=8.5)

    assert story.placed(elapse(story, timer)) == []
    assert story.run().position("AAPL").quantity == 0


def test_a_late_execution_withdraws_the_next_try(breach) -> None:
    story, closing = breach()
    _, timer = timer_in(story, story.report(closing, OrderStatus.CANCELLED, reason="gone"))
    [again] = story.placed(elapse(story, timer))

    actions = story.fill(story.order(closing.id), price=8.5)

    assert [action for action in actions if isinstance(action, CancelOrder)] == [CancelOrder(again.id)]


def test_what_a_person_cancels_is_not_tried_again(breach) -> None:
    for by_other in (True, False):
        story, closing = breach()
        if not by_other:
            story.tell(CancelRequest(closing.id, story.at_ns, by="ann"))

        actions = story.report(closing, OrderStatus.CANCELLED, reason="by hand", by_other=by_other)

        assert [action for action in actions if isinstance(action, SetTimer)] == []
        assert story.run().lanes["AAPL"].aim is None


def test_the_tries_go_on_after_a_restart_and_count_on(breach) -> None:
    story, closing = breach()
    story.report(closing, OrderStatus.REJECTED, reason="no")
    heir = Engine(strategies=lambda _: story.run().strategy, limits=story.engine.gate.limits)
    heir.handle(Restore(account="DU1", at_ns=story.at_ns, snapshot=snapshot_of(story.engine, story.at_ns)))
    heir.handle(LinkChanged(Link.SYNCING, story.at_ns))

    [again] = story.placed(heir.handle(LinkChanged(Link.UP, story.at_ns)))

    assert again.signed_remaining == -100
    story.engine = heir
    seconds, _ = timer_in(story, story.report(again, OrderStatus.REJECTED, reason="no"))
    assert seconds == 5
