"""Fifty clients at once: each gets all of the market, and hears of its own orders alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import ib_async as ib
import pytest

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway, MarketScript

if TYPE_CHECKING:
    from tests.gateway.conftest import Connect, Until

# ASK: the number of the tick type.
CLIENTS, ASK = 50, 2
OPENED_NS = 1_776_088_800_000_000_000  # 2026-04-13 14:00 UTC, a Monday
ASKS = [100.02, 100.05, 100.03, 100.08]


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A market whose ask moves once a second."""
    script = MarketScript()
    for second, ask in enumerate(ASKS):
        script = script.quote("AAPL", 100.00, ask, at=second)
    async with Gateway(market=script, clock=ManualClock(OPENED_NS)) as running:
        yield running


async def test_fifty_clients_see_the_same_quotes_and_their_own_orders(
    gateway: Gateway, connect: Connect, until: Until
) -> None:
    clients = await asyncio.gather(*(connect(client_id) for client_id in range(1, CLIENTS + 1)))
    [contract] = await clients[0].qualifyContractsAsync(ib.Stock("AAPL", "SMART", "USD"))
    assert isinstance(contract, ib.Contract)
    seen: list[list[float]] = [[] for _ in clients]
    for client, asks in zip(clients, seen, strict=True):
        ticker = client.reqMktData(contract)
        ticker.updateEvent += lambda told, asks=asks: asks.extend(
            tick.price for tick in told.ticks if tick.tickType == ASK
        )
        await until(client, lambda asks=asks: len(asks) == 1)

    gateway.advance(1)
    trades = [
        client.placeOrder(contract, ib.LimitOrder("BUY", 1 + index, 50.00)) for index, client in enumerate(clients)
    ]
    gateway.advance(2)
    for client, asks, trade in zip(clients, seen, trades, strict=True):
        await until(client, lambda asks=asks, trade=trade: len(asks) == len(ASKS) and trade.isWorking())

    assert seen == [ASKS] * CLIENTS
    assert [[order.totalQuantity for order in client.openOrders()] for client in clients] == [
        [1 + index] for index in range(CLIENTS)
    ]
    assert gateway.client_ids == tuple(range(1, CLIENTS + 1))
