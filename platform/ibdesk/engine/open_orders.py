"""The open orders of one owner in one instrument, and what they may still do to the position.

Exposure has two meanings, and they are kept apart:

* `OpenOrders.exposure` is what a target is compared with: the position plus the entries that are pending.
* `OpenOrders.worst` is the worst case that the risk gate checks: the position plus every order that could still fill, a
  stop and a limit that protect one position counted once.

Which is which follows from the shape of the orders alone. The base is the position plus the market orders, which are
as good as filled. Limit and stop orders on the side that takes the base towards zero protect it, the limits up to
the size of the base and the stops up to the size of the base: a stop and a profit target on one position are a pair,
of which one fills. What exceeds the base, what is on the base's own side, and everything beside a flat base are
entries.
"""

from __future__ import annotations

import enum

from ibdesk.model import Order, Side, TimeInForce

# What adding and taking away binary fractions may leave of nothing.
_DUST = 1e-9


class Sort(enum.IntEnum):
    """What an order waits for."""

    # MARKET: nothing; so does a limit order that is IOC, which fills at once or is gone.
    MARKET = 0
    # LIMIT: a better price.
    LIMIT = 1
    # STOP: a worse price.
    STOP = 2


def sort_of(order: Order) -> Sort:
    """Return what the order waits for; a stop-limit order waits for its stop."""
    if order.stop_price is not None:
        return Sort.STOP
    if order.limit_price is None or order.time_in_force is TimeInForce.IOC:
        return Sort.MARKET
    return Sort.LIMIT


class OpenOrders:
    """The quantities that open orders have left to fill, summed by side and sort.

    The sums are kept with each change, so that no order need scan the others.
    """

    __slots__ = ("buys", "sells")

    def __init__(self, buys: tuple[float, float, float] = (0.0,) * 3, sells: tuple[float, float, float] = (0.0,) * 3):
        # By `Sort`: market, limit, stop.
        self.buys, self.sells = [*buys], [*sells]

    def copy(self) -> OpenOrders:
        """Return sums that change on their own."""
        copied = OpenOrders.__new__(OpenOrders)
        copied.buys, copied.sells = self.buys[:], self.sells[:]
        return copied

    def reach_with(self, order: Order, quantity: float, held: float) -> float:
        """Return the worst position on an order's side, positive there, once so much of the order works as well."""
        buys, sells = self.buys, self.sells
        base = held + buys[0] - sells[0]
        if order.side is Side.BUY:
            if base >= 0:
                return held + buys[0] + buys[1] + buys[2] + quantity
            return self._with_order(order, quantity).worst(held)[0]
        if base <= 0:
            return sells[0] + sells[1] + sells[2] + quantity - held
        return -self._with_order(order, quantity).worst(held)[1]

    def _with_order(self, order: Order, quantity: float) -> OpenOrders:
        """Return the sums with one more order, on their own."""
        copied = self.copy()
        sums = copied.buys if order.side is Side.BUY else copied.sells
        sums[sort_of(order)] += quantity
        return copied

    def clear(self) -> None:
        """Count no order any more."""
        self.buys[:], self.sells[:] = (0.0,) * 3, (0.0,) * 3

    def add(self, order: Order, quantity: float) -> None:
        """Count so much more of an order, less when it is negative."""
        sums = self.buys if order.side is Side.BUY else self.sells
        sort = sort_of(order)
        total = sums[sort] + quantity
        sums[sort] = total if total > _DUST else 0.0

    @property
    def rest(self) -> bool:
        """Whether any order waits for a price."""
        buys, sells = self.buys, self.sells
        return bool(buys[1] or buys[2] or sells[1] or sells[2])

    def base(self, held: float) -> float:
        """Return the position once all market orders have filled."""
        return held + self.buys[0] - self.sells[0]

    def exposure(self, held: float) -> float:
        """Return what a target is compared with: the position plus the entries that are pending."""
        _, buy_limit, buy_stop = self.buys
        _, sell_limit, sell_stop = self.sells
        base = self.base(held)
        if not (buy_limit or buy_stop or sell_limit or sell_stop):
            return base
        long, short = max(base, 0.0), max(-base, 0.0)
        buys = max(0.0, buy_limit - short) + max(0.0, buy_stop - short)
        sells = max(0.0, sell_limit - long) + max(0.0, sell_stop - long)
        return base + buys - sells

    def worst(self, held: float) -> tuple[float, float]:
        """Return the highest and the lowest position that the open orders may lead to."""
        buys, sells = self.buys, self.sells
        base = held + buys[0] - sells[0]
        up = _reach(buys, -base) if base < 0 else buys[0] + buys[1] + buys[2]
        down = _reach(sells, base) if base > 0 else sells[0] + sells[1] + sells[2]
        return held + up, held - down


def _reach(sums: list[float], protected: float) -> float:
    """Return how far the orders of one side may move the position, of which they protect so much."""
    market, limit, stop = sums
    pair = max(min(limit, protected), min(stop, protected))
    return market + pair + max(0.0, limit - protected) + max(0.0, stop - protected)
