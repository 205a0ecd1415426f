"""Quotes of options: they follow the underlying's quote, at a volatility with a smile."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Callable
from zoneinfo import ZoneInfo

import msgspec

from ibdesk.data.calendars.trading_session import instant_ns
from ibdesk.gateway.contracts.black_scholes import Greeks, OptionTerms, greeks, implied_volatility
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.model import Quote, Right, Rounding

# The pricing parameters (a choice): a flat rate, no dividends, and a volatility that is higher by SMILE for each
# squared unit of log moneyness, and at most doubled.
RATE = 0.04
VOLATILITY, SMILE = 0.25, 0.5
# The spread as a fraction of the price, at least two ticks, and the size of each side in contracts.
SPREAD, SIZE = 0.02, 50.0
_YEAR_NS = 365 * 86_400 * 1_000_000_000
_CLOSES = dt.time(16, 0)
_NEW_YORK = ZoneInfo("America/New_York")


class OptionValuation(msgspec.Struct, frozen=True):
    """The value of an option at one price of its underlying."""

    spot: float
    volatility: float
    greeks: Greeks


def terms_of(option: ContractData, at_ns: int) -> OptionTerms:
    """Return an option's terms at a time; it expires at 16:00 New York on its last trading day."""
    ends_ns = instant_ns(dt.date.fromisoformat(option.expiry), _CLOSES, _NEW_YORK)
    return OptionTerms(Right(option.right), option.strike, max(0, ends_ns - at_ns) / _YEAR_NS, RATE)


def volatility_of(option: ContractData, spot: float) -> float:
    """Return the volatility at which an option is priced here: the further from the spot, the higher."""
    moneyness = math.log(option.strike / spot)
    return VOLATILITY * (1 + min(1.0, SMILE * moneyness * moneyness / VOLATILITY))


def valuation(option: ContractData, spot: float, at_ns: int) -> OptionValuation:
    """Return the value of an option in this market."""
    volatility = volatility_of(option, spot)
    return OptionValuation(spot, volatility, greeks(terms_of(option, at_ns), spot, volatility))


def valued_at(option: ContractData, spot: float, price: float, at_ns: int) -> OptionValuation | None:
    """Return the volatility and sensitivities that a price implies; None if it implies no volatility."""
    terms = terms_of(option, at_ns)
    volatility = implied_volatility(terms, spot, price)
    return None if volatility is None else OptionValuation(spot, volatility, greeks(terms, spot, volatility))


def quote_of(option: ContractData, spot: float, at_ns: int) -> Quote:
    """Return the quote around an option's value, on the tick grid and at least one tick wide.

    A worthless option has no bid: NaN with size zero.
    """
    value, instrument = valuation(option, spot, at_ns).greeks.price, option.instrument
    half = max(instrument.tick_at(value), value * SPREAD / 2)
    bid = instrument.round_price(value - half, Rounding.DOWN)
    ask = max(instrument.lowest_price, instrument.round_price(value + half, Rounding.UP))
    if bid < instrument.lowest_price:
        return Quote(option.id, at_ns, math.nan, ask, 0.0, SIZE)
    return Quote(option.id, at_ns, bid, ask, SIZE, SIZE)


class OptionQuotes:
    """Quotes every requested option whenever its underlying is quoted.

    `take` plays a quote on the tape. An option is quoted from its first use on.
    """

    def __init__(self, take: Callable[[Quote], None]) -> None:
        self._take = take
        self._options: dict[str, list[ContractData]] = defaultdict(list)

    def begin(self, option: ContractData, underlying: Quote | None) -> None:
        """Quote an option from now on, first at its underlying's present quote."""
        self._options[option.under_id].append(option)
        if underlying is not None:
            self._quote(option, underlying)

    def on_quote(self, quote: Quote) -> None:
        """Reprice the options on an instrument."""
        for option in self._options.get(quote.instrument, ()):
            self._quote(option, quote)

    def _quote(self, option: ContractData, underlying: Quote) -> None:
        spot, at_ns = underlying.mid, underlying.at_ns
        if not spot > 0:
            self._take(Quote(option.id, at_ns, math.nan, math.nan, 0.0, 0.0))
            return
        self._take(quote_of(option, spot, at_ns))
