"""The projected trades of working orders, kept as sums: always equal to a sum over all orders."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway
from ibdesk.gateway.account.margin_projection import MarginProjection
from ibdesk.gateway.account.projected_trade import ProjectedTrade
from ibdesk.gateway.contracts.book import ContractBook
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.market.script import MarketScript

BOOK = ContractBook(dt.date(2026, 4, 13), ("AAPL", "MSFT"))
Sums = dict[tuple[str, bool], tuple[float, float, float]]


def contract(name: str) -> ContractData:
    found = BOOK.named(name)
    assert found is not None
    return found


trades = st.builds(
    ProjectedTrade,
    contract=st.sampled_from(["AAPL", "MSFT"]).map(contract),
    quantity=st.integers(-50, 50).filter(bool).map(float),
    price=st.integers(1, 1000).map(lambda cents: cents / 100),
    commission=st.sampled_from([0.0, 1.0, 1.35]),
    group=st.sampled_from(["", "", "a", "b"]),
)
# Each step enters or changes an order of a few, with up to three legs; without legs it removes the order.
steps = st.lists(st.tuples(st.integers(1, 6), st.lists(trades, max_size=3)), max_size=30)


def walked(orders: dict[int, list[ProjectedTrade]]) -> Sums:
    """Return quantity, value and commission by contract and side, added up over every order."""
    sums: Sums = {}
    sides: dict[tuple[str, bool], list[ProjectedTrade]] = {}
    for trade in (each for legs in orders.values() for each in legs):
        sides.setdefault((trade.contract.id, trade.quantity > 0), []).append(trade)
    for side, members in sides.items():
        counted = [each for each in members if not each.group]
        for group in {each.group for each in members if each.group}:
            rivals = [each for each in members if each.group == group]
            counted.append(
                max(rivals, key=lambda each: (abs(each.quantity), abs(each.quantity * each.price), each.commission))
            )
        sums[side] = (
            sum(each.quantity for each in counted),
            sum(each.quantity * each.price for each in counted),
            sum(each.commission for each in counted),
        )
    return sums


def kept(projection: MarginProjection) -> Sums:
    """Return the same from the kept sums."""
    return {
        (each.id, way.quantity > 0): (way.quantity, way.value, way.commission)
        for each, ways in projection.ways()
        for way in ways
    }


@given(steps=steps)
def test_the_sums_kept_equal_a_walk_over_every_order(steps: list[tuple[int, list[ProjectedTrade]]]) -> None:
    projection, orders = MarginProjection(), dict[int, list[ProjectedTrade]]()
    for order, legs in steps:
        if legs:
            projection.enter(order, legs)
            orders[order] = legs
        else:
            projection.remove(order)
            orders.pop(order, None)

        expected, found = walked(orders), kept(projection)
        assert found.keys() == expected.keys()
        for side, figures in expected.items():
            assert found[side] == pytest.approx(figures, abs=1e-9)


# The actions of a client: an order of this type and price (in ticks of a dime around 100), a cancel, or a quote.
actions = st.lists(
    st.one_of(
        st.tuples(st.just("LMT"), st.integers(-30, 30), st.sampled_from(["BUY", "SELL"])),
        st.tuples(st.just("STP"), st.integers(-30, 30), st.sampled_from(["BUY", "SELL"])),
        st.tuples(st.just("MOC"), st.just(0), st.sampled_from(["BUY", "SELL"])),
        st.tuples(st.just("change"), st.integers(1, 12), st.integers(-30, 30)),
        st.tuples(st.just("cancel"), st.integers(1, 12), st.just("")),
        st.tuples(st.just("quote"), st.integers(-20, 20), st.just("")),
    ),
    max_size=25,
)


@pytest.mark.parametrize("cash", [3_000.0, 100_000.0])
@given(actions=actions)
def test_whatever_happens_to_orders_the_account_is_asked_about_exactly_those_that_work(
    cash: float, actions: list[tuple[Any, Any, Any]]
) -> None:
    gateway = Gateway(market=MarketScript().quote("AAPL", 99.9, 100.1, at=0), clock=ManualClock(0), cash=cash)
    gateway.quote("AAPL", 99.9, 100.1)
    placed: list[int] = []
    for what, value, side in actions:
        if what == "quote":
            gateway.quote("AAPL", round(99.9 + value / 10, 2), round(100.1 + value / 10, 2))
        elif what == "cancel":
            for record in gateway.venue.open_orders():
                if record.order_id == -value:
                    gateway.venue.cancel_order(record)
        elif what == "change":
            for record in gateway.venue.open_orders():
                if record.order_id == -value:
                    gateway.venue.fill_order(record, 1.0, round(100 + side / 10, 2))
        else:
            prices = {"LMT": "lmtPrice", "STP": "auxPrice"}
            terms = {prices[what]: round(100 + value / 10, 2)} if what in prices else {}
            placed.append(gateway.place_by_hand("AAPL", side, 5, what, **terms))

        expected = walked(
            {
                record.permanent_id: gateway.venue.projected_trades(record)
                for record in gateway.venue.open_orders()
                if not record.is_done
            }
        )
        found = kept(gateway.venue.projection(gateway.account))
        assert found.keys() == expected.keys()
        for key, figures in expected.items():
            assert found[key] == pytest.approx(figures, abs=1e-6)
    assert len(placed) == len(set(placed))
