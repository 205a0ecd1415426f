"""Combination orders: a net price for all legs, one execution for the whole and one for each leg."""

from __future__ import annotations

from typing import Any

import pytest

from ibdesk.gateway import Gateway
from ibdesk.gateway.market.script import MarketScript

LEGS = [
    {"legConId": 265598, "ratio": 2, "legAction": "BUY", "legExchange": "SMART"},
    {"legConId": 272093, "ratio": 1, "legAction": "SELL", "legExchange": "SMART"},
]
COMBO: dict[str, Any] = {
    "conId": "",
    "symbol": "AAPL,MSFT",
    "secType": "BAG",
    "exchange": "SMART",
    "currency": "USD",
    "comboLegs": LEGS,
}


@pytest.fixture
def market() -> MarketScript:
    return MarketScript().quote("AAPL", 100.00, 100.02, at=0).quote("MSFT", 150.00, 150.05, at=0)


async def test_a_combination_trades_when_its_net_price_allows(trader: Any, gateway: Gateway) -> None:
    # Two AAPL at the ask of 100.02 less one MSFT at the bid of 150.00: one combination costs 50.04.
    trader.place(1, "LMT", size=3, lmtPrice=50.00, **COMBO)
    assert await trader.status(1) == "Submitted"
    assert (trader.shown[-1]["secType"], trader.shown[-1]["comboLegsCount"]) == ("BAG", "2")

    gateway.quote("MSFT", 150.03, 150.08)
    assert await trader.status(1) == "Submitted"
    gateway.quote("MSFT", 150.04, 150.09)

    assert await trader.told() == [
        "execution 1 BOT 3 @ 50",
        "execution 1 BOT 6 @ 100.02",
        "execution 1 SLD 3 @ 150.04",
        "order 1 Filled",
        "status 1 Filled",
        "commission",
        "commission",
    ]
    assert [execution["secType"] for execution in trader.executions] == ["BAG", "STK", "STK"]


async def test_a_combination_moves_the_positions_of_its_legs(trader: Any, gateway: Gateway) -> None:
    trader.place(1, "MKT", "SELL", size=3, **COMBO)

    assert await trader.status(1) == "Filled 3"
    held = {name: holding.position.quantity for name, holding in gateway.accounts.main.holdings.items()}
    assert held == {"AAPL": -6, "MSFT": 3}


async def test_a_combination_may_cost_less_than_nothing(trader: Any, gateway: Gateway) -> None:
    trader.place(1, "LMT", size=1, lmtPrice=-10.0, **COMBO)
    assert await trader.status(1) == "Submitted"

    # Two AAPL at 70.00 less one MSFT at 150.00.
    gateway.quote("AAPL", 69.98, 70.00)

    assert await trader.status(1) == "Filled 1"
    assert trader.executions[0]["price"] == "-10"


async def test_a_combination_is_filled_on_request_leg_by_leg(trader: Any, gateway: Gateway) -> None:
    trader.place(1, "LMT", size=3, lmtPrice=1.0, **COMBO)
    await trader.told()
    record = gateway.venue.find_order(1, 1)
    assert record is not None

    gateway.venue.fill_order(record, 1)

    assert await trader.status(1) == "Submitted 1"
    held = {name: holding.position.quantity for name, holding in gateway.accounts.main.holdings.items()}
    assert held == {"AAPL": 2, "MSFT": -1}


async def test_a_combination_is_cancelled(trader: Any) -> None:
    trader.place(1, "LMT", lmtPrice=1.0, **COMBO)
    await trader.told()

    trader.cancel(1)

    assert await trader.told() == ["status 1 Cancelled", "error 1 202"]


async def test_a_combination_with_another_order_type_is_refused(trader: Any) -> None:
    trader.place(1, "STP", auxPrice=1.0, **COMBO)

    assert await trader.told() == ["error 1 387"]
