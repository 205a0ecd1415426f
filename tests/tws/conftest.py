"""A service under test, its events, and two servers to connect it to: the embedded gateway and a scripted one."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import math
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from ibdesk.clock import Clock, ManualClock, SystemClock
from ibdesk.gateway.protocol.codec import encode
from ibdesk.gateway.protocol.outgoing import OUTGOING_BY_NAME
from ibdesk.gateway.server import Gateway
from ibdesk.model import Event, Order, OrderType, Side, Stock, nanoseconds
from ibdesk.tws import Fence, TwsService, TwsSettings

SECONDS = 5.0
ACCOUNT = "DU9000001"
AAPL = Stock("AAPL")
# Monday, 10:00 in New York.
MONDAY = nanoseconds(dt.datetime(2026, 11, 23, 15, tzinfo=dt.UTC))


class Heard:
    """Every event of a service, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.react: Callable[[Event], None] = lambda event: None
        self._position = 0
        self._news = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()
        self.react(event)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def next(self, kind: type, **fields: object) -> Any:
        """Return the next event of this kind with these fields, skipping others."""
        async with asyncio.timeout(SECONDS):
            while True:
                while self._position < len(self.events):
                    event = self.events[self._position]
                    self._position += 1
                    if isinstance(event, kind) and all(getattr(event, n) == v for n, v in fields.items()):
                        return event
                self._news.clear()
                await self._news.wait()

    async def count(self, kind: type, number: int) -> list[Any]:
        """Return the events of a kind once there are `number` of them."""
        async with asyncio.timeout(SECONDS):
            while len(self.of(kind)) < number:
                self._news.clear()
                await self._news.wait()
        return self.of(kind)


class Running:
    """A connected service, the task that runs it, and its events."""

    def __init__(self, service: TwsService, heard: Heard) -> None:
        self.service, self.heard = service, heard
        self.life = asyncio.create_task(service.run())


StartTws = Callable[..., Any]


@pytest.fixture
async def start_tws() -> AsyncIterator[StartTws]:
    """Connect a service to a port and let it run to the end of the test."""
    running: list[Running] = []

    async def start(
        port: int,
        *,
        clock: Clock | None = None,
        first_order_id: int = 1,
        resume: dict[str, Any] | None = None,
        fence: Fence | None = None,
        compare_seconds: float = math.inf,
        **settings: Any,
    ) -> Running:
        heard = Heard()
        service = TwsService(
            settings_for(port, **settings),
            clock=clock or SystemClock(),
            on_event=heard,
            first_order_id=first_order_id,
            fence=fence,
            compare_seconds=compare_seconds,
        )
        if resume is not None:
            service.resume(**({"orders": [], "fills": [], "commissions": []} | resume))
        await service.connect()
        running.append(Running(service, heard))
        return running[-1]

    yield start
    for each in running:
        if not each.life.done():
            each.life.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await each.life


def settings_for(port: int, **changes: Any) -> TwsSettings:
    """Return settings with waits that suit a test."""
    usual: dict[str, Any] = {
        "port": port,
        "connect_timeout_seconds": 2.0,
        "request_timeout_seconds": 2.0,
        "reconnect_first_seconds": 0.02,
        "reconnect_last_seconds": 0.1,
        "position_grace_seconds": 0.1,
        "settle_seconds": 0.3,
    }
    return TwsSettings(**(usual | changes))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(MONDAY)


@pytest.fixture
async def gateway(clock: ManualClock) -> AsyncIterator[Gateway]:
    """Serve a market that moves when `gateway.advance` is called."""
    async with Gateway(clock=clock, account=ACCOUNT) as gateway:
        yield gateway


@pytest.fixture
async def tws(gateway: Gateway, clock: ManualClock, start_tws: StartTws) -> Running:
    """Return a service that trades AAPL on the gateway."""
    running: Running = await start_tws(gateway.port, clock=clock)
    await running.service.qualify(AAPL)
    return running


