"""Self-crossing: keeping the runs of a desk, and orders by hand, from trading with each other.

An order could do so if it reaches a limit order of another owner that rests on the other side. A limit order reaches
its limit. A market order is assumed to reach half a percent through the other side of the quote, or to its collar. A
stop counts neither when it is placed nor while it rests, because the market at its trigger is unknown.

By `risk.self_crossing` such an order is denied ("deny"), or the orders in its way are cancelled right before it leaves
("cancel_resting"), or nothing is done ("allow"). There are two exceptions. An order that only reduces or protects a
position is never denied: the resting orders in its way are cancelled. And a resting order that protects its owner's
position is never cancelled: an opening order is denied for it, and a reducing one passes.

The best price of each owner is on top of a heap, so only the resting orders that are reached are examined.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ibdesk.errors import OrderDeniedError
from ibdesk.model import Order, OrderType, Side, TimeInForce

if TYPE_CHECKING:
    from ibdesk.engine.market import Market
    from ibdesk.engine.order_flow import OrderFlow

RULE = "self_crossing"

_OTHER = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}

_MARKET_REACH = 0.005

# A price, negative for a buy, so that the best one is the least; and the order's id.
_Heap = list[tuple[float, str]]


class SelfCrossing:
    """The resting limit orders of all owners, by instrument and side."""

    def __init__(self, flow: OrderFlow) -> None:
        self._flow = flow
        # Empty until a limit order rests, so that a desk without any has only this to check.
        self.resting: dict[tuple[str, Side], dict[str, _Heap]] = {}
        # The price at which each order stands in its heap; entries at other prices are out of date.
        self._prices: dict[str, float] = {}

    def restore(self, orders: Iterable[Order]) -> None:
        """Restore the orders of a snapshot."""
        for order in orders:
            self.note(order)

    def note(self, order: Order) -> None:
        """Update the state or terms of an order that has left."""
        if order.type is not OrderType.LIMIT or order.time_in_force is TimeInForce.IOC or order.limit_price is None:
            return
        if not order.is_open:
            self._prices.pop(order.id, None)
            return
        price = -order.side.sign * order.limit_price
        if self._prices.get(order.id) != price:
            self._prices[order.id] = price
            owners = self.resting.setdefault((order.instrument, order.side), {})
            heapq.heappush(owners.setdefault(order.owner, []), (price, order.id))

    def check(self, order: Order, market: Market) -> None:
        """Deny an opening order that could trade with another owner's order of this desk.

        Raises:
            OrderDeniedError: With the price of the resting order, and the reach of this one.
        """
        mode = self._flow.gate.limits.self_crossing
        if mode == "allow" or order.stop_price is not None:
            return
        if (order.instrument, _OTHER[order.side]) not in self.resting:
            return
        for resting in self._reached(order, market):
            if mode == "deny" or not self._flow.opens(resting):
                price = math.nan if resting.limit_price is None else resting.limit_price
                raise OrderDeniedError(order.id, RULE, price, self._reach(order, market))

    def clear_the_way(self, order: Order) -> None:
        """Cancel resting orders that an order which leaves now would reach, if they open positions."""
        if order.stop_price is not None or (order.instrument, _OTHER[order.side]) not in self.resting:
            return
        if self._flow.gate.limits.self_crossing == "allow":
            return
        for resting in list(self._reached(order, self._flow.markets[order.instrument])):
            if self._flow.opens(resting):
                self._flow.cancel(resting.id)

    def _reached(self, order: Order, market: Market) -> Iterator[Order]:
        """Yield the resting orders of other owners that an order reaches, each owner's best first."""
        owners = self.resting[order.instrument, _OTHER[order.side]]
        # In the heaps' sign: a sale rests at its price, a buy at the negative of it.
        reach = order.side.sign * self._reach(order, market)
        for owner, heap in owners.items():
            if owner == order.owner:
                continue
            self._drop_ended(heap)
            if heap and heap[0][0] <= reach:
                yield from self._all_reached(heap, reach)

    def _all_reached(self, heap: _Heap, reach: float) -> Iterator[Order]:
        """Yield the orders of a heap up to a price: all below an entry beyond it are beyond it too."""
        looked_at = [0]
        while looked_at:
            at = looked_at.pop()
            if at < len(heap) and heap[at][0] <= reach:
                price, order_id = heap[at]
                if self._prices.get(order_id) == price and not self._flow.blotter.is_withdrawn(order_id):
                    yield self._flow.blotter.orders[order_id]
                looked_at += (2 * at + 1, 2 * at + 2)

    def _drop_ended(self, heap: _Heap) -> None:
        """Remove ended and changed orders from the top."""
        while heap and self._prices.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)

    def _reach(self, order: Order, market: Market) -> float:
        if order.limit_price is not None:
            return order.limit_price
        quote, buys = market.quote, order.side is Side.BUY
        side = math.nan if quote is None else quote.ask if buys else quote.bid
        price = market.price if math.isnan(side) else side
        if price is None:
            return order.side.sign * math.inf
        collar = self._flow.gate.limits.collar_market_orders
        return price + order.side.sign * abs(price) * (_MARKET_REACH if collar == math.inf else collar)
