"""A gateway with a market whose every price is known, clients on its port, and a watch on the clients' logs."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import ib_async as ib
import polars as pl
import pytest

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway, Replay
from ibdesk.model import nanoseconds

OPENED_AT = dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)
SECONDS = 5.0

Connect = Callable[..., Awaitable[ib.IB]]

# What trades: each row is played over five seconds, open, then the extreme nearer to it, the other, close.
# A quote stands around every trade, one cent wide: at 100.00 it is 99.99 to 100.00.
AAPL_ROWS = [
    (99.00, 101.00, 98.00, 100.00, 400.0),
    (100.00, 102.00, 99.00, 101.00, 1000.0),
    (101.00, 103.00, 100.50, 102.50, 801.0),
    (102.50, 104.00, 102.00, 103.00, 1200.0),
]
EURUSD_ROWS = [(1.1, 1.2, 1.0, 1.15, 0.0)] * 4


def bar_frame(rows: dict[str, list[tuple[float, ...]]], *, step: dt.timedelta) -> pl.DataFrame:
    """Return a bar frame in which every symbol's rows follow one another by `step`."""
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


@pytest.fixture
def market() -> Replay:
    """One row of AAPL and EUR.USD in the past, three to come."""
    frame = bar_frame({"AAPL": AAPL_ROWS, "EUR.USD": EURUSD_ROWS}, step=dt.timedelta(seconds=5))
    return Replay(frame, start=1)


@pytest.fixture
async def gateway(market: Replay) -> AsyncIterator[Gateway]:
    """A gateway at the first moment of row 1; `advance` moves its clock."""
    async with Gateway(market=market, clock=ManualClock(nanoseconds(OPENED_AT))) as running:
        yield running


@pytest.fixture
def tolerated() -> set[int]:
    """Error codes that a client may log as errors in this test; 202 is how TWS confirms a cancel."""
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


async def until(client: ib.IB, check: Callable[[], object]) -> None:
    """Wait until `check` is true; it is asked again after everything that arrives."""
    async with asyncio.timeout(SECONDS):
        while not check():
            await client.updateEvent


@pytest.fixture
async def aapl(client: ib.IB) -> ib.Contract:
    """Return AAPL as the gateway qualifies it."""
    [contract] = await client.qualifyContractsAsync(ib.Stock("AAPL", "SMART", "USD"))
    assert isinstance(contract, ib.Contract)
    return contract
