"""The order types that TWS has beyond the exchange's four, and how each is built from those.

A kind determines what an order is at the exchange now: a market, limit, stop or stop-limit order, or nothing yet. It
computes that from the quote and the order's previous shape, and stores nothing itself. Like the exchange's stops, an
order that watches the market watches the side it would trade at: the ask for a buy, the bid for a sale.
"""

from __future__ import annotations

import math
from typing import Protocol

import msgspec

from ibdesk.gateway.venue.terms import OrderTerms
from ibdesk.model import Instrument, OrderType, Quote, Side


class Shape(msgspec.Struct, frozen=True):
    """What an order is at the exchange."""

    type: OrderType
    limit: float | None = None
    stop: float | None = None


class OrderKind(Protocol):
    """How one type of order is worked.

    `prices` are the required price fields of the request; `base` is the order's final type at the exchange. `waits`
    means that it is shown as held by its trigger, `follows` that its price follows the market, `in_auction` that it
    trades in the closing auction. An order cannot be changed to or from a `fixed` kind.
    """

    prices: tuple[str, ...]
    base: OrderType
    waits: bool
    follows: bool
    in_auction: bool
    fixed: bool

    def shape(
        self, terms: OrderTerms, side: Side, instrument: Instrument, quote: Quote | None, before: Shape | None
    ) -> Shape | None:
        """Return what the order is at the exchange now; None while it must not be there."""
        ...


class Plain:
    """A type of the exchange itself (MKT, LMT, STP, STP LMT), or one of them in the closing auction (MOC, LOC)."""

    follows = False

    def __init__(self, base: OrderType, *, in_auction: bool = False) -> None:
        self.base = base
        self.prices = _PRICES[base]
        self.waits = base in (OrderType.STOP, OrderType.STOP_LIMIT)
        self.in_auction = self.fixed = in_auction

    def shape(
        self,
        terms: OrderTerms,
        side: Side,  # noqa: ARG002 - the signature of all kinds
        instrument: Instrument,  # noqa: ARG002
        quote: Quote | None,  # noqa: ARG002
        before: Shape | None,  # noqa: ARG002
    ) -> Shape | None:
        """Return the order unchanged."""
        return Shape(
            self.base,
            terms.limit if "lmtPrice" in self.prices else None,
            terms.aux if "auxPrice" in self.prices else None,
        )


_PRICES = {
    OrderType.MARKET: (),
    OrderType.LIMIT: ("lmtPrice",),
    OrderType.STOP: ("auxPrice",),
    OrderType.STOP_LIMIT: ("lmtPrice", "auxPrice"),
}


class Trailing:
    """TRAIL and TRAIL LIMIT: a stop that follows the market at a distance and never moves away from it.

    The distance is auxPrice, or trailingPercent of the market's price. The first stop is trailStopPrice, or that
    distance from the market (documented). The limit of a TRAIL LIMIT is lmtPriceOffset beyond the stop (captured: a
    buy stop of 2000.00 with an offset of 0.05 shows a limit of 2000.05), or as far as lmtPrice from the first stop.
    """

    prices: tuple[str, ...] = ()
    waits, follows, in_auction, fixed = True, True, False, False

    def __init__(self, base: OrderType) -> None:
        self.base = base

    def shape(
        self, terms: OrderTerms, side: Side, instrument: Instrument, quote: Quote | None, before: Shape | None
    ) -> Shape | None:
        """Return the stop at its current price."""
        stop = terms.trail_stop if before is None else before.stop
        market = _taken_at(quote, side)
        if market is not None and (before is not None or stop is None):
            reached = instrument.round_price(market + side.sign * self._distance(terms, market))
            nearest = min if side is Side.BUY else max
            stop = reached if stop is None else nearest(stop, reached)
        if stop is None:
            return None
        if self.base is OrderType.STOP:
            return Shape(self.base, stop=stop)
        return Shape(self.base, instrument.round_price(stop + side.sign * _limit_offset(terms)), stop)

    def _distance(self, terms: OrderTerms, market: float) -> float:
        if terms.trail_percent is not None:
            return abs(market) * terms.trail_percent / 100
        return 0.0 if terms.aux is None else terms.aux


def _limit_offset(terms: OrderTerms) -> float:
    if terms.limit_offset is not None:
        return terms.limit_offset
    if terms.limit is None or terms.trail_stop is None:
        return 0.0
    return abs(terms.limit - terms.trail_stop)


