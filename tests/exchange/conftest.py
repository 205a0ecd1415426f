"""Orders for one share, short to write, and an exchange that lists it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from ibdesk.exchange import Exchange, NoCommission
from ibdesk.model import (
    Order,
    OrderType,
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


@pytest.fixture
def make_order() -> MakeOrder:
    """Return a maker of orders for AAPL whose type follows from the prices that are given."""
    numbers = itertools.count(1)

    def make(
        side: Side,
        quantity: float = 100,
        *,
        limit: float | None = None,
        stop: float | None = None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        instrument: str = "AAPL",
    ) -> Order:
        return Order(
            id=f"run.{next(numbers)}",
            owner="run",
            instrument=instrument,
            side=side,
            quantity=quantity,
            type=_TYPES[limit is not None, stop is not None],
            limit_price=limit,
            stop_price=stop,
            time_in_force=time_in_force,
        )

    return make


@pytest.fixture
def exchange() -> Exchange:
    """Return an exchange that lists AAPL and charges nothing."""
    exchange = Exchange(commissions=NoCommission())
    exchange.add(Stock("AAPL"))
    return exchange
