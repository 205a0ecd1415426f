"""Runs of one desk, and a person's orders on it, do not trade with each other."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibdesk.engine import RiskLimits, snapshot_of
from ibdesk.model import CancelOrder, Order, OrderDenied, OrderStatus, PlaceOrder, PlaceRequest, Restore, Side, Stock


def limits(**rules: Any) -> RiskLimits:
    return dataclasses.replace(RiskLimits.none(), **rules)


@pytest.fixture
def two_runs(tell_story, hands):
    """Two runs on AAPL, whose market is 99.90 to 100.10."""

    def make(mode: str = "deny"):
        story = tell_story(limits(self_crossing=mode))
        story.start(hands(), "a")
        story.start(hands(), "b")
        story.quote(99.9, 100.1)
        return story

    return make


def order_of(story, run_id: str, act) -> Order:
    order: Order = story.order(story.act(act, run_id))
    return order


def status(story, run_id: str, act) -> OrderStatus:
    return order_of(story, run_id, act).status


def test_a_limit_that_reaches_another_runs_is_denied_and_says_why(two_runs) -> None:
    story = two_runs()
    order_of(story, "a", lambda me: me.sell("AAPL", 1, limit=100.05))

    denied = order_of(story, "b", lambda me: me.buy("AAPL", 1, limit=100.05))
    below = status(story, "b", lambda me: me.buy("AAPL", 1, limit=100.04))

    assert denied.status is OrderStatus.DENIED
    assert denied.reason == (
        "it reaches 100.05 and would trade with an order of another owner of this desk at 100.05: cancel that order, "
        "or set risk.self_crossing"
    )
    assert below is OrderStatus.SENT


def test_a_market_order_reaches_half_a_percent_through_the_market(two_runs) -> None:
    """Half a percent above 100.10 is 100.6005."""
    story = two_runs()
    order_of(story, "a", lambda me: me.sell("AAPL", 1, limit=100.61))
    free = status(story, "b", lambda me: me.buy("AAPL", 1))
    order_of(story, "a", lambda me: me.sell("AAPL", 1, limit=100.60))

    barred = status(story, "b", lambda me: me.buy("AAPL", 1))

    assert (free, barred) == (OrderStatus.SENT, OrderStatus.DENIED)


def test_a_sale_is_kept_from_another_runs_bid(two_runs) -> None:
    story = two_runs()
    order_of(story, "a", lambda me: me.buy("AAPL", 1, limit=99.8))

    assert status(story, "b", lambda me: me.sell("AAPL", 1)) is OrderStatus.DENIED
    assert status(story, "b", lambda me: me.sell("AAPL", 1, limit=99.81)) is OrderStatus.SENT


def test_a_run_may_cross_its_own_orders_and_those_on_its_side(two_runs) -> None:
    story = two_runs()
    order_of(story, "a", lambda me: me.sell("AAPL", 1, limit=100.0))
    order_of(story, "b", lambda me: me.sell("AAPL", 1, limit=100.0))

    assert status(story, "a", lambda me: me.sell("AAPL", 1)) is OrderStatus.SENT
    assert status(story, "b", lambda me: me.sell("AAPL", 1)) is OrderStatus.SENT


def test_an_order_that_has_ended_is_in_nobodys_way(two_runs) -> None:
    story = two_runs()
    resting = order_of(story, "a", lambda me: me.sell("AAPL", 1, limit=100.0))
    story.report(resting, OrderStatus.CANCELLED)

    assert status(story, "b", lambda me: me.buy("AAPL", 1)) is OrderStatus.SENT


def test_an_order_counts_at_the_terms_that_the_venue_works(two_runs) -> None:
    story = two_runs()
    resting = order_of(story, "a", lambda me: me.sell("AAPL", 1, limit=105.0))
    story.report(resting, OrderStatus.WORKING, limit_price=100.0)

    assert status(story, "b", lambda me: me.buy("AAPL", 1)) is OrderStatus.DENIED


def test_an_order_of_an_earlier_desk_still_rests(two_runs, tell_story) -> None:
    story = two_runs()
    order_of(story, "a", lambda me: me.sell("AAPL", 1, limit=100.0))
    later = tell_story(limits(self_crossing="deny"))
    later.tell(Restore(account="DU1", at_ns=later.at_ns, snapshot=snapshot_of(story.engine, later.at_ns)))
    later.quote(99.9, 100.1)

    actions = later.tell(
        PlaceRequest(order_id="m1", instrument=Stock("AAPL"), side=Side.BUY, quantity=1, at_ns=later.at_ns)
    )

    assert [action.rule for action in actions if isinstance(action, OrderDenied)] == ["self_crossing"]


def test_what_is_ordered_by_hand_counts_like_a_run(two_runs) -> None:
    story = two_runs()
    order_of(story, "a", lambda me: me.sell("AAPL", 1, limit=100.0))

    actions = story.tell(
        PlaceRequest(order_id="m1", instrument=Stock("AAPL"), side=Side.BUY, quantity=1, at_ns=story.at_ns)
    )

    assert [action.rule for action in actions if isinstance(action, OrderDenied)] == ["self_crossing"]


def test_what_gets_out_is_not_denied_and_what_rests_in_its_way_is_cancelled_first(two_runs) -> None:
    story = two_runs()
    story.fill(order_of(story, "b", lambda me: me.buy("AAPL", 5)))
    resting = order_of(story, "a", lambda me: me.buy("AAPL", 1, limit=99.9))

    out = order_of(story, "b", lambda me: me.sell("AAPL", 5))

    assert out.status is OrderStatus.SENT
    assert story.engine.blotter.is_withdrawn(resting.id)


def test_resting_orders_are_cancelled_where_that_is_asked_for(two_runs) -> None:
    story = two_runs("cancel_resting")
    near = order_of(story, "a", lambda me: me.sell("AAPL", 1, limit=100.1))
    far = order_of(story, "a", lambda me: me.sell("AAPL", 1, limit=103.0))

    actions = story.tell(
        PlaceRequest(order_id="m1", instrument=Stock("AAPL"), side=Side.BUY, quantity=1, at_ns=story.at_ns)
    )

    assert [type(action) for action in actions] == [CancelOrder, PlaceOrder]
    assert actions[0].order_id == near.id
    assert not story.engine.blotter.is_withdrawn(far.id)


def test_an_order_that_protects_another_runs_position_is_never_cancelled(two_runs) -> None:
    story = two_runs("cancel_resting")
    story.fill(order_of(story, "a", lambda me: me.buy("AAPL", 5)))
    target = order_of(story, "a", lambda me: me.sell("AAPL", 5, limit=100.2))

    opening = status(story, "b", lambda me: me.buy("AAPL", 1))

    assert opening is OrderStatus.DENIED
    assert not story.engine.blotter.is_withdrawn(target.id)


def test_what_gets_out_passes_an_order_that_protects_and_leaves_it(two_runs) -> None:
    story = two_runs()
    story.fill(order_of(story, "a", lambda me: me.buy("AAPL", 5)))
    story.fill(order_of(story, "b", lambda me: me.sell("AAPL", 3)))
    target = order_of(story, "a", lambda me: me.sell("AAPL", 5, limit=100.2))

    out = status(story, "b", lambda me: me.buy("AAPL", 3))

    assert out is OrderStatus.SENT
    assert not story.engine.blotter.is_withdrawn(target.id)


def test_nothing_is_done_where_crossing_is_allowed(two_runs) -> None:
    story = two_runs("allow")
    order_of(story, "a", lambda me: me.sell("AAPL", 1, limit=100.0))

    assert status(story, "b", lambda me: me.buy("AAPL", 1)) is OrderStatus.SENT


STEPS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(Side), st.integers(95, 105), st.booleans()),
    min_size=1,
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(steps=STEPS)
def test_whatever_rests_no_two_owners_orders_can_meet(tell_story_once, steps) -> None:
    """Compared with a scan over all orders: a run's order is denied just where it meets another's."""
    story = tell_story_once()
    for run_id, side, price, ends in steps:
        order = order_of(
            story,
            run_id,
            lambda me, side=side, price=price: (me.buy if side is Side.BUY else me.sell)("AAPL", 1, limit=float(price)),
        )
        open_orders = [each for each in story.engine.blotter.orders.values() if each.is_open and each.id != order.id]
        meets = [
            each
            for each in open_orders
            if each.owner != run_id and each.side is not side and side.sign * (price - each.limit_price) >= 0
        ]
        assert (order.status is OrderStatus.DENIED) == bool(meets)
        if ends and open_orders:
            story.report(open_orders[0], OrderStatus.CANCELLED)


@pytest.fixture(scope="module")
def tell_story_once():
    from tests.engine.conftest import Hands, Story

    def make() -> Story:
        story = Story(limits(self_crossing="deny"))
        story.start(Hands(), "a")
        story.start(Hands(), "b")
        story.quote(99.9, 100.1)
        return story

    return make
