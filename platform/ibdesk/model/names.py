"""Instrument names: the instrument that a text means, in the notation of people, vendors or IB."""

from __future__ import annotations

import re

from ibdesk.errors import InstrumentError
from ibdesk.model.future_roots import roots_called
from ibdesk.model.instrument import AnyInstrument, Forex, Future, Index, Option, Right, Stock
from ibdesk.model.listings import BY_SUFFIX, US_EXCHANGES, usual_currency
from ibdesk.model.spelling import (
    OPTION_CLASSES,
    OptionText,
    read_future,
    read_index,
    read_listed,
    read_option,
    read_pair,
    read_share,
)

_FOREX_VENUES = frozenset({"IDEALPRO", "FXCONV", "FXSUBPIP"})
_FULL_FUTURE = re.compile(r"(.+)-(\d{6}|\d{8})")
_FULL_OPTION = re.compile(r"(.+)-(\d{8})-([CP])-(\d+(?:\.\d+)?)")
# The finest usual tick size: used for a future whose id gives none, until TWS reports it.
_UNTOLD_TICK = 0.01


def instrument_of(name: str, *, near_year: int | None = None) -> AnyInstrument:
    """Return the instrument that a name means, with the usual venue and terms; case does not matter.

    A US share is ``AAPL``, its class ``BRK.B``, ``BRK-B`` or ``BRK B``, a preferred ``BAC-PL`` or ``BAC.PRL``, with or
    without ``.US`` behind it; a share elsewhere has its exchange's suffix or IB's exchange, ``SAP.DE`` or ``SAP@IBIS``.
    A currency pair is ``EUR.USD``, ``EURUSD`` or ``EUR/USD``; a future ``ES-202612``, ``ESZ26`` or ``ESZ6``; an option
    ``AAPL-20261218-C-250`` or the OCC's ``AAPL  261218C00250000``; an index ``SPX-IND`` or ``^GSPC``. The id of an
    instrument is one of its names. Qualifying the instrument replaces price steps, size increment and hours with those
    of TWS.

    `near_year` decides the decade of a one-digit year: ``ESZ6`` expires from four years before it to five years after.
    Pass the year of the bars or of the order; without it such a name is an error.

    Raises:
        InstrumentError: If the name has none of these forms, or is ambiguous; the message asks for what is missing.
    """
    text = " ".join(name.split()).upper() if name.isascii() else ""
    if "@" in text:
        return _in_full(text)
    if pair := read_pair(text):
        return Forex(pair[0], currency=pair[1])
    if option := read_option(text):
        return _option(option)
    if future := read_future(text, near_year):
        return Future(future.name, expiry=future.expiry)
    if index := read_index(text):
        return Index(index)
    if listed := read_listed(text):
        symbol, suffix = listed
        return Stock(symbol, exchange=BY_SUFFIX[suffix].exchange, currency=BY_SUFFIX[suffix].currency)
    if share := read_share(text):
        return Stock(share)
    raise InstrumentError(
        f"{name!r} names no instrument: write AAPL, BRK.B, SAP.DE, EUR.USD, ES-202612 or AAPL-20261218-C-250, "
        f"or pass an Instrument"
    )


def _option(text: OptionText) -> Option:
    underlying = OPTION_CLASSES.get(text.root)
    return Option(
        underlying or read_share(text.root) or text.root,
        expiry=text.expiry,
        right=Right(text.right),
        strike=text.strike,
        trading_class=text.root if underlying else "",
    )


def _in_full(text: str) -> AnyInstrument:
    """Return the instrument of a name with its exchange: ``NAME@EXCHANGE[_CURRENCY[_MULTIPLIER[_CLASS]]]``."""
    body, _, venue = text.partition("@")
    exchange, currency, multiplier, trading_class = [*venue.split("_", 3), "", "", ""][:4]
    if body in ("", "-") or not exchange:
        raise InstrumentError(f"{text!r} names no instrument: write a symbol and its exchange, as SAP@IBIS")
    if exchange in _FOREX_VENUES and (pair := read_pair(body)):
        return Forex(pair[0], exchange=exchange, currency=pair[1])
    currency = currency or usual_currency(exchange)
    if currency and (found := _FULL_OPTION.fullmatch(body)):
        return Option(
            found[1].replace(".", " "),
            exchange=exchange,
            currency=currency,
            multiplier=_positive(text, multiplier) or 100.0,
            expiry=found[2],
            right=Right(found[3]),
            strike=float(found[4]),
            trading_class=trading_class,
        )
    if found := _FULL_FUTURE.fullmatch(body):
        return Future(
            _symbol(found[1], us=False),
            exchange=exchange,
            currency=currency,
            multiplier=(money := _positive(text, multiplier)),
            tick_size=_tick(found[1], exchange, currency, money, trading_class),
            expiry=found[2],
            trading_class=trading_class,
        )
    if body.endswith("-IND"):
        return Index(_symbol(body.removesuffix("-IND"), us=False), exchange=exchange, currency=currency or "USD")
    if not currency:
        raise InstrumentError(f"{text}: give the currency too, as {text}_EUR; that of {exchange} is not known here")
    us = currency == "USD" and exchange in US_EXCHANGES
    return Stock(_symbol(body, us=us), exchange=exchange, currency=currency)


def _symbol(written: str, *, us: bool) -> str:
    return written.replace(".", " ") if us else written.replace("~", " ")


def _positive(text: str, figure: str) -> float:
    try:
        return float(figure) if figure else 0.0
    except ValueError:
        raise InstrumentError(f"{text}: the multiplier must be a number, got {figure!r}") from None


def _tick(name: str, exchange: str, currency: str, multiplier: float, trading_class: str) -> float:
    """Return zero, for the table's tick size, if the terms are those of a root in the table."""
    terms = (exchange, currency, multiplier)
    usual = any(
        (root.exchange, root.currency, root.multiplier) == terms and trading_class in ("", root.trading_class)
        for root in roots_called(name)
    )
    return 0.0 if usual else _UNTOLD_TICK
