"""The errors that a caller may have to handle, in one tree.

::

    IbdeskError
    ├── ConfigError           a setting is invalid: the program does not start
    ├── DataError             market data cannot be used as it is
    ├── StrategyError         a strategy file or its parameters are invalid
    │   ├── DecisionError     its code failed while deciding
    │   └── LookAheadError    it uses data from the future
    ├── InstrumentError       an instrument is unknown or ambiguous
    │   └── UnlistedFutureError  the terms of a future are not shipped and were not given
    ├── OrderError            an order cannot be accepted
    │   ├── OrderDeniedError  a local risk rule refused it
    │   └── OrderChangedError it has changed since the caller read it
    ├── LinkError             TWS cannot be reached, or the connection was lost
    │   └── ClientIdInUseError
    ├── HistoryError          TWS returned no history
    ├── JournalError          a journal cannot be read or does not replay
    │   └── ReplayMismatchError
    ├── AddressInUseError     a port to listen on is taken
    ├── ChildError            a child process did not start, or ended
    └── DeskError             the desk cannot do this in its present state
        ├── NotLeadingError   this engine may no longer trade the account; another one may
        ├── DetachedError     its process cannot be reached
        │   └── OutcomeUnknownError   it is unknown whether a command was executed
        └── CommandExpiredError   a command reached the engine too late and was not executed

Some packages add their own errors under the same root: `gateway` has ProtocolError and RefusedError (a client's request
cannot be read, or is refused), the server's clients have FeedError and ApiError.

Each message names the cause, the figures and the remedy in one sentence. All facts are attributes and are passed to
``super().__init__``, so that an error survives pickling. Denied orders, rejections and lost links are events; errors
are for conditions that a caller may not ignore.
"""

from __future__ import annotations

import datetime as dt
import signal
import traceback
from collections.abc import Callable


class IbdeskError(Exception):
    """The base class of the errors that ibdesk raises."""

    def _render_traceback_(self) -> list[str]:
        """Return the message for a notebook, without a traceback of ibdesk's frames."""
        return [f"{type(self).__name__}: {self}"]


class ConfigError(IbdeskError):
    """A setting is invalid; the message names it."""


class DataError(IbdeskError):
    """Market data cannot be used as it is: gaps, duplicates, NaN, wrong columns."""


class StrategyError(IbdeskError):
    """A strategy file cannot be loaded, or its parameters are invalid."""


class DecisionError(StrategyError):
    """The strategy's own code raised while deciding; this strategy stops trading."""

    def _render_traceback_(self) -> list[str]:
        """Return the full traceback, which shows the line of the strategy."""
        return traceback.format_exception(self)


class LookAheadError(StrategyError):
    """A feature or decision changes when later bars are removed, so it uses data from the future."""

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
            f"{self.with_later} with the later bars and {self.without_later} without them: use only past bars"
        )


class InstrumentError(IbdeskError):
    """No instrument, or more than one, matches a description."""


class UnlistedFutureError(InstrumentError):
    """The terms of a future are not in the shipped table and were not given in full; TWS may know them."""

    def __init__(self, symbol: str, expiry: str, missing: tuple[str, ...], usual: str = "", given: str = "") -> None:
        super().__init__(symbol, expiry, missing, usual, given)
        self.symbol, self.expiry, self.missing = symbol, expiry, missing
        # usual: the table's terms of this symbol in words, if it has any; given: the arguments that differ from them.
        self.usual, self.given = usual, given

    def __str__(self) -> str:
        missing = " and ".join(self.missing)
        if self.usual:
            return (
                f"{self.symbol} is a known future {self.usual}, not with {self.given}: leave that out, "
                f"or give its {missing} for another kind of contract"
            )
        return (
            f"{self.symbol} is not in the table of known futures: give its {missing}, "
            f"as Future({self.symbol!r}, expiry={self.expiry!r}, exchange=..., multiplier=..., tick_size=...)"
        )


class OrderError(IbdeskError):
    """An order cannot be accepted as it is."""


# The units of rules whose name does not imply one.
_UNITS = {
    "max_order_shares": " shares",
    "max_order_contracts": " contracts",
    "max_order_currency": " of the account's currency",
    "max_position_shares": " shares",
    "max_position_contracts": " contracts",
    "max_position_currency": " of the account's currency",
}


# Seconds (ten years); an older price stands for one that was never known.
_LONGEST_AGE = 3.2e8

