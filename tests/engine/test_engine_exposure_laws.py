"""Laws of exposure: a target is never passed, `close` ends flat, the worst case is a bound, the sums are kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ibdesk.engine import OpenOrders, RiskLimits
from ibdesk.engine.open_orders import Sort, sort_of
from ibdesk.model import (
    CancelOrder,
    ModifyOrder,
    Order,
    OrderStatus,
    OrderType,
    PlaceOrder,
    PositionReport,
    Side,
    TimerFired,
)

S = OrderStatus
ENDED = {S.FILLED, S.CANCELLED, S.REJECTED, S.EXPIRED, S.DENIED}
COMMON = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class Venue:
    """Answers an engine one message at a time, in an order that a law draws, and keeps what it was asked."""

    def __init__(self, story: Any, hands: Any) -> None:
        self.story = story
        self.todo: Callable[[Any], object] = lambda me: None
        # What was asked and is not answered, by order: "place", "cancel", or the quantity of a change.
        self.asked: dict[str, list[Any]] = {}
        # The largest quantity that each order may be worked at, with changes on their way.
        self.placed: list[Order] = []
        story.start(hands(timer=lambda me, _: self.todo(me)))

    @property
    def held(self) -> float:
        return float(self.story.run().position("AAPL").quantity)

    @property
    def open(self) -> list[Order]:
        return list(self.story.engine.blotter.all_open())

    def tell(self, actions: list[Any]) -> None:
        for action in actions:
            if isinstance(action, PlaceOrder):
                self.placed.append(action.order)
                self.asked[action.order.id] = ["place"]
            elif isinstance(action, CancelOrder):
                self.asked[action.order_id].append("cancel")
            elif isinstance(action, ModifyOrder):
                self.asked[action.order_id].append(action.quantity)
            self.check(action)

    def check(self, action: Any) -> None:
        """Overwritten by a law that looks at each action."""

    def act(self, what: Callable[[Any], object]) -> None:
        self.todo = what
        self.tell(self.story.tell(TimerFired("run/act", self.story.at_ns)))

    def fill(self, order: Order, part: int) -> None:
        """Fill a third, two thirds, or all of an order."""
        if order.remaining > 0:
            self.tell(
                self.story.fill(order, float(max(1, int(order.remaining * part / 3))) if part < 3 else order.remaining)
            )

    def answer(self, order: Order, what: int) -> None:
        """Answer what was asked of an order: with a fill that crosses it, or as asked, or by refusing it."""
        waiting = self.asked.get(order.id, [])
        if not waiting:
            return
        if what == 1:
            self.fill(order, 1)
            return
        if what == 2:
            self.fill(order, 3)
            return
        asked = waiting.pop(0)
        if asked == "cancel":
            self.tell(self.story.report(order, S.CANCELLED))
        elif asked == "place":
            status = S.WORKING if order.limit_price is not None else S.HELD
            self.tell(self.story.report(order, S.REJECTED if what == 3 else status))
        elif what == 3 or asked <= order.filled:
            self.tell(self.story.report(order, S.WORKING, quantity=order.quantity, reason="keeps its terms"))
        else:
            self.tell(self.story.report(order, S.WORKING, quantity=asked))

    def settle(self, draws: list[tuple[int, int]]) -> None:
        """Answer everything, and fill what is ordered at the market; as drawn, and then in order."""
        for which, what in draws:
            waiting = [order for order in self.open if self.asked.get(order.id) or order.type is OrderType.MARKET]
            if not waiting:
                return
            order = waiting[which % len(waiting)]
            # What stays is neither refused nor filled here: the way would end elsewhere.
            stays = order.type is not OrderType.MARKET and set(self.asked.get(order.id, [])) <= {"place"}
            is_new = self.asked.get(order.id, [])[:1] == ["place"]
            self.answer(order, 0 if stays or (what == 3 and is_new) else what)
        for _ in range(200):
            waiting = [order for order in self.open if self.asked.get(order.id)]
            market = [order for order in self.open if order.type is OrderType.MARKET]
            if waiting:
                self.answer(waiting[0], 0)
            elif market:
                self.fill(market[0], 3)
            else:
                return
        raise AssertionError("it never came to rest")


hands_moves = st.tuples(
    st.sampled_from(["market", "limit", "stop", "cancel", "fill", "answer", "target", "close"]),
    st.integers(-9, 9),
    st.integers(0, 3),
)
answers = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=25)


def move(venue: Venue, what: str, number: int, which: int) -> None:
    """Do one thing that a strategy, or the venue, may do."""
    quantity, buys = float(10 * abs(number)), number > 0
    order = venue.open[which % len(venue.open)] if venue.open else None
    terms = {"market": {}, "limit": {"limit": 9.0}, "stop": {"stop": 11.0}}.get(what)
    if terms is not None and quantity:
        venue.act(lambda me: (me.buy if buys else me.sell)("AAPL", quantity, **terms))
    elif what == "target":
        venue.act(lambda me: me.order_target("AAPL", 10.0 * number))
    elif what == "close":
        venue.act(lambda me: me.close("AAPL"))
    elif order is not None:
        match what:
            case "cancel":
                venue.act(lambda me: me.cancel(order.id))
            case "fill":
                venue.fill(order, 1 + which % 3)
            case "answer":
                venue.answer(order, which)


@COMMON
@given(moves=st.lists(hands_moves, max_size=20), draws=answers)
def test_close_always_ends_flat_with_no_open_orders(tell_story, hands, moves, draws) -> None:
    venue = Venue(tell_story(), hands)
    for each in moves:
        move(venue, *each)

    venue.act(lambda me: me.close("AAPL"))
    venue.settle(draws)

    assert venue.held == pytest.approx(0.0, abs=1e-6)
    assert venue.open == []
    assert venue.story.run().lanes["AAPL"].aim is None


@COMMON
@given(moves=st.lists(hands_moves, max_size=20), target=st.integers(-9, 9), draws=answers)
def test_a_target_is_reached_with_the_entries_that_stay(tell_story, hands, moves, target: int, draws) -> None:
    venue = Venue(tell_story(), hands)
    for each in moves:
        move(venue, *each)

    venue.act(lambda me: me.order_target("AAPL", 10.0 * target))
    venue.settle(draws)

    entries = sum(order.signed_remaining for order in venue.open if order.side.sign * target > 0)
    assert venue.held + entries == pytest.approx(10.0 * target, abs=1e-6)


@COMMON
@given(moves=st.lists(hands_moves, max_size=30))
def test_no_order_towards_a_target_may_lead_beyond_it(tell_story, hands, moves) -> None:
    """Looked at for each order when it leaves, with rejections and crossing fills all the way."""
    venue = Venue(tell_story(), hands)
    lane = venue.story.run().lanes["AAPL"]
    wanted: list[float] = []

    def check(action: Any) -> None:
        if not isinstance(action, PlaceOrder) or action.order.id != lane.aimed_order:
            return
        order, [target], way = action.order, wanted[-1:], action.order.side.sign
        apart, apart_filled = (lane.aim.apart, lane.aim.apart_filled) if lane.aim else ([], 0.0)
        others = [each for each in venue.open if each.id != order.id and each.id not in apart]
        at_market = sum(each.remaining for each in others if each.type is OrderType.MARKET and each.side is order.side)
        held = venue.held - apart_filled
        reach = held + way * (order.remaining + at_market)
        assert way * (target - reach) >= -1e-6
        assert not [each for each in others if each.type is OrderType.MARKET and each.side is not order.side]
        resting = [each for each in others if each.type is not OrderType.MARKET]
        if target == 0 or target * held < 0:
            assert resting == []
        elif abs(target) < abs(held):
            for sort in (Sort.LIMIT, Sort.STOP):
                left = sum(each.remaining for each in resting if sort_of(each) is sort)
                assert left <= abs(target) + 1e-6
        else:
            entries = sum(each.remaining for each in resting if each.side is order.side)
            assert way * (target - reach) - entries >= -1e-6

    venue.check = check  # type: ignore[method-assign] # a law's own look at each action
    for what, number, which in moves:
        if what in ("target", "close"):
            wanted.append(10.0 * number if what == "target" else 0.0)
        move(venue, what, number, which)


@COMMON
@given(moves=st.lists(hands_moves, max_size=30))
def test_the_sums_that_are_kept_are_those_of_the_open_orders(tell_story, hands, moves) -> None:
    venue = Venue(tell_story(), hands)
    for each in moves:
        move(venue, *each)

        counted = OpenOrders()
        for order in venue.open:
            changes = [asked for asked in venue.asked.get(order.id, []) if isinstance(asked, float)]
            counted.add(order, max([order.remaining, *(asked - order.filled for asked in changes)]))
        kept = venue.story.engine.blotter.sums("run", "AAPL")
        assert (kept.buys, kept.sells) == (pytest.approx(counted.buys), pytest.approx(counted.sells))
        assert venue.story.run().lanes["AAPL"].exposure == pytest.approx(kept.exposure(venue.held))


# --- the worst case

some_orders = st.lists(
    st.builds(
        lambda side, quantity, sort: Order(
            id="",
            owner="r",
            instrument="A",
            side=side,
            quantity=10.0 * quantity,
            limit_price=9.0 if sort is Sort.LIMIT else None,
            stop_price=9.0 if sort is Sort.STOP else None,
        ),
        st.sampled_from(Side),
        st.integers(1, 9),
        st.sampled_from(Sort),
    ),
    max_size=5,
)


def reachable(held: float, orders: list[Order]) -> list[float]:
    """Every position that some of the orders, filling one after another, can lead to.

    What protects a position is a pair: as much as a stop closes, limits on its side are cut, and the other way round.
    """
    found = [held]
    base = held + sum(order.signed_remaining for order in orders if sort_of(order) is Sort.MARKET)
    for order in orders:
        others = [each for each in orders if each is not order]
        if sort_of(order) is not Sort.MARKET and order.side.sign * base < 0:
            closed = min(order.quantity, abs(base))
            others = without(others, order, closed)
        found += reachable(held + order.signed_remaining, others)
    return found


def without(orders: list[Order], filled: Order, closed: float) -> list[Order]:
    """The orders once as much as was closed is cut from those that were paired with the one that filled."""
    kept = []
    for order in orders:
        is_paired = order.side is filled.side and sort_of(order) not in (Sort.MARKET, sort_of(filled))
        cut = min(order.quantity, closed) if is_paired else 0.0
        closed -= cut
        if order.quantity > cut:
            kept.append(msgspec.structs.replace(order, quantity=order.quantity - cut))
    return kept


@settings(max_examples=400, deadline=None)
@given(held=st.integers(-9, 9), orders=some_orders)
def test_the_worst_case_is_a_bound_of_every_position_that_can_be_reached(held: int, orders: list[Order]) -> None:
    sums = OpenOrders()
    for order in orders:
        sums.add(order, order.quantity)

    positions = reachable(10.0 * held, orders)

    assert sums.worst(10.0 * held)[1] <= min(positions)
    assert max(positions) <= sums.worst(10.0 * held)[0]


@settings(max_examples=200, deadline=None)
@given(held=st.integers(-9, 9), orders=some_orders)
def test_the_worst_case_of_one_side_is_reached_by_it_alone(held: int, orders: list[Order]) -> None:
    """It is no wider than it must be."""
    sums = OpenOrders()
    for order in orders:
        sums.add(order, order.quantity)

    sales = [order for order in orders if order.side is Side.SELL]

    if not [order for order in orders if order.side is Side.BUY]:
        assert sums.worst(10.0 * held)[1] == pytest.approx(min(reachable(10.0 * held, sales)))
    assert math.isfinite(sums.worst(10.0 * held)[1])


@settings(max_examples=400, deadline=None)
@given(held=st.integers(-9, 9), orders=some_orders, added=some_orders.filter(bool))
def test_how_far_an_order_reaches_is_the_worst_case_with_it(held: int, orders: list[Order], added: list[Order]) -> None:
    sums = OpenOrders()
    for order in orders:
        sums.add(order, order.quantity)
    order = added[0]

    reach = sums.reach_with(order, order.quantity, 10.0 * held)

    highest, lowest = sums._with_order(order, order.quantity).worst(10.0 * held)
    assert reach == (highest if order.side is Side.BUY else -lowest)


# --- a halt


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(held=st.integers(-9, 9), asked=some_orders)
def test_what_passes_under_a_halt_cannot_carry_the_position_through_zero(tell_story, hands, held, asked) -> None:
    """Orders of one sort together; a stop, a limit and an exit at the market are each other's alternatives."""
    from ibdesk.model import HaltTrading

    venue = Venue(tell_story(RiskLimits.none()), hands)
    if held:
        venue.act(lambda me: me.order_target("AAPL", 10.0 * held))
        venue.settle([])
    venue.story.tell(PositionReport("AAPL", 10.0 * held, 10.0, venue.story.at_ns))
    venue.story.tell(HaltTrading("news", venue.story.at_ns))

    for order in asked:
        terms = {"limit": order.limit_price, "stop": order.stop_price}
        venue.act(lambda me: (me.buy if order.side is Side.BUY else me.sell)("AAPL", order.quantity, **terms))  # noqa: B023 - called at once

    assert all(order.side.sign * held < 0 for order in venue.open)
    for sort in Sort:
        assert sum(order.remaining for order in venue.open if sort_of(order) is sort) <= abs(10.0 * held)
