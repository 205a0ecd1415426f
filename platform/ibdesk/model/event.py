"""Events: every input of the engine, in order.

`Bar`, `Quote`, `Tick`, `Fill` and `Commission` are events as they are; commands are in `command`; all others are
here. Each carries `at_ns`, the time at which it happened (ns UTC): the engine has no other clock.
`encode_event` and `decode_event` are the journal's form.
"""

from __future__ import annotations

import enum
import math
from typing import Any, get_args

import msgspec

from ibdesk.model.account import Account
from ibdesk.model.aim import Aim
from ibdesk.model.bar import Bar
from ibdesk.model.command import (
    AcceptExternal,
    CancelRequest,
    ChangeLimits,
    ChangeParameters,
    HaltTrading,
    ModifyRequest,
    PlaceRequest,
    ResumeTrading,
    StartStrategy,
    StopStrategy,
    WatchMarket,
)
from ibdesk.model.comparison import BooksCompared, CashCounted
from ibdesk.model.fill import Commission, Fill
from ibdesk.model.halt import Halt
from ibdesk.model.instrument import AnyInstrument
from ibdesk.model.link import Link
from ibdesk.model.order import Order, OrderStatus
from ibdesk.model.position import Position
from ibdesk.model.quote import Quote, Tick
from ibdesk.model.venue_day import ClockChecked, TradingHours, VenueWindow


class OrderReport(msgspec.Struct, frozen=True, kw_only=True, tag="order_report"):
    """The venue's report on an order of ours. It is never a source of fills: those are executions.

    `quantity`, `limit_price` and `stop_price` are the terms that the venue works, None if it did not report them.
    `by_other` says that another program or person withdrew the order or changed its terms.
    """

    order_id: str
    status: OrderStatus
    at_ns: int
    permanent_id: int = 0
    reason: str = ""
    quantity: float | None = None
    limit_price: float | None = None
    stop_price: float | None = None
    by_other: bool = False


class OrderFound(msgspec.Struct, frozen=True, tag="order_found"):
    """The venue has an order of an earlier generation that our record lacks, for example after a loss of power.

    `order` is UNKNOWN and without fills: reports and executions follow.
    """

    order: Order
    instrument: AnyInstrument
    at_ns: int


class PositionReport(msgspec.Struct, frozen=True, tag="position_report"):
    """The whole account's position in one instrument, as the venue reports it.

    `average_price` is NaN if the venue does not report it. `confirmed` says that the position still stands after the
    venue was asked for executions and then again for positions: any part that no book explains was traded elsewhere.
    `doubtful` says that the venue may be late: the engine concludes nothing from it.
    """

    instrument: str
    quantity: float
    average_price: float
    at_ns: int
    confirmed: bool = False
    doubtful: bool = False


class AccountReport(msgspec.Struct, frozen=True, tag="account_report"):
    """The account's own figures."""

    account: Account
    at_ns: int


class LinkChanged(msgspec.Struct, frozen=True, tag="link_changed"):
    """The connection to TWS changed its state."""

    link: Link
    at_ns: int
    detail: str = ""


class TimerFired(msgspec.Struct, frozen=True, tag="timer_fired"):
    """A timer that a strategy set is due."""

    timer_id: str
    at_ns: int


class ClockRead(msgspec.Struct, frozen=True, tag="clock_read"):
    """The desk's clock, sent before events that carry another time: the close of a bar, a timer's due time.

    `speed` is the number of seconds of this clock per second of wall time. If it is never sent, as in a backtest, the
    time is that of the events.
    """

    at_ns: int
    speed: float = 1.0


class Stalled(msgspec.Struct, frozen=True, tag="stalled"):
    """The desk's process stood still for `seconds` of wall time: it was stopped, swapped out, or asleep.

    The engine takes in what arrived meanwhile without deciding, until the books are compared and the link is UP again.
    """

    seconds: float
    at_ns: int


class MarketHalted(msgspec.Struct, frozen=True, tag="market_halted"):
    """The venue halted trading in an instrument, or resumed it (`is_halted` is False)."""

    instrument: str
    at_ns: int
    is_halted: bool = True


class RunMarks(msgspec.Struct, frozen=True):
    """The profits that losses of a run are measured from: at the start of the day, and the highest so far."""

    day_pnl: float
    peak: float


class Valuation(msgspec.Struct, frozen=True):
    """The prices and rates at which profits were counted, for a new generation that has no prices yet.

    `prices` are those of held instruments; `rates` are the worth of one unit of each other currency in `currency`, the
    account's. `currencies` are those of instruments in the books that trade in another currency.
    """

    currency: str = ""
    prices: dict[str, float] = {}
    rates: dict[str, float] = {}
    currencies: dict[str, str] = {}


class DayBegan(msgspec.Struct, frozen=True, tag="day_began"):
    """The profits that losses of the day ending at `ends_ns` are measured from; recorded for the next generation.

    `pnl` is the account's profit at the start of the day, `peak` its highest since, `runs` those of runs with their own
    limits. The event is repeated when a peak has risen. `valuation` is that of the time when it was recorded.
    """

    pnl: float
    ends_ns: int
    at_ns: int
    peak: float = -math.inf
    runs: dict[str, RunMarks] = {}
    valuation: Valuation = Valuation()


