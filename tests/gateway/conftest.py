"""A gateway with a market of known prices, clients on its port, and a check of the clients' logs."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import ib_async as ib
import polars as pl
import pytest

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway, Replay
from ibdesk.gateway.protocol.codec import Value, decode, encode
from ibdesk.gateway.protocol.framing import FrameReader, frame, split
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.gateway.protocol.outgoing import OUTGOING
from ibdesk.model import nanoseconds

OPENED_AT = dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)
SECONDS = 5.0

Connect = Callable[..., Awaitable[ib.IB]]

# The rows of the market: each is played over five seconds as open, the extreme nearer to it, the other, close.
# Each trade has a quote around it, one cent wide: at 100.00 it is 99.99 to 100.00.
AAPL_ROWS = [
    (99.00, 101.00, 98.00, 100.00, 400.0),
    (100.00, 102.00, 99.00, 101.00, 1000.0),
    (101.00, 103.00, 100.50, 102.50, 801.0),
    (102.50, 104.00, 102.00, 103.00, 1200.0),
]
EURUSD_ROWS = [(1.1, 1.2, 1.0, 1.15, 0.0)] * 4


class MakeBars(Protocol):
    """Makes a bar frame in which each symbol's rows follow one another by `step` from `OPENED_AT`."""

    def __call__(self, rows: Mapping[str, Sequence[tuple[float, ...]]], *, step: dt.timedelta) -> pl.DataFrame:
        """Return the frame."""
        ...


class Until(Protocol):
    """Waits until `check` is true; it is evaluated again after each message to the client."""

    async def __call__(self, client: ib.IB, check: Callable[[], object]) -> None:
        """Wait."""
        ...


def _bar_frame(rows: Mapping[str, Sequence[tuple[float, ...]]], *, step: dt.timedelta) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (symbol, OPENED_AT + index * step, *row)
            for symbol, its_rows in rows.items()
            for index, row in enumerate(its_rows)
        ],
        schema={
            "symbol": pl.String,
            "opened_at": pl.Datetime("ns", "UTC"),
            "open": pl.Float64,
            "high": pl.Float64,
            "low": pl.Float64,
            "close": pl.Float64,
            "volume": pl.Float64,
        },
        orient="row",
    ).sort("opened_at", "symbol")


