"""What people ask of the engine: to run a strategy, to trade by hand, to halt, to change what is allowed.

A command is an event like any other, so it is journaled and replayed. `by` says who asks (``operator`` where nobody
in particular does). `correlation_id` names the request from outside that led to it, so that one search in the logs
follows it to the venue; it is empty where there was none, and orders that a command causes keep it.
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
"""Who asks, where nobody in particular does."""


class StrategySource(msgspec.Struct, frozen=True):
    """Which code a run executes: the file, the class in it, and the sha256 of the file's bytes (hex).

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
    """What the bars of a run are built from."""

    BARS = "bars"
    TICKS = "ticks"
    QUOTES = "quotes"


class StartStrategy(msgspec.Struct, frozen=True, kw_only=True, tag="start_strategy"):
    """Run a strategy on some instruments, on bars of `interval_ns`.

    `history` of that interval warms the features up; history of a shorter interval belongs to the bar in progress.
    `cash` is the money allotted to the run, in the account's currency. `state` is what an earlier run left. `name`
    tells runs apart that are alike in all else; it is empty for the usual one. With `whole_bars` each bar that comes
    is decided on at its close, whatever its length: those of some instruments are longer than those of others.
    `budget` is what the run may use of the account.
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
    """End a run; its open orders are cancelled, and with `flatten` its positions are closed."""

    run_id: str
    at_ns: int
    flatten: bool = False
    by: str = OPERATOR
    correlation_id: str = ""


class ChangeParameters(msgspec.Struct, frozen=True, kw_only=True, tag="change_parameters"):
    """Go on with a run under other parameters; `parameters` are all of them, those that stay too."""

    run_id: str
    parameters: dict[str, Any]
    at_ns: int
    by: str = OPERATOR
    correlation_id: str = ""


class ChangeLimits(msgspec.Struct, frozen=True, kw_only=True, tag="change_limits"):
    """Go on under other limits of the risk gate; `limits` are all of them by name, infinity switches a rule off."""

    limits: dict[str, float | str | bool]
    at_ns: int
    by: str = OPERATOR
    correlation_id: str = ""


class HaltTrading(msgspec.Struct, frozen=True, tag="halt_trading"):
    """Deny every order that does not reduce a position, until a person resumes; `by` is who wants it.

    `scope` and `state` are those of the `Halt`. `id` and `rule` are those of a halt of the account which another
    process has made; without an id the engine makes a new halt.
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
        """Return the command to hold a halt that has an id."""
        return cls(halt.reason, at_ns, halt.by, scope=halt.scope, state=halt.state, id=halt.id, rule=halt.rule)


class ResumeTrading(msgspec.Struct, frozen=True, tag="resume_trading"):
    """Lift the halt `id`, and no other; `reason` says why that is right."""

    id: str
    reason: str
    at_ns: int
    by: str = OPERATOR
    correlation_id: str = ""


class WatchMarket(msgspec.Struct, frozen=True, tag="watch_market"):
    """Keep the prices of an instrument from now on: what is ordered by hand needs them at the risk gate."""

    instrument: AnyInstrument
    at_ns: int
    by: str = OPERATOR
    correlation_id: str = ""


class PlaceRequest(msgspec.Struct, frozen=True, kw_only=True, tag="place_request"):
    """Place an order by hand, in the book `MANUAL` that belongs to no strategy.

    `order_id` is new; `client_key` is the caller's own name of its intent: of requests of one `by` with the same
    `client_key` only the first one places an order. An empty one is never the same.
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
    """Change the terms of an open order, by hand also those of a run's; what is None stays."""

    order_id: str
    at_ns: int
    quantity: float | None = None
    limit_price: float | None = None
    stop_price: float | None = None
    by: str = OPERATOR
    correlation_id: str = ""


class CancelRequest(msgspec.Struct, frozen=True, tag="cancel_request"):
    """Cancel one open order; when `order_id` is empty all of them, or those of `owner` and in `symbol`."""

    order_id: str
    at_ns: int
    owner: str = ""
    symbol: str = ""
    by: str = OPERATOR
    correlation_id: str = ""


class AcceptExternal(msgspec.Struct, frozen=True, kw_only=True, tag="accept_external"):
    """Book what trades outside the desk have closed to those who hold it, or as much as `owner` holds to that one."""

    instrument: str
    at_ns: int
    owner: str = ""
    by: str = OPERATOR
    correlation_id: str = ""
