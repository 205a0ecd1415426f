"""An order at the venue, and the price at which the market fills it.

If a bar leaves open what happened, the rules take the outcome that is worse for the trader:

* A price that is not reached does not fill. A limit inside a bar must be traded *through*, since at the limit itself
  other orders may be first in the queue.
* A limit that is worse than the open fills at the open; so does a stop that the open has gapped over.
* A stop inside a bar fills at its stop price plus slippage.
* A stop-limit that is triggered inside a bar fills there only if the close is through its limit: then, whatever the
  path was, the market has crossed the limit after the trigger. It fills at its stop price, or at its limit if that is
  beyond the stop. Otherwise it rests as a limit order.
* An order that arrived, or changed its prices, inside a bar is matched with the rest of that bar; see `Arrival`.
* On quotes a buy trades at the ask and a sale at the bid; stops are triggered by the same side (a buy stop when the ask
  is at or over it), one of IB's trigger methods and the one that needs no trade prints.
"""

from __future__ import annotations

from typing import NamedTuple

from ibdesk.model import AnyInstrument, Bar, Order, OrderStatus, Quote, Side


class Arrival(NamedTuple):
    """The moment inside a bar at which an order arrived or changed its prices.

    `price` is the last known price at that moment. What traded after it is known only in part, with these rules:

    * A market order, a limit that `price` betters and a stop that `price` is over trade immediately, at the worse of
      `price` and the close.
    * A stop is triggered if the highest price that may still come (for a sale the lowest) reaches it.
    * A limit fills only if the close is through it: then the market has certainly crossed it afterwards.

    Directly after the open (`whole`) all of the bar is still to come, so a limit need only be traded through. An order
    that answers one that traded immediately does not do so itself (`waits`), but trades at the next bar's open:
    otherwise a strategy that answers every fill with an order would never reach the end of the bar.
    """

    bar: Bar
    price: float
    high_ahead: float
    low_ahead: float
    whole: bool
    waits: bool


class TouchPoint(NamedTuple):
    """The point at which a bar reaches an order after its open, and its fill price; None if it only triggers it.

    With `by_stop` the point is the stop price; with `at_once` the order did not have to wait.
    """

    level: float
    price: float | None
    by_stop: bool = False
    at_once: bool = False


class Ticket:
    """One order at the venue: its terms, its state and its cost so far."""

    __slots__ = ("arrival", "came_ns", "charged", "instrument", "order", "passed", "triggered", "value")

    def __init__(self, order: Order, instrument: AnyInstrument) -> None:
        self.order = order
        self.instrument = instrument
        # Whether the stop price was reached; an order without one is live from the start.
        self.triggered = order.stop_price is None
        # Its arrival or change inside a bar; only relevant in that bar.
        self.arrival: Arrival | None = None
        # Its last arrival or change. It cannot fill in a bar that opened earlier, unless it arrived inside that bar.
        self.came_ns = 0
        # The bar that has already reached it and left it resting.
        self.passed: Bar | None = None
        # Executed quantity x price x multiplier (`value`) and commission (`charged`) so far.
        self.value = 0.0
        self.charged = 0.0

    @property
    def resting_status(self) -> OrderStatus:
        """Return HELD for an order that waits for its stop or for a first price, else WORKING."""
        is_limit = self.order.limit_price is not None
        return OrderStatus.WORKING if self.triggered and is_limit else OrderStatus.HELD

    def came_in(self, bar: Bar) -> bool:
        """Return whether it arrived or changed inside this bar."""
        return self.arrival is not None and self.arrival.bar is bar

    def came_before(self, bar: Bar) -> bool:
        """Return whether it was here before the bar opened, and has not changed since."""
        return self.came_ns <= bar.opened_ns and not self.came_in(bar)

    def missed(self, bar: Bar) -> bool:
        """Return whether it arrived after the bar's open, and not in answer to an event inside the bar."""
        return self.came_ns > bar.opened_ns and not self.came_in(bar)

    def waits_for_open(self, at_ns: int) -> bool:
        """Return whether it arrived in a bar that closed at `at_ns` and could not trade there any more."""
        return self.arrival is not None and self.arrival.waits and self.arrival.bar.at_ns == at_ns

    def price_at_open(self, bar: Bar) -> float | None:
        """Return the price at which the bar's open fills the order; None if it does not."""
        return self._price_on_screen(bar.open)

    def price_on(self, quote: Quote) -> float | None:
        """Return the price at which the quote fills the order; None if it does not, or the quote lacks that side."""
        return self._price_on_screen(quote.ask if self.order.side is Side.BUY else quote.bid)

    def reached_inside(self, bar: Bar) -> TouchPoint | None:
        """Return the point at which the bar reaches the order after its open; None if it does not."""
        if self.passed is bar:
            return None
        arrival = self.arrival
        if arrival is not None and arrival.bar is bar:
            return self._reached_after(arrival)
        side, limit, stop = self.order.side, self.order.limit_price, self.order.stop_price
        far = bar.high if side is Side.BUY else bar.low
        if not self.triggered and stop is not None:
            return self._reached_by_stop(bar, stop) if _is_over(far, stop, side) else None
        # An order that accepts any price had its chance at the open.
        near = bar.low if side is Side.BUY else bar.high
        return TouchPoint(limit, limit) if limit is not None and _is_through(near, limit, side) else None

    def _reached_by_stop(self, bar: Bar, stop: float) -> TouchPoint:
        side, limit = self.order.side, self.order.limit_price
        if limit is None:
            return TouchPoint(stop, stop, by_stop=True)
        price = _better(stop, limit, side)
        return TouchPoint(stop, price if _is_through(bar.close, limit, side) else None, by_stop=True)

    def _reached_after(self, arrival: Arrival) -> TouchPoint | None:
        """Return the point at which the rest of the bar reaches the order; see `Arrival`."""
        side, limit, stop = self.order.side, self.order.limit_price, self.order.stop_price
        bar, price = arrival.bar, arrival.price
        buys = side is Side.BUY
        triggers = False
        if not self.triggered and stop is not None:
            if not _is_over(price, stop, side):
                far = arrival.high_ahead if buys else arrival.low_ahead
                return self._reached_by_stop(bar, stop) if _is_over(far, stop, side) else None
            if arrival.waits:
                return TouchPoint(price, None, at_once=True)
            triggers = True
        worst = _worse(price, bar.close, side)
        if limit is None:
            return None if arrival.waits else TouchPoint(price, worst, at_once=True)
        if _is_through(price, limit, side):
            return None if arrival.waits else TouchPoint(price, _better(worst, limit, side), at_once=True)
        near = (bar.low if buys else bar.high) if arrival.whole else bar.close
        at_once = limit == price
        if _is_through(near, limit, side) and not (at_once and arrival.waits):
            return TouchPoint(limit, limit, at_once=at_once)
        return TouchPoint(price, None, at_once=True) if triggers else None

    def _price_on_screen(self, price: float) -> float | None:
        """Return `price` if the order fills at it, else None; NaN fills nothing."""
        side, limit, stop = self.order.side, self.order.limit_price, self.order.stop_price
        if price != price:  # noqa: PLR0124 - NaN, and the fastest test
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


def _better(one: float, other: float, side: Side) -> float:
    return min(one, other) if side is Side.BUY else max(one, other)


def _worse(one: float, other: float, side: Side) -> float:
    return max(one, other) if side is Side.BUY else min(one, other)
