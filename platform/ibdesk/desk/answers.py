"""The desk's answers: plain values that can be sent to other processes.

Times are ns UTC; an unknown figure is None.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ibdesk.display import HtmlRepr, rows_html
from ibdesk.model import Link, VenueWindow, moment
from ibdesk.store.lease_health import LeaseHealth
from ibdesk.store.redis import RedisHealth
from ibdesk.telemetry import TaskInfo, Vitals


class WindowInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A planned absence of TWS: opening orders end at `guard_ns`; TWS is expected back at `ends_ns`."""

    kind: str
    guard_ns: int
    begins_ns: int
    ends_ns: int

    @classmethod
    def of(cls, window: VenueWindow | None) -> WindowInfo | None:
        """Return the answer for a window."""
        if window is None:
            return None
        return cls(kind=window.kind.value, guard_ns=window.guard_ns, begins_ns=window.begins_ns, ends_ns=window.ends_ns)

    @property
    def words(self) -> str:
        """Return kind and times as text."""
        begins, ends = moment(self.begins_ns), moment(self.ends_ns)
        return f"{self.kind.replace('_', ' ')} {begins:%a %H:%M} to {ends:%a %H:%M} UTC"


class DeskHealth(HtmlRepr, msgspec.Struct, frozen=True, kw_only=True):
    """The state of a desk.

    `halted` lists the reasons of all halts, `halt_ids` their ids. `differences` counts the differences between books
    and account (see `reconciliation`), last compared at `compared_ns` (ns UTC, 0 before the first time);
    `comparison_fault` is empty unless that comparison was incomplete. `window` is the current or next window in which
    orders that open a position are denied, None without a calendar. `clock_drift_seconds` is how far this machine's
    clock is ahead of TWS's, None before the first measurement.
    """

    link: Link
    address: str
    account: str
    mode: str
    halted: str
    halt_ids: list[str]
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
    differences: int
    compared_ns: int
    comparison_fault: str
    window: WindowInfo | None = None
    clock_drift_seconds: float | None = None


class ProcessInfo(HtmlRepr, msgspec.Struct, frozen=True, kw_only=True):
    """The state of a desk's process: its resources, its background work, its pools of connections to Redis.

    `lease` is its position among the engines of the account, None without an election.
    """

    vitals: Vitals
    tasks: list[TaskInfo]
    pools: list[RedisHealth]
    lease: LeaseHealth | None


class RunInfo(HtmlRepr, msgspec.Struct, frozen=True, kw_only=True):
    """A run; `bar` is its bar length in words, `started_ns` is ns UTC."""

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


class RunList(list[RunInfo]):
    """Runs, oldest first; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        return rows_html("Runs", self, names=("run_id", "symbols", "bar", "parameters", "state", "started_ns", "note"))


class OrderInfo(HtmlRepr, msgspec.Struct, frozen=True, kw_only=True):
    """An order; `by` and `client_key` are empty for an order of a strategy."""

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
    version: int
    pending: str
    pending_ns: int | None
    created_ns: int
    updated_ns: int


class LaneInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A run on one instrument; `exposure` is the position plus the pending entries.

    `bar` is the last closed bar that it decided on, by column, and `features` are the values at that bar.
    """

    symbol: str
    quantity: float
    average_price: float
    exposure: float
    last_price: float | None
    mark_price: float | None
    unrealized_pnl: float | None
    realized_pnl: float
    bar: dict[str, float | int] | None
    features: dict[str, float | None]


class RunDetail(HtmlRepr, msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a run: `kept` is its strategy's `state`, `pnl` its profit at the last prices."""

    run: RunInfo
    kept: dict[str, Any]
    cash: float
    pnl: float
    orders_made: int
    lanes: list[LaneInfo]
    open_orders: list[OrderInfo]


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a run's log; `number` is its event's number in the journal, for the next request."""

    number: int
    at_ns: int
    severity: str
    text: str


class RunLog(HtmlRepr, msgspec.Struct, frozen=True, kw_only=True):
    """Lines of a run's log, oldest first; pass `next` as `before` for older ones, 0 means there are none."""

    lines: list[LogLine]
    next: int


class InstrumentInfo(HtmlRepr, msgspec.Struct, frozen=True, kw_only=True):
    """An instrument with its terms at TWS; `name` is its name in orders, runs and history.

    `multiplier` is the money gained per unit of price and quantity, `session` the regular hours in words.
    """

    name: str
    kind: str
    symbol: str
    exchange: str
    currency: str
    tick_size: float
    multiplier: float
    zone: str
    session: str


class HaltInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A halt of trading: its reason, its maker and its time; `id` is needed to lift it.

    `scope` is ``desk``, ``run:<id>`` or ``instrument:<id>``; `state` is ``reducing`` or ``halted``.
    """

    id: str
    reason: str
    by: str
    at_ns: int
    scope: str
    state: str


class ExposureInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An owner's position and pending entries in an instrument; `value` is the exposure at the mark price.

    `pending` is the quantity of entries; protective orders do not count. `highest` and `lowest` are the positions to
    which all open orders may lead, limited by `max_position`; a stop and a limit that protect one position count once.
    `last_price` is the price of the last trade, `mark_price` the middle of the quote if that is newer.
    """

    owner: str
    symbol: str
    held: float
    pending: float
    exposure: float
    highest: float
    lowest: float
    last_price: float | None
    mark_price: float | None
    value: float | None


class BookRow(msgspec.Struct, frozen=True, kw_only=True):
    """A position of an owner by the books; `con_id` is IB's number of the contract, 0 if it is not known."""

    owner: str
    symbol: str
    con_id: int
    quantity: float


class BooksInfo(HtmlRepr, msgspec.Struct, frozen=True, kw_only=True):
    """Every position of every book, with foreign positions under ``external``, and the executions booked last."""

    rows: list[BookRow]
    executions: list[str]


class RiskInfo(HtmlRepr, msgspec.Struct, frozen=True, kw_only=True):
    """The limits of the risk gate, how much of them is used, and whether trading is halted.

    `halts` are the current halts, oldest first, empty while trading continues. `limits` are by name, None if a rule is
    off; `changed` says whether they differ from the settings. `day_loss` is positive for a loss, None while no day is
    counted; that day ends at `day_ends_ns`. `uncovered` is the quantity of the books' positions that the account does
    not hold, by instrument: see `accept_external`.
    """

    limits: dict[str, float | str | bool | None]
    changed: bool
    halts: list[HaltInfo]
    link_up: bool
    day_loss: float | None
    day_ends_ns: int
    orders_last_second: int
    exposures: list[ExposureInfo]
    uncovered: dict[str, float]
