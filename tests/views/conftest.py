"""Rows as the desk publishes them, with everything but the interesting columns filled in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ibdesk.store.feed import Row

FIVE_SECONDS = 5_000_000_000
START = 1_700_000_000_000_000_000

MakeRow = Callable[..., Row]


@pytest.fixture
def bar() -> MakeRow:
    """Return a maker of five-second bars: the n-th one closes at the given price."""

    def make(n: int, close: float, **columns: Any) -> Row:
        row = {
            "symbol": "AAPL",
            "opened_ns": START + n * FIVE_SECONDS,
            "interval_ns": FIVE_SECONDS,
            "open": 100.0,
            "high": 110.0,
            "low": 90.0,
            "close": close,
            "volume": 500.0,
        }
        return row | columns

    return make


@pytest.fixture
def indicator() -> MakeRow:
    """Return a maker of indicator values at the n-th bar."""

    def make(n: int, name: str, value: float | None, **columns: Any) -> Row:
        row = {"run_id": "run-1", "symbol": "AAPL", "opened_ns": START + n * FIVE_SECONDS, "name": name}
        return row | {"value": value} | columns

    return make


@pytest.fixture
def order() -> MakeRow:
    """Return a maker of market orders for 100 AAPL."""

    def make(number: int, status: str, **columns: Any) -> Row:
        row = {
            "id": f"order-{number}",
            "owner": "run-1",
            "symbol": "AAPL",
            "side": "buy",
            "quantity": 100.0,
            "filled": 0.0,
            "type": "market",
            "limit_price": None,
            "stop_price": None,
            "time_in_force": "day",
            "status": status,
            "average_price": None,
            "reason": "",
            "created_ns": START + number * FIVE_SECONDS,
            "updated_ns": START + number * FIVE_SECONDS,
        }
        return row | columns

    return make


@pytest.fixture
def fill() -> MakeRow:
    """Return a maker of fills of 100 AAPL at 101."""

    def make(number: int, **columns: Any) -> Row:
        row = {
            "execution_id": f"execution-{number}",
            "order_id": f"order-{number}",
            "owner": "run-1",
            "symbol": "AAPL",
            "side": "buy",
            "quantity": 100.0,
            "price": 101.0,
            "commission": None,
            "at_ns": START + number * FIVE_SECONDS,
        }
        return row | columns

    return make


@pytest.fixture
def position() -> MakeRow:
    """Return a maker of positions of run-1."""

    def make(symbol: str, quantity: float, **columns: Any) -> Row:
        row = {
            "owner": "run-1",
            "symbol": symbol,
            "quantity": quantity,
            "average_price": 100.0,
            "last_price": 101.0,
            "unrealized_pnl": 0.0,
            "realized_pnl": 0.0,
            "commission": 0.0,
        }
        return row | columns

    return make


@pytest.fixture
def quote() -> MakeRow:
    """Return a maker of quotes."""

    def make(symbol: str, bid: float | None, ask: float | None) -> Row:
        return {"symbol": symbol, "at_ns": START, "bid": bid, "ask": ask, "bid_size": 200.0, "ask_size": 300.0}

    return make
