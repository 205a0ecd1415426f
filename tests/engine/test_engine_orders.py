"""From a target to an order, and through its states by reports and fills, in any order."""

from __future__ import annotations

import dataclasses
import math

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.engine import Blotter, RiskLimits
from ibdesk.model import (
    Alert,
    CancelOrder,
    CancelRequest,
    HaltTrading,
    Link,
    LinkChanged,
    ModifyOrder,
    Order,
    OrderDenied,
    OrderReport,
    OrderStatus,
    OrderType,
    PlaceOrder,
    ResumeTrading,
    Severity,
    Side,
    Stock,
    TimeInForce,
    TimerFired,
    decode_actions,
    encode_actions,
)

S = OrderStatus


# --- from a target to an order


def test_a_target_is_reached_by_a_market_order_for_what_is_missing(story) -> None:
    story.start()

    (order,) = story.placed(story.bar(7.0))

    assert order == Order(
        id="run.1",
        owner="run",
        instrument="AAPL",
        side=Side.BUY,
        quantity=7.0,
        status=S.SENT,
        created_ns=story.at_ns,
        updated_ns=story.at_ns,
    )


def test_an_open_order_counts_as_filled(story) -> None:
    story.start()
    story.bar(7.0)

    assert story.bar(7.0) == []


@pytest.mark.parametrize(("filled", "missing"), [(0.0, 4.0), (3.0, 1.0), (7.0, -3.0)])
def test_an_order_beyond_a_new_target_is_withdrawn_first(story, filled: float, missing: float) -> None:
    """To sell 3 beside a buy of 7 in flight would leave -3 if that one were rejected."""
    story.start()
    (order,) = story.placed(story.bar(7.0))

    assert CancelOrder("run.1") in story.bar(4.0)
    actions = story.fill(order, filled) if filled else []
    actions += story.report(order, S.CANCELLED)
    (following,) = story.placed(actions)

    assert following.signed_remaining == missing


def test_a_target_through_flat_is_one_order(story) -> None:
    story.start()
    story.fill(*story.placed(story.bar(7.0)))

    (order,) = story.placed(story.bar(-5.0))

    assert order.signed_remaining == -12.0


def test_no_opinion_leaves_the_position_alone(story) -> None:
    story.start()
    story.fill(*story.placed(story.bar(7.0)))

    assert story.bar(math.nan) == []


def test_what_was_cancelled_is_ordered_again_at_the_next_bar(story) -> None:
    story.start()
    (order,) = story.placed(story.bar(7.0))
    story.fill(order, 3.0)
    story.report(order, S.CANCELLED)

    (again,) = story.placed(story.bar(7.0))

    assert (again.id, again.quantity) == ("run.2", 4.0)


def test_a_target_that_binary_fractions_miss_by_dust_orders_nothing(story) -> None:
    story.start(on=[Stock("AAPL", size_increment=0.1)])
    (order,) = story.placed(story.bar(0.3))
    for _ in range(3):
        story.fill(order, 0.1)

    assert story.bar(0.3) == []


def test_a_refused_target_is_not_asked_again_until_another_one_was_wanted(tell_story) -> None:
    story = tell_story(dataclasses.replace(RiskLimits.none(), max_order_shares=10))
    story.start()

    assert [type(action) for action in story.bar(50.0)] == [OrderDenied]
    assert story.bar(50.0) == []
    assert story.bar(0.0) == []
    assert [type(action) for action in story.bar(50.0)] == [OrderDenied]
    assert [type(action) for action in story.bar(9.0)] == [PlaceOrder]


def test_a_target_that_the_venue_rejected_is_not_asked_again(story) -> None:
    story.start()
    story.report(*story.placed(story.bar(7.0)), S.REJECTED, reason="no shares to borrow")

    assert story.bar(7.0) == []
    assert len(story.placed(story.bar(8.0))) == 1


def test_a_target_that_a_lost_link_denied_is_ordered_once_the_link_is_back(story) -> None:
    story.start()
    story.tell(LinkChanged(Link.DOWN, story.at_ns))
    assert [type(action) for action in story.bar(7.0)] == [OrderDenied]
    assert story.bar(7.0) == []
    story.tell(LinkChanged(Link.SYNCING, story.at_ns))
    story.tell(LinkChanged(Link.UP, story.at_ns))

    assert len(story.placed(story.bar(7.0))) == 1


