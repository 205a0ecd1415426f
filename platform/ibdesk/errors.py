"""The errors a caller may have to handle, in one tree.

::

    IbdeskError
    ├── ConfigError           a setting is wrong: the start stops
    ├── DataError             market data that cannot be used as it is
    ├── StrategyError         a strategy file or its parameters are wrong
    │   ├── DecisionError     its code failed while deciding
    │   └── LookAheadError    it decides by what is not known yet
    ├── InstrumentError       an instrument is unknown or ambiguous
    │   └── UnlistedFutureError  a future whose terms are not shipped and were not given
    ├── OrderError            an order cannot be taken
    │   ├── OrderDeniedError  our own risk rule refused it
    │   └── OrderChangedError it is not any more what the caller has seen
    ├── LinkError             TWS cannot be reached, or went away
    │   └── ClientIdInUseError
    ├── HistoryError          TWS gave no history
    ├── JournalError          a journal cannot be read or does not replay
    │   └── ReplayMismatchError
    ├── AddressInUseError     a port to listen on is taken
    ├── ChildError            a process of ours did not start, or ended
    └── DeskError             the desk cannot do this now
        ├── NotLeadingError   another engine may trade this account, this one may not
        ├── DetachedError     it lives in another process, which cannot be reached
        │   └── OutcomeUnknownError   whether a command was carried out there is not known
        └── CommandExpiredError   a command reached the engine too late, and was not carried out

Rooms that speak with others add their own under the same root: `gateway` ProtocolError and RefusedError (a client's
request cannot be read, or is refused), the server's clients FeedError and ApiError.

Each says in one sentence what happened, to what, with which figures, and what to do. Facts are attributes and
are all passed to ``super().__init__`` so that an error survives pickling. Denied orders, rejections and lost links
are events, not errors; errors are for what a caller may not ignore.
"""

from __future__ import annotations

import datetime as dt
import signal
import traceback
from collections.abc import Callable


class IbdeskError(Exception):
    """The root of every error raised on purpose by ibdesk."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook prints: the sentence says what to do, the frames of ibdesk do not."""
        return [f"{type(self).__name__}: {self}"]


class ConfigError(IbdeskError):
    """A setting is wrong; the sentence names it."""


class DataError(IbdeskError):
    """Market data that cannot be used as it is: gaps, duplicates, NaN, wrong columns."""


class StrategyError(IbdeskError):
    """A strategy file cannot be loaded, or its parameters are wrong."""


class DecisionError(StrategyError):
    """The strategy's own code raised while it was deciding; trading of that strategy stops."""

    def _render_traceback_(self) -> list[str]:
        """Return the whole traceback: it leads to the line of the strategy."""
        return traceback.format_exception(self)


class LookAheadError(StrategyError):
    """A feature or decision changes when later bars are taken away: it could not be had when it was needed."""

    def __init__(
        self,
        strategy: str,
        column: str,
        symbol: str,
        row: int,
        time: str,
        with_later: float | None,
        without_later: float | None,
    ) -> None:
        super().__init__(strategy, column, symbol, row, time, with_later, without_later)
        self.strategy, self.column, self.symbol, self.row, self.time = strategy, column, symbol, row, time
        self.with_later, self.without_later = with_later, without_later

    def __str__(self) -> str:
        return (
            f"{self.strategy} looks ahead: at row {self.row} of {self.symbol} ({self.time} UTC) its {self.column} is "
            f"{self.with_later} with the later bars and {self.without_later} without them: let it look back only"
        )


class InstrumentError(IbdeskError):
    """No instrument, or more than one, answers to a description."""


class UnlistedFutureError(InstrumentError):
    """A future whose terms are not those of the shipped table and were not given in full; TWS may know them."""

    def __init__(self, symbol: str, expiry: str, missing: tuple[str, ...], usual: str = "", given: str = "") -> None:
        super().__init__(symbol, expiry, missing, usual, given)
        self.symbol, self.expiry, self.missing = symbol, expiry, missing
        # usual: the terms of the table in words, where it has the symbol; given: what was given that differs.
        self.usual, self.given = usual, given

    def __str__(self) -> str:
        missing = " and ".join(self.missing)
        if self.usual:
            return (
                f"{self.symbol} is a usual future {self.usual}, not with {self.given}: leave that out, "
                f"or give its {missing} for a contract of another kind"
            )
        return (
            f"{self.symbol} is not in the table of usual futures: give its {missing}, "
            f"as Future({self.symbol!r}, expiry={self.expiry!r}, exchange=..., multiplier=..., tick_size=...)"
        )


class OrderError(IbdeskError):
    """An order cannot be taken as it stands."""


# What the figures of a rule are a number of; other rules say it by their name, or have none.
_UNITS = {
    "max_order_shares": " shares",
    "max_order_contracts": " contracts",
    "max_order_currency": " of the account's currency",
    "max_position_shares": " shares",
    "max_position_contracts": " contracts",
    "max_position_currency": " of the account's currency",
}


