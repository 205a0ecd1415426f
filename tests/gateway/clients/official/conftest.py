"""IBKR's own Python client on threads, unmodified, against a gateway whose market is given price by price."""

from __future__ import annotations

import contextlib
import datetime as dt
import inspect
import itertools
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest
from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.order import Order
from ibapi.wrapper import EWrapper

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway, GatewayThread
from ibdesk.gateway.market.script import MarketScript
from ibdesk.model import nanoseconds

# A Monday, half an hour after New York opens.
OPENED_AT = dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)
SECONDS = 15.0
"""The maximum wait for a callback; only a failing test waits that long."""


class Call:
    """One callback of the client: its name, and its arguments by name."""

    def __init__(self, name: str, values: dict[str, Any]) -> None:
        self.name, self.values = name, values

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def fits(self, name: str, values: dict[str, Any]) -> bool:
        """Return whether it is the callback of this name with these arguments, whatever the other arguments are."""
        return self.name == name and all(self.values.get(key) == value for key, value in values.items())

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.values.items())})"


class Recorder(EWrapper):  # type: ignore[misc] # the client has no types
    """Stores all callbacks in order; they arrive on the client's own thread."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Call] = []
        self._news = threading.Condition()

    def note(self, call: Call) -> None:
        """Store a callback and wake the waiting test."""
        with self._news:
            self._calls.append(call)
            self._news.notify_all()

    @property
    def calls(self) -> list[Call]:
        """Return the callbacks so far."""
        with self._news:
            return list(self._calls)

    def wait_for(self, name: str, *, since: int = 0, **values: Any) -> list[Call]:
        """Return the callbacks from number `since` up to the first of this name with these arguments."""
        deadline = time.monotonic() + SECONDS
        place = since
        with self._news:
            while True:
                while place < len(self._calls):
                    place += 1
                    if self._calls[place - 1].fits(name, values):
                        return self._calls[since:place]
                    assert self._calls[place - 1].name != "connectionClosed", f"hung up on before {name} came"
                left = deadline - time.monotonic()
                seen = self._calls[since:]
                assert left > 0, f"no {name} with {values} came within {SECONDS:g} s; what came: {seen}"
                self._news.wait(left)


def _noting(name: str, signature: inspect.Signature) -> Callable[..., None]:
    def note(self: Recorder, *values: Any, **named: Any) -> None:
        bound = signature.bind(self, *values, **named)
        bound.apply_defaults()
        self.note(Call(name, {key: value for key, value in bound.arguments.items() if key != "self"}))

    return note


for _name, _method in inspect.getmembers(EWrapper, inspect.isfunction):
    if not _name.startswith("_") and not _name.endswith("ProtoBuf") and _name != "logAnswer":
        setattr(Recorder, _name, _noting(_name, inspect.signature(_method)))


class Official:
    """One official client: `api` is the client itself; its callbacks are stored here."""

    def __init__(self, port: int, client_id: int) -> None:
        self.recorder = Recorder()
        self.api = EClient(self.recorder)
        self.api.connect("127.0.0.1", port, client_id)
        self._socket: socket.socket | None = self.api.conn.socket if self.api.conn else None
        self._loop = threading.Thread(target=self.api.run, name=f"ibapi-{client_id}")
        self._loop.start()

    @property
    def calls(self) -> list[Call]:
        """Return every callback so far."""
        return self.recorder.calls

    def named(self, name: str, **values: Any) -> list[Call]:
        """Return every callback of this name with these arguments so far."""
        return [call for call in self.calls if call.fits(name, values)]

    def wait_for(self, name: str, **values: Any) -> Call:
        """Return the first past or future callback of this name with these arguments."""
        return self.recorder.wait_for(name, **values)[-1]

    def ask(self, ask: Callable[[], Any], until: str, **values: Any) -> list[Call]:
        """Do something and return the callbacks up to the first of this name with these arguments."""
        before = len(self.calls)
        ask()
        return self.recorder.wait_for(until, since=before, **values)

    def place(self, order_id: int, contract: Contract, order: Order) -> list[Call]:
        """Place or change an order, and return all of the gateway's messages about it."""
        return self.all_of(lambda: self.api.placeOrder(order_id, contract, order))

    def statuses(self, order_id: int) -> list[str]:
        """Return the statuses of an order so far, without repetitions in a row."""
        told = [call["status"] for call in self.named("orderStatus", orderId=order_id)]
        return [status for status, _ in itertools.groupby(told)]

    def fills(self, order_id: int) -> list[tuple[float, float]]:
        """Return size and price of an order's executions that arrived without a request."""
        done = [call["execution"] for call in self.named("execDetails", reqId=-1)]
        return [(float(each.shares), each.price) for each in done if each.orderId == order_id]

    def all_of(self, ask: Callable[[], Any]) -> list[Call]:
        """Do something and return all of the gateway's messages about it.

        Answers arrive in the order of the requests: when the time requested next arrives, all of them have arrived.
        """

        def ask_and_then_the_time() -> None:
            ask()
            self.api.reqCurrentTime()

        return self.ask(ask_and_then_the_time, "currentTime")[:-1]

    def error_of(self, ask: Callable[[], Any], request_id: int) -> tuple[int, str]:
        """Do something and return the error that answers the request of this id."""
        call = self.ask(ask, "error", reqId=request_id)[-1]
        return call["errorCode"], call["errorString"]

    def end(self) -> None:
        """End the session like a lost socket, so that neither thread waits for its time-out."""
        if self._socket is not None:
            # The client may be closing it at the same time.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._loop.join(SECONDS)
        assert not self._loop.is_alive(), "the client's message loop does not end"
        reader = getattr(self.api, "reader", None)
        if reader is not None:
            reader.join(SECONDS)
            assert not reader.is_alive(), "the client's reader does not end"
        self.api.disconnect()


