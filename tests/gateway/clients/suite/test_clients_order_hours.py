"""Orders at a gateway that keeps the exchange's hours: on Monday 13 April 2026 at six in the evening in New York."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator

import pytest

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway, MarketSource
from ibdesk.model import nanoseconds

NEXT_OPEN = 15.5 * 3600
"""Half past nine the next morning, in seconds."""


@pytest.fixture
async def gateway(market: MarketSource) -> AsyncIterator[Gateway]:
    clock = ManualClock(nanoseconds(dt.datetime(2026, 4, 13, 22, 0, tzinfo=dt.UTC)))
    async with Gateway(market=market, clock=clock, hours="exchange") as running:
        yield running


async def test_an_order_waits_for_the_opening_with_warning_399(
    ib, client, aapl, gateway: Gateway, until, announced, errors
) -> None:
    announced.add(399)
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 150.0))
    await until(client, lambda: [error for error in errors if error[1] == 399])
    [warning] = [error for error in errors if error[1] == 399]
    assert warning[0] == trade.order.orderId
    assert warning[2].startswith("Order Message:\nBUY 10 AAPL NASDAQ")
    assert "Your order will not be placed at the exchange until 2026-04-14 09:30:00" in warning[2]
    gateway.quote("AAPL", 99.99, 100.00)
    await client.reqCurrentTimeAsync()
    assert not trade.fills

    gateway.advance(NEXT_OPEN)
    gateway.quote("AAPL", 100.99, 101.00)
    await until(client, lambda: trade.orderStatus.status == "Filled")

    assert trade.fills[0].execution.time >= dt.datetime(2026, 4, 14, 13, 30, tzinfo=dt.UTC)


async def test_an_order_for_outside_the_regular_hours_trades_in_the_evening(
    ib, client, aapl, gateway: Gateway, until
) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 150.0, outsideRth=True))
    gateway.quote("AAPL", 99.99, 100.00)

    await until(client, trade.isDone)

    assert trade.fills[0].execution.price == 100.0


async def test_an_order_of_the_day_ends_with_it(ib, client, aapl, gateway: Gateway, until, announced) -> None:
    announced.add(399)
    today = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.0))
    later = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.0, tif="GTC"))
    await until(client, lambda: all(trade.orderStatus.permId for trade in (today, later)))

    # Tuesday's session ends six and a half hours after it opened.
    gateway.advance(NEXT_OPEN + 6.5 * 3600 + 1)
    await until(client, today.isDone)

    assert today.orderStatus.status == "Cancelled"
    assert [order.order.permId for order in await client.reqAllOpenOrdersAsync()] == [later.order.permId]
