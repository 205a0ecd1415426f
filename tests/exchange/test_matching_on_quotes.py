"""Fills on quotes, and the exchange's answers to invalid orders."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.exchange.conftest import fills, meet, statuses

from ibdesk.errors import InstrumentError
from ibdesk.exchange import Exchange, NoCommission
from ibdesk.model import Index, Order, OrderReport, OrderStatus, Quote, Side, Stock, TimeInForce

BUY, SELL = Side.BUY, Side.SELL
NAN = float("nan")

MakeOrder = Callable[..., Order]


def quote(bid: float, ask: float, *, at_ns: int = 0, size: float = 1000) -> Quote:
    return Quote("AAPL", at_ns, bid, ask, size, size)


def test_a_market_order_buys_at_the_ask_and_sells_at_the_bid_at_once(exchange: Exchange, make_order: MakeOrder) -> None:
    meet(exchange, quote(9.99, 10.01))

    bought = exchange.place_order(make_order(BUY), 1)
    sold = exchange.place_order(make_order(SELL), 2)

    assert fills(bought) == [(100, 10.01)]
    assert statuses(bought) == [OrderStatus.WORKING, OrderStatus.FILLED]
    assert fills(sold) == [(100, 9.99)]


def test_without_a_quote_on_its_side_a_market_order_is_held(exchange: Exchange, make_order: MakeOrder) -> None:
    assert statuses(exchange.place_order(make_order(BUY), 1)) == [OrderStatus.HELD]
    assert fills(meet(exchange, quote(9.99, NAN))) == []

    events = meet(exchange, quote(9.99, 10.01, at_ns=5))

    assert fills(events) == [(100, 10.01)]
    assert statuses(events) == [OrderStatus.WORKING, OrderStatus.FILLED]


def test_a_limit_order_fills_at_the_displayed_price_once_that_is_good_enough(
    exchange: Exchange, make_order: MakeOrder
) -> None:
    meet(exchange, quote(9.99, 10.01))
    assert fills(exchange.place_order(make_order(BUY, limit=10.00), 1)) == []

    assert fills(meet(exchange, quote(9.95, 9.97))) == [(100, 9.97)]


def test_a_buy_stop_is_triggered_by_the_ask_and_a_sell_stop_by_the_bid(
    exchange: Exchange, make_order: MakeOrder
) -> None:
    meet(exchange, quote(9.99, 10.01))
    exchange.place_order(make_order(BUY, stop=10.05), 1)
    exchange.place_order(make_order(SELL, stop=9.90), 1)
    assert fills(meet(exchange, quote(10.02, 10.04))) == []

    assert fills(meet(exchange, quote(10.03, 10.06))) == [(100, 10.06)]
    assert fills(meet(exchange, quote(9.88, 9.93))) == [(100, 9.88)]


def test_a_triggered_stop_limit_goes_to_work_at_its_limit(exchange: Exchange, make_order: MakeOrder) -> None:
    meet(exchange, quote(9.99, 10.01))
    exchange.place_order(make_order(SELL, stop=9.90, limit=9.85), 1)

    triggered = meet(exchange, quote(9.80, 9.82))

    assert statuses(triggered) == [OrderStatus.WORKING]
    assert fills(meet(exchange, quote(9.86, 9.88))) == [(100, 9.86)]


def test_partial_fills_take_the_displayed_size_once(make_order: MakeOrder) -> None:
    exchange = Exchange(commissions=NoCommission(), partial=True)
    exchange.add_instrument(Stock("AAPL"))
    meet(exchange, quote(9.99, 10.01, size=60))

    first = exchange.place_order(make_order(BUY, 100), 1)
    second = exchange.place_order(make_order(BUY, 100, time_in_force=TimeInForce.IOC), 2)

    assert fills(first) == [(60, 10.01)]
    assert statuses(first) == [OrderStatus.WORKING]
    assert fills(second) == []
    assert statuses(second) == [OrderStatus.WORKING, OrderStatus.CANCELLED]
    assert fills(meet(exchange, quote(9.99, 10.02, size=60))) == [(40, 10.02)]


def test_new_terms_may_fill_an_order_at_once(exchange: Exchange, make_order: MakeOrder) -> None:
    meet(exchange, quote(9.99, 10.01))
    order = make_order(BUY, limit=9.00)
    exchange.place_order(order, 1)

    events = exchange.modify_order(order.id, quantity=50, limit_price=10.05, stop_price=None, at_ns=2)

    assert isinstance(events[0], OrderReport)
    assert (events[0].quantity, events[0].limit_price) == (50, 10.05)
    assert fills(events) == [(50, 10.01)]


def test_terms_that_cannot_be_had_are_reported_and_change_nothing(exchange: Exchange, make_order: MakeOrder) -> None:
    order = make_order(BUY, limit=9.00)
    exchange.place_order(order, 1)

    events = exchange.modify_order(order.id, quantity=50, limit_price=None, stop_price=None, at_ns=2)

    assert [event.reason for event in events if isinstance(event, OrderReport)] == [
        f"order {order.id}: a limit order needs a limit_price"
    ]
    kept = exchange.order(order.id)
    assert kept is not None
    assert (kept.quantity, kept.limit_price) == (100, 9.00)


def test_a_cancelled_order_fills_no_more_and_is_not_cancelled_twice(exchange: Exchange, make_order: MakeOrder) -> None:
    order = make_order(BUY)
    exchange.place_order(order, 1)

    assert statuses(exchange.cancel_order(order.id, 2)) == [OrderStatus.CANCELLED]
    again = exchange.cancel_order(order.id, 3)
    assert [event.reason for event in again if isinstance(event, OrderReport)] == [
        f"order {order.id} is cancelled and cannot be cancelled"
    ]
    assert meet(exchange, quote(9.99, 10.01)) == []


def test_orders_that_cannot_be_taken_are_rejected_with_a_reason(exchange: Exchange, make_order: MakeOrder) -> None:
    exchange.add_instrument(Index("SPX"))
    known = make_order(BUY)
    exchange.place_order(known, 1)

    reasons = [
        event.reason
        for order in (
            make_order(BUY, instrument="TSLA"),
            make_order(BUY, instrument="SPX-IND"),
            make_order(BUY, limit=10.005),
            make_order(BUY, quantity=-5),
            known,
        )
        for event in exchange.place_order(order, 2)
        if isinstance(event, OrderReport) and event.status is OrderStatus.REJECTED
    ]

    assert reasons == [
        "order run.2: 'TSLA' is not listed here",
        "order run.3: SPX-IND is an index and cannot be traded",
        "order run.4: limit_price 10.005 does not conform to the minimum price variation of 0.01",
        "order run.5: quantity must be a positive number, got -5",
        "order run.1: the id was used before",
    ]


def test_an_instrument_that_is_not_listed_is_named(exchange: Exchange) -> None:
    with pytest.raises(InstrumentError, match="'TSLA' is not listed"):
        exchange.instrument("TSLA")
