"""An order as the venue holds it, and the price at which the market fills it.

Where a bar does not say what happened, the rules take the outcome that is worse for the trader:

* A price that is not reached does not fill. A limit inside a bar must be traded *through*, since at the limit
  itself other orders may stand first in the queue.
* A limit that the open betters fills at the open; so does a stop that the open has gapped over.
* A stop inside a bar fills at its stop price, and slippage comes on top.
* A stop-limit that is triggered inside a bar fills there only if the close is through its limit: then, whatever
  the path was, the market has crossed the limit after the trigger. It fills at its stop price, or at its limit
  where that is beyond the stop. Otherwise it rests as a limit order.
* An order that came, or got other prices, inside a bar meets the rest of that bar; see `Arrival`.
* On quotes a buy trades at the ask and a sale at the bid; stops are triggered by the same side (a buy stop
  when the ask is at or over it), one of the trigger methods IB offers and the one that needs no trade prints.
"""

from __future__ import annotations

from typing import NamedTuple

from ibdesk.model import AnyInstrument, Bar, Order, OrderStatus, Quote, Side


class Arrival(NamedTuple):
    """The moment inside a bar at which an order came or got other prices.

    `price` is the last price known then. What traded after it is known only in part, and is taken so:

    * A market order, a limit that `price` betters and a stop that `price` is over trade at once, at the worse of
      `price` and the close.
    * A stop is triggered if the highest price that may still come (for a sale the lowest) reaches it.
    * A limit fills only if the close is through it: then the market crossed it afterwards for certain.

    After the open (`whole`) all of the bar is still to come, so a limit need only be traded through. An order that
    answers one that traded at once does not trade at once itself (`waits`), but at the next bar's open: otherwise
    a strategy that answers every fill with an order would never see the bar end.
    """

    bar: Bar
    price: float
    high_ahead: float
    low_ahead: float
    whole: bool
    waits: bool


class Reach(NamedTuple):
    """Where a bar reaches an order after its open, and at which price it fills; None if it only triggers it.

    `by_stop` says that the stop price is what is reached, `at_once` that the order did not have to wait for it.
    """

    level: float
    price: float | None
    by_stop: bool = False
    at_once: bool = False


class Ticket:
    """One order at the venue: its terms and state, and what it has cost so far."""

    __slots__ = ("arrival", "came_ns", "charged", "instrument", "order", "passed", "triggered", "value")

    def __init__(self, order: Order, instrument: AnyInstrument) -> None:
        self.order = order
        self.instrument = instrument
        # Whether the stop price was reached; an order without one is live from the start.
        self.triggered = order.stop_price is None
        # When it came or changed inside a bar; of interest in that bar only.
        self.arrival: Arrival | None = None
        # When it came or changed last; a bar that had opened before is over for it unless it came inside.
        self.came_ns = 0
        # The bar that has reached it already and left it resting.
        self.passed: Bar | None = None
        # value, charged: quantity x price x multiplier executed so far, and the commission taken for it.
        self.value = 0.0
        self.charged = 0.0

    @property
    def resting_status(self) -> OrderStatus:
        """Return HELD for an order that waits for its stop or for a first price, else WORKING."""
        is_limit = self.order.limit_price is not None
        return OrderStatus.WORKING if self.triggered and is_limit else OrderStatus.HELD

    def came_in(self, bar: Bar) -> bool:
        """Return whether it came or changed inside this bar."""
        return self.arrival is not None and self.arrival.bar is bar

    def came_before(self, bar: Bar) -> bool:
        """Return whether it stood here before the bar opened, and has not changed since."""
        return self.came_ns <= bar.opened_ns and not self.came_in(bar)

    def missed(self, bar: Bar) -> bool:
        """Return whether it came after a bar had opened, and not as an answer to what happened inside it."""
        return self.came_ns > bar.opened_ns and not self.came_in(bar)

    def waits_for_open(self, at_ns: int) -> bool:
        """Return whether it came in a bar that closed at `at_ns` and could not trade there any more."""
        return self.arrival is not None and self.arrival.waits and self.arrival.bar.at_ns == at_ns

    def price_at_open(self, bar: Bar) -> float | None:
        """Return the price at which the bar's open fills the order, None if it does not."""
        return self._price_on_screen(bar.open)

    def price_on(self, quote: Quote) -> float | None:
        """Return the price at which the quote fills the order, None if it does not or its side is missing."""
        return self._price_on_screen(quote.ask if self.order.side is Side.BUY else quote.bid)

    def reached_inside(self, bar: Bar) -> Reach | None:
        """Return where the bar reaches the order after its open, None if it does not."""
        if self.passed is bar:
            return None
        arrival = self.arrival
        if arrival is not None and arrival.bar is bar:
            return self._reached_after(arrival)
        side, limit, stop = self.order.side, self.order.limit_price, self.order.stop_price
        far = bar.high if side is Side.BUY else bar.low
        if not self.triggered and stop is not None:
            return self._reached_by_stop(bar, stop) if _is_over(far, stop, side) else None
        # An order that takes any price has had its turn at the open.
        near = bar.low if side is Side.BUY else bar.high
        return Reach(limit, limit) if limit is not None and _is_through(near, limit, side) else None

    def _reached_by_stop(self, bar: Bar, stop: float) -> Reach:
        side, limit = self.order.side, self.order.limit_price
        if limit is None:
            return Reach(stop, stop, by_stop=True)
        price = _better(stop, limit, side)
        return Reach(stop, price if _is_through(bar.close, limit, side) else None, by_stop=True)

    def _reached_after(self, arrival: Arrival) -> Reach | None:
        """Return where the rest of the bar reaches the order; see `Arrival`."""
        side, limit, stop = self.order.side, self.order.limit_price, self.order.stop_price
        bar, price = arrival.bar, arrival.price
        buys = side is Side.BUY
        triggers = False
        if not self.triggered and stop is not None:
            if not _is_over(price, stop, side):
                far = arrival.high_ahead if buys else arrival.low_ahead
                return self._reached_by_stop(bar, stop) if _is_over(far, stop, side) else None
            if arrival.waits:
                return Reach(price, None, at_once=True)
            triggers = True
        worst = _worse(price, bar.close, side)
        if limit is None:
            return None if arrival.waits else Reach(price, worst, at_once=True)
        if _is_through(price, limit, side):
            return None if arrival.waits else Reach(price, _better(worst, limit, side), at_once=True)
        near = (bar.low if buys else bar.high) if arrival.whole else bar.close
        at_once = limit == price
        if _is_through(near, limit, side) and not (at_once and arrival.waits):
            return Reach(limit, limit, at_once=at_once)
        return Reach(price, None, at_once=True) if triggers else None

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


def _better(one: float, other: float, side: Side) -> float:
    return min(one, other) if side is Side.BUY else max(one, other)


def _worse(one: float, other: float, side: Side) -> float:
    return max(one, other) if side is Side.BUY else min(one, other)
