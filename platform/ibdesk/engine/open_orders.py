"""The open orders of one owner in one instrument, and their possible effect on the position.

Exposure has two separate meanings:

* `OpenOrders.exposure` is compared with a target: the position plus pending entries.
* `OpenOrders.worst` is the worst case that the risk gate checks: the position plus every order that could still fill. A
  stop and a limit that protect the same position count once.

The distinction follows from the orders alone. The base is the position plus the market orders, which count as filled.
Limit and stop orders on the side that takes the base towards zero protect it, the limits up to the size of the base and
the stops up to the size of the base: a stop and a profit target on one position are a pair, of which one fills. Orders
beyond the base, orders on the base's own side, and all orders beside a flat base are entries.
"""

from __future__ import annotations

import enum

from ibdesk.model import Order, Side, TimeInForce

# The rounding error of sums of binary fractions around zero.
_DUST = 1e-9


class Sort(enum.IntEnum):
    """The condition that an order waits for."""

    MARKET = 0
    """Nothing; a limit order that is IOC counts here, as it fills at once or is gone."""
    LIMIT = 1
    """A better price."""
    STOP = 2
    """A worse price."""


def sort_of(order: Order) -> Sort:
    """Return the condition that the order waits for; a stop-limit order waits for its stop."""
    if order.stop_price is not None:
        return Sort.STOP
    if order.limit_price is None or order.time_in_force is TimeInForce.IOC:
        return Sort.MARKET
    return Sort.LIMIT


class OpenOrders:
    """The remaining quantities of open orders, summed by side and sort.

    Each change updates the sums, so no order has to scan the others.
    """

    __slots__ = ("buys", "sells")

    def __init__(self, buys: tuple[float, float, float] = (0.0,) * 3, sells: tuple[float, float, float] = (0.0,) * 3):
        # By `Sort`: market, limit, stop.
        self.buys, self.sells = [*buys], [*sells]

    def copy(self) -> OpenOrders:
        """Return an independent copy."""
        copied = OpenOrders.__new__(OpenOrders)
        copied.buys, copied.sells = self.buys[:], self.sells[:]
        return copied

    def reach_with(self, order: Order, quantity: float, held: float) -> float:
        """Return the worst position on an order's side (positive there) if `quantity` of the order works as well."""
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
        """Return a copy of the sums with one more order."""
        copied = self.copy()
        sums = copied.buys if order.side is Side.BUY else copied.sells
        sums[sort_of(order)] += quantity
        return copied

    def clear(self) -> None:
        """Remove all orders."""
        self.buys[:], self.sells[:] = (0.0,) * 3, (0.0,) * 3

    def add(self, order: Order, quantity: float) -> None:
        """Add `quantity` of an order to the sums; a negative one is subtracted."""
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
        """Return the position plus pending entries, which is compared with a target."""
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
        """Return the highest and the lowest position that the open orders can lead to."""
        buys, sells = self.buys, self.sells
        base = held + buys[0] - sells[0]
        up = _reach(buys, -base) if base < 0 else buys[0] + buys[1] + buys[2]
        down = _reach(sells, base) if base > 0 else sells[0] + sells[1] + sells[2]
        return held + up, held - down


def _reach(sums: list[float], protected: float) -> float:
    """Return the largest move by the orders of one side, of which `protected` protects the position."""
    market, limit, stop = sums
    pair = max(min(limit, protected), min(stop, protected))
    return market + pair + max(0.0, limit - protected) + max(0.0, stop - protected)
