"""Modifications of open orders: through the risk gate and the queue to the venue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ibdesk.engine.order_queue import Waiting
from ibdesk.engine.terms import fitted
from ibdesk.errors import OrderDeniedError
from ibdesk.model import ModifyOrder, Order, OrderQueued, OrderStatus

if TYPE_CHECKING:
    from ibdesk.engine.order_flow import OrderFlow


class Modifications:
    """Sends new terms of orders to the venue; an order keeps its terms until the venue agrees."""

    def __init__(self, flow: OrderFlow) -> None:
        self._flow = flow

    def modify(
        self,
        order_id: str,
        *,
        quantity: float | None,
        limit_price: float | None,
        stop_price: float | None,
    ) -> None:
        """Pass new terms of an open order through the risk gate; it keeps its terms until the venue agrees."""
        flow = self._flow
        order = flow.blotter.orders.get(order_id)
        if order is None or not order.is_open:
            return
        market = flow.markets[order.instrument]
        changed = msgspec.structs.replace(
            order,
            quantity=order.quantity if quantity is None else quantity,
            limit_price=order.limit_price if limit_price is None else limit_price,
            stop_price=order.stop_price if stop_price is None else stop_price,
        ).checked()
        try:
            changed = fitted(changed, market.instrument)
            is_exit = self.examine(order, changed)
            if order.status is not OrderStatus.CREATED and flow.queue.may_leave(order.id, reduces=is_exit):
                self.send(changed)
                return
        except OrderDeniedError as denial:
            self.deny(order, denial)
            return
        if order.status is OrderStatus.CREATED:
            changed = msgspec.structs.replace(changed, updated_ns=flow.now_ns)
            flow.add(OrderQueued(changed))
            flow.blotter.put(changed)
            flow.refresh(changed)
            return
        flow.queue.put(Waiting(order.id, flow.freshness.now_ns, _terms(changed)), reduces=is_exit)

    def deny(self, order: Order, denial: OrderDeniedError) -> None:
        """Report that the gate denied new terms: the order stays unchanged, and its run gets the reason."""
        self._flow.tell_denial(denial)
        self._flow.tell_order(msgspec.structs.replace(order, reason=denial.reason))

    def examine(self, order: Order, changed: Order) -> bool:
        """Return whether the new terms of an order only reduce, as a smaller quantity alone always does.

        Raises:
            OrderDeniedError: If the gate refuses them, or the guardian cancels orders or closes positions.
        """
        flow = self._flow
        if flow.gate.halts.is_exclusive and flow.gate.decides:
            raise OrderDeniedError(order.id, "halt", 0.0, changed.quantity)
        smaller = msgspec.structs.replace(order, quantity=changed.quantity)
        if flow.link_up and changed == smaller and changed.quantity <= order.quantity:
            return True
        return flow.examine(changed, flow.blotter.sums_without(order))

    def send(self, changed: Order) -> None:
        """Send the new terms of an order."""
        flow = self._flow
        if flow.self_crossing.resting:
            flow.self_crossing.clear_the_way(changed)
        if changed.quantity != flow.blotter.orders[changed.id].quantity:
            flow.blotter.ask(flow.blotter.orders[changed.id], changed.quantity)
        flow.count_sent(changed)
        flow.add(_terms(changed))


def _terms(order: Order) -> ModifyOrder:
    return ModifyOrder(
        order_id=order.id, quantity=order.quantity, limit_price=order.limit_price, stop_price=order.stop_price
    )
