"""Tick bytes in to order bytes out, over TCP: ibdesk with risk gate and journal, against a bare ib_async callback.

Both trade against the same gateway, each in a process of its own, through a relay that notes when it hands over the
bytes of a tick and when it gets those of the order that the tick causes. The relay sees both in the same way, so the
ratio is theirs alone. The two take turns, so that a busy machine disturbs both alike.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator

import numpy as np
from tests.bench.relay import Relay
from tests.bench.row import Row, against, percentile

from ibdesk.clock import SECOND
from ibdesk.gateway import Gateway
from ibdesk.gateway.market.source import Prints
from ibdesk.model import Instrument, Quote, Tick

TICKS_PER_SECOND = 25
ORDERS = 250
ROUNDS = 3

_BARE = """
import asyncio, sys, uvloop
from ib_async import IB, LimitOrder, Stock

async def main():
    ib = IB()
    ib.client.MaxRequests = 0
    await ib.connectAsync("127.0.0.1", int(sys.argv[1]), clientId=int(sys.argv[2]), timeout=10)
    [contract] = await ib.qualifyContractsAsync(Stock("AAPL", "SMART", "USD"))
    last = [0.0]
    def on_update(ticker):
        if ticker.bid != last[0]:
            last[0] = ticker.bid
            ib.placeOrder(contract, LimitOrder("BUY", 1, 1.0))
    ib.reqMktData(contract).updateEvent += on_update
    await asyncio.sleep(float(sys.argv[3]))
    ib.disconnect()

uvloop.run(main())
"""

_IBDESK = """
import sys, time
from pathlib import Path
from ibdesk import Desk
desk = Desk.open("paper", port=int(sys.argv[1]), client_id=int(sys.argv[2]), state_folder=Path(sys.argv[4]))
desk.start(sys.argv[5], on=["AAPL"], warm_up=0)
time.sleep(float(sys.argv[3]))
desk.close()
"""

ON_EACH_TICK = '''
from ibdesk import Quote, Strategy


class OnEachTick(Strategy):
    """Order one share far below the market at every change of the bid."""

    def on_start(self) -> None:
        self.state["bid"] = 0.0

    def on_quote(self, quote: Quote) -> None:
        if quote.bid != self.state["bid"]:
            self.state["bid"] = quote.bid
            self.buy(quote.instrument, 1, limit=1.0)
'''


class Pulse:
    """A market whose bid changes at a steady beat."""

    symbols = ("AAPL",)

    def open(self, at_ns: int, instruments: dict[str, Instrument]) -> None:
        """Begin at `at_ns`."""
        del instruments
        self._opened_ns = at_ns

    def events(self) -> Iterator[tuple[int, Iterable[Quote | Tick]]]:
        """Yield one quote a beat."""
        step, at_ns, beat = SECOND // TICKS_PER_SECOND, self._opened_ns, 0
        while True:
            at_ns, beat = at_ns + step, beat + 1
            bid = 100.0 + (beat % 2) * 0.01
            yield at_ns, [Quote("AAPL", at_ns, bid, 100.10, 100.0, 100.0)]

    def prints(self, symbol: str, start_ns: int, end_ns: int) -> Prints:
        """Return nothing: nobody trades here."""
        del symbol, start_ns, end_ns
        return Prints(np.empty(0, np.int64), np.empty(0), np.empty(0))

    def recorded(
        self, symbol: str, *, end_ns: int | None, now_ns: int, span_ns: int, interval_ns: int
    ) -> Prints | None:
        """Return nothing: the clock's calendar is its own."""
        del symbol, end_ns, now_ns, span_ns, interval_ns
        return None

    def first_ns(self, symbol: str) -> int | None:
        """Return nothing: this market has no past."""
        del symbol
        return None


async def _client(code: str, port: int, client_id: int, *extra: str) -> list[float]:
    """Run one client through a relay for as long as it takes; return its latencies in ms, warm-up left out."""
    seconds = ORDERS / TICKS_PER_SECOND + 3
    with Relay(port) as relay:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            code,
            str(relay.port),
            str(client_id),
            str(seconds),
            *extra,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "IBDESK_RISK__MAX_ORDERS_PER_SECOND": "inf"},
        )
        async with asyncio.timeout(seconds + 30):
            await process.wait()
        return (await asyncio.to_thread(relay.latencies))[TICKS_PER_SECOND:]


async def _measure() -> tuple[list[float], list[float]]:
    bare: list[float] = []
    ours: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        strategy = os.path.join(folder, "on_each_tick.py")  # noqa: PTH118 - handed to another process as text
        with open(strategy, "w", encoding="utf-8") as file:  # noqa: ASYNC230, PTH123 - before anything is measured
            file.write(ON_EACH_TICK)
        async with Gateway(market=Pulse()) as gateway:
            for turn in range(ROUNDS):
                bare += await _client(_BARE, gateway.port, 100 + turn)
                ours += await _client(_IBDESK, gateway.port, 200 + turn, folder, strategy)
    return bare, ours


def measure() -> list[Row]:
    """Return the rows of this benchmark."""
    bare, ours = asyncio.run(_measure())
    return [
        against(
            f"tick to order over TCP, p50 of {len(ours)}",
            percentile(ours, 0.5),
            "ms",
            percentile(bare, 0.5),
            "<= 1.5 x bare ib_async",
        ),
        against(
            f"tick to order over TCP, p99 of {len(ours)}",
            percentile(ours, 0.99),
            "ms",
            percentile(bare, 0.99),
            "<= 2 x bare ib_async",
        ),
    ]
