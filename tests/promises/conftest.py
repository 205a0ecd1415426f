"""A gateway that outlasts a test's desks, desks on it, and a person who trades in the same account."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from ib_async import IB, MarketOrder, Stock, Trade
from tests.desk.conftest import desk, ema_cross, open_desk, watch, write_strategy  # noqa: F401 - fixtures
from tests.processes.conftest import make_stack, trading, walking_gateway  # noqa: F401 - fixtures
from tests.stack import WAIT_SECONDS, eventually
from tests.tws.conftest import script, start_tws, words  # noqa: F401 - fixtures

from ibdesk.data import sample_daily_bars
from ibdesk.desk import Desk, DeskSettings
from ibdesk.gateway import GatewaySettings, GatewayThread, make_gateway
from ibdesk.gateway.listening import Peer, payloads
from ibdesk.gateway.protocol.codec import decode
from ibdesk.gateway.protocol.framing import split
from ibdesk.gateway.protocol.incoming import INCOMING

T = TypeVar("T")
PERSON = 77
# How placeOrder and realTimeBar begin.
_PLACE_ORDER, _BAR = b"3\0", b"50\0"


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
            [record] = [
                each for each in self._venue.gateway.venue.open_orders() if each.request.text("orderRef") == reference
            ]
            self._venue.gateway.by_hand.change_order(record.permanent_id, terms)

        self._venue.call(act)


class PlacedOrders:
    """Listens to a gateway: which orders have come, in their order, and how many bars it has told.

    With `kill_at` it kills `process` the moment the bytes of so many orders have come.
    """

    def __init__(self, kill_at: int = 0) -> None:
        self._kill_at = kill_at
        self._news = threading.Condition()
        self.process: subprocess.Popen[str] | None = None
        self.killed = threading.Event()
        self.ordered: list[str] = []
        self.bars = 0

    def client_sent(self, peer: Peer, payload: bytes) -> None:
        if not payload.startswith(_PLACE_ORDER):
            return
        with self._news:
            self.ordered.append(str(decode(INCOMING[3], split(payload), peer.version)["orderRef"]))
            self._news.notify_all()
        if len(self.ordered) == self._kill_at and self.process is not None:
            self.process.kill()
            self.killed.set()

    def gateway_sent(self, peer: Peer, frames: bytes) -> None:
        bars = sum(payload.startswith(_BAR) for payload in payloads(frames))
        if bars:
            with self._news:
                self.bars += bars
                self._news.notify_all()

    def disconnected(self, peer: Peer, *, by_client: bool) -> None:
        """Pass over."""

    def wait_for(self, orders: int = 0, bars: int = 0) -> None:
        """Wait until so many orders have come, and so many bars were told."""
        with self._news:
            has_come = self._news.wait_for(
                lambda: len(set(self.ordered)) >= orders and self.bars >= bars, timeout=WAIT_SECONDS
            )
        assert has_come, f"{len(set(self.ordered))} of {orders} orders, {self.bars} of {bars} bars"


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
        eventually(holds, "it holds", seconds=seconds)

    return ask