# The remedy for a limit price too far through the market.
NEARER = "move the limit price nearer to the market (to the stop price of a stop-limit order)"


def _utc(seconds: float) -> str:
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d %H:%M} UTC"


def _closed(opens: float, _now: float) -> str:
    return (
        f"its market is closed until {_utc(opens)}: let the order wait (when_closed hold or send), or give it "
        f"a limit and outside_regular_hours"
    )


def _drift(limit: float, drift: float) -> str:
    return (
        f"this machine's clock is {abs(drift):.1f} s {'ahead of' if drift > 0 else 'behind'} the clock of TWS, and "
        f"tws.max_clock_drift_seconds allows {limit:g}: synchronize both with a time server"
    )


def _window(what: str) -> Callable[[float, float], str]:
    return lambda ends, _now: f"{what} until {_utc(ends)}: only orders that reduce a position are sent"


# The reasons of the rules about the venue's day, from limit and asked; times are seconds since 1970.
_DAY_REASONS: dict[str, Callable[[float, float], str]] = {
    "market_closed": _closed,
    "clock_drift": _drift,
    "daily_restart": _window("TWS restarts"),
    "log_off": _window("TWS logs off and restarts"),
    "weekly_login": _window("the weekly login ends and a person must confirm the next one"),
    "server_reset": _window("IB's servers are reset"),
    "weekend_reset": _window("IB's servers are under weekend maintenance"),
}
DAY_RULES = frozenset(_DAY_REASONS)
"""The rules that deny an order because of the venue's day, which is not the caller's error."""


def _old_price(rule: str) -> Callable[[float, float], str]:
    def words(limit: float, age: float) -> str:
        what = "no price is known" if age > _LONGEST_AGE else f"the price is {age:.1f} s old"
        return f"{what}, {rule} allows {limit:.10g} s: wait for a newer price, or raise risk.{rule}"

    return words


def _spread(limit: float, spread: float) -> str:
    return (
        f"the spread is {spread:.4g} of the price, max_spread allows {limit:.10g}: set a limit price inside the "
        f"spread, or raise risk.max_spread"
    )


# The reasons of the rules about the state of the market.
_MARKET_REASONS: dict[str, Callable[[float, float], str]] = {
    "catching_up": lambda _, __: "the desk stalled and is comparing its books: no order may open a position until then",
    "halted_market": lambda _, __: "the venue has halted the market: only orders that reduce a position are accepted",
    "crossed_market": lambda ask, bid: f"the market is crossed, bid {bid:.10g} above ask {ask:.10g}: try again later",
    "max_spread": _spread,
    "self_crossing": lambda rests, reaches: (
        f"it reaches {reaches:.10g} and would trade with an order of another owner of this desk at {rests:.10g}: "
        f"cancel that order, or set risk.self_crossing"
    ),
    **{
        rule: _old_price(rule)
        for rule in (f"max_price_age_{kind}" for kind in ("shares", "futures", "currency", "options"))
    },
}
_REASONS = _DAY_REASONS | _MARKET_REASONS


