"""The library under test, its clients on the gateway's port, and a check of its log."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from ibdesk.gateway import Gateway

SECONDS = 10.0
"""The maximum wait for a message; the first request for trading hours reads calendars for a second."""
FARMS_ARE_OK = frozenset({2104, 2106, 2158})
"""TWS's first messages to every client."""

Connect = Callable[..., Awaitable[Any]]
Check = Callable[[], object]


def _library(name: str) -> ModuleType:
    if name != "ib_insync":
        return importlib.import_module(name)
    # Its eventkit asks for the thread's event loop when it is imported.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    module = importlib.import_module(name)
    asyncio.set_event_loop(None)
    loop.close()
    return module


LIBRARY = _library(os.environ.get("IBDESK_CLIENT", "ib_async"))


@pytest.fixture(scope="session")
def ib() -> ModuleType:
    """Return the library: ib_async, or the one that IBDESK_CLIENT names."""
    return LIBRARY


@pytest.fixture
def announced() -> set[int]:
    """Return the error codes that this test expects; 202 is how TWS confirms a cancel."""
    return {202}


@pytest.fixture
def excused() -> list[str]:
    """Return how further log lines that the library may write as errors in this test begin."""
    return []


@pytest.fixture
def errors() -> list[tuple[int, int, str]]:
    """Return the errors to the clients, in order: request or order id, code, text."""
    return []


@pytest.fixture
def watch(
    ib: ModuleType,
    caplog: pytest.LogCaptureFixture,
    announced: set[int],
    excused: list[str],
    errors: list[tuple[int, int, str]],
) -> Iterator[None]:
    """Fail the test if the library logs an error, or receives a code, that the test did not announce.

    An unanswered request of the start-up is such an error: "... request timed out". So is an error that the gateway, or
    asyncio for it, logs.
    """
    caplog.set_level(logging.WARNING, logger=ib.__name__)
    yield
    assert [error for error in errors if error[1] not in announced | FARMS_ARE_OK] == []
    known = (*(f"Error {code}," for code in announced), *excused)
    logged = [
        record.getMessage()
        for record in (*caplog.get_records("setup"), *caplog.get_records("call"))
        if record.name.split(".")[0] in (ib.__name__, "ibdesk", "asyncio") and record.levelno >= logging.ERROR
    ]
    assert [message for message in logged if not message.startswith(known)] == []


@pytest.fixture
async def connect(
    ib: ModuleType, gateway: Gateway, watch: None, errors: list[tuple[int, int, str]]
) -> AsyncIterator[Connect]:
    """Connect clients to the gateway, with their whole start-up."""
    clients: list[Any] = []

    async def connect(client_id: int = 1, *, seconds: float = SECONDS) -> Any:
        client = ib.IB()
        clients.append(client)
        client.errorEvent += lambda request_id, code, text, *_more: errors.append((request_id, code, text))
        await client.connectAsync("127.0.0.1", gateway.port, clientId=client_id, timeout=seconds)
        return client

    yield connect
    for client in clients:
        client.disconnect()


@pytest.fixture
async def client(connect: Connect) -> Any:
    """Return a client, connected as client 1."""
    return await connect(1)


@pytest.fixture
async def aapl(ib: ModuleType, client: Any) -> Any:
    """Return AAPL as the gateway qualifies it."""
    [contract] = await client.qualifyContractsAsync(ib.Stock("AAPL", "SMART", "USD"))
    return contract


@pytest.fixture
def until() -> Callable[[Any, Check], Awaitable[None]]:
    """Return a function that waits until a check holds; it is evaluated again after each message to the client."""

    async def until(client: Any, check: Check) -> None:
        async with asyncio.timeout(SECONDS):
            while not check():
                await client.updateEvent

    return until


@pytest.fixture
def reached(client: Any, until: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Return a function that waits until an order of client 1 has one of some statuses."""

    async def reached(trade: Any, *statuses: str) -> None:
        await until(client, lambda: trade.orderStatus.status in statuses)

    return reached


@pytest.fixture
def move(gateway: Gateway) -> Callable[..., None]:
    """Return a function that moves a share to a price: a trade at it, and a quote from the cent below to it."""

    def move(price: float, *, symbol: str = "AAPL") -> None:
        gateway.quote(symbol, round(price - 0.01, 2), price, bid_size=1000, ask_size=1000)
        gateway.trade(symbol, price, 100)

    return move


@pytest.fixture
def shown(connect: Connect) -> Callable[[], Awaitable[list[Any]]]:
    """Return a function in which a new client requests all open orders, as the gateway shows them.

    The client that placed an order keeps its own values for most terms, whatever the reports say.
    """

    async def shown() -> list[Any]:
        other = await connect(99)
        orders: list[Any] = await other.reqAllOpenOrdersAsync()
        other.disconnect()
        return orders

    return shown


@pytest.fixture
def raw() -> Callable[[Any, int], list[list[str]]]:
    """Return a function that notes the fields of messages which the libraries decode and drop."""

    def raw(client: Any, number: int) -> list[list[str]]:
        heard: list[list[str]] = []
        handlers = client.client.decoder.handlers
        handle = handlers[number]

        def note(fields: list[str]) -> None:
            heard.append(list(fields[1:]))
            handle(fields)

        handlers[number] = note
        return heard

    return raw
