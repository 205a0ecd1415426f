"""The life cycles of orders on paper accounts, message by message, written by hand from captures of 2026.

The market is 100.00 to 100.02 throughout; only the order of the reports matters here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ibdesk.gateway.market.script import MarketScript

ACKNOWLEDGED = ["order 1 PreSubmitted", "status 1 PreSubmitted"]
RESTS = [*ACKNOWLEDGED, "order 1 Submitted", "status 1 Submitted"]
CANCELLED = ["status 1 Cancelled", "error 1 202"]
WAITS = ["order 1 PreSubmitted", "status 1 PreSubmitted trigger"] * 2
"""The pair of an order that waits for its trigger is sent twice."""


@pytest.fixture
def market() -> MarketScript:
    return MarketScript().quote("AAPL", 100.00, 100.02, at=0)


async def test_a_market_order_is_acknowledged_executed_filled_and_charged(trader: Any) -> None:
    trader.place(1, "MKT", size=1)

    assert await trader.told() == [
        *ACKNOWLEDGED,
        "execution 1 BOT 1 @ 100.02",
        "order 1 Filled",
        "status 1 Filled",
        "commission",
    ]


async def test_a_limit_order_rests_and_is_cancelled(trader: Any) -> None:
    trader.place(1, "LMT", size=1, lmtPrice=10)
    assert await trader.told() == RESTS

    trader.cancel(1)
    assert await trader.told() == CANCELLED
    assert trader.texts == ["Order Canceled - reason:"]


async def test_a_stop_shows_a_price_over_it_once_and_is_changed_and_cancelled(trader: Any) -> None:
    trader.place(1, "STP", "SELL", 1, auxPrice=13.13)
    assert await trader.told() == WAITS
    assert [(shown["lmtPrice"], shown["auxPrice"]) for shown in trader.shown] == [("13.16", "13.13"), ("0.0", "13.13")]

    trader.place(1, "STP", "SELL", 1, auxPrice=14.13)
    assert await trader.told() == WAITS
    assert [(shown["lmtPrice"], shown["auxPrice"]) for shown in trader.shown[2:]] == [("0.0", "14.13")] * 2

    trader.cancel(1)
    assert await trader.told() == CANCELLED


async def test_a_trailing_stop_beyond_the_market_is_triggered_at_once(trader: Any) -> None:
    trader.place(1, "TRAIL", "SELL", 1, trailingPercent=1.5, trailStopPrice=2000)

    assert await trader.told() == [
        "order 1 PreSubmitted",
        "status 1 PreSubmitted trigger",
        "order 1 Submitted",
        "status 1 Submitted",
        "execution 1 SLD 1 @ 100",
        "order 1 Filled",
        "status 1 Filled",
        "commission",
    ]
    assert [shown["lmtPrice"] for shown in trader.shown] == ["2000.03", "0.0", "0.0"]


async def test_an_immediate_order_goes_through_pending_cancel(trader: Any) -> None:
    trader.place(1, "LMT", size=1, lmtPrice=12.9, tif="IOC")

    assert await trader.told() == ["order 1 PreSubmitted", "status 1 PendingCancel", "status 1 Cancelled"]


async def test_a_fill_or_kill_order_that_cannot_fill_becomes_inactive(trader: Any) -> None:
    trader.place(1, "LMT", size=1, lmtPrice=12.9, tif="FOK")

    assert await trader.told() == ["order 1 PreSubmitted", "status 1 Inactive"]


async def test_an_order_that_is_not_transmitted_shows_nothing(trader: Any) -> None:
    trader.place(1, "LMT", lmtPrice=13.26, transmit=0)
    assert await trader.told() == []

    trader.place(1, "LMT", lmtPrice=13.26, transmit=1)
    assert await trader.told() == RESTS

    trader.cancel(1)
    assert await trader.told() == CANCELLED


async def test_a_limit_order_becomes_a_market_order(trader: Any) -> None:
    trader.place(1, "LMT", size=1, lmtPrice=12.89)
    await trader.told()

    trader.place(1, "MKT", size=1)

    assert (await trader.told())[2:] == [
        "execution 1 BOT 1 @ 100.02",
        "order 1 Filled",
        "status 1 Filled",
        "commission",
    ]


async def test_an_order_is_cancelled_by_its_client_when_it_is_back(dial: Callable[..., Any], trader: Any) -> None:
    trader.place(1, "LMT", lmtPrice=13.27, tif="GTC")
    await trader.told()
    trader.wire.close()
    await trader.wire.is_closed()
    again = type(trader)(await dial(1))

    again.wire.send(5)
    assert (await again.told())[0] == "order 1 Submitted"
    again.cancel(1)

    assert await again.told() == CANCELLED


@pytest.mark.parametrize("client_id", [0, 2])
async def test_another_client_cancels_what_all_open_orders_showed_it(
    dial: Callable[..., Any], trader: Any, client_id: int
) -> None:
    trader.place(1, "LMT", lmtPrice=13.27, tif="GTC")
    await trader.told()
    other = type(trader)(await dial(client_id))

    other.cancel(1)
    assert await other.told() == ["error 1 10147"]
    other.wire.send(16)
    await other.told()
    other.cancel(1)

    assert await other.told() == CANCELLED
    assert other.statuses[-1]["clientId"] == str(client_id)
    assert await trader.told() == CANCELLED


async def test_an_invalid_order_type_is_refused_in_tws_words(trader: Any) -> None:
    trader.place(1, "FEELINGS", size=1, lmtPrice=10)

    assert await trader.told() == ["error 1 321"]
    assert trader.texts[0].endswith("cause - Invalid order type was entered")
