"""Instruments: value types with price grid, size increment, multiplier, currency, venue and hours.

`Instrument` is ours. IB's `Contract` stays inside `tws` and `gateway`, which translate at their edge. Fields that are
left out of a new instrument (an exchange's hours, the terms of a usual future) are filled in from the shipped tables.
"""

from __future__ import annotations

import datetime as dt
import enum
import functools
import math
from decimal import Decimal
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import msgspec

from ibdesk.errors import InstrumentError, UnlistedFutureError
from ibdesk.model.currencies import refuse_metals
from ibdesk.model.future_roots import HOURS, FutureRoot, roots_called, terms_apart
from ibdesk.model.listings import BY_EXCHANGE, US_EXCHANGES, usual_currency
from ibdesk.model.price_grid import US_SHARE_INCREMENTS, PriceIncrements, Rounding, rounded, step_at, wrong_increments
from ibdesk.model.spelling import INDICES, OPTION_CLASSES, read_share, reads_as_share, refuse_whole_name


class Session(msgspec.Struct, frozen=True):
    """Regular trading hours, the same on each of `weekdays`; holidays are not included.

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
# Options on these indices move by 0.05 below a premium of 3 and by 0.10 from there (Cboe and Nasdaq specifications).
_INDEX_OPTIONS, _DIMES_FROM_3 = frozenset({"SPX", "NDX", "RUT"}), ((0.0, 0.05), (3.0, 0.1))
# Exchange and currency of an index that is not in `INDICES`.
_USUAL_INDEX = ("CBOE", "USD")
# A placeholder for the exchange's usual hours, until the instrument is made.
_USUAL = Session("", 0, 0)


class Right(enum.Enum):
    """The side of the strike on which an option pays."""

    CALL = "C"
    PUT = "P"


class Instrument(msgspec.Struct, frozen=True, tag_field="kind"):
    """The base of all instruments. `id` is the name used everywhere else: in orders, bars, topics and reports.

    `tick_size` is the step of a price; `price_increments` are the steps by price if they differ, as pairs of lowest
    price and step. `size_increment` is the step of a size. `multiplier` is the money gained per unit of price and
    quantity. A zero tick size or size increment stands for the usual one.
    """

    symbol: str
    exchange: str = "SMART"
    currency: str = "USD"
    tick_size: float = 0.0
    multiplier: float = 1.0
    session: Session = _USUAL
    price_increments: PriceIncrements = ()
    size_increment: float = 0.0

    counted_in: ClassVar[str] = "shares"
    """The unit of a quantity; the limits of the risk gate are named by this word."""
    may_be_worthless: ClassVar[bool] = False
    """Whether the instrument can trade at a price of zero or below."""
    _usual_tick: ClassVar[float] = 0.01
    _usual_session: ClassVar[Session] = US_EQUITY_HOURS

    def __post_init__(self) -> None:
        if not self.symbol:
            raise InstrumentError("an instrument needs a symbol")
        self._complete()
        for name in ("tick_size", "multiplier", "size_increment"):
            figure = getattr(self, name)
            if not (figure > 0 and math.isfinite(figure)):
                raise InstrumentError(f"{self.symbol}: {name} must be positive, got {figure:g}")
        if wrong := wrong_increments(self.price_increments):
            raise InstrumentError(f"{self.symbol}: {wrong}")

    def _complete(self) -> None:
        """Fill in the fields that were left out."""
        if self.session == _USUAL:
            self._set(session=self._usual_session)
        self._set(tick_size=self.tick_size or self._usual_tick, size_increment=self.size_increment or 1.0)

    def _set(self, **fields: Any) -> None:
        """Set fields while the instrument is being made."""
        for name, value in fields.items():
            msgspec.structs.force_setattr(self, name, value)

    @property
    def id(self) -> str:
        """Return the unique name of this instrument, e.g. ``AAPL`` or ``ES-202612``.

        `instrument_of` reads it back. It needs no quoting in files and addresses: letters, digits and ``. - @ _ ~``.
        """
        return self.symbol

    @property
    def increments(self) -> PriceIncrements:
        """Return the steps of its prices, as pairs of lowest price and step."""
        return self.price_increments or ((0.0, self.tick_size),)

    @property
    def lowest_price(self) -> float:
        """Return the lowest price an order may state; minus infinity where prices may be zero or below."""
        return -math.inf if self.may_be_worthless else self.increments[0][1]

    def tick_at(self, price: float) -> float:
        """Return the step by which a price moves."""
        return step_at(price, self.increments)

    def round_price(self, price: float, rounding: Rounding = Rounding.NEAREST) -> float:
        """Return the grid price of `price`, as the shortest float that prints so.

        Half a tick rounds away from zero, the usual rule of venues; 1.005 is half a tick of 0.01, although the
        nearest float lies a little below it.
        """
        return rounded(price, self.increments, rounding)

    def round_size(self, quantity: float) -> float:
        """Return the quantity on the size increment, rounded towards zero: never more than asked for."""
        if quantity % self.size_increment == 0:
            return quantity
        return rounded(quantity, ((0.0, self.size_increment),), Rounding.DOWN if quantity > 0 else Rounding.UP)

    def fits_size(self, quantity: float) -> bool:
        """Return whether a quantity is a multiple of the size increment."""
        if quantity % self.size_increment == 0:
            return True
        return math.isclose(quantity, self.round_size(quantity), rel_tol=1e-9)


class Stock(Instrument, frozen=True, tag="stock"):
    """A share or an ETF. A share class is written as IB does, with a blank: ``BRK B``."""

    def _complete(self) -> None:
        us, listing = self._is_us, BY_EXCHANGE.get(self.exchange)
        if any(letter in self.symbol for letter in "@/"):
            raise InstrumentError(f"{self.symbol!r} is not a symbol: it contains @ or /")
        if us and "." in self.symbol:
            self._set(symbol=read_share(self.symbol) or self.symbol)
        if listing is not None and listing.currency == self.currency:
            if self.session == _USUAL:
                self._set(session=Session(listing.zone, listing.opens, listing.closes))
            self._set(size_increment=self.size_increment or listing.size_increment)
            if self.tick_size == 0 and not self.price_increments and listing.increments:
                self._set(price_increments=listing.increments, tick_size=listing.increments[0][1])
        super()._complete()

    @property
    def _is_us(self) -> bool:
        return self.currency == "USD" and self.exchange in US_EXCHANGES

    @property
    def id(self) -> str:
        """Return ``AAPL`` or ``BRK.B`` for a US share, and ``SAP@IBIS`` or ``VOD@LSE_USD`` for other listings."""
        if not self._is_us:
            return _escaped(self.symbol) + _venue(self.exchange, self.currency)
        name = self.symbol.replace(" ", ".")
        if self.exchange == "SMART" and _is_plain(name, self.symbol):
            return name
        return name + _venue(self.exchange, self.currency)

    @property
    def increments(self) -> PriceIncrements:
        """Return the steps of its prices; those of a US share are finer below a dollar."""
        if self.price_increments:
            return self.price_increments
        return US_SHARE_INCREMENTS if self.tick_size == self._usual_tick and self._is_us else ((0.0, self.tick_size),)


class Forex(Instrument, frozen=True, tag="forex"):
    """A currency pair; `symbol` is the base currency, `currency` the one it is priced in."""

    exchange: str = "IDEALPRO"

    counted_in: ClassVar[str] = "currency"
    _usual_session: ClassVar[Session] = FOREX_HOURS

    def _complete(self) -> None:
        self._set(symbol=self.symbol.upper(), currency=self.currency.upper())
        refuse_metals(self.symbol, self.symbol, self.currency)
        refuse_whole_name(self.symbol)
        if self.tick_size == 0:
            # Half a pip, which is the fourth decimal, and the second of a price in yen.
            self._set(tick_size=0.005 if self.currency == "JPY" else 0.00005)
        super()._complete()

    @property
    def id(self) -> str:
        """Return base and quote currency, e.g. ``EUR.USD``."""
        venue = "" if self.exchange == "IDEALPRO" else f"@{self.exchange}"
        return f"{self.symbol}.{self.currency}{venue}"


class Future(Instrument, frozen=True, tag="future"):
    """A futures contract of one expiry, given as ``YYYYMM`` or ``YYYYMMDD``.

    Terms that are left out come from the shipped table; if the root is not in it, they must be given.
    """

    exchange: str = ""
    currency: str = ""
    multiplier: float = 0.0
    expiry: str = ""
    trading_class: str = ""

    counted_in: ClassVar[str] = "contracts"
    may_be_worthless: ClassVar[bool] = True
    _usual_session: ClassVar[Session] = US_FUTURE_HOURS

    def _complete(self) -> None:
        self._set(symbol=self.symbol.upper(), exchange=self.exchange.upper(), currency=self.currency.upper())
        if not self.expiry:
            refuse_whole_name(self.symbol)
        _check_expiry(self.symbol, self.expiry, "YYYYMM", "YYYYMMDD")
        if root := self._root():
            zone, opens, closes = HOURS[root.hours]
            self._set(
                symbol=root.symbol,
                trading_class=root.trading_class,
                exchange=root.exchange,
                currency=root.currency,
                multiplier=root.multiplier,
                tick_size=self.tick_size or root.tick_size,
                session=Session(zone, _minute(opens), _minute(closes)) if self.session == _USUAL else self.session,
            )
        missing = tuple(name for name in ("exchange", "multiplier", "tick_size") if not getattr(self, name))
        if missing:
            names = ("exchange", "currency", "multiplier", "trading_class")
            given = {name: getattr(self, name) for name in names if getattr(self, name)}
            raise UnlistedFutureError(self.symbol, self.expiry, missing, *terms_apart(self.symbol, given))
        self._set(currency=self.currency or "USD")
        super()._complete()

    def _root(self) -> FutureRoot | None:
        """Return the root of the table that fits the given terms."""
        fitting = [root for root in roots_called(self.symbol) if self._fits(root)]
        if len(fitting) > 1:
            fitting = [root for root in fitting if root.root == self.symbol] or fitting
        if len(fitting) > 1:
            choice = " or ".join(f"{root.root} ({root.multiplier:g})" for root in fitting)
            raise InstrumentError(f"{self.symbol} can be {choice}, which differ by multiplier: write one of them")
        return fitting[0] if fitting else None

    def _fits(self, root: FutureRoot) -> bool:
        return (
            self.exchange in ("", root.exchange)
            and self.currency in ("", root.currency)
            and self.multiplier in (0.0, root.multiplier)
            and self.trading_class in ("", root.trading_class)
        )

    @property
    def id(self) -> str:
        """Return root and expiry, e.g. ``ES-202612``; if unusual, also exchange, currency and multiplier."""
        root = next((root for root in roots_called(self.symbol) if self._fits(root)), None)
        if root is not None and root.trading_class == self.trading_class:
            return f"{root.root}-{self.expiry}"
        return f"{_escaped(self.symbol)}-{self.expiry}{_terms(self)}"


class Option(Instrument, frozen=True, tag="option"):
    """An option on a share or an index, of one expiry (``YYYYMMDD``), strike (in `currency`) and right.

    `trading_class` distinguishes the classes of one underlying: SPX and SPXW. Empty means the only class.
    """

    multiplier: float = 100.0
    expiry: str = ""
    strike: float = 0.0
    right: Right = Right.CALL
    trading_class: str = ""

    counted_in: ClassVar[str] = "contracts"

    def _complete(self) -> None:
        if not self.expiry:
            refuse_whole_name(self.symbol.upper())
        _check_expiry(self.symbol, self.expiry, "YYYYMMDD")
        if not (self.strike > 0 and math.isfinite(self.strike)):
            raise InstrumentError(f"{self.symbol}: strike must be positive, got {self.strike:g}")
        if self.tick_size == 0 and self.symbol in _INDEX_OPTIONS:
            self._set(price_increments=self.price_increments or _DIMES_FROM_3, tick_size=_DIMES_FROM_3[0][1])
        super()._complete()

    @property
    def id(self) -> str:
        """Return class or symbol, expiry, right and strike, e.g. ``AAPL-20261218-C-250``."""
        terms = f"-{self.expiry}-{self.right.value}-{_number(self.strike)}"
        usual = (self.exchange, self.currency, self.multiplier) == ("SMART", "USD", 100.0)
        if usual and OPTION_CLASSES.get(self.trading_class) == self.symbol:
            return f"{self.trading_class}{terms}"
        name = f"{self.symbol.replace(' ', '.')}{terms}"
        if usual and not self.trading_class and self.symbol not in OPTION_CLASSES:
            return name
        return f"{name}{_terms(self)}"


class Index(Instrument, frozen=True, tag="index"):
    """A computed index: it has quotes and bars, and cannot be ordered."""

    exchange: str = ""

    _usual_session: ClassVar[Session] = US_INDEX_HOURS

    def _complete(self) -> None:
        if not self.exchange:
            exchange, currency = INDICES.get(self.symbol, _USUAL_INDEX)
            self._set(exchange=exchange, currency=currency)
        super()._complete()

    @property
    def id(self) -> str:
        """Return the symbol and ``IND``, e.g. ``SPX-IND``; with the exchange if that is not the usual one."""
        name = f"{_escaped(self.symbol)}-IND"
        if INDICES.get(self.symbol, _USUAL_INDEX) == (self.exchange, self.currency):
            return name
        return name + _venue(self.exchange, self.currency)


class Combination(Instrument, frozen=True, tag="combination"):
    """Several instruments traded as one at a net price, which may be zero or below; its symbol names the legs."""

    counted_in: ClassVar[str] = "contracts"
    may_be_worthless: ClassVar[bool] = True


AnyInstrument = Stock | Forex | Future | Option | Index | Combination


def _check_expiry(symbol: str, expiry: str, *forms: str) -> None:
    try:
        if len(expiry) not in map(len, forms) or not expiry.isdecimal():
            raise ValueError(expiry)
        dt.date.fromisoformat(f"{expiry}01"[:8])
    except ValueError:
        raise InstrumentError(f"{symbol}: expiry must be {' or '.join(forms)}, got {expiry!r}") from None


def _minute(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


@functools.lru_cache(maxsize=16_384)
def _is_plain(name: str, symbol: str) -> bool:
    return reads_as_share(name, symbol)


def _escaped(symbol: str) -> str:
    return symbol.replace(" ", "~")


def _venue(exchange: str, currency: str) -> str:
    return f"@{exchange}" if usual_currency(exchange) == currency else f"@{exchange}_{currency}"


def _terms(instrument: Future | Option) -> str:
    trading_class = f"_{instrument.trading_class}" if instrument.trading_class else ""
    return f"@{instrument.exchange}_{instrument.currency}_{_number(instrument.multiplier)}{trading_class}"


def _number(figure: float) -> str:
    """Return a figure in plain decimals, in the shortest form that reads back."""
    return format(Decimal(repr(figure)).normalize(), "f")