class ScriptedTws:
    """A TCP server with TWS's handshake: it answers the start-up with empty books, and sends what a test prescribes."""

    def __init__(self) -> None:
        self.port = 0
        self.accounts = ACCOUNT
        self.version = 178
        self.first_order_id = 1
        # Kinds of messages that receive no answer.
        self.silent: set[str] = set()
        # Messages that are sent before the usual end of an answer, by the kind of the request.
        self.answers: dict[str, list[list[object]]] = {}
        # Called with each request after its answer, to change the answer to the next one.
        self.on_request: Callable[[list[str]], None] = lambda fields: None
        self.received: list[list[str]] = []
        self.arrivals: list[float] = []
        # Set once the client has closed its socket.
        self.left = asyncio.Event()
        self._news = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        self._writer = writer
        self._writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readexactly(4)
            await self._read(reader)
            self.send(self.version, "20261123 10:00:00 EST")
            while True:
                fields = await self._read(reader)
                self.received.append(fields)
                self.arrivals.append(asyncio.get_running_loop().time())
                self._answer(fields)
                self.on_request(fields)
                self._news.set()
        self.left.set()

    def send(self, *fields: object) -> None:
        """Send one message."""
        assert self._writer is not None
        data = "".join(f"{field}\0" for field in fields).encode()
        self._writer.write(struct.pack(">I", len(data)) + data)

    def hang_up(self) -> None:
        assert self._writer is not None
        self._writer.transport.abort()

    async def stop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def of(self, kind: int) -> list[list[str]]:
        return [fields for fields in self.received if fields[0] == str(kind)]

    async def got(self, kind: int, number: int = 1) -> list[str]:
        """Return the last message of a kind once there are `number` of them."""
        async with asyncio.timeout(SECONDS):
            while len(self.of(kind)) < number:
                self._news.clear()
                await self._news.wait()
        return self.of(kind)[-1]

    async def _read(self, reader: asyncio.StreamReader) -> list[str]:
        size = int.from_bytes(await reader.readexactly(4), "big")
        return (await reader.readexactly(size)).decode().split("\0")[:-1]

    def _answer(self, fields: list[str]) -> None:
        kind = fields[0]
        if kind in self.silent:
            return
        for message in [*self.answers.get(kind, []), *self._usual(kind, fields)]:
            self.send(*message)

    def _usual(self, kind: str, fields: list[str]) -> list[list[object]]:
        if kind == "9":
            return [contract_details(fields[2], fields[4]), [52, 1, fields[2]]]
        usual: dict[str, list[list[object]]] = {
            "71": [[15, 1, self.accounts], [9, 1, self.first_order_id]],
            "7": [[55, 1, fields[2] if len(fields) > 2 else ""]],
            "16": [[53, 1]],
            "99": [[102]],
            "61": [[62, 1]],
            "6": [[54, 1, self.accounts]],
            "91": [[93, fields[-1], 1, "0", "0.01"]],
            "49": [[49, 1, 1_795_446_000]],
        }
        return usual.get(kind, [])


@pytest.fixture
async def script() -> AsyncIterator[ScriptedTws]:
    """Serve the scripted TWS."""
    scripted = ScriptedTws()
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    scripted.port = server.sockets[0].getsockname()[1]
    yield scripted
    server.close()
    await scripted.stop()


@pytest.fixture
async def start_server() -> AsyncIterator[Callable[[bytes], Any]]:
    """Start a server on a free port that sends the same few bytes to every client, and return its port."""
    servers, writers = [], []

    async def start(words: bytes) -> int:
        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            writer.write(words)

        servers.append(await asyncio.start_server(serve, "127.0.0.1", 0))
        port: int = servers[-1].sockets[0].getsockname()[1]
        return port

    yield start
    for each in servers:
        each.close()
    for writer in writers:
        writer.transport.abort()