# _LONGEST_AGE: a price that is older than so many seconds (ten years) was never known.
_LONGEST_AGE = 3.2e8

# NEARER: what to do about a limit price that reaches too far through the market.
NEARER = "move the limit price nearer to the market (to the stop price of a stop-limit order)"


def _utc(seconds: float) -> str:
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d %H:%M} UTC"


def _closed(opens: float, _now: float) -> str:
    return (
        f"its market is closed until {_utc(opens)}: let it wait (when_closed hold or send), or give it a limit and "
        f"outside_regular_hours"
    )


def _drift(limit: float, drift: float) -> str:
    return (
        f"this machine's clock is {abs(drift):.1f} s {'ahead of' if drift > 0 else 'behind'} the clock of TWS, and "
        f"tws.max_clock_drift_seconds allows {limit:g}: set both by a time server"
    )


def _window(what: str) -> Callable[[float, float], str]:
    return lambda ends, _now: f"{what} until {_utc(ends)}: only orders that reduce a position leave"


# What the rules of the venue's day say of their limit and of what was asked; times are seconds since 1970.
_DAY_REASONS: dict[str, Callable[[float, float], str]] = {
    "market_closed": _closed,
    "clock_drift": _drift,
    "daily_restart": _window("TWS restarts"),
    "log_off": _window("TWS is logged off and started again"),
    "weekly_login": _window("the week's login ends and a person confirms the next one"),
    "server_reset": _window("IB's servers are reset"),
    "weekend_reset": _window("IB's servers are maintained over the weekend"),
}
DAY_RULES = frozenset(_DAY_REASONS)
"""The rules that deny an order for the venue's day: no fault of whoever asks."""


def _old_price(rule: str) -> Callable[[float, float], str]:
    def words(limit: float, age: float) -> str:
        what = "no price is known" if age > _LONGEST_AGE else f"the price is {age:.1f} s old"
        return f"{what}, {rule} allows {limit:.10g} s: wait for a newer price, or raise risk.{rule}"

    return words


def _spread(limit: float, spread: float) -> str:
    return (
        f"the spread is {spread:.4g} of the price, max_spread allows {limit:.10g}: state a limit price inside the "
        f"spread, or raise risk.max_spread"
    )


# The same of the rules on the state of the market.
_MARKET_REASONS: dict[str, Callable[[float, float], str]] = {
    "catching_up": lambda _, __: "the desk stood still and compares its books: what opens a position passes after that",
    "halted_market": lambda _, __: "the venue has halted the market: only orders that reduce a position are accepted",
    "crossed_market": lambda ask, bid: f"the market is crossed, bid {bid:.10g} above ask {ask:.10g}: order later",
    "max_spread": _spread,
    "self_crossing": lambda rests, reaches: (
        f"it reaches {reaches:.10g}, and an order of another owner of this desk rests at {rests:.10g}: they would "
        f"trade with each other; cancel that one, or set risk.self_crossing"
    ),
    **{
        rule: _old_price(rule)
        for rule in (f"max_price_age_{kind}" for kind in ("shares", "futures", "currency", "options"))
    },
}
_REASONS = _DAY_REASONS | _MARKET_REASONS


class OrderDeniedError(OrderError):
    """Our own risk rule refused the order, so the venue never saw it.

    `rule` is the name of a setting of `risk`, or ``link``, ``halt``, ``external_trade``, ``external_change``,
    ``size_increment``, ``lowest_price``, ``highest_price``, ``catching_up``, ``halted_market``, ``crossed_market``, or
    a rule of the venue's day: ``market_closed``, ``clock_drift``, or the kind of a window (`WindowKind`), whose
    figures are times in seconds since 1970.
    """

    def __init__(self, order_id: str, rule: str, limit: float, asked: float) -> None:
        # Floats always, which is what a journal gives back: a whole number is written there as another type.
        limit, asked = float(limit), float(asked)
        super().__init__(order_id, rule, limit, asked)
        self.order_id, self.rule, self.limit, self.asked = order_id, rule, limit, asked

    @property
    def reason(self) -> str:
        """Why, without the order's id, as it stands in an order's own row."""
        match self.rule:
            case "halt":
                return "trading is halted: only orders that reduce a position are accepted"
            case "link":
                return "the connection to TWS is down: orders can leave once it is back"
            case rule if rule in _REASONS:
                return _REASONS[rule](self.limit, self.asked)
            case "size_increment":
                size, step = f"{self.asked:.10g}", f"{self.limit:.10g}"
                return f"its size of {size} is not a multiple of {step}, the instrument's size increment"
            case "lowest_price":
                return f"its price of {self.asked:.10g} is below {self.limit:.10g}, the instrument's lowest"
            case "highest_price":
                price, most = f"{self.asked:.10g}", f"{self.limit:.10g}"
                return f"its price of {price} is farther from 0 than {most}: its steps could not be told apart"
            case "external_change":
                return (
                    "a person has changed or cancelled orders of this run at the broker: until the run's halt is "
                    "lifted only market orders that reduce its position are accepted"
                )
            case "external_trade":
                return (
                    f"external_trade allows {self.limit:.10g}, which is what the account holds of the run's position, "
                    f"asked {self.asked:.10g}: accept the external trade first"
                )
            case "price_collar":
                return (
                    f"price_collar allows {self.limit:.10g}, asked {self.asked:.10g}: {NEARER}, "
                    f"or raise risk.price_collar"
                )
        return f"{self.rule} allows {self.limit:.10g}{_UNITS.get(self.rule, '')}, asked {self.asked:.10g}"

    def __str__(self) -> str:
        return f"order {self.order_id} denied: {self.reason}"