class BookSnapshot(msgspec.Struct, frozen=True):
    """The book of one owner: its cash and all its positions, also closed ones."""

    owner: str
    cash: float
    positions: list[Position]


class FillSnapshot(msgspec.Struct, frozen=True):
    """An execution that is already booked, the owner of that book, and its commission if known.

    `commission_currency` is empty if it is not known.
    """

    fill: Fill
    owner: str
    commission: float | None = None
    commission_currency: str = ""


class RunSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A run of an earlier generation: its start command (without history) and its state.

    `was_running` says whether it still ran at the end; `orders_made` is the number of its last order; `state` is its
    strategy's last good state; `aims` are the positions that it was moving to, by instrument.
    """

    start: StartStrategy
    was_running: bool
    note: str
    orders_made: int
    state: dict[str, Any]
    aims: dict[str, Aim] = {}


class EngineSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an engine that the next generation restores; it is computed from the journal.

    `orders` are those that may still fill and those that ended in the last days; `fills` are those of the last days:
    TWS may report them again. `halts` are those in force, oldest first; `halts_made` is the number of the newest halt
    ever made. Fields that begin with `day_` are those of the last `DayBegan`. `instruments` are those traded by hand;
    those of runs are in their start commands. `limits` are those of the risk gate if they were changed at run time,
    and `limits_before` those of the settings then; otherwise both are empty. `uncovered` are the quantities, by
    instrument, of our positions that trades outside the desk closed and that no person has accepted yet. `withdrawn`
    are the open orders with a pending cancel. `cash` is the account's money by currency as the record explains it.
    `overruled` are the open orders that a person has changed at the broker, and whether each opened a position.
    `manual_exits` are the instruments in which a limit closes the position that was ordered by hand.
    """

    books: list[BookSnapshot] = []
    orders: list[Order] = []
    fills: list[FillSnapshot] = []
    runs: list[RunSnapshot] = []
    halts: list[Halt] = []
    halts_made: int = 0
    day_pnl: float = 0.0
    day_ends_ns: int = 0
    day_peak: float = -math.inf
    day_runs: dict[str, RunMarks] = {}
    day_valuation: Valuation = Valuation()
    instruments: list[AnyInstrument] = []
    limits: dict[str, float | str | bool] = {}
    limits_before: dict[str, float | str | bool] = {}
    uncovered: dict[str, float] = {}
    withdrawn: list[str] = []
    cash: dict[str, float] = {}
    overruled: dict[str, bool] = {}
    manual_exits: dict[str, Aim] = {}


class Restore(msgspec.Struct, frozen=True, kw_only=True, tag="restore"):
    """The desk continues on this account from the journal `earlier`, a file in the same folder.

    `earlier` and the snapshot are empty if there is no earlier journal. `client_id` is the earlier desk's at TWS.
    """

    account: str
    at_ns: int
    earlier: str = ""
    client_id: int = 0
    snapshot: EngineSnapshot = EngineSnapshot()


class Severity(enum.Enum):
    """The importance of an alert."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class RunInterrupted(msgspec.Struct, frozen=True, tag="run_interrupted"):
    """The code of a run did not return in time in the event that follows, and was interrupted there.

    It is only recorded, before that event: a replay measures no time, and ends the run at the same point. `call` is
    the number of the interrupted call among all calls of the engine; 0 is a read of the market, -1 a read of the
    state of the run's strategy. `note` names the place in the code. `halts` are those that the event had made by then,
    for example because the call was denied the same order too often: they stay, although the call is undone.
    """

    run_id: str
    call: int
    note: str
    at_ns: int
    halts: list[Halt] = []


class Notice(msgspec.Struct, frozen=True, tag="notice"):
    """A message of TWS or the link that changes no state and is kept in the journal."""

    text: str
    at_ns: int
    severity: Severity = Severity.INFO


Event = (
    Bar
    | Quote
    | Tick
    | Fill
    | Commission
    | OrderReport
    | OrderFound
    | PositionReport
    | AccountReport
    | LinkChanged
    | TimerFired
    | StartStrategy
    | StopStrategy
    | ChangeParameters
    | ChangeLimits
    | HaltTrading
    | ResumeTrading
    | WatchMarket
    | PlaceRequest
    | ModifyRequest
    | CancelRequest
    | AcceptExternal
    | ClockRead
    | Stalled
    | MarketHalted
    | DayBegan
    | Restore
    | VenueWindow
    | ClockChecked
    | TradingHours
    | RunInterrupted
    | BooksCompared
    | CashCounted
    | Notice
)

EVENT_KINDS = tuple(sorted(str(kind.__struct_config__.tag) for kind in get_args(Event)))
"""The kinds of events, as named in the journal."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)


# Raised by `encode_event` and `encode_actions` if a value has no journal form.
UNENCODABLE = (TypeError, ValueError, OverflowError, RecursionError)


def encode_event(event: Event) -> bytes:
    """Return the event's journal form (msgpack, equal events give equal bytes)."""
    return _ENCODER.encode(event)


def encode_kind(kind: str) -> bytes:
    """Return the bytes that the journal form of every event of a kind, such as ``fill``, contains."""
    return _ENCODER.encode({"type": kind})[1:]


def decode_event(data: bytes) -> Event:
    """Return the event that `data` encodes.

    Raises:
        msgspec.DecodeError: If `data` is not an event.
    """
    return _DECODER.decode(data)
