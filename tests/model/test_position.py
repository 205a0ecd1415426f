"""Positions: long, short, through flat, and their profit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.errors import DataError
from ibdesk.model import Fill, Position, Side


def make_fill(side: Side, quantity: float, price: float, *, multiplier: float = 1.0, instrument: str = "AAPL") -> Fill:
    return Fill(
        execution_id="1",
        order_id="r.1",
        instrument=instrument,
        side=side,
        quantity=quantity,
        price=price,
        at_ns=1,
        multiplier=multiplier,
    )


def buy(quantity: float, price: float, **more) -> Fill:
    return make_fill(Side.BUY, quantity, price, **more)


def sell(quantity: float, price: float, **more) -> Fill:
    return make_fill(Side.SELL, quantity, price, **more)


def after(*fills: Fill) -> Position:
    position = Position("AAPL")
    for fill in fills:
        position = position.after(fill)
    return position


def test_buying_more_averages_the_price() -> None:
    # 100 at 10 and 300 at 12 cost 4,600 together.
    assert after(buy(100, 10), buy(300, 12)) == Position("AAPL", 400, 11.5)


def test_selling_half_realizes_half_of_the_gain() -> None:
    assert after(buy(100, 10), sell(50, 12)) == Position("AAPL", 50, 10, realized_pnl=100)


def test_a_short_earns_when_the_price_falls() -> None:
    assert after(sell(100, 10), buy(40, 9)) == Position("AAPL", -60, 10, realized_pnl=40)


def test_adding_to_a_short_averages_the_price() -> None:
    assert after(sell(100, 10), sell(100, 11)) == Position("AAPL", -200, 10.5)


def test_closing_all_leaves_a_flat_position_that_costs_nothing() -> None:
    assert after(buy(100, 10), sell(100, 9)) == Position("AAPL", 0, 0, realized_pnl=-100)


def test_selling_through_flat_realizes_the_long_and_opens_the_short_at_the_fill() -> None:
    assert after(buy(100, 10), sell(150, 12)) == Position("AAPL", -50, 12, realized_pnl=200)


def test_buying_through_flat_realizes_the_short_and_opens_the_long_at_the_fill() -> None:
    assert after(sell(30, 20), buy(100, 18)) == Position("AAPL", 70, 18, realized_pnl=60)


def test_a_multiplier_scales_money_and_not_prices() -> None:
    position = after(buy(2, 4500, multiplier=50), sell(1, 4510, multiplier=50))

    assert position == Position("AAPL", 1, 4500, realized_pnl=500, multiplier=50)
    assert position.unrealized_pnl(4490) == -500


def test_commission_is_paid_out_of_profit_and_not_out_of_cost() -> None:
    position = after(buy(100, 10)).charged(1.0).charged(0.5)

    assert (position.average_price, position.commission) == (10, 1.5)
    assert position.pnl(10.10) == pytest.approx(8.5)


def test_fractions_that_cancel_leave_a_flat_position() -> None:
    assert after(buy(0.1, 10), buy(0.2, 10), sell(0.3, 10)).quantity == 0.0


def test_a_flat_position_is_worth_nothing_at_any_price() -> None:
    assert Position("AAPL").unrealized_pnl(math.nan) == 0.0


def test_a_fill_of_another_instrument_is_refused() -> None:
    with pytest.raises(DataError, match="a fill of GOOG cannot be booked to a position in AAPL"):
        Position("AAPL").after(buy(1, 1, instrument="GOOG"))


multipliers = st.sampled_from([1.0, 50.0, 100.0])
trades = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(1, 500), st.integers(1, 50_000)).map(
        lambda drawn: make_fill(drawn[0], drawn[1], drawn[2] / 100)
    ),
    max_size=30,
)


@given(fills=trades, price=st.floats(0.01, 500), multiplier=multipliers, commissions=st.lists(st.floats(0, 10)))
def test_cash_plus_inventory_is_profit(
    fills: list[Fill], price: float, multiplier: float, commissions: list[float]
) -> None:
    fills = [make_fill(fill.side, fill.quantity, fill.price, multiplier=multiplier) for fill in fills]
    position = after(*fills)
    for commission in commissions:
        position = position.charged(commission)

    inventory = math.fsum(fill.signed_quantity for fill in fills) * price * multiplier
    cash = math.fsum(fill.cash for fill in fills) - math.fsum(commissions)

    assert position.realized_pnl + position.unrealized_pnl(price) - position.commission == pytest.approx(
        cash + inventory, abs=1e-3
    )
    assert position.pnl(price) == pytest.approx(cash + inventory, abs=1e-3)


@given(data=st.data(), fills=trades)
def test_the_totals_do_not_depend_on_the_order_of_the_fills(data: st.DataObject, fills: list[Fill]) -> None:
    shuffled: Sequence[Fill] = data.draw(st.permutations(fills))

    one, other = after(*fills), after(*shuffled)

    assert one.quantity == other.quantity
    assert one.pnl(100.0) == pytest.approx(other.pnl(100.0), abs=1e-3)


@given(fills=trades)
def test_the_cost_of_what_is_held_lies_between_the_prices_paid(fills: list[Fill]) -> None:
    position = after(*fills)

    if position.quantity:
        prices = [fill.price for fill in fills]
        assert min(prices) - 1e-9 <= position.average_price <= max(prices) + 1e-9
    else:
        assert position.average_price == 0.0
