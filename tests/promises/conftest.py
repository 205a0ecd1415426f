"""A gateway that outlives the desks of a test, desks on it, and a person beside them who trades in the same account."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from ib_async import IB, MarketOrder, Stock, Trade
from tests.desk.conftest import desk, ema_cross, open_desk, watch, write_strategy  # noqa: F401 - fixtures
from tests.processes.conftest import make_stack, trading, walking_gateway  # noqa: F401 - fixtures
from tests.tws.conftest import script, start_tws, words  # noqa: F401 - fixtures

from ibdesk.data import sample_daily_bars
from ibdesk.desk import Desk, DeskSettings
from ibdesk.gateway import GatewaySettings, GatewayThread, make_gateway

T = TypeVar("T")
PERSON = 77


class Person:
    """Somebody at the broker: an unmodified ib_async client under an id of its own, and hands at TWS itself."""

    def __init__(self, venue: GatewayThread) -> None:
        self._venue = venue

    def do(self, act: Callable[[IB], Awaitable[T]]) -> T:
        """Connect, act, and leave."""

        async def session() -> T:
            ib = IB()
            await ib.connectAsync("127.0.0.1", self._venue.gateway.port, clientId=PERSON, timeout=20)
            try:
                return await act(ib)
            finally:
                ib.disconnect()

        return asyncio.run(session())

    def trade(self, *orders: tuple[str, float]) -> None:
        """Buy or sell AAPL at the market, one order after the other: ``trade(("BUY", 10), ("SELL", 10))``."""

        async def act(ib: IB) -> None:
            share = Stock("AAPL", "SMART", "USD")
            await ib.qualifyContractsAsync(share)
            for action, quantity in orders:
                trade: Trade = ib.placeOrder(share, MarketOrder(action, quantity))
                if not trade.isDone():
                    await asyncio.wait_for(trade.filledEvent, 20)

        self.do(act)

    def cancel(self, reference: str) -> None:
        """Withdraw another program's order, which is found among all open orders."""

        async def act(ib: IB) -> None:
            [found] = [each for each in await ib.reqAllOpenOrdersAsync() if each.order.orderRef == reference]
            ib.cancelOrder(found.order)
            # TWS answers in the order in which it is asked.
            assert not [each for each in await ib.reqAllOpenOrdersAsync() if each.order.orderRef == reference]

        self.do(act)

    def change(self, reference: str, **terms: Any) -> None:
        """Change another program's order, which only TWS's own window can."""

        def act() -> None:
            [record] = [each for each in self._venue.gateway.venue.open() if each.request.text("orderRef") == reference]
            self._venue.gateway.by_hand.change(record.permanent_id, terms)

        self._venue.call(act)


@pytest.fixture
def venue() -> Iterator[GatewayThread]:
    """Plays real prices at fifty times their speed: a bar of five seconds comes every tenth of one."""
    settings = GatewaySettings(port=0, replay=Path("sample"), play_each_over_seconds=5, start=1500, speed=50.0)
    with GatewayThread(make_gateway(settings, bars=sample_daily_bars())) as thread:
        yield thread


@pytest.fixture
def person(venue: GatewayThread) -> Person:
    """A person beside the desk."""
    return Person(venue)


@pytest.fixture
def open_paper(venue: GatewayThread, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Opens a desk on the venue, with changed settings: ``open_paper(**{"desk.compare_seconds": 5})``."""
    with contextlib.ExitStack() as stack:

        def make(**changes: Any) -> Desk:
            usual = {"port": venue.gateway.port, "client_id": 33, "state_folder": tmp_path, "desk.compare_seconds": 5}
            return stack.enter_context(contextlib.closing(Desk.open(DeskSettings.make("paper", **usual | changes))))

        yield make


@pytest.fixture
def until() -> Callable[..., None]:
    """Asks again and again until something holds; each question goes to another thread."""

    def ask(holds: Callable[[], bool], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"it did not hold within {seconds} s"
            time.sleep(0.02)

    return ask
