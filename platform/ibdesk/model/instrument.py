"""What can be traded: value types that know tick size, multiplier, currency, venue and trading hours.

`Instrument` is ours. IB's `Contract` stays inside `tws` and `gateway`, which translate at their edge.
"""

from __future__ import annotations

import datetime as dt
import enum
import functools
import math
from zoneinfo import ZoneInfo

import msgspec

from ibdesk.errors import InstrumentError


class Session(msgspec.Struct, frozen=True):
    """Regular trading hours, the same on each of `weekdays`; holidays are not known here.

    `opens` and `closes` are minutes after local midnight in `zone`. When `closes` is not after `opens` the session
    starts on the evening before (currencies, futures); `weekdays` (Monday is 0) name the day on which it closes.
    """

    zone: str
    opens: int
    closes: int
    weekdays: tuple[int, ...] = (0, 1, 2, 3, 4)

    def is_open(self, time_ns: int) -> bool:
        """Return whether the instant (ns UTC) lies in a session; the closing instant does not."""
        local = dt.datetime.fromtimestamp(time_ns // 1_000_000_000, _zone(self.zone))
        minute, weekday = local.hour * 60 + local.minute, local.weekday()
        if self.opens < self.closes:
            return weekday in self.weekdays and self.opens <= minute < self.closes
        if minute >= self.opens:
            return (weekday + 1) % 7 in self.weekdays
        return weekday in self.weekdays and minute < self.closes


@functools.cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


# Hours as published by the exchanges: NYSE/Nasdaq core session, CME Globex, CBOE index session, and IB's IDEALPRO.
US_EQUITY_HOURS = Session("America/New_York", 9 * 60 + 30, 16 * 60)
US_FUTURE_HOURS = Session("America/Chicago", 17 * 60, 16 * 60)
US_INDEX_HOURS = Session("America/New_York", 9 * 60 + 30, 16 * 60 + 15)
FOREX_HOURS = Session("America/New_York", 17 * 60 + 15, 17 * 60)


class Right(enum.Enum):
    """Which side of the strike an option pays on."""

    CALL = "C"
    PUT = "P"


class Instrument(msgspec.Struct, frozen=True, tag_field="kind"):
    """What all instruments share. `id` is the name used everywhere else: in orders, bars, topics and reports."""

    symbol: str
    exchange: str = "SMART"
    currency: str = "USD"
    tick_size: float = 0.01
    # multiplier: money gained per unit of price and quantity.
    multiplier: float = 1.0
    session: Session = US_EQUITY_HOURS

    def __post_init__(self) -> None:
        if not self.symbol:
            raise InstrumentError("an instrument needs a symbol")
        if not (self.tick_size > 0 and math.isfinite(self.tick_size)):
            raise InstrumentError(f"{self.symbol}: tick_size must be positive, got {self.tick_size:g}")
        if not (self.multiplier > 0 and math.isfinite(self.multiplier)):
            raise InstrumentError(f"{self.symbol}: multiplier must be positive, got {self.multiplier:g}")

    @property
    def id(self) -> str:
        """Return the name that tells this instrument from every other, e.g. ``AAPL`` or ``ESZ6``."""
        return self.symbol

    def round_price(self, price: float) -> float:
        """Return the nearest price on the tick grid, as the shortest float that prints so.

        Half a tick rounds away from zero, the usual rule of venues; 1.005 is half a tick of 0.01, although the
        nearest float lies a little below it.
        """
        ticks = math.copysign(math.floor(abs(price) / self.tick_size + 0.5 + _BINARY_DUST), price)
        return round(ticks * self.tick_size, _decimals(self.tick_size))


# What binary fractions leave when a price is divided by a tick, in ticks; far less than a price is ever told in.
_BINARY_DUST = 1e-6


@functools.cache
def _decimals(tick_size: float) -> int:
    """Return how many decimals the tick grid needs (0.01 -> 2, 0.25 -> 2, 1/32 -> 5)."""
    for decimals in range(12):
        if math.isclose(round(tick_size, decimals), tick_size, rel_tol=1e-12):
            return decimals
    return 12


class Stock(Instrument, frozen=True, tag="stock"):
    """A share or an ETF."""


class Forex(Instrument, frozen=True, tag="forex"):
    """A currency pair; `symbol` is the base currency, `currency` the one it is priced in."""

    exchange: str = "IDEALPRO"
    tick_size: float = 0.00005
    session: Session = FOREX_HOURS

    @property
    def id(self) -> str:
        """Return base and quote currency, e.g. ``EUR.USD``."""
        return f"{self.symbol}.{self.currency}"


class Future(Instrument, frozen=True, tag="future"):
    """A futures contract of one expiry, given as ``YYYYMM`` or ``YYYYMMDD``."""

    exchange: str = "CME"
    tick_size: float = 0.25
    multiplier: float = 50.0
    session: Session = US_FUTURE_HOURS
    expiry: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_expiry(self.symbol, self.expiry, "YYYYMM", "YYYYMMDD")

    @property
    def id(self) -> str:
        """Return symbol and expiry, e.g. ``ES-202612``."""
        return f"{self.symbol}-{self.expiry}"


class Option(Instrument, frozen=True, tag="option"):
    """An option on a stock, of one expiry (``YYYYMMDD``), strike (in `currency`) and right."""

    multiplier: float = 100.0
    expiry: str = ""
    strike: float = 0.0
    right: Right = Right.CALL

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_expiry(self.symbol, self.expiry, "YYYYMMDD")
        if not (self.strike > 0 and math.isfinite(self.strike)):
            raise InstrumentError(f"{self.symbol}: strike must be positive, got {self.strike:g}")

    @property
    def id(self) -> str:
        """Return symbol, expiry, right and strike, e.g. ``AAPL-20261218-C-250``."""
        return f"{self.symbol}-{self.expiry}-{self.right.value}-{self.strike:.10g}"


class Index(Instrument, frozen=True, tag="index"):
    """A computed index: it has quotes and bars, and takes no orders."""

    exchange: str = "CBOE"
    session: Session = US_INDEX_HOURS


AnyInstrument = Stock | Forex | Future | Option | Index


def _check_expiry(symbol: str, expiry: str, *forms: str) -> None:
    try:
        if len(expiry) not in map(len, forms) or not expiry.isdecimal():
            raise ValueError(expiry)
        dt.date.fromisoformat(f"{expiry}01"[:8])
    except ValueError:
        raise InstrumentError(f"{symbol}: expiry must be {' or '.join(forms)}, got {expiry!r}") from None


def instrument_of(name: str) -> AnyInstrument:
    """Return the instrument that a short name stands for, with the usual venue and tick size.

    ``AAPL`` is a US stock and ``EUR.USD`` a currency pair; ``ES-202612`` is a future of that expiry and
    ``AAPL-20261218-C-250`` an option. What TWS knows better (tick size, multiplier, hours) is filled in when the
    instrument is qualified.

    Raises:
        InstrumentError: If the name has none of these forms.
    """
    match name.strip().upper().split("-"):
        case [pair] if len(pair) == 7 and pair[3] == "." and pair.replace(".", "").isalpha():
            return Forex(pair[:3], currency=pair[4:])
        case [symbol] if symbol[:1].isalnum() and all(c.isalnum() or c in ". " for c in symbol):
            return Stock(symbol)
        case [symbol, expiry] if symbol and expiry.isdecimal():
            return Future(symbol, expiry=expiry)
        case [symbol, expiry, ("C" | "P") as right, strike] if symbol and strike.replace(".", "", 1).isdecimal():
            return Option(symbol, expiry=expiry, right=Right(right), strike=float(strike))
    raise InstrumentError(
        f"{name!r} names no instrument: write AAPL, EUR.USD, ES-202612 or AAPL-20261218-C-250, or pass an Instrument"
    )
