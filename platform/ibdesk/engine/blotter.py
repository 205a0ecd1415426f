"""All orders of the desk and their states."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from ibdesk.engine.exposures import Exposures
from ibdesk.engine.holdings import Holding
from ibdesk.engine.open_orders import OpenOrders
from ibdesk.engine.portfolio import MANUAL
from ibdesk.model import FINAL_STATUSES, Fill, Order, OrderReport, OrderStatus

NEVER_LEFT = "never sent: the desk ended while the order waited for its turn"
"""The reason of an order that by the journal never left; after a loss of power the last moments can be missing."""


class Blotter:
    """Orders by id, and the open ones by owner and instrument. Only the blotter changes an order's state."""

    def __init__(self, exposures: Exposures | None = None) -> None:
        self._exposures = exposures or Exposures({}, is_kept=False)
        self.orders: dict[str, Order] = {}
        # The orders by hand, by the caller and the caller's key.
        self._by_client_key: dict[tuple[str, str], str] = {}
        # The same by the mark of caller and key in the order's id, which the venue reports if our journal lost it.
        self._by_mark: dict[str, str] = {}
        # The quantity that each open order counts for in the sums.
        self._counted: dict[str, float] = {}
        # The newest and the largest quantity of modifications that the venue has not answered.
        self._asked: dict[str, tuple[float, float]] = {}
        # The open orders with a pending cancel: they may still fill.
        self._withdrawn: dict[str, None] = {}

    def put(self, order: Order) -> None:
        """Store an order's new value."""
        self.orders[order.id] = order
        if order.client_key:
            self._by_client_key[order.by, order.client_key] = order.id
        elif order.owner == MANUAL:
            self._by_mark[order.id.rpartition("-")[2]] = order.id
        holding = self._exposures.holding(order.owner, order.instrument)
        open_orders = holding.orders
        if order.status not in FINAL_STATUSES:
            if order.id not in open_orders:
                self._exposures.count_order(holding, 1)
            # An order that changes keeps its place, so that the oldest stays first.
            open_orders[order.id] = order
            quantity = order.remaining
            if self._asked and order.id in self._asked:
                # Until the venue answers a modification, the order may fill by either quantity.
                quantity = max(quantity, self._asked[order.id][1] - order.filled)
            before = self._counted.get(order.id, 0.0)
            if quantity != before:
                holding.sums.add(order, quantity - before)
                self._counted[order.id] = quantity
                self._exposures.refresh(holding)
        elif order.id in open_orders:
            del open_orders[order.id]
            self._exposures.count_order(holding, -1)
            holding.sums.add(order, -self._counted.pop(order.id))
            self._asked.pop(order.id, None)
            self._withdrawn.pop(order.id, None)
            self._exposures.refresh(holding)

    def forget(self, order_ids: Iterable[str]) -> None:
        """Drop orders of a run that never left, also those that were only partly stored."""
        touched: dict[tuple[str, str], Holding] = {}
        for order_id in order_ids:
            order = self.orders.pop(order_id, None)
            if order is not None:
                self._counted.pop(order_id, None)
                holding = touched[order.owner, order.instrument] = self._exposures.holding(
                    order.owner, order.instrument
                )
                if holding.orders.pop(order_id, None) is not None:
                    self._exposures.count_order(holding, -1)
        for holding in touched.values():
            holding.sums.clear()
            for each in holding.orders.values():
                holding.sums.add(each, self._counted[each.id])
            self._exposures.refresh(holding)

    def take_back(self, order_id: str) -> None:
        """Undo a change or cancel of an order that never left."""
        self._withdrawn.pop(order_id, None)
        if self._asked.pop(order_id, None) is not None:
            self.put(self.orders[order_id])

    def called(self, by: str, client_key: str) -> Order | None:
        """Return the order that a caller placed under a client key, or None."""
        order_id = self._by_client_key.get((by, client_key)) or self._by_mark.get(mark_of(by, client_key))
        return None if order_id is None else self.orders[order_id]

    def open_orders(self, owner: str, instrument: str) -> list[Order]:
        """Return an owner's orders in an instrument that may still fill, oldest first."""
        return list(self._exposures.holding(owner, instrument).orders.values())

    def all_open(self) -> list[Order]:
        """Return all orders that may still fill."""
        return [order for holding in self._exposures.holdings.values() for order in holding.orders.values()]

    def is_open(self, order_id: str) -> bool:
        """Return whether the order exists and may still fill."""
        order = self.orders.get(order_id)
        return order is not None and order.is_open

    def sums(self, owner: str, instrument: str) -> OpenOrders:
        """Return the live sums of an owner's open orders in an instrument; the caller must not change them."""
        return self._exposures.holding(owner, instrument).sums

    def sums_without(self, order: Order) -> OpenOrders:
        """Return the sums of the other open orders of its owner in its instrument."""
        sums = self.sums(order.owner, order.instrument)
        counted = self._counted.get(order.id)
        if counted:
            sums = sums.copy()
            sums.add(order, -counted)
        return sums

    def ask(self, order: Order, quantity: float) -> None:
        """Note a request to the venue to change an open order's quantity."""
        self._asked[order.id] = quantity, max(quantity, self._asked.get(order.id, (0.0, 0.0))[1])
        self.put(order)

    def withdraw(self, order_id: str) -> None:
        """Note a request to the venue to withdraw an open order."""
        self._withdrawn[order_id] = None

    def is_withdrawn(self, order_id: str) -> bool:
        """Return whether an open order has a pending cancel."""
        return order_id in self._withdrawn

    def is_changing(self, order_id: str) -> bool:
        """Return whether a change of an order's quantity is unanswered."""
        return order_id in self._asked

    def counted(self, order: Order) -> float:
        """Return the largest quantity that an open order may still fill, however the venue answers a change."""
        return self._counted.get(order.id, 0.0)

    @property
    def is_settled(self) -> bool:
        """Whether the venue has answered all cancels and changes of quantity."""
        return not self._withdrawn and not self._asked

    def report(self, report: OrderReport) -> Order | None:
        """Apply a report of the venue; return the order's new value, None if it is not ours or nothing changed.

        FILLED is ignored here: it follows from executions. A report that the order's state does not allow is out of
        date and is ignored.
        """
        order = self.orders.get(report.order_id)
        if order is None:
            return None
        if order.id in self._asked and (
            report.reason not in ("", order.reason) or report.quantity == self._asked[order.id][0]
        ):
            del self._asked[order.id]
            self.put(order)
        moved = self._with_terms(order, report)
        status = report.status
        is_news = status is not order.status or report.reason not in ("", order.reason)
        if is_news and status is not OrderStatus.FILLED and order.status.may_become(status):
            moved = moved.moved(status, report.at_ns, reason=report.reason)
        if moved is order:
            return None
        if moved.is_open and moved.filled and moved.is_complete:
            # It was reduced to the quantity that was already executed.
            moved = moved.moved(OrderStatus.FILLED, report.at_ns)
        self.put(moved)
        return moved

    def filled(self, fill: Fill) -> Order | None:
        """Apply a new execution; return the order's new value, None if the order is not ours."""
        order = self.orders.get(fill.order_id)
        if order is None:
            return None
        # An execution on the other side reverses one that the venue has corrected.
        after = order.after(order.side.sign * fill.signed_quantity, fill.price, fill.at_ns)
        self.put(after)
        return after

    def lose_sight(self, at_ns: int) -> list[Order]:
        """Mark each order that still waits for its first answer as UNKNOWN; return those orders."""
        lost = [
            order.moved(OrderStatus.UNKNOWN, at_ns) for order in self.all_open() if order.status is OrderStatus.SENT
        ]
        for order in lost:
            self.put(order)
        return lost

    @staticmethod
    def _with_terms(order: Order, report: OrderReport) -> Order:
        """Return the order with the venue's id and terms; the same object if nothing is new."""
        has_other_terms = _has_other_terms(order, report)
        if not has_other_terms and report.permanent_id in (0, order.permanent_id):
            return order
        return msgspec.structs.replace(
            order,
            permanent_id=report.permanent_id or order.permanent_id,
            quantity=order.quantity if report.quantity is None else report.quantity,
            limit_price=order.limit_price if report.limit_price is None else report.limit_price,
            stop_price=order.stop_price if report.stop_price is None else report.stop_price,
            updated_ns=report.at_ns,
            version=order.version + has_other_terms,
        )


def _has_other_terms(order: Order, report: OrderReport) -> bool:
    quantity, limit, stop = report.quantity, report.limit_price, report.stop_price
    return (
        (quantity is not None and quantity != order.quantity)
        or (limit is not None and limit != order.limit_price)
        or (stop is not None and stop != order.stop_price)
    )


def mark_of(by: str, client_key: str) -> str:
    """Return the mark of a caller and client key: the end of the id of an order by hand."""
    return hashlib.sha256(f"{by}\0{client_key}".encode()).hexdigest()[:12]