class OrderDeniedError(OrderError):
    """A local risk rule refused the order; the venue never received it.

    `rule` is the name of a setting of `risk`, or ``link``, ``halt``, ``external_trade``, ``external_change``,
    ``size_increment``, ``lowest_price``, ``highest_price``, ``catching_up``, ``halted_market``, ``crossed_market``, or
    a rule of the venue's day: ``market_closed``, ``clock_drift``, or the kind of a window (`WindowKind`), whose
    figures are times in seconds since 1970.
    """

    def __init__(self, order_id: str, rule: str, limit: float, asked: float) -> None:
        # A journal stores whole numbers as another type; always use floats, so that a replay is equal.
        limit, asked = float(limit), float(asked)
        super().__init__(order_id, rule, limit, asked)
        self.order_id, self.rule, self.limit, self.asked = order_id, rule, limit, asked

    @property
    def reason(self) -> str:
        """The reason without the order's id, as in the order's row."""
        match self.rule:
            case "halt":
                return "trading is halted: only orders that reduce a position are accepted"
            case "link":
                return "the connection to TWS is down: orders can be sent once it is restored"
            case rule if rule in _REASONS:
                return _REASONS[rule](self.limit, self.asked)
            case "size_increment":
                size, step = f"{self.asked:.10g}", f"{self.limit:.10g}"
                return f"its size of {size} is not a multiple of {step}, the instrument's size increment"
            case "lowest_price":
                return f"its price of {self.asked:.10g} is below {self.limit:.10g}, the instrument's lowest"
            case "highest_price":
                price, most = f"{self.asked:.10g}", f"{self.limit:.10g}"
                return f"its price of {price} is farther from 0 than {most}: a float cannot represent its price steps"
            case "external_change":
                return (
                    "a person changed or cancelled orders of this run outside the desk: until the run's halt is "
                    "lifted, only market orders that reduce its position are accepted"
                )
            case "external_trade":
                return (
                    f"external_trade allows {self.limit:.10g}, the part of the run's position that the account holds, "
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
    """An order changed after its caller read it and before the caller's change arrived."""

    def __init__(self, order_id: str) -> None:
        super().__init__(order_id)
        self.order_id = order_id

    def __str__(self) -> str:
        return f"order {self.order_id} has changed since you read it: read it again and decide again"


class LinkError(IbdeskError):
    """TWS cannot be reached, or the connection was lost during a request."""


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
    """TWS returned no history for a request; the message has its reason."""


class JournalError(IbdeskError):
    """A journal cannot be opened, read or replayed."""


class ReplayMismatchError(JournalError):
    """A fresh engine, fed the journal's events, returned actions that differ from the recorded ones."""

    def __init__(self, position: int, recorded: str, replayed: str) -> None:
        super().__init__(position, recorded, replayed)
        self.position, self.recorded, self.replayed = position, recorded, replayed

    def __str__(self) -> str:
        return f"replay differs at event {self.position}: recorded {self.recorded}, replayed {self.replayed}"


class AddressInUseError(IbdeskError):
    """Another program uses the port."""

    def __init__(self, host: str, port: int, setting: str) -> None:
        super().__init__(host, port, setting)
        self.host, self.port, self.setting = host, port, setting

    def __str__(self) -> str:
        return (
            f"{self.host}:{self.port} is taken by another program: "
            f"stop it, or choose another port with {self.setting} (0 takes any free port)"
        )


class ChildError(IbdeskError):
    """A child process did not start, or ended; `code` is its exit code, None if it was not ready in time."""

    def __init__(self, name: str, code: int | None, last_words: str) -> None:
        super().__init__(name, code, last_words)
        self.name, self.code, self.last_words = name, code, last_words

    def __str__(self) -> str:
        ended = "did not start" if self.code is None else how_ended(self.code)
        return f"{self.name} {ended}: {self.last_words.removeprefix('ibdesk: ') or 'see its log'}"


def how_ended(code: int) -> str:
    """Return in words how a process ended: with an exit code, or killed by a signal."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed ({signal.Signals(-code).name})"
    except ValueError:
        return f"was killed (signal {-code})"


class DeskError(IbdeskError):
    """The desk cannot do this in its present state."""


class DetachedError(DeskError):
    """The desk's process cannot be reached; a command was not executed, and will not be."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address, self.reason = address, reason

    def __str__(self) -> str:
        return f"the desk at {self.address} cannot be reached: {self.reason}; is `ibdesk engine` running there?"


class OutcomeUnknownError(DetachedError):
    """The desk's process did not answer a command; it is unknown whether the command was executed."""

    def __str__(self) -> str:
        return (
            f"the desk at {self.address} has not answered: {self.reason}; it is unknown whether the command was "
            f"executed: check orders, runs and risk before you repeat it"
        )


class CommandExpiredError(DeskError):
    """A command reached the engine after its deadline and was not executed."""

    def __init__(self, operation: str, late_seconds: float) -> None:
        super().__init__(operation, late_seconds)
        self.operation, self.late_seconds = operation, late_seconds

    def __str__(self) -> str:
        late = f"{self.late_seconds:.1f} s after its deadline" if self.late_seconds else "not before its deadline"
        return f"the command {self.operation} reached the engine {late} and was not executed: repeat it"


class NotLeadingError(DeskError):
    """This engine no longer holds the lease: another one may trade, so it sends nothing and ends."""

    def __init__(self, name: str, token: int, holder: str) -> None:
        super().__init__(name, token, holder)
        self.name, self.token, self.holder = name, token, holder

    def __str__(self) -> str:
        return (
            f"this engine no longer leads {self.name} (its token was {self.token}, the lease is held by "
            f"{self.holder or 'an unknown engine'}): it has stopped trading; restart it to stand by"
        )
