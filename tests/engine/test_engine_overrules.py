"""A person's change of a run's order at the broker is neither repeated nor undone before a halt is lifted."""

from __future__ import annotations

import dataclasses
from typing import Any

import polars as pl
import pytest

from ibdesk import Strategy
from ibdesk.engine import Engine, RiskLimits, snapshot_of
from ibdesk.engine.order_queue import QUEUE_TIMER
from ibdesk.model import (
    Alert,
    Bar,
    CancelOrder,
    Link,
    LinkChanged,
    ModifyOrder,
    OrderDenied,
    OrderReport,
    OrderStatus,
    OrderType,
    PlaceOrder,
    Restore,
    ResumeTrading,
    TimerFired,
    TradingHalted,
    TradingHours,
    TradingState,
    WhenClosed,
)

ENTRY, STOP = "run.1", "run.2"


class Target(Strategy):
    """Wants 100 of AAPL while the price is above 5."""

    def target(self) -> pl.Expr:
        return pl.when(pl.col("close") > 5).then(100).otherwise(0)


class Resting(Strategy):
    """Buys 100 with a limit, protects them with a stop, and puts each right that is not as it wants it."""

    def on_bar(self, bar: Bar) -> None:
        name, orders = bar.instrument, self.open_orders(bar.instrument)
        held = self.position(name).quantity
        if not held and not orders:
            self.buy(name, 100, limit=9.0)
        if held and not orders:
            self.sell(name, held, stop=8.0)
        for order in orders:
            if order.stop_price not in (None, 8.0):
                self.modify(order.id, stop=8.0)
            if order.limit_price not in (None, 9.0):
                self.cancel(order.id)

    def on_timer(self, name: str) -> None:
        if name == "leave":
            self.sell("AAPL", 100)
        else:
            self.cancel(STOP)


def told(story: Any, order_id: str, status: OrderStatus, **terms: Any) -> list[Any]:
    """Have the venue tell of an order what somebody else has done to it."""
    return list(story.tell(OrderReport(order_id=order_id, status=status, at_ns=story.at_ns, by_other=True, **terms)))


def leaving(actions: list[Any]) -> list[Any]:
    """Return what of the actions reaches the venue."""
    return [each for each in actions if isinstance(each, PlaceOrder | ModifyOrder | CancelOrder)]


def lift(story: Any) -> list[Any]:
    [halt] = story.engine.gate.halts.values()
    return list(story.tell(ResumeTrading(halt.id, "I have looked", story.at_ns)))


def protected(story: Any) -> None:
    """Have the run hold 100 with its stop at the venue."""
    story.start(Resting())
    story.bar(10.0)
    story.fill(story.order(ENTRY))
    story.bar(10.0)
    story.report(story.order(STOP), OrderStatus.HELD)


def test_an_entry_that_a_person_withdrew_is_not_placed_again(story: Any) -> None:
    story.start(Target())
    story.bar(10.0)

    halted = told(story, ENTRY, OrderStatus.CANCELLED)
    later = story.bar(11.0) + story.bar(12.0)

    [halt] = [each for each in halted if isinstance(each, TradingHalted)]
    assert (halt.by, halt.scope, halt.state) == ("external", "run:run", TradingState.REDUCING)
    assert "order run.1 (AAPL) was cancelled at the broker, not by this desk" in halt.reason
    assert leaving(later) == []
    assert leaving([*lift(story), *story.bar(13.0)]) != []


def test_an_exit_that_a_person_withdrew_is_not_placed_again_even_after_a_break(story: Any) -> None:
    story.start(Target())
    story.bar(10.0)
    story.fill(story.order(ENTRY))
    story.bar(4.0)

    told(story, STOP, OrderStatus.CANCELLED)
    later = story.bar(4.0)
    later += story.tell(LinkChanged(Link.DOWN, story.at_ns))
    later += story.tell(LinkChanged(Link.UP, story.at_ns))
    later += story.bar(4.0)

    assert leaving(later) == []
    assert story.run().position("AAPL").quantity == 100


def test_another_run_on_the_same_instrument_goes_on(story: Any) -> None:
    story.start(Target())
    story.start(Target(), run_id="other")
    story.bar(10.0)
    told(story, ENTRY, OrderStatus.CANCELLED)
    story.fill(story.order("other.1"))

    exits = leaving(story.bar(4.0))

    assert [each.order.owner for each in exits] == ["other"]