def test_a_target_that_a_halt_denied_is_ordered_once_trading_is_resumed(story) -> None:
    story.start()
    story.tell(HaltTrading("news", story.at_ns))
    assert [type(action) for action in story.bar(7.0)] == [OrderDenied]
    story.tell(ResumeTrading(story.engine.gate.halts.oldest.id, "read it", story.at_ns))

    assert len(story.placed(story.bar(7.0))) == 1


def test_a_target_that_came_too_fast_waits_and_leaves_in_its_turn(tell_story) -> None:
    story = tell_story(dataclasses.replace(RiskLimits.none(), max_orders_per_second=1))
    story.start(run_id="one")
    story.start(run_id="two")

    placed, queued, timer = story.bar(7.0)
    assert (placed.order.owner, queued.order.owner) == ("one", "two")
    (order,) = story.placed(story.tell(TimerFired(timer.timer_id, timer.at_ns)))
    assert (order.owner, order.status) == ("two", S.SENT)


# --- by hand


def test_prices_choose_the_type_of_an_order(story, hands) -> None:
    def all_four(me, _) -> None:
        me.buy("AAPL", 1)
        me.buy("AAPL", 1, limit=9.0)
        me.sell("AAPL", 1, stop=8.0, time_in_force=TimeInForce.GTC)
        me.sell("AAPL", 1, stop=8.0, limit=7.0)

    orders = story.placed(story.start(hands(start=all_four)))

    assert [order.type for order in orders] == [
        OrderType.MARKET,
        OrderType.LIMIT,
        OrderType.STOP,
        OrderType.STOP_LIMIT,
    ]
    assert [order.time_in_force.value for order in orders] == ["day", "day", "gtc", "day"]
    assert [order.id for order in orders] == ["run.1", "run.2", "run.3", "run.4"]


def test_whole_and_numpy_numbers_leave_as_floats_that_the_journal_can_hold(story, hands) -> None:
    def order(me, _) -> None:
        me.buy("AAPL", 100, limit=9)
        me.sell("AAPL", np.int64(50), stop=np.float64(8.5))
        me.order_target("AAPL", np.float64(120.0))
        me.modify("run.1", quantity=np.int64(120), limit=np.float64(9.5))
        me.after(np.float64(1.5))
        me.log(12)
        me.log("careful", severity="warning")

    actions = story.start(hands(start=order))

    data = encode_actions(actions)
    assert encode_actions(decode_actions(data)) == data
    assert [order.quantity for order in story.placed(actions)] == [100.0, 50.0, 20.0]


@pytest.mark.parametrize(
    ("order", "sentence"),
    [
        (lambda me: me.buy("AAPL", -1), "order run.1: quantity must be a positive number, got -1.0"),
        (lambda me: me.buy("AAPL", 1, limit=math.nan), "order run.1: limit_price must be a finite number, got nan"),
        (lambda me: me.buy("GOOG", 1), "run runs on AAPL, not on 'GOOG': start it on that too"),
        (lambda me: me.buy("AAPL", 1, time_in_force="soon"), "'soon' is not a valid TimeInForce"),
        (lambda me: me.modify(me.buy("AAPL", 1), limit=1.0), "a market order takes no limit_price"),
        (
            lambda me: me.modify(me.buy("AAPL", 1, limit=1.0), limit=math.inf),
            "order run.1: limit_price must be a finite number, got inf",
        ),
    ],
)
def test_an_order_that_makes_no_sense_stops_the_run_with_a_sentence(story, hands, order, sentence: str) -> None:
    story.start(hands(bar=lambda me, bar: order(me)))

    alert = story.bar(10.0)[-1]

    assert isinstance(alert, Alert)
    assert alert.severity is Severity.ERROR
    assert sentence in alert.text


def test_new_terms_hold_once_the_venue_works_them(story, hands) -> None:
    strategy = hands(
        start=lambda me, _: me.buy("AAPL", 100, limit=9.0),
        timer=lambda me, _: me.modify("run.1", quantity=80, limit=9.5),
    )
    story.start(strategy)

    actions = story.tell(TimerFired("run/x", story.at_ns))

    assert actions[-1] == ModifyOrder(order_id="run.1", quantity=80, limit_price=9.5, stop_price=None)
    assert (story.order("run.1").quantity, story.order("run.1").limit_price) == (100, 9.0)
    story.report(story.order("run.1"), S.WORKING, quantity=80.0, limit_price=9.5)
    assert (story.order("run.1").quantity, story.order("run.1").limit_price) == (80, 9.5)


