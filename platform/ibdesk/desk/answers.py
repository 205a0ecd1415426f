"""What a desk answers with: plain values, which any process may hold.

Times are ns UTC; a figure that is not known is None.
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
    """A window in which TWS is away by plan: opening orders end at `guard_ns`; it is to be back at `ends_ns`."""

    kind: str
    guard_ns: int
    begins_ns: int
    ends_ns: int

    @classmethod
    def of(cls, window: VenueWindow | None) -> WindowInfo | None:
        """Return what people see of a window."""
        if window is None:
            return None
        return cls(kind=window.kind.value, guard_ns=window.guard_ns, begins_ns=window.begins_ns, ends_ns=window.ends_ns)

    @property
    def words(self) -> str:
        """Return kind and times, for people."""
        begins, ends = moment(self.begins_ns), moment(self.ends_ns)
        return f"{self.kind.replace('_', ' ')} {begins:%a %H:%M} to {ends:%a %H:%M} UTC"


class DeskHealth(HtmlRepr, msgspec.Struct, frozen=True, kw_only=True):
    """How a desk is doing; `halted` has the reasons of all halts, `halt_ids` what lifts them, times are in seconds.

    `differences` counts those between books and account (see `reconciliation`), which were compared last at
    `compared_ns` (ns UTC, 0 before the first time); `comparison_fault` is empty unless that was incomplete.
    `window` is the one that runs or comes next, in which orders that open a position are denied, None without a
    calendar. `clock_drift_seconds` is how far this machine's clock is ahead of TWS's, None while that is not measured.
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
    """How the process is that a desk lives in: itself, its background work, its pools of connections to Redis.

    `lease` is how it stands to the other engines of the account, None where none are elected.
    """

    vitals: Vitals
    tasks: list[TaskInfo]
    pools: list[RedisHealth]
    lease: LeaseHealth | None


class RunInfo(HtmlRepr, msgspec.Struct, frozen=True, kw_only=True):
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


class RunList(list[RunInfo]):
    """Runs, oldest first; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        return rows_html("Runs", self, names=("run_id", "symbols", "bar", "parameters", "state", "started_ns", "note"))


class OrderInfo(HtmlRepr, msgspec.Struct, frozen=True, kw_only=True):
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
    version: int
    pending: str
    pending_ns: int | None
    created_ns: int
    updated_ns: int


class LaneInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A run on one instrument; `exposure` is the position plus the entries that are pending.

    `bar` is the last closed bar it decided on, by column, and `features` what it saw there.
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
    """Something a run said, did or suffered; `number` is that of its event in the journal, for the next question."""

    number: int
    at_ns: int
    severity: str
    text: str


class RunLog(HtmlRepr, msgspec.Struct, frozen=True, kw_only=True):
    """Lines of a run, oldest first; `next` is what to ask on with as `before`, 0 when there are no older ones."""

    lines: list[LogLine]
    next: int


class InstrumentInfo(HtmlRepr, msgspec.Struct, frozen=True, kw_only=True):
    """What TWS knows of an instrument; `name` is what orders, runs and history take.

    `multiplier` is money gained per unit of price and quantity; `session` the regular hours in words.
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
    """Why trading is halted, by whom and since when; `id` is what lifts it.

    `scope` is ``desk``, ``run:<id>`` or ``instrument:<id>``; `state` is ``reducing`` or ``halted``.
    """

    id: str
    reason: str
    by: str
    at_ns: int
    scope: str
    state: str


class ExposureInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What an owner holds of an instrument and has on the way; `value` is the exposure's at the mark price.

    `pending` are the entries: orders that protect what is held are none. `highest` and `lowest` are the positions that
    all open orders may lead to, which `max_position` limits; a stop and a limit that protect one position count once.
    `last_price` is that of the last trade, `mark_price` the middle of the quote where that is the freshest.
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
    """What an owner holds by the books; `con_id` is IB's number of the contract, 0 where it is not known."""

    owner: str
    symbol: str
    con_id: int
    quantity: float


class BooksInfo(HtmlRepr, msgspec.Struct, frozen=True, kw_only=True):
    """Every position of every book, those that are not ours under ``external``, and the executions booked last."""

    rows: list[BookRow]
    executions: list[str]


class RiskInfo(HtmlRepr, msgspec.Struct, frozen=True, kw_only=True):
    """The limits of the risk gate, how much of them is used, and whether trading is halted.

    `halts` are those that hold, oldest first, none while trading goes on. `limits` are by name, None where a rule is
    off; `changed` says whether they differ from the settings. `day_loss` is positive when money was lost, None while
    no day is counted; that day ends at `day_ends_ns`.
    `uncovered` is what of the books' positions the account does not have, by instrument: see `accept_external`.
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
