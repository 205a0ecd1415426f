"""What a desk answers with: plain values, which any process may hold.

Times are ns UTC; a figure that is not known is None.
"""

from __future__ import annotations

import msgspec

from ibdesk.model import Link


class DeskHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How a desk is doing; `halted` is the reason of a halt or empty, times are in seconds."""

    link: Link
    address: str
    account: str
    mode: str
    halted: str
    uptime_seconds: float
    events: int
    orders: int
    open_orders: int
    fills: int
    running: int
    reconnects: int
    messages_sent: int
    messages_waiting: int
    journal: str


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A run as people see it; `bar` is its bar length in words, `started_ns` ns UTC."""

    run_id: str
    class_name: str
    path: str
    sha256: str
    parameters: dict[str, object]
    symbols: list[str]
    bar: str
    state: str
    started_ns: int
    note: str


class OrderInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An order as people see it; `by` and `client_key` are empty for an order of a strategy."""

    id: str
    owner: str
    symbol: str
    side: str
    quantity: float
    filled: float
    type: str
    limit_price: float | None
    stop_price: float | None
    time_in_force: str
    status: str
    average_price: float | None
    reason: str
    by: str
    client_key: str
    correlation_id: str
    created_ns: int
    updated_ns: int
