"""What can happen to the engine: everything it ever learns, in the order it learns it.

`Bar`, `Quote`, `Tick`, `Fill` and `Commission` are events as they stand, what people ask stands in `command`; the
others are here. Each carries `at_ns`, the time at which it happened (ns UTC): the engine has no other clock.
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
    """What the venue said about an order of ours. Never a source of fills: those are executions.

    `quantity`, `limit_price` and `stop_price` are the terms as the venue works them, None where it did not say.
    `by_other` says that somebody else than this desk has withdrawn the order or changed its terms.
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
    """The venue has an order that an earlier life placed and our record lacks, as when its last moments were lost.

    `order` is UNKNOWN and without fills: reports and executions follow. `instrument` is what it trades.
    """

    order: Order
    instrument: AnyInstrument
    at_ns: int


class PositionReport(msgspec.Struct, frozen=True, tag="position_report"):
    """What the venue says the whole account holds in one instrument, whoever opened it.

    `average_price` is NaN where the venue does not say. `confirmed` says that it stands after the venue was asked for
    executions and then for positions anew: what no book explains of it was traded elsewhere. `doubtful` says that the
    venue may be late with it: nothing is to be concluded.
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
    """The connection to TWS went into another state."""

    link: Link
    at_ns: int
    detail: str = ""


class TimerFired(msgspec.Struct, frozen=True, tag="timer_fired"):
    """A timer that a strategy had set has come due."""

    timer_id: str
    at_ns: int


class ClockRead(msgspec.Struct, frozen=True, tag="clock_read"):
    """What the desk's clock shows now, told before events that carry another time: the close of a bar, a timer's due.

    `speed` is how many seconds of this clock pass in one of the wall. Where it is never told, as in a backtest, time
    is what events carry.
    """

    at_ns: int
    speed: float = 1.0


class Stalled(msgspec.Struct, frozen=True, tag="stalled"):
    """The desk's process stood still for so many seconds of the wall: it was stopped, swapped out, or slept.

    What arrived meanwhile is taken without a decision until the books have been compared and the link is UP again.
    """

    seconds: float
    at_ns: int


class MarketHalted(msgspec.Struct, frozen=True, tag="market_halted"):
    """The venue halted trading in an instrument, or with `is_halted` False lets it go on."""

    instrument: str
    at_ns: int
    is_halted: bool = True


class RunMarks(msgspec.Struct, frozen=True):
    """From which profits the losses of a run are measured: when the day began, and the highest so far."""

    day_pnl: float
    peak: float


class Valuation(msgspec.Struct, frozen=True):
    """At which prices and rates profits were counted, for a life in which nothing has a price yet.

    `prices` are those of what is held, `rates` what one unit of each other currency is worth in `currency`, the
    account's. `currencies` are those of the instruments in the books that are traded in another one.
    """

    currency: str = ""
    prices: dict[str, float] = {}
    rates: dict[str, float] = {}
    currencies: dict[str, str] = {}


class DayBegan(msgspec.Struct, frozen=True, tag="day_began"):
    """From which profits the losses of the day that ends at `ends_ns` are measured; for the record and the next life.

    `pnl` is the account's when the day began, `peak` its highest since, `runs` those of runs with limits of their own.
    It comes again when a peak has risen. `valuation` is that of the moment in which it was noted.
    """

    pnl: float
    ends_ns: int
    at_ns: int
    peak: float = -math.inf
    runs: dict[str, RunMarks] = {}
    valuation: Valuation = Valuation()


class BookSnapshot(msgspec.Struct, frozen=True):
    """The book of one owner: its money and everything it holds or held."""

    owner: str
    cash: float
    positions: list[Position]


class FillSnapshot(msgspec.Struct, frozen=True):
    """An execution that is in a book already, whose book, and its commission as far as that is known.

    `commission_currency` is empty in journals that do not have it.
    """

    fill: Fill
    owner: str
    commission: float | None = None
    commission_currency: str = ""


class RunSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A run of an earlier life: how it was started (without history), and where it stood.

    `was_running` says whether it still ran when that life ended; `orders_made` is the number of its last order;
    `state` is its strategy's last good state; `aims` are the positions that it was on its way to, by instrument.
    """

    start: StartStrategy
    was_running: bool
    note: str
    orders_made: int
    state: dict[str, Any]
    aims: dict[str, Aim] = {}


class EngineSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What one life of a desk leaves to the next, all of it read from its journal.

    `orders` are those that may still fill and those that ended in the last days; `fills` are those of the last days:
    TWS may tell them again. `halts` are those that hold, oldest first; `halts_made` is the number of the newest that
    ever was. What begins with `day_` is that of the last `DayBegan`. `instruments` are those traded by hand; those of
    runs stand in their starts. `limits` are those of the risk gate when they were changed at
    run time, and `limits_before` those that the settings gave; both are empty else. `uncovered` is what trades outside
    the desk have closed of its positions, by instrument, and nobody has accepted yet. `withdrawn` are the open orders
    whose cancel was asked for. `cash` is the account's money by currency as the record explains it. `overruled` are
    the open orders that a person has changed at the broker, with whether each opened a position. `manual_exits` are
    the instruments in which a limit closes what was ordered by hand.
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
    """The desk begins a life on this account where the one before, recorded in the journal `earlier`, left off.

    `earlier` is a file's name in the same folder; it is empty, and the snapshot too, when there was no life before.
    `client_id` is the one at TWS of that life.
    """

    account: str
    at_ns: int
    earlier: str = ""
    client_id: int = 0
    snapshot: EngineSnapshot = EngineSnapshot()


class Severity(enum.Enum):
    """How much an alert matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class RunInterrupted(msgspec.Struct, frozen=True, tag="run_interrupted"):
    """The code of a run did not return in time in the event that follows, and was interrupted there.

    It stands on the record only, before that event: a replay times nothing, and ends the run at the same point.
    `call` is the number of the interrupted call among all calls that the engine has made; 0 is a look at the market,
    -1 at the state of the run's strategy. `note` says where it was. `halts` are those that the event had made by then,
    for example because the call was denied the same order too often: they stay, although the call is taken back.
    """

    run_id: str
    call: int
    note: str
    at_ns: int
    halts: list[Halt] = []


class Notice(msgspec.Struct, frozen=True, tag="notice"):
    """Something TWS or the link said that changes no state and belongs on the record."""

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
"""The words for all kinds of events, as the journal has them."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)


# What `encode_event` and `encode_actions` raise where a value has no journal form.
UNENCODABLE = (TypeError, ValueError, OverflowError, RecursionError)


def encode_event(event: Event) -> bytes:
    """Return the event's journal form (msgpack, equal events give equal bytes)."""
    return _ENCODER.encode(event)


def encode_kind(kind: str) -> bytes:
    """Return the bytes by which the journal form of every event of a kind, such as ``fill``, can be told."""
    return _ENCODER.encode({"type": kind})[1:]


def decode_event(data: bytes) -> Event:
    """Return the event that `data` encodes.

    Raises:
        msgspec.DecodeError: If `data` is no event.
    """
    return _DECODER.decode(data)
