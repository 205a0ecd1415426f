"""Short notation for orders in one share, and an exchange that lists it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ibdesk.exchange import Exchange, NoCommission, VenueEvent
from ibdesk.model import (
    Bar,
    Fill,
    Order,
    OrderReport,
    OrderStatus,
    OrderType,
    Quote,
    Side,
    Stock,
    TimeInForce,
)

MakeOrder = Callable[..., Order]

_TYPES = {
    (False, False): OrderType.MARKET,
    (True, False): OrderType.LIMIT,
    (False, True): OrderType.STOP,
    (True, True): OrderType.STOP_LIMIT,
}


def meet(exchange: Exchange, market: Bar | Quote) -> list[VenueEvent]:
    """Return all events that a bar or a quote causes for the open orders."""
    happenings = exchange.meet_bars([market]) if isinstance(market, Bar) else exchange.meet_quote(market)
    return [event for happening in happenings for event in happening]


def fills(events: Sequence[VenueEvent]) -> list[tuple[float, float]]:
    """Return quantity and price of each execution among the events."""
    return [(event.quantity, event.price) for event in events if isinstance(event, Fill)]


def statuses(events: Sequence[VenueEvent]) -> list[OrderStatus]:
    """Return the states that were reported, in order."""
    return [event.status for event in events if isinstance(event, OrderReport)]


def order_of(
    order_id: str,
    side: Side,
    quantity: float = 100,
    *,
    limit: float | None = None,
    stop: float | None = None,
    time_in_force: TimeInForce = TimeInForce.GTC,
    instrument: str = "AAPL",
) -> Order:
    """Return an order whose type follows from the given prices."""
    return Order(
        id=order_id,
        owner="run",
        instrument=instrument,
        side=side,
        quantity=quantity,
        type=_TYPES[limit is not None, stop is not None],
        limit_price=limit,
        stop_price=stop,
        time_in_force=time_in_force,
    )


@pytest.fixture
def make_order() -> MakeOrder:
    """Return a factory of AAPL orders whose type follows from the given prices."""
    numbers = itertools.count(1)

    def make(side: Side, quantity: float = 100, **terms: Any) -> Order:
        return order_of(f"run.{next(numbers)}", side, quantity, **terms)

    return make


@pytest.fixture
def exchange() -> Exchange:
    """Return an exchange that lists AAPL and charges nothing."""
    exchange = Exchange(commissions=NoCommission())
    exchange.add_instrument(Stock("AAPL"))
    return exchange
