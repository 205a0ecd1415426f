"""A limit's flatten is not lost, not taken for an opening order, and never carries a position through zero."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from ibdesk.engine import Engine, RiskLimits, RunState, snapshot_of
from ibdesk.model import (
    TAKEN_BACK,
    CancelOrder,
    HaltTrading,
    Order,
    OrderFound,
    OrderStatus,
    OrderType,
    PositionReport,
    Restore,
    ResumeTrading,
    SetTimer,
    Side,
    Stock,
    TimerFired,
    TradingHalted,
    TradingHours,
    WhenClosed,
)
from ibdesk.strategy import Strategy


def fail(*_: object) -> None:
    raise ValueError("broken")


@pytest.fixture
def holding(tell_story, hands) -> Callable[..., Any]:
    """Return a story in which a run holds 100 AAPL at 10 and may lose 100 a day, else they are sold."""

    def make(rules: dict[str, Any] | None = None, **hooks: Any) -> Any:
        limits = dataclasses.replace(RiskLimits.none(), max_daily_loss=100.0, on_daily_loss="flatten")
        story = tell_story(dataclasses.replace(limits, **rules or {}))
        story.start(hands())
        story.hold(100, price=10.0)
        story.run().strategy._on.update(hooks)
        return story

    return make


def restarted(story: Any) -> list[Any]:
    """Have a second engine go on from what the first one leaves; return what it does about it."""
    heir = Engine(strategies=lambda _: Strategy(), limits=story.engine.gate.limits)
    snapshot = snapshot_of(story.engine, story.at_ns)
    story.engine = heir
    actions: list[Any] = story.tell(Restore(account="DU1", at_ns=story.at_ns, snapshot=snapshot))
    return actions


def cancelled(actions: list[Any]) -> list[str]:
    return [action.order_id for action in actions if isinstance(action, CancelOrder)]


def halt_id(actions: list[Any]) -> str:
    [halted] = [action for action in actions if isinstance(action, TradingHalted)]
    return str(halted.id)


# --- a run that fails in the event of the breach


@pytest.mark.parametrize("hook", ["bar", "quote"])
def test_a_run_that_raises_at_the_price_of_the_breach_is_closed_all_the_same(holding, hook: str) -> None:
    story = holding(**{hook: fail})

    actions = story.bar(8.5) if hook == "bar" else story.quote(8.5, 8.5)

    assert story.run().state is RunState.FAILED
    assert halt_id(actions)
    [closing] = story.placed(actions)
    assert (closing.id, closing.signed_remaining) == ("run.2", -100)
    story.fill(closing, price=8.5)
    assert story.run().position("AAPL").quantity == 0
    assert story.run().lanes["AAPL"].aim is None


def test_a_stop_in_the_way_is_withdrawn_once_and_the_position_closed_although_the_run_raises(holding) -> None:
    story = holding(bar=fail)
    stop = story.act(lambda me: me.sell("AAPL", 100, stop=7.0))

    actions = story.bar(8.5)

    assert cancelled(actions) == [stop]
    assert story.placed(actions) == []
    [closing] = story.placed(story.report(story.order(stop), OrderStatus.CANCELLED))
    assert closing.signed_remaining == -100


def test_a_closing_order_that_left_before_is_not_sent_again_when_the_run_raises(holding) -> None:
    story = holding()
    [closing] = story.placed(story.quote(8.5, 8.5))
    story.run().strategy._on["bar"] = fail

    actions = story.bar(8.4)

    assert story.run().state is RunState.FAILED
    assert (story.placed(actions), cancelled(actions)) == ([], [])
    story.fill(closing, price=8.4)
    assert story.run().position("AAPL").quantity == 0


def test_all_instruments_of_a_run_are_closed_although_it_raises_over_the_first(tell_story, hands) -> None:
    story = tell_story(dataclasses.replace(RiskLimits.none(), max_daily_loss=100.0, on_daily_loss="flatten"))
    ibm = Stock("IBM")
    story.start(hands(), on=[Stock("AAPL"), ibm])
    for name in ("AAPL", "IBM"):
        story.fill(story.order(story.act(lambda me, name=name: me.buy(name, 100))), price=10.0)
    story.quote(10.0, 10.0)
    # What was sold outside may not be sold here once more: that order is denied, and the run told of it.
    story.tell(PositionReport("AAPL", 0.0, 10.0, story.at_ns, confirmed=True))
    story.run().strategy._on["order"] = fail

    actions = story.quote(8.5, 8.5)

    assert story.run().state is RunState.FAILED
    assert [order.instrument for order in story.placed(actions)] == ["IBM"]


# --- through zero


def retry(story: Any, closing: Order) -> TimerFired:
    """Have the venue reject a closing order; return the timer of the next one."""
    actions = story.report(closing, OrderStatus.REJECTED, reason="no")
    [timer] = [action for action in actions if isinstance(action, SetTimer)]
    return TimerFired(timer.timer_id, timer.at_ns)


def test_what_a_run_has_sold_by_itself_after_the_lift_is_not_sold_again(holding) -> None:
    story = holding()
    actions = story.quote(8.5, 8.5)
    [closing] = story.placed(actions)
    timer = retry(story, closing)
    story.quote(10.0, 10.0)
    story.tell(ResumeTrading(halt_id(actions), "looked at", story.at_ns))
    own = story.order(story.act(lambda me: me.sell("AAPL", 100)))
    story.fill(own, price=10.0)

    story.at_ns = timer.at_ns
    again = story.tell(timer)

    assert story.placed(again) == []
    assert story.run().position("AAPL").quantity == 0
    assert story.run().lanes["AAPL"].aim is None


def test_an_own_sale_on_its_way_counts_and_when_it_fails_the_position_is_closed(holding) -> None:
    story = holding()
    actions = story.quote(8.5, 8.5)
    [closing] = story.placed(actions)
    timer = retry(story, closing)
    story.quote(10.0, 10.0)
    story.tell(ResumeTrading(halt_id(actions), "looked at", story.at_ns))
    own = story.order(story.act(lambda me: me.sell("AAPL", 60)))

    story.at_ns = timer.at_ns
    [rest] = story.placed(story.tell(timer))
    assert rest.signed_remaining == -40
    story.fill(rest, price=10.0)

    [last] = story.placed(story.report(own, OrderStatus.REJECTED, reason="no"))
    assert last.signed_remaining == -60


def test_what_a_run_has_bought_by_itself_after_the_lift_stays(holding) -> None:
    story = holding()
    actions = story.quote(8.5, 8.5)
    [closing] = story.placed(actions)
    timer = retry(story, closing)
    story.quote(10.0, 10.0)
    story.tell(ResumeTrading(halt_id(actions), "looked at", story.at_ns))
    story.fill(story.order(story.act(lambda me: me.buy("AAPL", 50))), price=10.0)

    story.at_ns = timer.at_ns
    [again] = story.placed(story.tell(timer))

    assert again.signed_remaining == -100


# --- a strategy that orders again whatever is withdrawn


class SellsAgain:
    """An `on_order` that sells by the same terms whenever an order of its run was cancelled."""

    def __init__(self, most: int = 50, **terms: Any) -> None:
        self.made: list[str] = []
        self._most, self._terms = most, terms

    def __call__(self, me: Any, order: Order) -> None:
        if order.status is OrderStatus.CANCELLED and len(self.made) < self._most:
            self.made.append(me.sell("AAPL", **self._terms))


def test_a_run_that_protects_its_position_again_does_not_keep_it_from_being_closed(holding) -> None:
    story = holding(order=(again := SellsAgain(quantity=100, stop=7.0)))
    stop = story.act(lambda me: me.sell("AAPL", 100, stop=7.0))
    story.report(story.order(stop), OrderStatus.WORKING)
    assert cancelled(story.quote(8.5, 8.5)) == [stop]

    actions = story.report(story.order(stop), OrderStatus.CANCELLED)

    second, closing = story.placed(actions)
    assert (closing.type, closing.signed_remaining) == (OrderType.MARKET, -100)
    # Beside the closing order the new stop could open a position: it is withdrawn, and a third one is denied.
    assert cancelled(actions) == [second.id]
    assert story.placed(story.report(second, OrderStatus.CANCELLED)) == []
    assert [story.order(each).status for each in again.made] == [OrderStatus.CANCELLED, OrderStatus.DENIED]
    story.fill(closing, price=8.5)
    assert story.run().position("AAPL").quantity == 0
    assert story.run().lanes["AAPL"].aim is None


def test_it_does_not_either_while_the_rate_is_used_up(holding) -> None:
    story = holding({"max_orders_per_second": 0.05}, order=(again := SellsAgain(quantity=100, stop=7.0)))
    stop = story.act(lambda me: me.sell("AAPL", 100, stop=7.0))
    story.report(story.order(stop), OrderStatus.WORKING)
    story.quote(8.5, 8.5)

    story.report(story.order(stop), OrderStatus.CANCELLED)

    assert [story.order(each).status for each in again.made] == [OrderStatus.CANCELLED, OrderStatus.DENIED]
    closing = story.order(story.run().lanes["AAPL"].aim.order_id)
    assert (closing.status, closing.signed_remaining) == (OrderStatus.CREATED, -100)


def test_it_does_not_either_with_orders_that_wait_for_the_open(holding) -> None:
    terms: dict[str, Any] = {"quantity": 100, "stop": 7.0, "when_closed": WhenClosed.HOLD}
    story = holding(order=(again := SellsAgain(**terms)))
    opens_ns = story.at_ns + 3_600 * 1_000_000_000
    session = [(opens_ns, 2 * opens_ns)]
    story.tell(TradingHours("AAPL", session, session, 2 * opens_ns, story.at_ns))
    stop = story.act(lambda me: me.sell("AAPL", **terms))
    assert story.order(stop).status is OrderStatus.CREATED

    [closing] = story.placed(story.quote(8.5, 8.5))

    assert closing.signed_remaining == -100
    assert [story.order(each).status for each in again.made] == [OrderStatus.CANCELLED, OrderStatus.DENIED]


def test_a_run_that_orders_too_much_again_without_an_end_is_ended_and_closed(holding) -> None:
    # After the lift a run may trade; what it sells beyond what is held is withdrawn before it is closed.
    story = holding({"max_orders_per_second": 0.05})
    actions = story.quote(8.5, 8.5)
    [closing] = story.placed(actions)
    timer = retry(story, closing)
    story.quote(10.0, 10.0)
    story.tell(ResumeTrading(halt_id(actions), "looked at", story.at_ns))
    own = story.act(lambda me: me.sell("AAPL", 150))
    assert story.order(own).status is OrderStatus.CREATED
    story.run().strategy._on["order"] = (again := SellsAgain(quantity=150, most=1_000))

    story.at_ns = timer.at_ns
    story.tell(timer)

    assert len(again.made) < 50
    assert story.run().state is RunState.FAILED
    assert "has ordered again" in story.run().note
    closing = story.order(story.run().lanes["AAPL"].aim.order_id)
    assert closing.signed_remaining == -100


def test_a_corrected_price_of_the_closing_order_sells_nothing_again(holding) -> None:
    story = holding()
    [closing] = story.placed(story.quote(8.5, 8.5))
    story.fill(closing, price=8.5)

    taken_back = story.fill(closing, price=8.5, side=Side.BUY, execution_id=f"e2.01{TAKEN_BACK}")
    corrected = story.fill(closing, price=8.4, execution_id="e2.02")

    assert story.placed(taken_back) == story.placed(corrected) == []
    assert story.run().position("AAPL").quantity == 0


# --- what stands under a halt


def test_after_a_restart_a_halt_lets_the_closing_order_stand(holding) -> None:
    story = holding({"halt_keeps_protection": False})
    [closing] = story.placed(story.quote(8.5, 8.5))
    story.report(closing, OrderStatus.WORKING)

    actions = restarted(story)

    assert cancelled(actions) == []


def found(story: Any, side: Side, quantity: float, **terms: Any) -> list[Any]:
    order = Order(
        id="run.7",
        owner="run",
        instrument="AAPL",
        side=side,
        quantity=quantity,
        created_ns=story.at_ns,
        updated_ns=story.at_ns,
        status=OrderStatus.UNKNOWN,
        **terms,
    )
    actions: list[Any] = story.tell(OrderFound(order, Stock("AAPL"), story.at_ns))
    return actions


def test_an_order_that_turns_up_under_a_halt_is_cancelled_when_it_opens(holding) -> None:
    story = holding()
    story.tell(HaltTrading("stop", story.at_ns))

    assert cancelled(found(story, Side.BUY, 50, type=OrderType.LIMIT, limit_price=9.0)) == ["run.7"]


def test_one_that_protects_stays(holding) -> None:
    story = holding()
    story.tell(HaltTrading("stop", story.at_ns))

    assert cancelled(found(story, Side.SELL, 100, type=OrderType.STOP, stop_price=9.0)) == []


def test_one_of_a_stopped_run_is_cancelled_once(holding) -> None:
    story = holding()
    story.run().strategy._on["bar"] = fail
    story.bar(10.0)
    story.tell(HaltTrading("stop", story.at_ns))

    assert cancelled(found(story, Side.BUY, 50, type=OrderType.LIMIT, limit_price=9.0)) == ["run.7"]


def test_an_order_that_comes_back_to_life_under_a_halt_is_cancelled(holding) -> None:
    story = holding()
    entry = story.act(lambda me: me.buy("AAPL", 50, limit=9.0))
    story.report(story.order(entry), OrderStatus.REJECTED, reason="Inactive")
    story.tell(HaltTrading("stop", story.at_ns))

    assert cancelled(story.report(story.order(entry), OrderStatus.WORKING)) == [entry]


def test_protection_that_may_still_grow_counts_as_what_it_may_become(holding) -> None:
    story = holding()
    older = story.act(lambda me: me.sell("AAPL", 40, limit=12.0))
    newer = story.act(lambda me: me.sell("AAPL", 50, limit=12.0))
    for order_id in (older, newer):
        story.report(story.order(order_id), OrderStatus.WORKING)
    # 60 and 50 are more than the 100 that are held; the venue has not answered yet.
    story.act(lambda me: me.modify(older, quantity=60))

    assert cancelled(story.tell(HaltTrading("stop", story.at_ns))) == [newer]
