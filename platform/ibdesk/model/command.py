"""Commands: what people ask of the engine. Run a strategy, trade by hand, halt, change limits.

A command is an event like any other, so it is journaled and replayed. `by` names the person who asks (``operator``
if no name is given). `correlation_id` names the outside request that led to the command; orders that the command
causes keep it, so one search in the logs follows it to the venue. It is empty if there was no request.
"""

from __future__ import annotations

import enum
from typing import Any, Self

import msgspec

from ibdesk.model.budget import NO_BUDGET, RunBudget
from ibdesk.model.halt import DESK_SCOPE, Halt, TradingState
from ibdesk.model.instrument import AnyInstrument
from ibdesk.model.order import OrderType, Side, TimeInForce, WhenClosed

OPERATOR = "operator"
"""The value of `by` if no name is given."""


class StrategySource(msgspec.Struct, frozen=True):
    """The code that a run executes: the file, the class in it, and the sha256 of the file's bytes (hex).

    A class that was not loaded from a file has an empty `path` and `sha256`; such a run cannot be replayed.
    """

    class_name: str
    path: str = ""
    sha256: str = ""


class BarHistory(msgspec.Struct, frozen=True):
    """Past bars of one instrument by column, oldest first; the first one is the anchor of the features."""

    instrument: str
    interval_ns: int
    opened_ns: list[int]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]


class BarSource(enum.Enum):
    """The data that the bars of a run are built from."""

    BARS = "bars"
    TICKS = "ticks"
    QUOTES = "quotes"


class StartStrategy(msgspec.Struct, frozen=True, kw_only=True, tag="start_strategy"):
    """Run a strategy on some instruments, on bars of `interval_ns`.

    `history` of that interval warms up the features; history of a shorter interval belongs to the bar in progress.
    `cash` is the money allotted to the run, in the account's currency. `state` is the state that an earlier run left.
    `name` distinguishes runs that are otherwise alike; it is usually empty. With `whole_bars` the run decides at the
    close of each bar that arrives, whatever its length, because bars of different instruments can differ in length.
    `budget` holds the limits of the run.
    """

    run_id: str
    source: StrategySource
    parameters: dict[str, Any]
    instruments: list[AnyInstrument]
    interval_ns: int
    at_ns: int
    bar_source: BarSource = BarSource.BARS
    whole_bars: bool = False
    history: list[BarHistory] = []
    cash: float = 0.0
    state: dict[str, Any] = {}
    name: str = ""
    budget: RunBudget = NO_BUDGET
    by: str = OPERATOR
    correlation_id: str = ""


class StopStrategy(msgspec.Struct, frozen=True, tag="stop_strategy"):
    """End a run: cancel its open orders and, with `flatten`, close its positions."""

    run_id: str
    at_ns: int
    flatten: bool = False
    by: str = OPERATOR
    correlation_id: str = ""


class ChangeParameters(msgspec.Struct, frozen=True, kw_only=True, tag="change_parameters"):
    """Continue a run with other parameters; `parameters` holds all of them, also the unchanged ones."""

    run_id: str
    parameters: dict[str, Any]
    at_ns: int
    by: str = OPERATOR
    correlation_id: str = ""


class ChangeLimits(msgspec.Struct, frozen=True, kw_only=True, tag="change_limits"):
    """Continue under other limits of the risk gate; `limits` holds all of them by name, infinity switches one off."""

    limits: dict[str, float | str | bool]
    at_ns: int
    by: str = OPERATOR
    correlation_id: str = ""


class HaltTrading(msgspec.Struct, frozen=True, tag="halt_trading"):
    """Deny every order that does not reduce a position, until a person resumes trading.

    `scope` and `state` are those of the `Halt`. `id` and `rule` are those of a halt that another process has made for
    the account; without an id the engine makes a new halt.
    """

    reason: str
    at_ns: int
    by: str = OPERATOR
    correlation_id: str = ""
    scope: str = DESK_SCOPE
    state: TradingState = TradingState.HALTED
    id: str = ""
    rule: str = ""

    @classmethod
    def of(cls, halt: Halt, at_ns: int) -> Self:
        """Return the command that applies an existing halt."""
        return cls(halt.reason, at_ns, halt.by, scope=halt.scope, state=halt.state, id=halt.id, rule=halt.rule)


class ResumeTrading(msgspec.Struct, frozen=True, tag="resume_trading"):
    """Lift the halt `id` and no other; `reason` says why."""

    id: str
    reason: str
    at_ns: int
    by: str = OPERATOR
    correlation_id: str = ""


class WatchMarket(msgspec.Struct, frozen=True, tag="watch_market"):
    """Keep the prices of an instrument from now on: the risk gate needs them for orders by hand."""

    instrument: AnyInstrument
    at_ns: int
    by: str = OPERATOR
    correlation_id: str = ""


class PlaceRequest(msgspec.Struct, frozen=True, kw_only=True, tag="place_request"):
    """Place an order by hand, in the book `MANUAL`, which belongs to no strategy.

    `order_id` is new. `client_key` is the caller's own name for the order: of several requests with the same `by` and
    `client_key`, only the first places an order. Empty keys are not compared.
    """

    order_id: str
    instrument: AnyInstrument
    side: Side
    quantity: float
    at_ns: int
    order_type: OrderType = OrderType.MARKET
    limit_price: float | None = None
    stop_price: float | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    outside_regular_hours: bool = False
    when_closed: WhenClosed = WhenClosed.USUAL
    client_key: str = ""
    by: str = OPERATOR
    correlation_id: str = ""


class ModifyRequest(msgspec.Struct, frozen=True, kw_only=True, tag="modify_request"):
    """Change the terms of an open order, also of a run's order; None leaves a term unchanged."""

    order_id: str
    at_ns: int
    quantity: float | None = None
    limit_price: float | None = None
    stop_price: float | None = None
    by: str = OPERATOR
    correlation_id: str = ""


class CancelRequest(msgspec.Struct, frozen=True, tag="cancel_request"):
    """Cancel one open order; with an empty `order_id` all of them, or those of `owner` and in `symbol`."""

    order_id: str
    at_ns: int
    owner: str = ""
    symbol: str = ""
    by: str = OPERATOR
    correlation_id: str = ""


class AcceptExternal(msgspec.Struct, frozen=True, kw_only=True, tag="accept_external"):
    """Book the quantity that trades outside the desk closed to its holders, or to `owner` up to its position."""

    instrument: str
    at_ns: int
    owner: str = ""
    by: str = OPERATOR
    correlation_id: str = ""