def test_changing_or_cancelling_what_is_final_or_of_another_run_does_nothing(story, hands) -> None:
    story.start(hands(start=lambda me, _: me.buy("AAPL", 1, limit=9.0)), "other")
    meddler = hands(
        start=lambda me, _: [me.buy("AAPL", 1, limit=9.0), me.cancel("other.1"), me.modify("other.1", limit=1.0)],
        bar=lambda me, _: [me.cancel("run.1"), me.modify("run.1", limit=1.0), me.cancel("nobody.7")],
    )
    assert [type(action) for action in story.start(meddler)] == [PlaceOrder]
    story.report(story.order("run.1"), S.CANCELLED)

    assert story.bar(10.0) == []


def test_a_cancel_request_withdraws_one_order_or_all(story, hands) -> None:
    story.start(hands(start=lambda me, _: [me.buy("AAPL", 1, limit=price) for price in (9.0, 8.0, 7.0)]))
    story.report(story.order("run.2"), S.CANCELLED)

    assert story.tell(CancelRequest("run.3", 1)) == [CancelOrder("run.3")]
    assert story.tell(CancelRequest("run.2", 1)) == []
    assert story.tell(CancelRequest("", 1)) == [CancelOrder("run.1"), CancelOrder("run.3")]


# --- the states of an order


@pytest.fixture
def sent(story, hands):
    """An order for 100 that has left, of a run that trades by hand."""
    story.start(hands(start=lambda me, _: me.buy("AAPL", 100)))
    return story.order("run.1")


def test_an_order_goes_from_sent_over_working_to_filled(story, sent) -> None:
    story.report(sent, S.HELD, permanent_id=77)
    story.report(sent, S.WORKING)
    story.fill(sent, 40, 10.0)
    story.fill(sent, 60, 11.0)

    told = story.run().strategy.told("order")
    assert [(order.status, order.filled) for order in told] == [
        (S.HELD, 0),
        (S.WORKING, 0),
        (S.WORKING, 40),
        (S.FILLED, 100),
    ]
    assert (told[-1].permanent_id, told[-1].average_price) == (77, 10.6)


def test_filled_is_believed_of_executions_only(story, sent) -> None:
    story.report(sent, S.FILLED)

    assert story.order("run.1").status is S.SENT
    story.fill(sent)
    assert story.order("run.1").status is S.FILLED


def test_a_fill_before_the_first_report_counts_and_the_report_still_tells_the_permanent_id(story, sent) -> None:
    story.fill(sent)
    story.report(sent, S.WORKING, permanent_id=77)
    story.report(sent, S.FILLED, permanent_id=77)

    order = story.order("run.1")
    assert (order.status, order.filled, order.permanent_id) == (S.FILLED, 100, 77)


def test_what_is_told_twice_counts_once(story, sent) -> None:
    story.report(sent, S.WORKING)
    story.report(sent, S.WORKING)
    story.fill(sent, 40, execution_id="x")
    story.fill(sent, 40, execution_id="x")
    story.charge("x", 1.0)
    story.charge("x", 1.0)

    assert story.order("run.1").filled == 40
    assert story.run().position("AAPL").commission == 1.0
    assert len(story.run().strategy.told("order")) == 2
    assert len(story.run().strategy.told("fill")) == 1


def test_a_report_from_before_the_end_changes_nothing(story, sent) -> None:
    story.report(sent, S.CANCELLED)
    story.report(sent, S.WORKING)

    assert story.order("run.1").status is S.CANCELLED


def test_a_fill_after_the_cancel_reaches_the_book(story, sent) -> None:
    story.report(sent, S.CANCELLED)
    story.fill(sent, 30)

    assert (story.order("run.1").status, story.order("run.1").filled) == (S.CANCELLED, 30)
    assert story.run().position("AAPL").quantity == 30
    story.fill(sent, 70)
    assert story.order("run.1").status is S.FILLED


