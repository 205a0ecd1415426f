"""Quotes and trades of one instrument that were given one by one, in order of time."""

from __future__ import annotations

import bisect
import math

import numpy as np

from ibdesk.errors import DataError
from ibdesk.gateway.market.names import may_be_worthless, played_name
from ibdesk.gateway.market.source import Prints, Quotes
from ibdesk.model import Quote, Tick


class StatedEvents:
    """The given quotes and trades of one instrument, from which history is answered."""

    def __init__(self) -> None:
        self.quotes: list[Quote] = []
        self.ticks: list[Tick] = []

    def add(self, event: Quote | Tick) -> None:
        """Add a quote or a trade, after those of the same time."""
        if isinstance(event, Quote):
            bisect.insort_right(self.quotes, event, key=_time)
        else:
            bisect.insort_right(self.ticks, event, key=_time)

    def prints(self, start_ns: int, end_ns: int, *, has_trades: bool = True) -> Prints:
        """Return the trades of a span, or the quotes' midpoints for an instrument without trades."""
        if has_trades:
            first, last = _span(self.ticks, start_ns, end_ns)
            rows = [(tick.at_ns, tick.price, tick.size) for tick in self.ticks[first:last]]
        else:
            first, last = _span(self.quotes, start_ns, end_ns)
            rows = [(quote.at_ns, quote.mid, 0.0) for quote in self.quotes[first:last] if not math.isnan(quote.mid)]
        times, prices, sizes = zip(*rows, strict=True) if rows else ((), (), ())
        return Prints(np.array(times, np.int64), np.array(prices, float), np.array(sizes, float))

    def quoted(self, start_ns: int, end_ns: int) -> Quotes:
        """Return the quotes of a span."""
        first, last = _span(self.quotes, start_ns, end_ns)
        kept = self.quotes[first:last]
        return Quotes(
            np.array([quote.at_ns for quote in kept], np.int64),
            np.array([quote.bid for quote in kept], float),
            np.array([quote.ask for quote in kept], float),
            np.array([quote.bid_size for quote in kept], float),
            np.array([quote.ask_size for quote in kept], float),
        )


def stated_quote(
    symbol: str, at_ns: int, bid: float | None, ask: float | None, *, bid_size: float, ask_size: float
) -> Quote:
    """Return a quote from its parts; a side that is `None` is missing and has no size.

    Raises:
        DataError: If a price is not finite, or not positive (futures may trade at zero or below); or a size is
            negative or not finite.
    """
    for name, price in (("bid", bid), ("ask", ask)):
        if price is not None and not _is_price(symbol, price):
            raise DataError(f"{symbol}: {name} must be positive, or None for no {name}, got {price!r}")
    for name, size in (("bid_size", bid_size), ("ask_size", ask_size)):
        if not 0 <= size < math.inf:
            raise DataError(f"{symbol}: {name} must be zero or more, got {size!r}")
    return Quote(
        played_name(symbol),
        at_ns,
        math.nan if bid is None else float(bid),
        math.nan if ask is None else float(ask),
        0.0 if bid is None else float(bid_size),
        0.0 if ask is None else float(ask_size),
    )


def stated_tick(symbol: str, at_ns: int, price: float, size: float) -> Tick:
    """Return a trade from its parts.

    Raises:
        DataError: If the price is not finite, or not positive (futures may trade at zero or below); or the size is
            not positive and finite.
    """
    if not _is_price(symbol, price):
        raise DataError(f"{symbol}: the price of a trade must be positive, got {price!r}")
    if not 0 < size < math.inf:
        raise DataError(f"{symbol}: the size of a trade must be positive, got {size!r}")
    return Tick(played_name(symbol), at_ns, float(price), float(size))


def _is_price(symbol: str, price: float) -> bool:
    return math.isfinite(price) and (price > 0 or may_be_worthless(symbol))


def _time(event: Quote | Tick) -> int:
    return event.at_ns


def _span(events: list[Quote] | list[Tick], start_ns: int, end_ns: int) -> tuple[int, int]:
    return bisect.bisect_left(events, start_ns, key=_time), bisect.bisect_left(events, end_ns, key=_time)