class Touched:
    """MIT and LIT: a market or limit order once the market reaches auxPrice, from the opposite side to a stop.

    A buy waits for the market to fall to its trigger, a sale for it to rise there (documented).
    """

    waits, follows, in_auction, fixed = True, False, False, False

    def __init__(self, base: OrderType) -> None:
        self.base = base
        self.prices = (*_PRICES[base], "auxPrice")

    def shape(
        self,
        terms: OrderTerms,
        side: Side,
        instrument: Instrument,  # noqa: ARG002 - the signature of all kinds
        quote: Quote | None,
        before: Shape | None,
    ) -> Shape | None:
        """Return the order once its trigger was touched."""
        market = _taken_at(quote, side)
        if before is not None:
            return before
        if market is None or terms.aux is None or side.sign * (market - terms.aux) > 0:
            return None
        return Shape(self.base, terms.limit if self.base is OrderType.LIMIT else None)


class Relative:
    """REL, pegged to primary: a limit that is auxPrice better than the best price of its own side.

    It follows the market towards its limit and never back: when the best bid falls, a relative buy stays (documented).
    If lmtPrice is set, it goes no further than that.
    """

    prices: tuple[str, ...] = ()
    base = OrderType.LIMIT
    waits, follows, in_auction, fixed = False, True, False, True

    def shape(
        self, terms: OrderTerms, side: Side, instrument: Instrument, quote: Quote | None, before: Shape | None
    ) -> Shape | None:
        """Return the limit at its current price."""
        own = math.nan if quote is None else quote.bid if side is Side.BUY else quote.ask
        if math.isnan(own):
            return before
        best = max if side is Side.BUY else min
        limit = instrument.round_price(own + side.sign * (terms.aux or 0.0))
        if before is not None and before.limit is not None:
            limit = best(limit, before.limit)
        return Shape(self.base, _capped(limit, terms, side))


class Midprice:
    """MIDPRICE: a limit midway between bid and ask that follows both ways, never beyond lmtPrice (documented).

    A midpoint between two ticks is rounded away from the other side. It fills when the market reaches it.
    """

    prices: tuple[str, ...] = ()
    base = OrderType.LIMIT
    waits, follows, in_auction, fixed = False, True, False, True

    def shape(
        self, terms: OrderTerms, side: Side, instrument: Instrument, quote: Quote | None, before: Shape | None
    ) -> Shape | None:
        """Return the limit at its current price."""
        middle = math.nan if quote is None else quote.mid
        if math.isnan(middle):
            return before
        limit = instrument.round_price(middle)
        if side.sign * (limit - middle) > _DUST:
            limit = instrument.round_price(limit - side.sign * instrument.tick_at(limit))
        return Shape(self.base, _capped(limit, terms, side))


class MarketToLimit:
    """MTL: takes what the market offers at once; the remaining quantity rests as a limit at that price (documented)."""

    prices: tuple[str, ...] = ()
    base = OrderType.LIMIT
    waits, follows, in_auction, fixed = False, False, False, True

    def shape(
        self,
        terms: OrderTerms,  # noqa: ARG002 - the signature of all kinds
        side: Side,
        instrument: Instrument,
        quote: Quote | None,
        before: Shape | None,
    ) -> Shape | None:
        """Return a limit at the price of the first quote."""
        market = _taken_at(quote, side)
        if before is not None or market is None:
            return before
        return Shape(self.base, instrument.round_price(market))


# The error that adding and halving binary fractions leaves in a price.
_DUST = 1e-9


def _taken_at(quote: Quote | None, side: Side) -> float | None:
    """Return the price at which this side would trade at once; None if there is none."""
    if quote is None:
        return None
    price = quote.ask if side is Side.BUY else quote.bid
    return None if math.isnan(price) else price


def _capped(limit: float, terms: OrderTerms, side: Side) -> float:
    if terms.limit is None:
        return limit
    return min(limit, terms.limit) if side is Side.BUY else max(limit, terms.limit)


KINDS: dict[str, OrderKind] = {
    "MKT": Plain(OrderType.MARKET),
    "LMT": Plain(OrderType.LIMIT),
    "STP": Plain(OrderType.STOP),
    "STP LMT": Plain(OrderType.STOP_LIMIT),
    "TRAIL": Trailing(OrderType.STOP),
    "TRAIL LIMIT": Trailing(OrderType.STOP_LIMIT),
    "MIT": Touched(OrderType.MARKET),
    "LIT": Touched(OrderType.LIMIT),
    "MOC": Plain(OrderType.MARKET, in_auction=True),
    "LOC": Plain(OrderType.LIMIT, in_auction=True),
    "REL": Relative(),
    "MIDPRICE": Midprice(),
    "MTL": MarketToLimit(),
}
"""Every supported order type, by TWS's name."""
