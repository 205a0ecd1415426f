"""The times of orders: from their cause to the bytes at the socket, and from there to the venue's first answer."""

from __future__ import annotations

from collections.abc import Sequence

from ibdesk.clock import monotonic_ns
from ibdesk.model import Order, OrderReport, OrderStatus
from ibdesk.telemetry import Performance


class OrderTimes:
    """Measures the times of each order on the performance counter, in ns."""

    def __init__(self, performance: Performance) -> None:
        self._performance = performance
        # Send times of the orders that the venue has not mentioned yet.
        self._sent_ns: dict[str, int] = {}

    def sent(self, orders: Sequence[Order], began_ns: int, *, is_of_market: bool) -> int:
        """Note that the bytes of an event's orders are at the socket; return the time since `began_ns`, ns."""
        now_ns = monotonic_ns()
        span = "order_execution" if is_of_market else "order_command"
        for order in orders:
            self._sent_ns[order.id] = now_ns
            facts = {"order_id": order.id, "symbol": order.instrument, "correlation_id": order.correlation_id}
            self._performance.add(span, now_ns - began_ns, **facts)
        return now_ns - began_ns

    def answered(self, report: OrderReport) -> None:
        """Note a report of an order; the venue's first own report ends the span."""
        if report.status is OrderStatus.UNKNOWN:
            return
        sent_ns = self._sent_ns.pop(report.order_id, 0)
        if sent_ns:
            self._performance.add("order_answer", monotonic_ns() - sent_ns, order_id=report.order_id)
