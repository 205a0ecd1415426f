"""The orders with which guardians close positions and that may still be filled, of all plans and processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from ibdesk.guardian.account import DUST, AccountSnapshot

_SECOND = 1_000_000_000
# After `settle_seconds`, this many looks in a row must show no trace of an order before it counts as never accepted.
_LOOKS = 2
# A finished order counts as over once TWS has reported its end and has not shown it for this long.
_GONE_SECONDS = 0.4


class ClosingOrder(msgspec.Struct, kw_only=True):
    """A market order of a guardian, from the moment before it leaves until it can no longer be filled.

    `sent_ns` is on the monotonic clock; `sent_wall_ns` is the same moment in UTC, for a later process. `is_wanted` is
    false once its stop was abandoned; `disowned_ns` is when it was first to be cancelled for that. `is_told` is true
    once a person was alerted that the order does not work as it should. `is_seen` is true once TWS has shown it;
    `gone_since_ns` is when TWS first stopped showing it. `has_ended` is TWS's word that nothing of it works any more;
    `reported` is the quantity filled according to messages other than executions, which may come later.
    """

    reference: str
    con_id: int
    quantity: float
    sent_ns: int
    sent_wall_ns: int = 0
    client_id: int = 0
    order_id: int = 0
    is_wanted: bool = True
    disowned_ns: int | None = None
    is_told: bool = False
    is_seen: bool = False
    refusal: str = ""
    has_ended: bool = False
    reported: float = 0.0
    gone_since_ns: int | None = None
    cancelled_ns: int | None = None
    looks_without_trace: int = 0


class ClosingOrders:
    """Every order that may still be filled, by its reference.

    An order that TWS does not show, or no longer shows, has not ended: TWS may be slow. It ends by a message of TWS,
    once the reported executions have arrived; or once TWS has shown no trace of it for `settle_seconds` and then in two
    looks.
    """

    def __init__(self, *, settle_seconds: float = 60.0) -> None:
        self._orders: dict[str, ClosingOrder] = {}
        self._settle_seconds = settle_seconds

    def __iter__(self) -> Iterator[ClosingOrder]:
        return iter(self._orders.values())

    def __contains__(self, reference: object) -> bool:
        return reference in self._orders

    @property
    def contracts(self) -> set[int]:
        """Return the contracts in which such an order may still be filled."""
        return {order.con_id for order in self}

    def works_in(self, con_id: int) -> bool:
        """Return whether an order in this contract may still be filled."""
        return any(order.con_id == con_id for order in self)

    def is_wanted(self, reference: str) -> bool:
        """Return whether the order may still be filled and its stop is in force."""
        order = self._orders.get(reference)
        return order is not None and order.is_wanted

    @property
    def has_unwanted(self) -> bool:
        """Return whether an order of an abandoned stop may still be filled."""
        return any(not order.is_wanted for order in self)

    def get(self, reference: str) -> ClosingOrder | None:
        """Return the order with this reference, None once it has ended."""
        return self._orders.get(reference)

    def inherit(self, orders: Iterable[ClosingOrder]) -> None:
        """Take over orders of other processes; known orders stay as they are."""
        for order in orders:
            self._orders.setdefault(order.reference, order)

    def forget(self) -> None:
        """Forget all orders, because their account has ended."""
        self._orders.clear()

    def add(self, reference: str, *, con_id: int, quantity: float, at_ns: int) -> ClosingOrder:
        """Record an order that is about to leave."""
        order = ClosingOrder(reference=reference, con_id=con_id, quantity=abs(quantity), sent_ns=at_ns)
        self._orders[reference] = order
        return order

    def drop(self, reference: str) -> None:
        """Forget an order that never left."""
        self._orders.pop(reference, None)

    def disown(self, beginning: str) -> list[ClosingOrder]:
        """Mark the orders whose references begin so as unwanted, and return them."""
        found = [order for order in self if order.is_wanted and order.reference.startswith(beginning)]
        for order in found:
            # Earlier alerts about it were about another matter.
            order.is_wanted = order.is_told = False
        return found

    def unwanted(self, seconds: float, now_ns: int) -> list[ClosingOrder]:
        """Return the unwanted orders that may still be filled, each again after this many seconds."""
        found = []
        for order in self:
            if order.is_wanted or (order.has_ended and order.gone_since_ns is not None):
                continue
            if order.cancelled_ns is None or now_ns - order.cancelled_ns >= seconds * _SECOND:
                order.cancelled_ns = now_ns
                order.disowned_ns = now_ns if order.disowned_ns is None else order.disowned_ns
                found.append(order)
        return found

    def overdue(self, seconds: float, now_ns: int, *, refused_seconds: float) -> list[ClosingOrder]:
        """Return the orders that TWS has not shown for this long, each again after the same time.

        It includes orders that TWS still shows `refused_seconds` after they left, although it refused them.
        """
        found = []
        for order in self:
            is_shown = order.is_seen and order.gone_since_ns is None
            if is_shown != bool(order.refusal) or (order.has_ended and not is_shown):
                continue
            wait = _GONE_SECONDS if order.is_seen and order.cancelled_ns is None else seconds
            if is_shown and order.cancelled_ns is None:
                wait = refused_seconds
            since_ns = order.cancelled_ns or order.gone_since_ns or order.sent_ns
            if now_ns - since_ns >= wait * _SECOND:
                order.cancelled_ns = now_ns
                found.append(order)
        return found

    def refuse(self, reference: str, text: str) -> None:
        """Record that TWS refused an order."""
        if order := self._orders.get(reference):
            order.refusal = text

    def end(self, reference: str, *, is_filled: bool, was_found: bool = True) -> None:
        """Record TWS's answer that nothing is left to cancel; if filled, the executions are still due.

        An order that TWS did not find and never showed may not have been accepted yet: that answer ends nothing.
        """
        order = self._orders.get(reference)
        if order is not None and (was_found or order.is_seen):
            order.has_ended = True
            if is_filled:
                order.reported = order.quantity

    def report(self, reference: str, filled: float) -> None:
        """Record the filled quantity from an order's status; the executions are due."""
        if order := self._orders.get(reference):
            order.reported = max(order.reported, filled)

    def settle(self, look: AccountSnapshot) -> None:
        """Drop the orders that can no longer be filled, by TWS's answers; once for each look."""
        for order in list(self):
            if self._is_over(order, look):
                del self._orders[order.reference]

    def _is_over(self, order: ClosingOrder, look: AccountSnapshot) -> bool:
        filled = look.filled(order.reference)
        if any(each.reference == order.reference for each in look.orders):
            order.is_seen, order.gone_since_ns = True, None
            return False
        # An order that fills at once never appears as working.
        if filled > DUST:
            order.is_seen = True
        if filled >= order.quantity - DUST:
            return True
        waited_ns = look.asked_ns - order.sent_ns
        if not (order.is_seen or order.refusal or order.has_ended):
            order.looks_without_trace += waited_ns >= self._settle_seconds * _SECOND
            return order.looks_without_trace >= _LOOKS
        if order.gone_since_ns is None:
            order.gone_since_ns = look.asked_ns
        is_told = (order.refusal or order.has_ended) and filled >= order.reported - DUST
        return look.asked_ns - order.gone_since_ns >= (_GONE_SECONDS if is_told else self._settle_seconds) * _SECOND


def taken_up(orders: Iterable[ClosingOrder], *, now_ns: int, wall_ns: int) -> list[ClosingOrder]:
    """Return the orders of an earlier process on this process's clock: the machine may have been restarted since."""
    found = []
    for order in orders:
        age_ns = max(0, wall_ns - order.sent_wall_ns)
        found.append(
            msgspec.structs.replace(
                order,
                sent_ns=now_ns - age_ns,
                gone_since_ns=None,
                cancelled_ns=None,
                disowned_ns=None,
                is_told=False,
                looks_without_trace=0,
            )
        )
    return found
