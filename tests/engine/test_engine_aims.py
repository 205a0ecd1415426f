"""Aims: leading a position past protective stops, targets, entries and orders in flight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from ibdesk.engine import Engine, RiskLimits, RunState, snapshot_of
from ibdesk.model import (
    Aim,
    AimChanged,
    Alert,
    CancelOrder,
    HaltTrading,
    Link,
    LinkChanged,
    ModifyOrder,
    OrderDenied,
    OrderFound,
    OrderStatus,
    PlaceOrder,
    PositionReport,
    Restore,
    SetTimer,
    Side,
    Stock,
    StopStrategy,
    TimeInForce,
    TimerFired,
)
from ibdesk.strategy import Strategy

S = OrderStatus
GTC = TimeInForce.GTC


class Wish(Strategy):
    """Wants to hold what the last close says."""

    def target(self) -> pl.Expr:
        return pl.col("close")


@pytest.fixture
def act(story, hands) -> Callable[[Any], list[Any]]:
    """Start a run that holds 100 AAPL; each call has it do something in an event of its own."""
    todo: list[Any] = []
    story.start(hands(timer=lambda me, _: todo.pop()(me)))

    def act(what) -> list[Any]:
        todo.append(what)
        actions: list[Any] = story.tell(TimerFired("run/act", story.at_ns))
        return actions

    story.hold(100)
    return act


def orders_in(actions: list[Any]) -> list[Any]:
    """What goes to the venue."""
    return [action for action in actions if isinstance(action, PlaceOrder | ModifyOrder | CancelOrder | OrderDenied)]


def held(story: Any) -> Any:
    return story.run().position("AAPL").quantity


def open_orders(story) -> list[str]:
    return [order.id for order in story.engine.blotter.all_open()]


# --- what a target is compared with


def test_a_stop_that_protects_the_position_does_not_count_as_exposure(story, hands) -> None:
    """The position of a target strategy with a stop from `on_fill` grew by its size at each bar."""

    class Protected(Wish):
        def on_fill(self, fill) -> None:
            self.sell(fill.instrument, fill.quantity, stop=50.0, time_in_force=GTC)

    story.start(Protected())
    [order] = story.placed(story.bar(100.0))
    [stop] = story.placed(story.fill(order))
    story.report(stop, S.HELD)

    assert [story.bar(100.0) for _ in range(40)] == [[]] * 40
    assert story.run().lanes["AAPL"].exposure == 100.0


def test_a_stop_and_a_profit_target_on_one_position_are_no_exposure_either(story, act) -> None:
    act(lambda me: [me.sell("AAPL", 100, stop=9.0), me.sell("AAPL", 100, limit=12.0)])

    assert act(lambda me: me.order_target("AAPL", 100)) == []
    assert story.run().lanes["AAPL"].exposure == 100.0


def test_a_pending_entry_counts_as_filled(story, act) -> None:
    act(lambda me: me.buy("AAPL", 50, limit=9.0))

    assert act(lambda me: me.order_target("AAPL", 150)) == []
    [placed] = story.placed(act(lambda me: me.order_target("AAPL", 170)))
    assert placed.signed_remaining == 20.0


def test_what_exceeds_the_position_is_an_entry(story, act) -> None:
    act(lambda me: me.sell("AAPL", 130, limit=12.0))

    # 100 of the 130 protect the position; 30 would be short.
    assert story.run().lanes["AAPL"].exposure == 70.0


def test_adding_to_a_position_leaves_its_stop_as_it_is(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))

    [action] = act(lambda me: me.order_target("AAPL", 150))

    assert action.order.signed_remaining == 50.0


def test_a_target_below_what_a_pending_entry_leads_to_cuts_the_entry(story, act) -> None:
    act(lambda me: [me.buy("AAPL", 50, limit=9.0), me.buy("AAPL", 40, limit=8.0)])

    actions = orders_in(act(lambda me: me.order_target("AAPL", 170)))

    # 70 are missing: the older entry keeps its 50, the newer one 20 of its 40.
    assert actions == [ModifyOrder(order_id="run.3", quantity=20.0, limit_price=8.0, stop_price=None)]
    story.report(story.order("run.3"), S.WORKING, quantity=20.0)
    assert act(lambda me: me.order_target("AAPL", 170)) == []


def test_a_rejected_stop_does_not_keep_the_target_from_being_asked_for(story, hands) -> None:
    class Protected(Wish):
        def on_fill(self, fill) -> None:
            if fill.side is Side.BUY:
                self.sell(fill.instrument, fill.quantity, stop=50.0)

    story.start(Protected())
    [order] = story.placed(story.bar(100.0))
    [stop] = story.placed(story.fill(order, 60.0))
    story.report(order, S.CANCELLED)
    story.report(stop, S.REJECTED)

    [rest] = story.placed(story.bar(100.0))
    assert rest.quantity == 40.0


# --- close


def test_close_withdraws_the_stop_and_flattens_once_it_is_gone(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0, time_in_force=GTC))
    story.report(story.order("run.2"), S.HELD)

    assert orders_in(act(lambda me: me.close("AAPL"))) == [CancelOrder("run.2")]
    [closing] = story.placed(story.report(story.order("run.2"), S.CANCELLED))
    assert closing.signed_remaining == -100.0
    story.fill(closing)
    assert (held(story), open_orders(story)) == (0.0, [])


def test_close_withdraws_a_stop_and_a_profit_target(story, act) -> None:
    act(lambda me: [me.sell("AAPL", 100, stop=9.0), me.sell("AAPL", 100, limit=12.0)])

    assert orders_in(act(lambda me: me.close("AAPL"))) == [CancelOrder("run.2"), CancelOrder("run.3")]
    assert story.placed(story.report(story.order("run.2"), S.CANCELLED)) == []
    [closing] = story.placed(story.report(story.order("run.3"), S.CANCELLED))
    assert closing.signed_remaining == -100.0


def test_a_cancel_and_close_in_one_event_do_what_they_say(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))

    assert orders_in(act(lambda me: [me.cancel("run.2"), me.close("AAPL")])) == [CancelOrder("run.2")]
    [closing] = story.placed(story.report(story.order("run.2"), S.CANCELLED))
    assert closing.signed_remaining == -100.0


def test_close_with_nothing_to_withdraw_leaves_in_the_same_event(story, act) -> None:
    [closing] = act(lambda me: me.close("AAPL"))

    assert closing.order.signed_remaining == -100.0
    assert act(lambda me: me.close("AAPL")) == []


def test_close_withdraws_a_pending_entry_of_a_flat_run(story, hands) -> None:
    story.start(hands(start=lambda me, _: me.buy("AAPL", 5, limit=9.0), bar=lambda me, _: me.close("AAPL")))

    assert orders_in(story.bar(10.0)) == [CancelOrder("run.1")]
    assert orders_in(story.report(story.order("run.1"), S.CANCELLED)) == []
    assert story.run().lanes["AAPL"].aim is None


def test_close_again_in_the_next_bar_does_not_double(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))
    act(lambda me: me.close("AAPL"))

    assert orders_in(act(lambda me: me.close("AAPL"))) == []
    [closing] = story.placed(story.report(story.order("run.2"), S.CANCELLED))
    assert orders_in(act(lambda me: me.close("AAPL"))) == []
    story.fill(closing)
    assert held(story) == 0.0


def test_a_stop_that_fills_while_its_cancel_is_on_the_way_leaves_no_reversed_position(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))
    act(lambda me: me.close("AAPL"))

    assert orders_in(story.fill(story.order("run.2"))) == []

    assert (held(story), open_orders(story), story.run().lanes["AAPL"].aim) == (0.0, [], None)


def test_a_stop_that_fills_in_part_while_its_cancel_is_on_the_way(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))
    act(lambda me: me.close("AAPL"))

    assert orders_in(story.fill(story.order("run.2"), 30.0)) == []
    [closing] = story.placed(story.report(story.order("run.2"), S.CANCELLED))

    assert closing.signed_remaining == -70.0


def test_a_stop_whose_fill_is_told_after_its_cancellation(story, act) -> None:
    """IB may tell an execution after it has called the order cancelled."""
    act(lambda me: me.sell("AAPL", 100, stop=9.0))
    act(lambda me: me.close("AAPL"))
    [closing] = story.placed(story.report(story.order("run.2"), S.CANCELLED))

    # The closing order is not needed any more; it fills before it can be withdrawn.
    assert orders_in(story.fill(story.order("run.2"))) == [CancelOrder(closing.id)]
    [back] = story.placed(story.fill(closing))

    assert back.signed_remaining == 100.0
    story.fill(back)
    assert (held(story), open_orders(story)) == (0.0, [])


def test_a_fill_that_is_told_once_all_was_over(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))
    act(lambda me: me.close("AAPL"))
    [closing] = story.placed(story.report(story.order("run.2"), S.CANCELLED))
    story.fill(closing)

    [back] = story.placed(story.fill(story.order("run.2")))

    assert back.signed_remaining == 100.0


def test_a_market_order_in_flight_is_withdrawn_before_the_position_is_closed(story, act) -> None:
    act(lambda me: me.buy("AAPL", 50))

    assert orders_in(act(lambda me: me.close("AAPL"))) == [CancelOrder("run.2")]
    [closing] = story.placed(story.fill(story.order("run.2")))

    assert closing.signed_remaining == -150.0


def test_an_order_that_the_strategy_makes_after_close_is_its_own(story, act) -> None:
    """To close and open the other way in one event, as the strategy may do by itself."""
    act(lambda me: me.sell("AAPL", 100, stop=9.0))

    actions = orders_in(act(lambda me: [me.close("AAPL"), me.sell("AAPL", 40)]))
    assert [type(action) for action in actions] == [CancelOrder, PlaceOrder]
    story.fill(story.order("run.3"))
    [closing] = story.placed(story.report(story.order("run.2"), S.CANCELLED))

    assert closing.signed_remaining == -100.0
    story.fill(closing)
    assert (held(story), open_orders(story)) == (-40.0, [])


def test_close_of_a_short_position(story, act) -> None:
    story.hold(-60)
    act(lambda me: me.buy("AAPL", 60, stop=11.0))

    number = story.run().orders.made
    assert orders_in(act(lambda me: me.close("AAPL"))) == [CancelOrder(f"run.{number}")]
    [closing] = story.placed(story.report(story.order(f"run.{number}"), S.CANCELLED))

    assert closing.signed_remaining == 60.0


def test_a_cancel_that_nobody_answers_is_asked_for_again_and_told(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))
    [timer] = [action for action in act(lambda me: me.close("AAPL")) if isinstance(action, SetTimer)]
    assert timer.at_ns == story.at_ns + 10_000_000_000

    story.at_ns = timer.at_ns
    actions = story.tell(TimerFired(timer.timer_id, timer.at_ns))

    alert, cancel, again = actions
    assert isinstance(alert, Alert)
    assert "has waited 10 s for the venue to withdraw run.2" in alert.text
    assert (cancel, again.at_ns) == (CancelOrder("run.2"), timer.at_ns + 10_000_000_000)
    story.report(story.order("run.2"), S.CANCELLED)
    assert story.tell(TimerFired(timer.timer_id, again.at_ns)) == []


# --- a target


def test_a_target_of_zero_is_a_close(story, hands) -> None:
    class Protected(Wish):
        def on_timer(self, name: str) -> None:
            self.sell("AAPL", 100, stop=9.0)

    story.start(Protected())
    story.hold(100)
    story.tell(TimerFired("run/protect", story.at_ns))

    assert orders_in(story.bar(0.0)) == [CancelOrder("run.2")]
    assert orders_in(story.bar(0.0)) == []
    [closing] = story.placed(story.report(story.order("run.2"), S.CANCELLED))
    assert closing.signed_remaining == -100.0


def test_a_target_on_the_other_side_withdraws_what_protected_the_position_first(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))

    assert orders_in(act(lambda me: me.order_target("AAPL", -50))) == [CancelOrder("run.2")]
    [order] = story.placed(story.report(story.order("run.2"), S.CANCELLED))

    assert order.signed_remaining == -150.0


def test_a_target_that_reduces_cuts_the_protection_down_to_what_remains(story, act) -> None:
    act(lambda me: [me.sell("AAPL", 100, stop=9.0), me.sell("AAPL", 60, limit=12.0), me.sell("AAPL", 40, limit=13.0)])

    actions = orders_in(act(lambda me: me.order_target("AAPL", 70)))

    # Of the stops 70 stay, of the limits 60 and 10: the newest is cut first.
    assert actions == [
        ModifyOrder(order_id="run.4", quantity=10.0, limit_price=13.0, stop_price=None),
        ModifyOrder(order_id="run.2", quantity=70.0, limit_price=None, stop_price=9.0),
    ]
    assert orders_in(story.report(story.order("run.2"), S.HELD, quantity=70.0, stop_price=9.0)) == []
    [order] = story.placed(story.report(story.order("run.4"), S.WORKING, quantity=10.0, limit_price=13.0))
    assert order.signed_remaining == -30.0


def test_a_stop_that_the_venue_refuses_to_cut_is_withdrawn(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))
    act(lambda me: me.order_target("AAPL", 70))

    actions = story.report(story.order("run.2"), S.HELD, quantity=100.0, reason="keeps its terms: too late")

    assert orders_in(actions) == [CancelOrder("run.2")]
    [order] = story.placed(story.report(story.order("run.2"), S.CANCELLED))
    assert order.signed_remaining == -30.0


def test_a_new_target_takes_the_place_of_the_one_on_the_way(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))
    act(lambda me: me.close("AAPL"))
    act(lambda me: me.order_target("AAPL", 40))

    [order] = story.placed(story.report(story.order("run.2"), S.CANCELLED))

    assert order.signed_remaining == -60.0


# --- under a halt, without a link


def test_a_target_of_zero_with_a_stop_working_gets_out_under_a_halt_and_above_every_size(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))
    story.engine.gate.limits = RiskLimits(max_order_shares=1, max_position_shares=1, max_notional=1, max_daily_loss=1)
    story.tell(HaltTrading("news", story.at_ns))

    act(lambda me: me.order_target("AAPL", 0))
    [closing] = story.placed(story.report(story.order("run.2"), S.CANCELLED))

    assert closing.signed_remaining == -100.0


def test_a_target_that_a_halt_denies_leaves_the_protection_where_it_is(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))
    story.tell(HaltTrading("news", story.at_ns))

    [denied] = orders_in(act(lambda me: me.order_target("AAPL", -50)))

    assert (denied.rule, denied.asked) == ("halt", 150.0)
    assert open_orders(story) == ["run.2"]


def test_a_halt_that_comes_once_the_protection_is_gone_leaves_no_naked_position(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))
    act(lambda me: me.order_target("AAPL", -50))
    story.tell(HaltTrading("news", story.at_ns))

    denied, closing = orders_in(story.report(story.order("run.2"), S.CANCELLED))

    assert (denied.rule, denied.asked) == ("halt", 150.0)
    assert closing.order.signed_remaining == -100.0


def test_close_without_a_link_says_so_and_leaves_once_it_is_up(story, act) -> None:
    story.tell(LinkChanged(Link.DOWN, story.at_ns))
    alert, _ = act(lambda me: me.close("AAPL"))
    assert alert.text == "AAPL: the link is down: -100 are ordered once it is up"
    assert act(lambda me: me.close("AAPL")) == []
    story.tell(LinkChanged(Link.SYNCING, story.at_ns))

    [closing] = story.placed(link_up(story))

    assert closing.signed_remaining == -100.0


def test_a_link_that_is_lost_while_the_cancel_is_on_the_way(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))
    act(lambda me: me.close("AAPL"))
    story.tell(LinkChanged(Link.DOWN, story.at_ns))
    story.tell(LinkChanged(Link.SYNCING, story.at_ns))
    assert story.placed(story.report(story.order("run.2"), S.CANCELLED)) == []

    [closing] = story.placed(link_up(story))

    assert closing.signed_remaining == -100.0


# --- the end of a run, and the next desk


def test_a_run_that_closes_when_it_is_stopped_is_closed(story, hands) -> None:
    story.start(hands(stop=lambda me, _: me.close("AAPL")))
    story.hold(100)

    [closing] = orders_in(story.tell(StopStrategy("run", story.at_ns)))

    assert closing.order.signed_remaining == -100.0


def test_a_run_with_a_stop_that_closes_when_it_is_stopped_is_closed(story, hands) -> None:
    story.start(hands(stop=lambda me, _: me.close("AAPL")))
    story.hold(100)
    story.act(lambda me: me.sell("AAPL", 100, stop=9.0))

    story.tell(StopStrategy("run", story.at_ns))
    [closing] = story.placed(story.report(story.order("run.2"), S.CANCELLED))

    assert closing.signed_remaining == -100.0


def test_an_entry_on_the_way_is_given_up_when_the_run_ends(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))
    act(lambda me: me.order_target("AAPL", -50))

    story.tell(StopStrategy("run", story.at_ns))

    assert orders_in(story.report(story.order("run.2"), S.CANCELLED)) == []


def link_up(story) -> list[Any]:
    """The link is up again, and the account holds what the books say."""
    story.tell(PositionReport("AAPL", held(story), 10.0, story.at_ns))
    actions: list[Any] = story.tell(LinkChanged(Link.UP, story.at_ns))
    return actions


def heir_of(story) -> tuple[Engine, list[Any]]:
    heir = Engine(strategies=lambda _: Strategy(), limits=RiskLimits.none())
    return heir, list(
        heir.handle(Restore(account="DU1", at_ns=story.at_ns, snapshot=snapshot_of(story.engine, story.at_ns)))
    )


def test_what_a_run_is_on_its_way_to_is_put_on_the_record(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))

    actions = act(lambda me: me.close("AAPL"))
    assert actions[-1] == AimChanged("run", "AAPL", Aim(target=0.0))
    [*_, changed] = story.report(story.order("run.2"), S.CANCELLED)
    assert changed == AimChanged("run", "AAPL", Aim(target=0.0, order_id="run.3"))
    assert story.fill(story.order("run.3"))[-1] == AimChanged("run", "AAPL", None)


def test_a_close_outlives_a_restart_and_waits_for_the_comparison(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))
    act(lambda me: me.close("AAPL"))
    heir, _ = heir_of(story)
    heir.handle(LinkChanged(Link.SYNCING, story.at_ns))
    stop = heir.blotter.orders["run.2"]
    story.engine = heir

    assert orders_in(link_up(story)) == [CancelOrder("run.2")]
    [closing] = story.placed(story.report(stop, S.CANCELLED))

    assert (closing.signed_remaining, heir.runs["run"].state) == (-100.0, RunState.ORPHANED)


def test_an_aim_that_opens_ends_with_the_desk(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))
    act(lambda me: me.order_target("AAPL", -50))
    heir, _ = heir_of(story)
    story.engine = heir
    story.tell(LinkChanged(Link.SYNCING, story.at_ns))
    link_up(story)

    assert orders_in(story.report(heir.blotter.orders["run.2"], S.CANCELLED)) == []


def test_a_close_whose_stop_was_withdrawn_while_the_desk_was_away(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))
    act(lambda me: me.close("AAPL"))
    heir, actions = heir_of(story)
    assert orders_in(actions) == []
    story.engine = heir
    story.tell(LinkChanged(Link.SYNCING, story.at_ns))
    assert orders_in(story.report(heir.blotter.orders["run.2"], S.CANCELLED)) == []

    [closing] = story.placed(link_up(story))

    assert closing.signed_remaining == -100.0


def test_a_close_goes_on_when_the_run_is_started_again(story, act, hands) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))
    act(lambda me: me.close("AAPL"))
    heir, _ = heir_of(story)
    story.engine = heir
    heir._strategies = lambda start: story.strategies[start.run_id]
    story.start(hands())

    [closing] = story.placed(story.report(heir.blotter.orders["run.2"], S.CANCELLED))

    assert closing.signed_remaining == -100.0


def test_an_order_that_is_found_at_the_venue_while_the_position_is_closed_is_withdrawn_too(story, act) -> None:
    act(lambda me: me.sell("AAPL", 100, stop=9.0))
    act(lambda me: me.close("AAPL"))
    lost = story.run().orders.make(story.run().lanes["AAPL"], side=Side.SELL, quantity=100.0, stop_price=8.0)
    story.tell(OrderFound(lost.moved(S.SENT, 1).moved(S.UNKNOWN, 1), Stock("AAPL"), story.at_ns))

    assert orders_in(story.report(story.order("run.2"), S.CANCELLED)) == [CancelOrder("run.3")]
    [closing] = story.placed(story.report(story.order("run.3"), S.CANCELLED))
    assert closing.signed_remaining == -100.0