def test_a_stop_that_a_person_withdrew_is_not_placed_again_and_the_way_out_stays(story: Any) -> None:
    protected(story)

    told(story, STOP, OrderStatus.CANCELLED)
    denied = [each.rule for each in story.bar(10.0) if isinstance(each, OrderDenied)]
    [out] = leaving(story.tell(TimerFired("run/leave", story.at_ns)))

    assert denied == ["external_change"]
    assert (out.order.type, out.order.quantity) == (OrderType.MARKET, 100)


def test_a_stop_that_a_person_moved_stays_where_it_is(story: Any) -> None:
    protected(story)

    told(story, STOP, OrderStatus.HELD, stop_price=9.5)
    actions = list(story.bar(10.0))

    assert story.order(STOP).stop_price == 9.5
    assert leaving(actions) == []
    assert any("stays as it is" in each.text for each in actions if isinstance(each, Alert))
    lift(story)
    [change] = leaving(story.bar(10.0))
    assert (change.order_id, change.stop_price) == (STOP, 8.0)


def test_an_entry_that_a_person_moved_is_neither_withdrawn_nor_replaced(story: Any) -> None:
    story.start(Resting())
    story.bar(10.0)
    story.report(story.order(ENTRY), OrderStatus.WORKING)

    halted = told(story, ENTRY, OrderStatus.WORKING, limit_price=9.8)
    actions = halted + list(story.bar(10.0))

    assert leaving(actions) == []
    assert story.order(ENTRY).is_open


def test_a_stop_of_a_position_that_is_gone_may_be_withdrawn(story: Any) -> None:
    protected(story)
    told(story, STOP, OrderStatus.HELD, stop_price=9.5)
    [out] = leaving(story.tell(TimerFired("run/leave", story.at_ns)))
    story.fill(out.order)

    actions = story.tell(TimerFired("run/cancel", story.at_ns))

    assert [each.order_id for each in actions if isinstance(each, CancelOrder)] == [STOP]


def test_a_restart_keeps_what_a_person_has_moved(story: Any) -> None:
    protected(story)
    told(story, STOP, OrderStatus.HELD, stop_price=9.5)
    snapshot = snapshot_of(story.engine, story.at_ns)
    heir = Engine(strategies=lambda start: story.strategies[start.run_id], limits=RiskLimits.none())
    heir.handle(Restore(account="DU1", at_ns=story.at_ns, earlier="x", snapshot=snapshot))

    assert snapshot.overruled == {STOP: False}
    assert heir.orders.overrules.runs == {"run"}
    assert snapshot_of(heir, story.at_ns).overruled == {STOP: False}


@pytest.mark.parametrize("status", [OrderStatus.CANCELLED, OrderStatus.WORKING])
def test_what_the_venue_does_by_itself_halts_nobody(story: Any, status: OrderStatus) -> None:
    story.start(Resting())
    story.bar(10.0)

    actions = story.report(story.order(ENTRY), status)

    assert not any(isinstance(each, TradingHalted) for each in actions or ())
    assert len(story.engine.gate.halts) == 0


@pytest.mark.parametrize("way", ["queue", "hours"])
def test_what_waited_is_not_placed_after_a_person_has_stepped_in(tell_story, hands, way: str) -> None:
    story = tell_story(dataclasses.replace(RiskLimits.none(), max_orders_per_second=1.0))
    story.start(hands())
    story.hold(100)
    story.quote(10.0, 10.0)
    opens_ns = story.at_ns + 60 * 1_000_000_000
    if way == "hours":
        span = (opens_ns, opens_ns + 3600 * 1_000_000_000)
        story.tell(TradingHours("AAPL", [span], [span], span[1], story.at_ns))
    stop = story.act(lambda me: me.sell("AAPL", 100, stop=8.0))
    target = story.act(lambda me: me.sell("AAPL", 100, limit=12.0, when_closed=WhenClosed.HOLD))
    story.report(story.order(stop), OrderStatus.WORKING)
    assert story.order(target).status is OrderStatus.CREATED

    told(story, stop, OrderStatus.CANCELLED)
    if way == "hours":
        story.at_ns = opens_ns
        story.tell(TimerFired("/open/AAPL", opens_ns))
        story.quote(10.0, 10.0)
    else:
        story.at_ns += 2_000_000_000
        story.tell(TimerFired(QUEUE_TIMER, story.at_ns))

    assert story.order(target).status is OrderStatus.DENIED
    assert story.order(target).reason.startswith("a person changed or cancelled orders of this run outside the desk")