def test_an_order_cut_down_to_what_has_filled_is_filled(story, sent) -> None:
    story.report(sent, S.WORKING)
    story.fill(sent, 40)
    story.report(sent, S.WORKING, quantity=40.0)

    assert story.order("run.1").status is S.FILLED
    assert story.engine.blotter.all_open() == []


def test_a_corrected_execution_takes_the_old_one_back(story, sent) -> None:
    story.fill(sent, 100, 10.0)
    story.fill(sent, 100, 10.0, side=Side.SELL, execution_id="e1/taken-back")
    story.fill(sent, 100, 11.0)

    order = story.order("run.1")
    assert (order.status, order.filled, order.average_price) == (S.FILLED, 100, 11.0)
    position = story.run().position("AAPL")
    assert (position.quantity, position.average_price, position.realized_pnl) == (100, 11.0, 0.0)


@pytest.mark.parametrize("link", [Link.DOWN, Link.CLOSED])
def test_an_order_without_an_answer_is_unknown_when_the_link_goes_and_never_sent_again(story, sent, link: Link) -> None:
    story.tell(LinkChanged(link, story.at_ns))
    assert story.order("run.1").status is S.UNKNOWN

    actions = [*story.tell(LinkChanged(Link.SYNCING, 1)), *story.tell(LinkChanged(Link.UP, 1))]

    assert story.placed(actions) == []
    assert story.order("run.1").status is S.UNKNOWN
    story.report(sent, S.WORKING)
    assert story.order("run.1").status is S.WORKING


def test_an_order_that_works_goes_on_working_without_the_link(story, sent) -> None:
    story.report(sent, S.WORKING)
    story.tell(LinkChanged(Link.DOWN, story.at_ns))

    assert story.order("run.1").status is S.WORKING


def test_an_unknown_order_still_counts_against_the_target(story) -> None:
    story.start()
    story.bar(7.0)
    story.tell(LinkChanged(Link.DOWN, story.at_ns))
    story.tell(LinkChanged(Link.UP, story.at_ns))

    assert story.bar(7.0) == []


def test_a_rejection_keeps_the_venues_reason(story, sent) -> None:
    story.report(sent, S.REJECTED, reason="margin")

    assert (story.order("run.1").status, story.order("run.1").reason) == (S.REJECTED, "margin")


def test_reports_and_fills_of_strangers_orders_change_no_order(story, sent) -> None:
    stranger = msgspec.structs.replace(sent, id="hand")
    story.report(stranger, S.CANCELLED)
    story.fill(stranger, 5)

    assert list(story.engine.blotter.orders) == ["run.1"]
    assert story.engine.portfolio.held("AAPL") == 5


# --- the blotter's sums

events = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.one_of(st.sampled_from([S.HELD, S.WORKING, S.CANCELLED, S.REJECTED, S.EXPIRED]), st.integers(1, 60)),
    ),
    max_size=40,
)


@given(events)
def test_what_is_pending_is_the_sum_of_the_open_orders(events: list[tuple[int, OrderStatus | int]]) -> None:
    blotter = Blotter()
    for number in range(1, 5):
        side = Side.BUY if number % 2 else Side.SELL
        order = Order(id=f"r.{number}", owner="r", instrument="A", side=side, quantity=30.0 * number, status=S.SENT)
        blotter.put(order)

    for number, what in events:
        order = blotter.orders[f"r.{number}"]
        if isinstance(what, OrderStatus):
            blotter.report(OrderReport(order_id=order.id, status=what, at_ns=1))
        else:
            blotter.put(order.after(what, 10.0, 1))

        still_open = [order for order in blotter.orders.values() if order.is_open]
        sums = blotter.sums("r", "A")
        assert sums.buys[0] - sums.sells[0] == sum(order.signed_remaining for order in still_open)
        assert sorted(blotter.open_orders("r", "A"), key=lambda order: order.id) == still_open
        assert blotter.all_open() == blotter.open_orders("r", "A")


def test_a_target_works_over_features_too(story) -> None:
    from ibdesk import Strategy

    class Double(Strategy):
        def features(self) -> dict[str, pl.Expr]:
            return {"twice": pl.col("close") * 2}

        def target(self) -> pl.Expr:
            return pl.col("twice")

    story.start(Double())

    assert story.placed(story.bar(3.0))[0].quantity == 6.0
