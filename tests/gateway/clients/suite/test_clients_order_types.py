"""Every order type, from the order a client sends to the price it trades at."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from ibdesk.gateway import Gateway

# The close and the next open of New York, in seconds after the gateway's market opened at 10:00 on Monday 13 April
# 2026.
CLOSE = 6 * 3600
NEXT_OPEN = 23.5 * 3600


def price(trade: Any) -> Any:
    """Return the price of the one execution."""
    [fill] = trade.fills
    return fill.execution.price


# ---- triggered by a price ---------------------------------------------------------------------------------------


async def test_stp_waits_for_its_trigger_and_trades_at_the_market(ib, client, aapl, move, until) -> None:
    trade = client.placeOrder(aapl, ib.StopOrder("SELL", 10, 99.50))
    await until(client, lambda: trade.orderStatus.whyHeld == "trigger")
    assert trade.orderStatus.status == "PreSubmitted"

    move(99.00)
    await until(client, trade.isDone)

    assert price(trade) == 98.99
    assert trade.orderStatus.whyHeld == ""


async def test_stp_lmt_rests_at_its_limit_once_triggered(ib, client, aapl, move, reached, until) -> None:
    trade = client.placeOrder(aapl, ib.StopLimitOrder("SELL", 10, lmtPrice=99.50, stopPrice=99.20))
    await until(client, lambda: trade.orderStatus.whyHeld == "trigger")

    move(99.00)
    await reached(trade, "Submitted")
    move(101.00)
    await until(client, trade.isDone)

    assert 99.50 <= price(trade) <= 100.99


async def test_trail_follows_the_market_up_and_sells_when_it_turns(ib, client, aapl, move, until) -> None:
    trade = client.placeOrder(
        aapl, ib.Order(action="SELL", totalQuantity=10, orderType="TRAIL", auxPrice=1.0, trailStopPrice=98.0)
    )
    await until(client, lambda: trade.orderStatus.whyHeld == "trigger")

    # The stop follows to 109; 109.50 is above it, 108.50 is not.
    move(110.00)
    move(109.50)
    await client.reqCurrentTimeAsync()
    assert not trade.fills
    move(108.50)
    await until(client, trade.isDone)

    assert price(trade) == 108.49


async def test_trail_by_percent_follows_the_market_down_and_buys_when_it_turns(ib, client, aapl, move, until) -> None:
    trade = client.placeOrder(
        aapl, ib.Order(action="BUY", totalQuantity=10, orderType="TRAIL", trailingPercent=10.0, trailStopPrice=120.0)
    )
    await until(client, lambda: trade.orderStatus.whyHeld == "trigger")

    # Ten percent above 80 is 88.
    move(80.00)
    move(87.00)
    await client.reqCurrentTimeAsync()
    assert not trade.fills
    move(89.00)
    await until(client, trade.isDone)

    assert price(trade) == 89.00


async def test_trail_limit_rests_its_offset_from_the_stop(ib, client, aapl, move, reached, until) -> None:
    trade = client.placeOrder(
        aapl,
        ib.Order(
            action="SELL",
            totalQuantity=10,
            orderType="TRAIL LIMIT",
            auxPrice=1.0,
            trailStopPrice=98.0,
            lmtPriceOffset=0.50,
        ),
    )
    await until(client, lambda: trade.orderStatus.whyHeld == "trigger")

    # The stop follows to about 109, so the limit is about 108.50: 108 is too low for it, 108.80 is not.
    move(110.00)
    move(108.00)
    await reached(trade, "Submitted")
    move(108.80)
    await until(client, trade.isDone)

    assert price(trade) == pytest.approx(108.65, abs=0.16)


async def test_mit_buys_at_the_market_once_the_price_is_low_enough(ib, client, aapl, move, reached, until) -> None:
    trade = client.placeOrder(aapl, ib.Order(action="BUY", totalQuantity=10, orderType="MIT", auxPrice=99.00))
    await reached(trade, "PreSubmitted")

    move(99.50)
    await client.reqCurrentTimeAsync()
    assert not trade.fills
    move(98.90)
    await until(client, trade.isDone)

    assert price(trade) == 98.90


async def test_lit_rests_at_its_limit_once_touched(ib, client, aapl, move, reached, until) -> None:
    trade = client.placeOrder(
        aapl, ib.Order(action="BUY", totalQuantity=10, orderType="LIT", auxPrice=99.00, lmtPrice=98.50)
    )
    await reached(trade, "PreSubmitted")

    move(98.90)
    await reached(trade, "Submitted")
    assert not trade.fills
    move(98.40)
    await until(client, trade.isDone)

    assert 98.40 <= price(trade) <= 98.50


# ---- auctions ---------------------------------------------------------------------------------------------------


async def test_moc_trades_at_the_close(ib, client, aapl, gateway: Gateway, move, reached, until) -> None:
    trade = client.placeOrder(aapl, ib.Order(action="BUY", totalQuantity=10, orderType="MOC"))
    await reached(trade, "PreSubmitted", "Submitted")
    move(101.00)
    gateway.advance(CLOSE - 1)
    await client.reqCurrentTimeAsync()
    assert not trade.fills

    gateway.advance(1)
    await until(client, trade.isDone)

    assert price(trade) == 101.00
    assert trade.fills[0].execution.time == dt.datetime(2026, 4, 13, 20, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(("limit", "status"), [(102.0, "Filled"), (99.0, "Cancelled")])
async def test_loc_trades_at_the_close_or_not_at_all(
    ib, client, aapl, gateway: Gateway, move, reached, until, limit: float, status: str
) -> None:
    trade = client.placeOrder(aapl, ib.Order(action="BUY", totalQuantity=10, orderType="LOC", lmtPrice=limit))
    await reached(trade, "PreSubmitted", "Submitted")
    move(101.00)

    gateway.advance(CLOSE)
    await until(client, trade.isDone)

    assert trade.orderStatus.status == status
    assert [fill.execution.price for fill in trade.fills] == ([101.00] if status == "Filled" else [])


@pytest.mark.parametrize(
    ("terms", "status"),
    [
        ({"orderType": "MKT"}, "Filled"),
        ({"orderType": "LMT", "lmtPrice": 102.0}, "Filled"),
        ({"orderType": "LMT", "lmtPrice": 99.0}, "Cancelled"),
    ],
)
async def test_opg_trades_at_the_next_open_or_not_at_all(
    ib, client, aapl, gateway: Gateway, move, reached, until, terms: dict, status: str
) -> None:
    trade = client.placeOrder(aapl, ib.Order(action="BUY", totalQuantity=10, tif="OPG", **terms))
    await reached(trade, "PreSubmitted", "Submitted")
    move(101.00)
    gateway.advance(NEXT_OPEN - 1)
    await client.reqCurrentTimeAsync()
    assert not trade.fills

    gateway.advance(1)
    await until(client, trade.isDone)

    assert trade.orderStatus.status == status
    assert [fill.execution.price for fill in trade.fills] == ([101.00] if status == "Filled" else [])


# ---- pegged to the quote ----------------------------------------------------------------------------------------


async def test_rel_stands_its_offset_above_the_bid(ib, client, aapl, gateway: Gateway, reached, until) -> None:
    gateway.quote("AAPL", 99.90, 100.10)
    trade = client.placeOrder(
        aapl, ib.Order(action="BUY", totalQuantity=10, orderType="REL", auxPrice=0.02, lmtPrice=101.0)
    )
    await reached(trade, "Submitted")

    gateway.quote("AAPL", 99.95, 100.10)
    await client.reqCurrentTimeAsync()
    assert not trade.fills
    # Two cents above the bid of 99.95.
    gateway.quote("AAPL", 99.95, 99.97)
    await until(client, trade.isDone)

    assert price(trade) == pytest.approx(99.97)


async def test_rel_does_not_follow_beyond_its_cap(ib, client, aapl, gateway: Gateway, reached, until) -> None:
    gateway.quote("AAPL", 99.90, 100.10)
    trade = client.placeOrder(
        aapl, ib.Order(action="BUY", totalQuantity=10, orderType="REL", auxPrice=0.02, lmtPrice=100.0)
    )
    await reached(trade, "Submitted")

    gateway.quote("AAPL", 102.00, 102.02)
    await client.reqCurrentTimeAsync()
    assert not trade.fills
    gateway.quote("AAPL", 99.80, 99.82)
    await until(client, trade.isDone)

    assert price(trade) <= 100.0


async def test_midprice_trades_at_the_middle_or_better(ib, client, aapl, gateway: Gateway, reached, until) -> None:
    gateway.quote("AAPL", 99.90, 100.10)
    trade = client.placeOrder(aapl, ib.Order(action="BUY", totalQuantity=10, orderType="MIDPRICE", lmtPrice=101.0))
    await reached(trade, "Submitted", "Filled")

    gateway.quote("AAPL", 99.90, 99.92)
    await until(client, trade.isDone)

    assert price(trade) <= 100.0
