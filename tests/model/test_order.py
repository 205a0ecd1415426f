"""Orders: their consistency, and their changes of state."""

from __future__ import annotations

import itertools
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ibdesk.errors import OrderError
from ibdesk.model import FINAL_STATUSES, Order, OrderStatus, OrderType, Side

S = OrderStatus
VENUE = {S.HELD, S.WORKING, S.FILLED, S.CANCELLED, S.REJECTED, S.EXPIRED}
# Written out by hand, from the states of an order as its module draws them.
MAY_FOLLOW = {
    S.CREATED: {S.DENIED, S.SENT, S.CANCELLED},
    S.DENIED: set(),
    S.SENT: VENUE | {S.UNKNOWN},
    S.UNKNOWN: VENUE,
    S.HELD: VENUE | {S.UNKNOWN},
    S.WORKING: VENUE | {S.UNKNOWN},
    S.FILLED: set(),
    S.CANCELLED: {S.FILLED},
    S.REJECTED: {S.WORKING, S.HELD, S.FILLED},
    S.EXPIRED: {S.FILLED},
}


def make_order(**fields) -> Order:
    defaults: dict[str, Any] = {"id": "r.1", "owner": "r", "instrument": "AAPL", "side": Side.BUY, "quantity": 100.0}
    return Order(**defaults | fields)


@pytest.mark.parametrize(("before", "after"), list(itertools.product(S, S)))
def test_an_order_moves_only_as_the_table_allows(before: OrderStatus, after: OrderStatus) -> None:
    order = make_order(status=before)

    if after is before or after in MAY_FOLLOW[before]:
        assert order.moved(after, 7) == msgspec.structs.replace(order, status=after, updated_ns=7)
    else:
        with pytest.raises(OrderError, match=rf"order r.1 is {before.value} and cannot become {after.value}"):
            order.moved(after, 7)


def test_what_is_not_told_again_stays() -> None:
    order = make_order(status=S.SENT).moved(S.HELD, 5, reason="locating shares", permanent_id=77)

    moved = order.moved(S.WORKING, 6)

    assert (moved.reason, moved.permanent_id) == ("locating shares", 77)


@pytest.mark.parametrize("status", S)
def test_an_order_that_is_not_final_may_still_fill(status: OrderStatus) -> None:
    assert make_order(status=status).is_open is (status not in FINAL_STATUSES)
    assert status.is_final is (status in {S.DENIED, S.FILLED, S.CANCELLED, S.REJECTED, S.EXPIRED})


def test_fills_average_and_the_last_one_ends_the_order() -> None:
    order = make_order(status=S.WORKING).after(40, 10.0, 5)

    assert (order.status, order.filled, order.remaining, order.average_price) == (S.WORKING, 40, 60, 10.0)
    order = order.after(60, 11.0, 6)
    # 40 at 10 and 60 at 11 cost 1,060 together.
    assert (order.status, order.filled, order.average_price, order.updated_ns) == (S.FILLED, 100, 10.6, 6)


def test_a_fill_that_crossed_with_the_cancel_still_counts() -> None:
    cancelled = make_order(status=S.CANCELLED)

    assert cancelled.after(40, 10.0, 5).status is S.CANCELLED
    assert cancelled.after(100, 10.0, 5).status is S.FILLED


def test_more_than_was_asked_is_booked_as_it_came() -> None:
    assert make_order(status=S.WORKING).after(150, 10.0, 5).filled == 150


def test_thirds_add_up_to_a_filled_order() -> None:
    order = make_order(quantity=0.3, status=S.WORKING)

    for _ in range(3):
        order = order.after(0.1, 10.0, 5)

    assert order.status is S.FILLED


@pytest.mark.parametrize("quantity", [0.0, -5.0, math.nan, math.inf])
def test_a_quantity_must_be_a_positive_number(quantity: float) -> None:
    with pytest.raises(OrderError, match=r"order r.1: quantity must be a positive number"):
        make_order(quantity=quantity).checked()


@pytest.mark.parametrize(
    ("kind", "limit", "stop", "fault"),
    [
        (OrderType.MARKET, None, None, None),
        (OrderType.MARKET, 10.0, None, "a market order takes no limit_price"),
        (OrderType.MARKET, None, 10.0, "a market order takes no stop_price"),
        (OrderType.LIMIT, 10.0, None, None),
        (OrderType.LIMIT, -0.5, None, None),
        (OrderType.LIMIT, None, None, "a limit order needs a limit_price"),
        (OrderType.LIMIT, 10.0, 10.0, "a limit order takes no stop_price"),
        (OrderType.LIMIT, math.nan, None, "limit_price must be a finite number, got nan"),
        (OrderType.STOP, None, 10.0, None),
        (OrderType.STOP, None, None, "a stop order needs a stop_price"),
        (OrderType.STOP, None, math.inf, "stop_price must be a finite number, got inf"),
        (OrderType.STOP_LIMIT, 10.0, 10.0, None),
        (OrderType.STOP_LIMIT, 10.0, None, "a stop_limit order needs a stop_price"),
    ],
)
def test_prices_must_fit_the_type(kind: OrderType, limit: float | None, stop: float | None, fault: str | None) -> None:
    order = make_order(type=kind, limit_price=limit, stop_price=stop)

    if fault is None:
        assert order.checked() is order
    else:
        with pytest.raises(OrderError, match=fault):
            order.checked()


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 1000)), min_size=1, max_size=8))
def test_the_average_price_is_money_by_quantity(fills: list[tuple[float, float]]) -> None:
    order = make_order(quantity=1e6, status=S.WORKING)

    for quantity, price in fills:
        order = order.after(quantity, price, 1)

    money = math.fsum(quantity * price for quantity, price in fills)
    assert order.average_price * order.filled == pytest.approx(money)


class OrderLife(RuleBasedStateMachine):
    """Any reports and fills, in any order: the order never leaves the table and its figures stay in step."""

    def __init__(self) -> None:
        super().__init__()
        self.order = make_order()
        self.filled = 0.0

    @rule(status=st.sampled_from(S))
    def report(self, status: OrderStatus) -> None:
        before = self.order.status
        try:
            self.order = self.order.moved(status, 1)
        except OrderError:
            assert status is not before
            assert status not in MAY_FOLLOW[before]
        else:
            assert status is before or status in MAY_FOLLOW[before]

    @precondition(lambda self: self.order.status not in {S.CREATED, S.DENIED})
    @rule(quantity=st.sampled_from([1.0, 25.0, 100.0]))
    def fill(self, quantity: float) -> None:
        before = self.order.status
        self.order = self.order.after(quantity, 10.0, 1)
        self.filled += quantity
        assert self.order.status is before or self.order.status in MAY_FOLLOW[before]

    @invariant()
    def agrees(self) -> None:
        assert self.order.filled == self.filled
        assert self.order.is_open is not self.order.status.is_final
        if self.order.filled >= self.order.quantity:
            assert self.order.status is S.FILLED


OrderLife.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestOrderLife = OrderLife.TestCase