class OrderChangedError(OrderError):
    """An order changed between the moment its caller looked at it and the moment the caller's change came."""

    def __init__(self, order_id: str) -> None:
        super().__init__(order_id)
        self.order_id = order_id

    def __str__(self) -> str:
        return f"order {self.order_id} has changed since you read it: read it again and decide anew"


class LinkError(IbdeskError):
    """TWS cannot be reached, or the connection went away while something was asked of it."""


class ClientIdInUseError(LinkError):
    """Another program is connected to this TWS under the same client id (TWS error 326)."""

    def __init__(self, client_id: int, address: str) -> None:
        super().__init__(client_id, address)
        self.client_id, self.address = client_id, address

    def __str__(self) -> str:
        return (
            f"client id {self.client_id} is already in use at {self.address}: "
            f"close the other program or set another tws.client_id"
        )


class HistoryError(IbdeskError):
    """TWS gave no history for a request; the sentence carries its reason."""


class JournalError(IbdeskError):
    """A journal cannot be opened, read or replayed."""


class ReplayMismatchError(JournalError):
    """A fresh engine, fed the journal's events, did something else than was recorded."""

    def __init__(self, position: int, recorded: str, replayed: str) -> None:
        super().__init__(position, recorded, replayed)
        self.position, self.recorded, self.replayed = position, recorded, replayed

    def __str__(self) -> str:
        return f"replay differs at event {self.position}: recorded {self.recorded}, replayed {self.replayed}"


class AddressInUseError(IbdeskError):
    """A port that was asked for is taken by another program."""

    def __init__(self, host: str, port: int, setting: str) -> None:
        super().__init__(host, port, setting)
        self.host, self.port, self.setting = host, port, setting

    def __str__(self) -> str:
        return (
            f"{self.host}:{self.port} is taken by another program: "
            f"stop it, or choose another port with {self.setting} (0 takes any free one)"
        )


class ChildError(IbdeskError):
    """A process of ours did not start, or ended; `code` is its exit code, None where it was not ready in time."""

    def __init__(self, name: str, code: int | None, last_words: str) -> None:
        super().__init__(name, code, last_words)
        self.name, self.code, self.last_words = name, code, last_words

    def __str__(self) -> str:
        ended = "did not start" if self.code is None else how_ended(self.code)
        return f"{self.name} {ended}: {self.last_words.removeprefix('ibdesk: ') or 'its log may say why'}"


def how_ended(code: int) -> str:
    """Return in words how a process ended: by itself, or killed by a signal."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed ({signal.Signals(-code).name})"
    except ValueError:
        return f"was killed (signal {-code})"


class DeskError(IbdeskError):
    """The desk cannot do this in the state it is in."""


class DetachedError(DeskError):
    """The desk lives in another process, which cannot be reached; a command was not carried out, and will not be."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address, self.reason = address, reason

    def __str__(self) -> str:
        return f"the desk at {self.address} cannot be reached: {self.reason}; is `ibdesk engine` running there?"


class OutcomeUnknownError(DetachedError):
    """A command was sent to the desk's process and not answered; whether it was carried out is not known."""

    def __str__(self) -> str:
        return (
            f"the desk at {self.address} has not answered: {self.reason}; whether the command was carried out is not "
            f"known: look at orders, runs and risk before you give it again"
        )


class CommandExpiredError(DeskError):
    """A command reached the engine after its deadline, and was not carried out."""

    def __init__(self, operation: str, late_seconds: float) -> None:
        super().__init__(operation, late_seconds)
        self.operation, self.late_seconds = operation, late_seconds

    def __str__(self) -> str:
        late = f"{self.late_seconds:.1f} s after its deadline" if self.late_seconds else "not before its deadline"
        return f"the engine came to the command {self.operation} {late} and has not carried it out: give it again"


class NotLeadingError(DeskError):
    """This engine does not lead any more: another one may trade, so it sends nothing and ends."""

    def __init__(self, name: str, token: int, holder: str) -> None:
        super().__init__(name, token, holder)
        self.name, self.token, self.holder = name, token, holder

    def __str__(self) -> str:
        return (
            f"this engine does not lead {self.name} any more (its token was {self.token}, the lease is with "
            f"{self.holder or 'nobody known'}): it has stopped trading; start it again to stand by"
        )