async def _until(client: ib.IB, check: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not check():
            await client.updateEvent


@pytest.fixture
def make_bars() -> MakeBars:
    return _bar_frame


@pytest.fixture
def until() -> Until:
    return _until


@pytest.fixture
def market(make_bars: MakeBars) -> Replay:
    """One row of AAPL and EUR.USD in the past, three to come."""
    frame = make_bars({"AAPL": AAPL_ROWS, "EUR.USD": EURUSD_ROWS}, step=dt.timedelta(seconds=5))
    return Replay(frame, start=1)


@pytest.fixture
async def gateway(market: Replay) -> AsyncIterator[Gateway]:
    """A gateway at the first moment of row 1; `advance` moves its clock."""
    async with Gateway(market=market, clock=ManualClock(nanoseconds(OPENED_AT))) as running:
        yield running


@pytest.fixture
def tolerated() -> set[int]:
    """Error codes that a client may log as errors in this test; 202 is TWS's confirmation of a cancel."""
    return {202}


@pytest.fixture
def watched_logs(caplog: pytest.LogCaptureFixture, tolerated: set[int]) -> Iterator[None]:
    """Fails the test when ib_async logs an error that the test does not tolerate."""
    caplog.set_level(logging.WARNING, logger="ib_async")
    yield
    allowed = tuple(f"Error {code}," for code in tolerated)
    errors = [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.name.startswith("ib_async") and record.levelno >= logging.ERROR
    ]
    assert [error for error in errors if not error.startswith(allowed)] == []


@pytest.fixture
async def connect(gateway: Gateway, watched_logs: None) -> AsyncIterator[Connect]:
    """Connects ib_async clients to the gateway, with their whole start-up."""
    clients: list[ib.IB] = []

    async def connect(client_id: int = 1) -> ib.IB:
        client = ib.IB()
        clients.append(client)
        await client.connectAsync("127.0.0.1", gateway.port, clientId=client_id, timeout=SECONDS, raiseSyncErrors=True)
        return client

    yield connect
    for client in clients:
        client.disconnect()


@pytest.fixture
async def client(connect: Connect) -> ib.IB:
    """Return an ib_async client, connected as client 1."""
    return await connect(1)


@pytest.fixture
async def aapl(client: ib.IB) -> ib.Contract:
    """Return AAPL as the gateway qualifies it."""
    [contract] = await client.qualifyContractsAsync(ib.Stock("AAPL", "SMART", "USD"))
    assert isinstance(contract, ib.Contract)
    return contract


class Wire:
    """A bare connection to the gateway that receives every message as it is on the wire."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, version: int) -> None:
        self.reader, self.writer, self.version = reader, writer, version
        self._frames = FrameReader(16 << 20)
        self._waiting: list[bytes] = []

    async def payload(self) -> bytes:
        """Return the next message's bytes; None once the gateway has hung up."""
        async with asyncio.timeout(SECONDS):
            while not self._waiting:
                try:
                    data = await self.reader.read(65536)
                except ConnectionError:
                    data = b""
                if not data:
                    return b""
                self._waiting += self._frames.feed(data)
        return self._waiting.pop(0)

    async def until(self, name: str) -> list[tuple[str, dict[str, str]]]:
        """Return every message up to the first of this name, as name and texts."""
        seen: list[tuple[str, dict[str, str]]] = []
        while not seen or seen[-1][0] != name:
            payload = await self.payload()
            assert payload, f"the gateway hung up before {name}"
            texts = split(payload)
            message = OUTGOING[int(texts[0])]
            found = decode(message, texts, self.version)
            seen.append((message.name, {key: text for key, text in found.items() if isinstance(text, str)}))
        return seen

    def send(self, number: int, **values: Value) -> None:
        """Send a request by its number."""
        self.writer.write(encode(INCOMING[number], {"version": 1, **values}, self.version))

    def send_bytes(self, data: bytes) -> None:
        """Send any bytes."""
        self.writer.write(data)

    async def is_closed(self) -> bool:
        """Return whether the gateway hangs up once everything it sent was read."""
        while await self.payload():
            pass
        return True

    def close(self) -> None:
        """Hang up."""
        self.writer.close()


MakeWire = Callable[..., Awaitable[Wire]]


@pytest.fixture
def dial_once(gateway: Gateway) -> MakeWire:
    """Opens bare connections that the test closes itself; without a client id they stay before the greeting."""

    async def dial(client_id: int | None = 9, versions: str = "v157..178", port: int = gateway.port) -> Wire:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        wire = Wire(reader, writer, 178)
        if client_id is not None:
            writer.write(b"API\0" + frame(versions.encode()))
            wire.version = int(split(await wire.payload())[0])
            wire.send(71, version=2, clientId=client_id)
            await wire.until("nextValidId")
        return wire

    return dial


@pytest.fixture
async def dial(dial_once: MakeWire) -> AsyncIterator[MakeWire]:
    """Opens bare connections as `dial_once` does, and closes them when the test is over."""
    wires: list[Wire] = []

    async def dial(*arguments: Any, **options: Any) -> Wire:
        wire = await dial_once(*arguments, **options)
        wires.append(wire)
        return wire

    yield dial
    for wire in wires:
        wire.close()


class Trader:
    """A client that trades AAPL with bare requests and notes the reports about its orders in short words."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        # The fields of the reports, in order.
        self.shown: list[dict[str, str]] = []
        self.statuses: list[dict[str, str]] = []
        self.executions: list[dict[str, str]] = []
        self.texts: list[str] = []

    def place(self, order_id: int, kind: str, side: str = "BUY", size: float = 10, **more: Value) -> None:
        """Send an order; prices and other terms have the protocol's names."""
        order: dict[str, Value] = {"conId": 265598, "transmit": 1, "tif": "DAY", **more}
        self.wire.send(3, orderId=order_id, orderType=kind, action=side, totalQuantity=size, **order)

    def cancel(self, order_id: int) -> None:
        """Send a cancel."""
        self.wire.send(4, orderId=order_id)

    async def told(self) -> list[str]:
        """Return the reports since the last call, e.g. ``execution 1 BOT 10 @ 9``, ``error 1 202``."""
        self.wire.send(49)
        return [words for name, texts in await self.wire.until("currentTime") if (words := self._words(name, texts))]

    async def status(self, order_id: int) -> str:
        """Return the last status of an order, with its filled quantity if that is not zero."""
        await self.told()
        last = [texts for texts in self.statuses if texts["orderId"] == str(order_id)][-1]
        return last["status"] + (f" {last['filled']}" if last["filled"] != "0" else "")

    def _words(self, name: str, texts: dict[str, str]) -> str:
        match name:
            case "openOrder":
                self.shown.append(texts)
                return f"order {texts['orderId']} {texts['status']}"
            case "orderStatus":
                self.statuses.append(texts)
                return f"status {texts['orderId']} {texts['status']} {texts['whyHeld']}".rstrip()
            case "execDetails":
                self.executions.append(texts)
                return f"execution {texts['orderId']} {texts['side']} {texts['shares']} @ {texts['price']}"
            case "commissionReport":
                return "commission"
            case "errMsg" if texts["id"] != "-1":
                self.texts.append(texts["errorMsg"])
                return f"error {texts['id']} {texts['errorCode']}"
        return ""


@pytest.fixture
async def trader(dial: MakeWire) -> Trader:
    """Return a trader, connected as client 1."""
    return Trader(await dial(1))