@pytest.fixture
async def scripted(script: ScriptedTws, start_tws: StartTws) -> Running:
    """Return a service connected to the scripted TWS, with AAPL qualified."""
    running: Running = await start_tws(script.port)
    await running.service.qualify(AAPL)
    return running


def contract_details(request: str, symbol: str) -> list[object]:
    """Return message 10 for a US stock."""
    head = [
        10,
        request,
        symbol,
        "STK",
        "",
        "0",
        "",
        "SMART",
        "USD",
        symbol,
        "NMS",
        "NMS",
        265598,
        "0.01",
        "",
        "LMT,MKT",
    ]
    middle = ["SMART", 1, 0, symbol, "NASDAQ", "", "", "", "", "US/Eastern", "", "20261123:0930-20261123:1600", "", "0"]
    return [*head, *middle, 0, 1, "", "", "26", "", "COMMON", "1", "1", "100"]


def order_status(
    number: int | str, word: str, *, filled: float = 0, remaining: float = 10, client: int = 1
) -> list[object]:
    """Return message 3 of an order that carries the permanent id 7000 + number."""
    return [3, number, word, filled, remaining, 0, 7000 + int(number), 0, 0, client, "", 0]


def execution(
    number: int | str, execution_id: str, *, shares: float = 10, price: float = 100.0, ref: str = "", request: int = -1
) -> list[object]:
    """Return message 11: a purchase of AAPL."""
    contract = [265598, "AAPL", "STK", "", "0.0", "", "", "IEX", "USD", "AAPL", "NMS"]
    when = "20261123 10:00:05 US/Eastern"
    order = ["BOT", shares, price, 7000 + int(number), 1, 0, shares, price, ref, "", "", "", 1, 0]
    return [11, request, number, *contract, execution_id, when, ACCOUNT, "IEX", *order]


def position_held(quantity: float, cost: float = 9.0) -> list[object]:
    """Return message 61: a position in AAPL."""
    return [61, 3, ACCOUNT, 265598, "AAPL", "STK", "", "0.0", "", "", "", "USD", "AAPL", "NMS", quantity, cost]


def order_shown(message: str, number: int | str, ref: str, **changes: Any) -> list[object]:
    """Return the message `openOrder` or `completedOrder` of a limit order for ten AAPL."""
    values: dict[str, Any] = {
        "orderId": int(number),
        "permId": 7000 + int(number),
        "clientId": 1,
        "orderRef": ref,
        "conId": 265598,
        "symbol": "AAPL",
        "secType": "STK",
        "action": "BUY",
        "totalQuantity": 10.0,
        "orderType": "LMT",
        "lmtPrice": 100.0,
        "tif": "DAY",
        "status": "Submitted",
        "deltaNeutralContractPresent": 0,
    }
    frame = encode(OUTGOING_BY_NAME[message], values | changes, 178)
    return list(frame[4:].decode().split("\0")[:-1])


def market_order(name: str = "run-1", **changes: Any) -> Order:
    """Return a market order for ten AAPL."""
    usual: dict[str, Any] = {"id": name, "owner": "run", "instrument": "AAPL", "side": Side.BUY, "quantity": 10.0}
    return Order(**(usual | changes))


def limit_order(name: str = "run-1", limit_price: float = 100.0, **changes: Any) -> Order:
    """Return a limit order for ten AAPL."""
    return market_order(name, type=OrderType.LIMIT, limit_price=limit_price, **changes)


@pytest.fixture
def words() -> Any:
    """Return the messages that a scripted TWS can send, and the orders that tests place."""

    class Words:
        order = staticmethod(market_order)
        limit = staticmethod(limit_order)
        shown = staticmethod(order_shown)
        status = staticmethod(order_status)
        execution = staticmethod(execution)
        held = staticmethod(position_held)
        settings = staticmethod(settings_for)
        aapl = AAPL
        account = ACCOUNT

    return Words
