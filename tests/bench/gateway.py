"""The embedded gateway: ticks to one ib_async client and to fifty, and the longest stall while a long history is made.

The gateway runs in a process of its own, on a market that always has the next quote due; each quote changes both
prices, so it is two ticks on the wire. One client is ib_async, in a second process; its baseline is what ib_async
decodes of the same ticks without any socket. The fifty cut the stream into messages and no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import ib_async as ib
import numpy as np
from tests.bench.row import Row, against

from ibdesk.gateway import Gateway, MarketSource
from ibdesk.gateway.market.source import Prints
from ibdesk.gateway.protocol.codec import Value, encode
from ibdesk.gateway.protocol.framing import frame
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.gateway.protocol.ticks import price_body, tick_frames
from ibdesk.model import Instrument, Quote, Tick

SECONDS = 3.0
CLIENTS = 50
BARS = 51_840
# CHUNK: about what ib_async reads at once from this gateway; with larger ones it is slower.
CHUNK = 64 << 10
VERSION = 178
_AAPL: dict[str, Value] = {"version": 11, "conId": 265598, "symbol": "AAPL", "secType": "STK", "exchange": "SMART"}


class Storm:
    """A market whose next quote is always due."""

    symbols = ("AAPL",)

    def open(self, at_ns: int, instruments: dict[str, Instrument]) -> None:
        """Begin at `at_ns`."""
        del instruments
        self._opened_ns = at_ns

    def events(self) -> Iterator[tuple[int, Iterable[Quote | Tick]]]:
        """Yield a quote each nanosecond."""
        at_ns, beat = self._opened_ns, 0
        while True:
            at_ns, beat = at_ns + 1, beat + 1
            bid = 100.0 + (beat % 50) * 0.01
            yield at_ns, [Quote("AAPL", at_ns, bid, bid + 0.01, 100.0, 100.0)]

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


# ---- the gateway's process ----------------------------------------------------------------------------------------


class Probe:
    """Measures by how much the loop is late for a call it was to make, and how much of that the gateway itself worked.

    The rest is the machine's: on one that others share, a process may be held up for longer than any of its turns.
    """

    def __init__(self) -> None:
        self.late = self.worked = 0.0
        self._loop = asyncio.get_running_loop()
        self._beat()

    def _beat(self) -> None:
        self._due, self._used = self._loop.time() + 0.001, time.thread_time()
        self._loop.call_at(self._due, self._met)

    def _met(self) -> None:
        self.late = max(self.late, self._loop.time() - self._due)
        self.worked = max(self.worked, time.thread_time() - self._used)
        self._beat()

    def take(self) -> tuple[float, float]:
        """Return the longest since this was last asked, in ms: late, and worked."""
        longest = self.late * 1000, self.worked * 1000
        self.late = self.worked = 0.0
        return longest


async def _serve(market: MarketSource | None) -> None:
    """Say the port; at every line read, say the longest stalls since the last; end with the input."""
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with Gateway(market=market, max_unsent_bytes=1 << 30) as gateway:
        _say(gateway.port)
        probe = Probe()
        while await lines.readline():
            _say(probe.take())


def _say(figure: float | tuple[float, float]) -> None:
    sys.stdout.write(f"{json.dumps(figure)}\n")
    sys.stdout.flush()


class Served:
    """A gateway in another process."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.port = port

    async def stall(self) -> tuple[float, float]:
        """Return the longest stall of its loop since this was last asked, and the longest turn it worked; in ms."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        late, worked = json.loads(await self._process.stdout.readline())
        return late, worked


@contextlib.asynccontextmanager
async def _served(market: str) -> AsyncIterator[Served]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.gateway",
        market,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            port = int(await process.stdout.readline())
        yield Served(process, port)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


# ---- clients ------------------------------------------------------------------------------------------------------


async def _ib_async(port: int) -> None:
    """Be one ib_async client, and say how many ticks it got a second."""
    client = ib.IB()
    await client.connectAsync("127.0.0.1", port, clientId=1)
    contract = ib.Stock("AAPL", "SMART", "USD", conId=265598)
    count, began = 0, 0.0

    def took(tickers: set[ib.Ticker]) -> None:
        nonlocal count, began
        began = began or time.perf_counter()
        count += sum(len(ticker.ticks) for ticker in tickers)

    client.pendingTickersEvent += took
    client.reqMktData(contract)
    await asyncio.sleep(SECONDS)
    _say(count / (time.perf_counter() - began))


async def _ib_async_alone() -> float:
    """Return how many ticks ib_async decodes a second when they come from memory, in chunks as a socket gives them."""
    client = ib.IB()
    client.client._serverVersion = VERSION
    client.client.decoder.serverVersion = VERSION
    contract = ib.Stock("AAPL", "SMART", "USD", conId=265598)
    client.wrapper.startTicker(1, contract, "mktData")
    data = b"".join(
        tick_frames(1, [price_body(1 + beat % 2, round(100.0 + (beat % 50) * 0.01, 10), 100.0, 1)])
        for beat in range(300_000)
    )
    client.client.connState = client.client.CONNECTED
    client.client._hasReqId = True
    began = time.perf_counter()
    for start in range(0, len(data), CHUNK):
        client.client._onSocketHasData(data[start : start + CHUNK])
    took = time.perf_counter() - began
    client.client.connState = client.client.DISCONNECTED
    return 300_000 / took


async def _dial(port: int, client_id: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=16 << 20)
    writer.write(b"API\0" + frame(f"v157..{VERSION}".encode()))
    await _message(reader)
    writer.write(encode(INCOMING[71], {"version": 2, "clientId": client_id}, VERSION))
    return reader, writer


async def _message(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4)))


async def _fifty(port: int) -> None:
    """Be fifty plain clients, and say how many ticks they got a second in all."""
    readers, writers = [], []
    for client_id in range(1, CLIENTS + 1):
        reader, writer = await _dial(port, client_id)
        writer.write(encode(INCOMING[1], {**_AAPL, "reqId": 100 + client_id}, VERSION))
        readers.append(reader)
        writers.append(writer)
    deadline = time.perf_counter() + SECONDS

    async def count(reader: asyncio.StreamReader) -> int:
        ticks = 0
        while time.perf_counter() < deadline:
            ticks += (await reader.read(CHUNK)).count(b"\0\0\0")
        return ticks

    began = time.perf_counter()
    ticks = sum(await asyncio.gather(*map(count, readers)))
    _say(ticks / (time.perf_counter() - began))
    for writer in writers:
        writer.transport.abort()


async def _run(*arguments: str) -> float:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.gateway", *arguments, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        answer, _ = await process.communicate()
    return float(answer)


async def _history(port: int) -> int:
    """Ask for a long history and return how many bars came."""
    reader, writer = await _dial(port, 1)
    asked: dict[str, Any] = {
        **_AAPL,
        "reqId": 7,
        "currency": "USD",
        "endDateTime": "",
        "barSizeSetting": "5 secs",
        "durationStr": "3 D",
        "useRTH": False,
        "whatToShow": "TRADES",
        "formatDate": 1,
    }
    writer.write(encode(INCOMING[20], asked, VERSION))
    async with asyncio.timeout(60):
        while not (message := await _message(reader)).startswith(b"17\0"):
            pass
    writer.close()
    return int(message.split(b"\0", 5)[4])


async def _measure() -> list[Row]:
    alone = await _ib_async_alone()
    async with _served("storm") as gateway:
        one = await _run("ib_async", str(gateway.port))
    async with _served("storm") as gateway:
        fifty = await _run("fifty", str(gateway.port))
    async with _served("walk") as gateway:
        await asyncio.sleep(1)
        await gateway.stall()
        await asyncio.sleep(2)
        idle, _ = await gateway.stall()
        began = time.perf_counter()
        bars = await _history(gateway.port)
        took = time.perf_counter() - began
        stall, worked = await gateway.stall()
    if bars < BARS:
        raise RuntimeError(f"the history has {bars} bars, {BARS} were to come")
    return [
        against("ticks to one ib_async client", one, "/s", alone, "100,000 /s"),
        Row(f"ticks to {CLIENTS} clients in all", fifty, "/s"),
        against(f"longest stall while {bars:,} bars are asked", stall, "ms", idle),
        Row("longest turn of the loop meanwhile, own work", worked, "ms", budget="5 ms"),
        Row("time to answer them", took * 1000, "ms"),
    ]


def measure() -> list[Row]:
    """Return the rows of this benchmark."""
    return asyncio.run(_measure())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["storm"]:
            asyncio.run(_serve(Storm()))
        case ["walk"]:
            asyncio.run(_serve(None))
        case ["ib_async", port]:
            asyncio.run(_ib_async(int(port)))
        case ["fifty", port]:
            asyncio.run(_fifty(int(port)))