class Tws:
    """The gateway on its own thread, and its market, moved by the test."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.thread = GatewayThread(gateway)

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        return self.thread.port

    def do(self, action: Callable[[], Any]) -> Any:
        """Run something on the gateway's thread."""
        return self.thread.call(action)

    def advance(self, seconds: float) -> None:
        """Advance the time of the gateway's market."""
        self.do(lambda: self.gateway.advance(seconds))

    def quote(self, bid: float | None, ask: float | None, *, symbol: str = "AAPL", size: float = 1000) -> None:
        """Quote now, with the same size on both sides."""
        self.do(lambda: self.gateway.quote(symbol, bid, ask, bid_size=size, ask_size=size))

    def trade(self, price: float, size: float = 100, *, symbol: str = "AAPL") -> None:
        """Trade now."""
        self.do(lambda: self.gateway.trade(symbol, price, size))


class Dial(Protocol):
    """Connects an official client and waits until it may send requests."""

    def __call__(self, client_id: int = 1) -> Official:
        """Return the client."""
        ...


class MakeContract(Protocol):
    """Makes a contract as a user does."""

    def __call__(self, symbol: str, sec_type: str = "STK", exchange: str = "SMART", **more: Any) -> Contract:
        """Return the contract, in US dollars by default."""
        ...


class MakeOrder(Protocol):
    """Makes an order as a user does."""

    def __call__(self, action: str, order_type: str, quantity: float = 100, **more: Any) -> Order:
        """Return the order."""
        ...


def _contract(symbol: str, sec_type: str = "STK", exchange: str = "SMART", **more: Any) -> Contract:
    contract = Contract()
    contract.symbol, contract.secType, contract.exchange, contract.currency = symbol, sec_type, exchange, "USD"
    for name, value in more.items():
        assert hasattr(contract, name), f"a contract has no {name}"
        setattr(contract, name, value)
    return contract


def _order(action: str, order_type: str, quantity: float = 100, **more: Any) -> Order:
    order = Order()
    order.action, order.orderType, order.totalQuantity = action, order_type, quantity
    for name, value in more.items():
        assert hasattr(order, name), f"an order has no {name}"
        setattr(order, name, value)
    return order


@pytest.fixture
def contract() -> MakeContract:
    return _contract


@pytest.fixture
def order() -> MakeOrder:
    return _order


@pytest.fixture
def script() -> MarketScript:
    """AAPL at 99.99 to 100.01 from second 0, three trades before; EUR.USD and MSFT with quotes."""
    return (
        MarketScript()
        .quote("AAPL", 98.99, 99.01, at=-20)
        .trade("AAPL", 99.00, 200, at=-19)
        .trade("AAPL", 98.00, 300, at=-14)
        .trade("AAPL", 99.50, 500, at=-12)
        .quote("AAPL", 99.99, 100.01, at=0, bid_size=300, ask_size=200)
        .trade("AAPL", 100.00, 100, at=0)
        .quote("MSFT", 199.99, 200.01, at=0)
        .quote("EUR.USD", 1.1000, 1.1002, at=0, bid_size=1_000_000, ask_size=1_000_000)
    )


@pytest.fixture
def settings() -> dict[str, Any]:
    """The gateway's options that differ from the defaults; a test overrides it by parametrizing it."""
    return {}


@pytest.fixture
def tws(script: MarketScript, settings: dict[str, Any]) -> Iterator[Tws]:
    """A gateway at the first moment of the script, on a thread of its own."""
    tws = Tws(Gateway(market=script, clock=ManualClock(nanoseconds(OPENED_AT)), **settings))
    with tws.thread:
        yield tws


class Complaints(logging.Handler):
    """Log records of the client about unreadable messages, such as one with an extra field."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Store one."""
        self.texts.append(record.getMessage())


@pytest.fixture(autouse=True)
def _client_understands() -> Iterator[None]:
    """Fails the test if the client logs a complaint."""
    complaints = Complaints()
    logging.getLogger("ibapi").addHandler(complaints)
    yield
    logging.getLogger("ibapi").removeHandler(complaints)
    assert complaints.texts == []


@pytest.fixture
def dial(tws: Tws) -> Iterator[Dial]:
    clients: list[Official] = []

    def dial(client_id: int = 1) -> Official:
        client = Official(tws.port, client_id)
        clients.append(client)
        # The last of the first messages to every client.
        client.wait_for("error", errorCode=2158)
        return client

    yield dial
    for client in clients:
        client.end()


@pytest.fixture
def client(dial: Dial) -> Official:
    """Return an official client, connected as client 1."""
    return dial(1)


@pytest.fixture
def official() -> type[Official]:
    """Return a factory of clients without a wait for their start."""
    return Official
