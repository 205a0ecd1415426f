"""Fills on bars: at the open if possible, inside the bar at the worse price."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.exchange.conftest import fills, meet, statuses

from ibdesk.exchange import Exchange, FractionSlippage, NoCommission, TickSlippage
from ibdesk.model import Bar, Commission, Fill, Order, OrderReport, OrderStatus, Quote, Side, Stock, TimeInForce

BUY, SELL = Side.BUY, Side.SELL
MINUTE = 60_000_000_000

MakeOrder = Callable[..., Order]


def bar(open_: float, high: float, low: float, close: float, *, minute: int = 0) -> Bar:
    return Bar("AAPL", minute * MINUTE, MINUTE, open_, high, low, close, 1000)


def test_a_market_order_waits_and_fills_at_the_open_of_the_next_bar(exchange: Exchange, make_order: MakeOrder) -> None:
    placed = exchange.place_order(make_order(BUY), 5)
    events = meet(exchange, bar(10, 12, 9, 11, minute=1))

    assert statuses(placed) == [OrderStatus.HELD]
    assert fills(events) == [(100, 10)]
    assert [type(event) for event in events] == [Fill, Commission, OrderReport]
    assert events[0].at_ns == MINUTE
    assert statuses(events) == [OrderStatus.FILLED]
    assert not exchange.working


@pytest.mark.parametrize(
    ("side", "limit", "expected"),
    [
        (BUY, 10.50, [(100, 10.0)]),  # the open is better than the limit, and is what one gets
        (BUY, 9.50, [(100, 9.5)]),  # traded through inside the bar
        (BUY, 9.00, []),  # touched only: others may stand before us
        (BUY, 8.00, []),
        (SELL, 9.50, [(100, 10.0)]),
        (SELL, 11.50, [(100, 11.5)]),
        (SELL, 12.00, []),
    ],
)
def test_a_limit_order_fills_at_the_open_or_when_traded_through(
    exchange: Exchange, make_order: MakeOrder, side: Side, limit: float, expected: list[tuple[float, float]]
) -> None:
    exchange.place_order(make_order(side, limit=limit), 0)

    assert fills(meet(exchange, bar(10, 12, 9, 11))) == expected


@pytest.mark.parametrize(
    ("side", "stop", "expected"),
    [
        (SELL, 9.50, [(100, 9.5)]),
        (SELL, 9.00, [(100, 9.0)]),  # touched is triggered
        (SELL, 10.50, [(100, 10.0)]),  # the open gapped through the stop
        (SELL, 8.00, []),
        (BUY, 11.00, [(100, 11.0)]),
        (BUY, 9.80, [(100, 10.0)]),
        (BUY, 12.50, []),
    ],
)
def test_a_stop_fills_at_its_price_or_at_the_open_that_gapped_over_it(
    exchange: Exchange, make_order: MakeOrder, side: Side, stop: float, expected: list[tuple[float, float]]
) -> None:
    exchange.place_order(make_order(side, stop=stop), 0)

    assert fills(meet(exchange, bar(10, 12, 9, 11))) == expected


def test_a_stop_limit_triggered_inside_a_bar_fills_there_only_if_the_close_is_through_its_limit(
    exchange: Exchange, make_order: MakeOrder
) -> None:
    exchange.place_order(make_order(SELL, stop=9.5, limit=9.4), 0)
    exchange.place_order(make_order(SELL, stop=9.5, limit=9.2), 0)

    events = meet(exchange, bar(10, 10, 9, 9.3))

    assert fills(events) == [(100, 9.5)]
    assert statuses(events) == [OrderStatus.WORKING, OrderStatus.FILLED]
    assert fills(meet(exchange, bar(9.3, 9.6, 9.3, 9.5, minute=1))) == [(100, 9.4)]


def test_a_stop_limit_gapped_over_rests_at_its_limit_from_the_open_on(
    exchange: Exchange, make_order: MakeOrder
) -> None:
    exchange.place_order(make_order(SELL, stop=9.5, limit=9.4), 0)

    assert fills(meet(exchange, bar(9, 9.6, 8.5, 9))) == [(100, 9.4)]


def test_of_stop_and_target_reached_by_one_bar_the_stop_is_taken(exchange: Exchange, make_order: MakeOrder) -> None:
    exchange.place_order(make_order(SELL, limit=11.5), 0)
    exchange.place_order(make_order(SELL, stop=9.5), 0)

    assert fills(meet(exchange, bar(10, 12, 9, 11))) == [(100, 9.5)]
    assert [order.limit_price for order in exchange.open_orders] == [11.5]


def test_an_order_placed_after_the_open_meets_the_rest_of_the_bar(exchange: Exchange, make_order: MakeOrder) -> None:
    exchange.place_order(make_order(BUY), 0)
    happenings = exchange.meet_bars([bar(10, 12, 9, 11)])
    assert fills(next(happenings)) == [(100, 10)]
    exchange.place_order(make_order(SELL, stop=9.5), 0)
    exchange.place_order(make_order(SELL), 0)

    # The market order trades at once: at 10, the worse of the open and the close.
    assert fills(next(happenings)) == [(100, 10)]
    assert fills(next(happenings)) == [(100, 9.5)]
    assert list(happenings) == []


def test_immediate_or_cancel_has_one_chance(exchange: Exchange, make_order: MakeOrder) -> None:
    exchange.place_order(make_order(BUY, limit=9.5, time_in_force=TimeInForce.IOC), 0)

    events = meet(exchange, bar(10, 12, 9, 11))

    assert statuses(events) == [OrderStatus.CANCELLED]
    assert fills(events) == []


def test_day_orders_expire_and_others_stay(exchange: Exchange, make_order: MakeOrder) -> None:
    exchange.place_order(make_order(BUY, limit=5, time_in_force=TimeInForce.DAY), 0)
    exchange.place_order(make_order(BUY, limit=5), 0)

    assert statuses([event for events in exchange.end_day("AAPL", 99) for event in events]) == [OrderStatus.EXPIRED]
    assert len(exchange.open_orders) == 1


def test_slippage_makes_market_orders_and_stops_worse_and_leaves_limits_alone(
    make_order: MakeOrder,
) -> None:
    exchange = Exchange(commissions=NoCommission(), slippage=TickSlippage(2))
    exchange.add_instrument(Stock("AAPL"))
    exchange.place_order(make_order(BUY), 0)
    exchange.place_order(make_order(SELL, stop=9.5), 0)
    exchange.place_order(make_order(SELL, limit=10.0), 0)

    filled = fills(meet(exchange, bar(10, 12, 9, 11)))

    assert filled == [(100, 10.02), (100, 10.0), (100, 9.48)]
    assert exchange.book.slippage_paid == pytest.approx(4.0)


def test_slippage_of_basis_points_is_a_fraction_of_the_price(make_order: MakeOrder) -> None:
    exchange = Exchange(slippage=FractionSlippage(10))
    exchange.add_instrument(Stock("AAPL"))
    exchange.place_order(make_order(SELL), 0)

    assert fills(meet(exchange, bar(100, 100, 99, 100))) == [(100, 99.9)]


def test_a_sale_never_slips_to_a_price_of_nothing(make_order: MakeOrder) -> None:
    exchange = Exchange(slippage=TickSlippage(5))
    exchange.add_instrument(Stock("AAPL"))
    exchange.place_order(make_order(SELL), 0)

    # Below a dollar a tick of a US share is a hundredth of a cent.
    assert fills(meet(exchange, Quote("AAPL", 0, 0.0003, 0.0004, 1000, 1000))) == [(100, 0.0001)]


def test_bars_without_orders_cost_nothing_and_give_nothing(exchange: Exchange) -> None:
    assert meet(exchange, bar(10, 12, 9, 11)) == []
    assert exchange.working == {}


def test_the_same_orders_and_bars_give_the_same_events(make_order: MakeOrder) -> None:
    order = make_order(BUY)

    def run() -> list[object]:
        exchange = Exchange(slippage=TickSlippage(1))
        exchange.add_instrument(Stock("AAPL"))
        return [*exchange.place_order(order, 0), *meet(exchange, bar(10, 12, 9, 11))]

    assert run() == run()
