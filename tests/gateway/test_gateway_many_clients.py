"""Fifty clients at once: each receives the whole market and only its own orders."""

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

# ASK is the tick type's number.
CLIENTS, ASK = 50, 2
OPENED_NS = 1_776_088_800_000_000_000  # 2026-04-13 14:00 UTC, a Monday
ASKS = [100.02, 100.05, 100.03, 100.08]


class Watch:
    """One client, the asks it has seen, and its order far from the market."""

    def __init__(self, client: ib.IB, contract: ib.Contract) -> None:
        self.client, self.contract = client, contract
        self.asks: list[float] = []
        self._trade: ib.Trade | None = None
        client.reqMktData(contract).updateEvent += self._note

    def _note(self, ticker: ib.Ticker) -> None:
        self.asks += [tick.price for tick in ticker.ticks if tick.tickType == ASK]

    def order(self, quantity: float) -> None:
        self._trade = self.client.placeOrder(self.contract, ib.LimitOrder("BUY", quantity, 50.00))

    @property
    def works(self) -> bool:
        return self._trade is not None and self._trade.isWorking()


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
    watches = [Watch(client, contract) for client in clients]
    for watch in watches:
        await until(watch.client, lambda: len(watch.asks) == 1)  # noqa: B023 - awaited within the turn

    gateway.advance(1)
    for watch in watches:
        watch.order(quantity=watch.client.client.clientId)
    gateway.advance(2)
    for watch in watches:
        await until(watch.client, lambda: len(watch.asks) == len(ASKS) and watch.works)  # noqa: B023 - likewise

    assert [watch.asks for watch in watches] == [ASKS] * CLIENTS
    assert [[order.totalQuantity for order in client.openOrders()] for client in clients] == [
        [client_id] for client_id in range(1, CLIENTS + 1)
    ]
    assert gateway.client_ids == tuple(range(1, CLIENTS + 1))
