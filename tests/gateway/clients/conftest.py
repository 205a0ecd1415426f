"""Acceptance suites: foreign TWS clients, unmodified, against the gateway over a real socket.

Each client trades in a market of known prices, so that the numbers in the tests are worked out by hand.

* `suite/` is one suite for ib_async and ib_insync, whose API is nearly the same. The library is the fixture `ib`:
  ib_async, or what the environment variable IBDESK_CLIENT names.
* `test_clients_ib_insync.py` runs that suite once more with ib_insync, in a process of its own: the libraries need
  different versions of the module ``eventkit``, so ib_insync is in the folder `.venv/clients`.
* `official/` is the suite of IB's own client.

To add a client:

1. Make it installable: in the ``dev`` extra of pyproject.toml; or, if it cannot share an environment with the others,
   in a requirements file here, which `.ci/setup` installs into `.venv/clients`.
2. If it has ib_async's API, run `suite/` with it, as `test_clients_ib_insync.py` does. If not, give it a folder here
   with a conftest of its own: a fixture that connects it to the fixture `gateway`, which runs on the test's event
   loop, or to a `GatewayThread` if the client blocks; and a check that fails the test when the client logs an
   unexpected error.
3. Cover what `suite/` covers, file by file; the expected numbers follow from the markets below.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator

import polars as pl
import pytest

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway, MarketSource, Replay
from ibdesk.gateway.market.script import MarketScript
from ibdesk.model import nanoseconds

OPENED_AT = dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)
"""A Monday, half an hour after New York's opening."""

# The rows of `played`: open, high, low, close, volume. The first row is past; each other is played over five seconds as
# four trades: open, then the extreme nearer to it, the other, close. Each trade has a quote around it, one cent wide:
# at 100.00 it is 99.99 to 100.00.
ROWS = {
    "AAPL": [
        (99.00, 101.00, 98.00, 100.00, 400.0),
        (100.00, 102.00, 99.00, 101.00, 1000.0),
        (101.00, 103.00, 100.50, 102.50, 801.0),
        (102.50, 104.00, 102.00, 103.00, 1200.0),
    ],
    "EUR.USD": [(1.1, 1.2, 1.0, 1.15, 0.0)] * 4,
}


@pytest.fixture
def played() -> Replay:
    """Return a market that moves by itself, with one row in the past."""
    frame = pl.DataFrame(
        [
            (symbol, OPENED_AT + index * dt.timedelta(seconds=5), *row)
            for symbol, its_rows in ROWS.items()
            for index, row in enumerate(its_rows)
        ],
        schema={
            "symbol": pl.String,
            "opened_at": pl.Datetime("ns", "UTC"),
            **dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64),
        },
        orient="row",
    )
    return Replay(frame, start=1)


@pytest.fixture
def still() -> MarketScript:
    """Return a market that does not move until the test moves it: AAPL at 99.99 to 100.00, MSFT at 200.00 to 200.02."""
    script = MarketScript()
    for symbol, bid, ask in (("AAPL", 99.99, 100.00), ("MSFT", 200.00, 200.02)):
        script.quote(symbol, bid, ask, at=0, bid_size=1000, ask_size=1000).trade(symbol, ask, 100, at=0)
    return script.quote("EUR.USD", 1.1, 1.1001, at=0, bid_size=1e6, ask_size=1e6)


@pytest.fixture
def market(still: MarketScript) -> MarketSource:
    """Return the market of the gateway; a test file may override it."""
    return still


@pytest.fixture
def clock() -> ManualClock:
    """Return the gateway's clock."""
    return ManualClock(nanoseconds(OPENED_AT))


@pytest.fixture
async def gateway(market: MarketSource, clock: ManualClock) -> AsyncIterator[Gateway]:
    """Return a gateway at its market's first moment; `advance` moves its clock, `quote` and `trade` its market."""
    async with Gateway(market=market, clock=clock) as running:
        yield running
