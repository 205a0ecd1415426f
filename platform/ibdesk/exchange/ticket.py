"""An order as the venue holds it, and the price at which the market fills it.

The rules of matching, where a bar leaves open what happened, take the worse for us:

* A price that is not reached does not fill; a limit inside a bar must be traded *through*, since at the limit
  itself others may stand before us in the queue.
* A limit that the open already betters fills at the open; so does a stop that the open has gapped over.
* A stop inside a bar fills at its stop price, and slippage comes on top.
* A stop-limit that is triggered inside a bar fills in the same bar only if the close is through its limit:
  then, whatever the path was, the market has crossed the limit after the trigger. Else it rests as a limit
  order.
* On quotes a buy trades at the ask and a sale at the bid; stops are triggered by the same side (a buy stop
  when the ask is at or over it), one of the trigger methods IB offers and the one that needs no trade prints.
"""

from __future__ import annotations

from ibdesk.model import AnyInstrument, Bar, Order, OrderStatus, Quote, Side


class Ticket:
    """One order at the venue: its terms and state, and what it has cost so far."""

    __slots__ = ("charged", "instrument", "order", "triggered", "value")

    def __init__(self, order: Order, instrument: AnyInstrument) -> None:
        self.order = order
        self.instrument = instrument
        # triggered: whether the stop price was reached; an order without one is live from the start.
        self.triggered = order.stop_price is None
        # value, charged: quantity x price x multiplier executed so far, and the commission taken for it.
        self.value = 0.0
        self.charged = 0.0

    @property
    def resting_status(self) -> OrderStatus:
        """Return HELD for an order that waits for its stop or for a first price, else WORKING."""
        is_limit = self.order.limit_price is not None
        return OrderStatus.WORKING if self.triggered and is_limit else OrderStatus.HELD

    @property
    def takes_any_price(self) -> bool:
        """Return whether it trades as a market order, so that slippage applies."""
        return self.order.limit_price is None

    def price_at_open(self, bar: Bar) -> float | None:
        """Return the price at which the bar's open fills the order, None if it does not."""
        return self._price_on_screen(bar.open)

    def price_on(self, quote: Quote) -> float | None:
        """Return the price at which the quote fills the order, None if it does not or its side is missing."""
        return self._price_on_screen(quote.ask if self.order.side is Side.BUY else quote.bid)

    def price_inside(self, bar: Bar) -> float | None:
        """Return the price at which the bar fills the order after its open, None if it does not.

        An order that takes any price has had its turn at the open.
        """
        side, limit, stop = self.order.side, self.order.limit_price, self.order.stop_price
        buys = side is Side.BUY
        if not self.triggered and stop is not None:
            if not _is_over(bar.high if buys else bar.low, stop, side):
                return None
            self.triggered = True
            if limit is None:
                return max(bar.open, stop) if buys else min(bar.open, stop)
            return limit if _is_through(bar.close, limit, side) else None
        if limit is None or not _is_through(bar.low if buys else bar.high, limit, side):
            return None
        return min(bar.open, limit) if buys else max(bar.open, limit)

    def _price_on_screen(self, price: float) -> float | None:
        """Return `price` if an order that meets the market at it fills, else None; NaN fills nothing."""
        side, limit, stop = self.order.side, self.order.limit_price, self.order.stop_price
        if price != price:  # noqa: PLR0124 - NaN, and the fastest way to ask
            return None
        if not self.triggered and stop is not None:
            if not _is_over(price, stop, side):
                return None
            self.triggered = True
        if limit is not None and price != limit and not _is_through(price, limit, side):
            return None
        return price


def _is_over(price: float, stop: float, side: Side) -> bool:
    return price >= stop if side is Side.BUY else price <= stop


def _is_through(price: float, limit: float, side: Side) -> bool:
    return price < limit if side is Side.BUY else price > limit
