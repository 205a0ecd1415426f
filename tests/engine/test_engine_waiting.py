"""Orders above the rate wait for their turn: reducing orders first, with a limit, and never without a link."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ibdesk.engine import Engine, RiskLimits, snapshot_of
from ibdesk.model import (
    CancelOrder,
    CancelRequest,
    ChangeLimits,
    HaltTrading,
    Link,
    LinkChanged,
    ModifyOrder,
    ModifyRequest,
    OrderDenied,
    OrderDropped,
    OrderQueued,
    OrderStatus,
    OrderType,
    PlaceOrder,
    PlaceRequest,
    Restore,
    SetTimer,
    Side,
    StartStrategy,
    Stock,
    StrategySource,
    TimerFired,
)
from ibdesk.strategy import Strategy

S = OrderStatus
SECOND = 1_000_000_000


def rate(orders: float, **rules: Any) -> RiskLimits:
    return dataclasses.replace(RiskLimits.none(), max_orders_per_second=orders, **rules)


def kinds(actions) -> list[str]:
    return [type(action).__name__ for action in actions]


def fire(story) -> list[Any]:
    """Let the newest timer of the queue come due."""
    story.at_ns = story.timers[-1].at_ns
    actions: list[Any] = story.tell(TimerFired("/queue", story.at_ns))
    story.timers += [action for action in actions if isinstance(action, SetTimer)]
    return actions


def quiet(actions) -> list[Any]:
    return [action for action in actions if not isinstance(action, SetTimer)]


@pytest.fixture
def paced(tell_story, hands):
    """A run under a rate that orders in its hook what a test says, and the timers of the queue."""

    def make(limits: RiskLimits, what, held: float = 0.0):
        story = tell_story()
        story.start(hands(bar=lambda me, bar: what(me)))
        if held:
            story.hold(held)
        story.engine.gate.limits = limits
        actions = story.bar(10.0)
        story.timers = [action for action in actions if isinstance(action, SetTimer)]
        return story, actions

    return make


def test_what_is_above_the_rate_waits_and_leaves_a_second_later(paced) -> None:
    story, actions = paced(rate(2), lambda me: [me.buy("AAPL", n) for n in (1, 2, 3, 4, 5)])

    assert kinds(actions) == ["PlaceOrder"] * 2 + ["OrderQueued"] * 3 + ["SetTimer"]
    assert [story.order(f"run.{n}").status for n in (2, 3)] == [S.SENT, S.CREATED]
    assert story.timers == [SetTimer("/queue", story.at_ns + SECOND)]
    began_ns = story.at_ns
    assert [order.id for order in story.placed(fire(story))] == ["run.3", "run.4"]
    assert [order.id for order in story.placed(fire(story))] == ["run.5"]
    assert story.at_ns == began_ns + 2 * SECOND
    assert (story.order("run.5").created_ns, story.order("run.5").updated_ns) == (began_ns, story.at_ns)


def test_what_waits_counts_as_pending(paced) -> None:
    story, _ = paced(rate(1), lambda me: [me.buy("AAPL", 1, limit=9.0), me.buy("AAPL", 2, limit=9.0)])

    assert story.run().lanes["AAPL"].exposure == 3.0
    assert [order.id for order in story.run().open_orders("AAPL")] == ["run.1", "run.2"]


def test_what_reduces_goes_before_what_opens(paced) -> None:
    story, _ = paced(
        rate(1), lambda me: [me.buy("AAPL", 1), me.buy("AAPL", 2), me.sell("AAPL", 30, stop=9.0)], held=100
    )

    assert [order.stop_price for order in story.placed(fire(story))] == [9.0]
    assert [order.quantity for order in story.placed(fire(story))] == [2.0]


def test_what_opens_is_denied_after_its_patience_and_says_so(paced) -> None:
    story, _ = paced(rate(1, max_order_wait_seconds=2), lambda me: [me.buy("AAPL", n) for n in (1, 2, 3, 4)])
    fire(story)

    placed, denied = quiet(fire(story))

    # After 2 s the third leaves; the fourth would have to wait a second more.
    assert (placed.order.quantity, denied.order_id) == (3.0, "run.4")
    assert (denied.rule, denied.limit, denied.asked) == ("max_order_wait_seconds", 2.0, 3.0)
    assert story.order("run.4").status is S.DENIED
    assert story.run().strategy.told("order")[-1].reason == ("max_order_wait_seconds allows 2, asked 3")


def test_what_reduces_waits_as_long_as_it_must(paced) -> None:
    story, _ = paced(
        rate(1, max_order_wait_seconds=1), lambda me: [me.sell("AAPL", 10, stop=n) for n in (9, 8, 7, 6)], held=100
    )

    assert [kinds(fire(story)) for _ in range(3)] == [["PlaceOrder", "SetTimer"]] * 2 + [["PlaceOrder"]]


@pytest.mark.parametrize(("limit", "seconds"), [(0.5, 2), (0.25, 4), (0.1, 10)])
def test_a_rate_below_one_a_second_is_one_order_in_so_many_seconds(paced, limit: float, seconds: int) -> None:
    story, actions = paced(rate(limit, max_order_wait_seconds=60), lambda me: [me.buy("AAPL", n) for n in (1, 2, 3)])
    began_ns = story.at_ns

    assert kinds(actions) == ["PlaceOrder", "OrderQueued", "OrderQueued", "SetTimer"]
    assert [order.id for order in story.placed(fire(story))] == ["run.2"]
    assert story.at_ns == began_ns + seconds * SECOND
    assert [order.id for order in story.placed(fire(story))] == ["run.3"]
    assert story.at_ns == began_ns + 2 * seconds * SECOND


def test_below_one_a_second_what_reduces_leaves_and_what_opens_is_denied_with_its_wait(paced) -> None:
    story, _ = paced(
        rate(0.5, max_order_wait_seconds=3),
        lambda me: [me.buy("AAPL", 1), me.buy("AAPL", 2), me.sell("AAPL", 30, stop=9.0)],
        held=100,
    )

    assert [order.stop_price for order in story.placed(fire(story))] == [9.0]
    [denied] = fire(story)

    # Its turn would have come after two orders of two seconds each.
    assert (denied.rule, denied.limit, denied.asked) == ("max_order_wait_seconds", 3.0, 4.0)


def test_a_rate_that_was_lowered_counts_what_left_before(paced) -> None:
    story, _ = paced(rate(40), lambda me: me.buy("AAPL", 1))
    left_ns = story.at_ns
    story.engine.gate.room_at(left_ns + 3 * SECOND)
    story.engine.gate.limits = rate(0.1)

    assert story.engine.gate.room_at(left_ns + 3 * SECOND) == left_ns + 10 * SECOND
    assert story.engine.gate.sent_since(left_ns + 2 * SECOND) == 0


@pytest.mark.parametrize("limit", [5e-324, 1e-300, 1e-9])
def test_a_rate_next_to_nothing_lets_the_first_order_leave(paced, limit: float) -> None:
    _, actions = paced(rate(limit), lambda me: [me.buy("AAPL", 1), me.buy("AAPL", 2)])

    assert kinds(quiet(actions)) == ["PlaceOrder", "OrderQueued"]


def test_an_order_that_waits_is_withdrawn_at_once(paced) -> None:
    story, _ = paced(rate(1), lambda me: [me.buy("AAPL", 1), me.buy("AAPL", 2)])

    assert story.tell(CancelRequest("run.2", story.at_ns)) == [OrderDropped("run.2", story.at_ns)]
    assert (story.order("run.2").status, story.order("run.2").reason) == (S.CANCELLED, "withdrawn before it was sent")
    assert story.run().strategy.told("order")[-1].status is S.CANCELLED
    assert fire(story) == []


def test_an_order_that_waits_is_changed_where_it_stands(paced) -> None:
    story, _ = paced(rate(1), lambda me: [me.buy("AAPL", n, limit=9.0) for n in (1, 2, 3)])

    [queued] = story.tell(ModifyRequest(order_id="run.2", at_ns=story.at_ns, quantity=7.0, limit_price=8.0))

    assert (queued.order.quantity, queued.order.limit_price, queued.order.status) == (7.0, 8.0, S.CREATED)
    assert [order.quantity for order in story.placed(fire(story))] == [7.0]


def test_a_change_above_the_rate_waits_and_the_newest_terms_leave(paced) -> None:
    story, _ = paced(rate(1), lambda me: me.buy("AAPL", 1, limit=9.0))
    story.report(story.order("run.1"), S.WORKING)

    [timer] = story.tell(ModifyRequest(order_id="run.1", at_ns=story.at_ns, limit_price=9.1))
    assert story.tell(ModifyRequest(order_id="run.1", at_ns=story.at_ns, limit_price=9.2)) == []
    story.timers = [timer]

    assert fire(story) == [ModifyOrder(order_id="run.1", quantity=1.0, limit_price=9.2, stop_price=None)]


def test_a_change_that_waits_is_dropped_with_its_order(paced) -> None:
    story, _ = paced(rate(1), lambda me: me.buy("AAPL", 1, limit=9.0))
    [timer] = story.tell(ModifyRequest(order_id="run.1", at_ns=story.at_ns, limit_price=9.1))
    story.timers = [timer]

    assert story.tell(CancelRequest("run.1", story.at_ns)) == [CancelOrder("run.1")]

    assert fire(story) == []


def test_what_waits_meets_the_gate_again_when_it_leaves(paced) -> None:
    story, _ = paced(rate(1), lambda me: [me.buy("AAPL", 1), me.buy("AAPL", 2)])
    limits = {"max_order_shares": 1.0}
    story.tell(ChangeLimits(limits=story.engine.gate.limits.but(limits).by_name, at_ns=story.at_ns))

    [denied] = fire(story)

    assert (denied.rule, story.order("run.2").status) == ("max_order_shares", S.DENIED)


def test_a_halt_drops_what_waits_to_open_a_position(paced) -> None:
    story, _ = paced(rate(1), lambda me: [me.buy("AAPL", 1), me.buy("AAPL", 2)])

    story.tell(HaltTrading("news", story.at_ns))

    assert story.order("run.2").status is S.CANCELLED
    assert fire(story) == []


def test_nothing_that_waits_leaves_without_a_link(paced) -> None:
    story, _ = paced(rate(1, max_order_wait_seconds=9), lambda me: [me.buy("AAPL", 1), me.buy("AAPL", 2)])
    story.tell(LinkChanged(Link.DOWN, story.at_ns))

    assert kinds(fire(story)) == ["SetTimer"]
    story.at_ns += SECOND
    story.tell(LinkChanged(Link.SYNCING, story.at_ns))
    assert [order.quantity for order in story.placed(story.tell(LinkChanged(Link.UP, story.at_ns)))] == [2.0]
    assert story.order("run.1").status is S.UNKNOWN


def test_what_waits_without_a_link_is_denied_in_the_end(paced) -> None:
    story, _ = paced(rate(1, max_order_wait_seconds=9), lambda me: [me.buy("AAPL", 1), me.buy("AAPL", 2)])
    story.tell(LinkChanged(Link.DOWN, story.at_ns))
    fire(story)

    [denied] = fire(story)

    assert (denied.rule, denied.order_id) == ("max_order_wait_seconds", "run.2")


def test_a_higher_rate_lets_what_waits_leave_at_once(paced) -> None:
    story, _ = paced(rate(1), lambda me: [me.buy("AAPL", n) for n in (1, 2, 3)])

    actions = story.tell(ChangeLimits(limits=rate(20).by_name, at_ns=story.at_ns))

    assert [order.quantity for order in story.placed(actions)] == [2.0, 3.0]


def test_an_exit_that_waits_when_its_target_is_wanted_again_is_not_doubled(paced) -> None:
    story, _ = paced(rate(1), lambda me: [me.buy("AAPL", 1, limit=9.0), me.order_target("AAPL", 0)], held=100)

    # The entry is withdrawn; the exit waits for its answer, and then for its turn.
    actions = story.report(story.order("run.2"), S.CANCELLED)
    assert "OrderQueued" in kinds(actions)
    story.timers += [action for action in actions if isinstance(action, SetTimer)]
    assert [order.signed_remaining for order in story.placed(fire(story))] == [-100.0]


# --- by hand, and the next desk


def by_hand(number: int, at_ns: int) -> PlaceRequest:
    return PlaceRequest(
        order_id=f"m{number}",
        instrument=Stock("AAPL"),
        side=Side.BUY,
        quantity=float(number),
        at_ns=at_ns,
        order_type=OrderType.LIMIT,
        limit_price=9.0,
        client_key=str(number),
    )


def test_an_order_by_hand_waits_too(tell_story) -> None:
    story = tell_story(rate(1))
    story.tell(by_hand(1, story.at_ns))

    queued, timer = story.tell(by_hand(2, story.at_ns))

    assert (type(queued), timer) == (OrderQueued, SetTimer("/queue", story.at_ns + SECOND))
    assert story.tell(by_hand(2, story.at_ns)) == []
    story.timers = [timer]
    assert [order.id for order in story.placed(fire(story))] == ["m2"]


def test_what_waited_when_the_desk_ended_never_leaves_and_says_so(tell_story) -> None:
    story = tell_story(rate(1))
    story.tell(by_hand(1, story.at_ns))
    story.tell(by_hand(2, story.at_ns))
    heir = Engine(strategies=lambda _: Strategy(), limits=RiskLimits.none())

    actions: list[Any] = list(heir.handle(Restore(account="DU1", at_ns=7, snapshot=snapshot_of(story.engine, 7))))

    assert not any(isinstance(action, PlaceOrder | OrderDenied) for action in actions)
    order = heir.blotter.orders["m2"]
    assert (order.status, order.reason) == (
        S.CANCELLED,
        "never sent: the desk ended while the order waited for its turn",
    )
    [alert] = actions
    assert "order m2 waited for its turn when the desk stopped, and was never sent" in alert.text
    assert heir.handle(by_hand(2, 8)) == ()


# --- where nothing waits


def test_a_driver_of_bars_lets_leave_what_has_its_turn_in_time(hands) -> None:
    engine = Engine(
        strategies=lambda _: hands(timer=lambda me, _: [me.buy("AAPL", n) for n in range(1, 8)]),
        limits=rate(2, max_order_wait_seconds=2),
        waits=False,
    )
    engine.handle(
        StartStrategy(
            run_id="run",
            source=StrategySource("Hands"),
            parameters={},
            instruments=[Stock("AAPL")],
            interval_ns=SECOND,
            at_ns=0,
        )
    )

    actions: list[Any] = list(engine.handle(TimerFired("run/x", SECOND)))

    # Two at once, two a second later, two after two seconds; the seventh would wait for three.
    assert kinds(actions) == ["PlaceOrder"] * 6 + ["OrderDenied"]
    assert (actions[-1].rule, actions[-1].limit, actions[-1].asked) == ("max_order_wait_seconds", 2.0, 3.0)
