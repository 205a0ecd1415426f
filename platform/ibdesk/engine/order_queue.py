"""The queue of orders and modifications that wait because `risk.max_orders_per_second` is used up.

Orders that reduce or protect a position go before those that open one; each group is first in, first out. Opening
orders wait `risk.max_order_wait_seconds` at most. Reducing orders wait as long as necessary: they are always allowed.

Rates are by our clock: bars after a stall carry times seconds apart and arrive at the same instant.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import msgspec

from ibdesk.errors import OrderDeniedError
from ibdesk.model import ModifyOrder, SetTimer

if TYPE_CHECKING:
    from ibdesk.engine.order_flow import OrderFlow

QUEUE_TIMER = "/queue"
"""The id of the timer of the queue; those of runs begin with the run's id."""

WAIT_RULE = "max_order_wait_seconds"
"""The rule that denies an order whose turn comes too late."""

_SECOND = 1_000_000_000
_NEVER_NS = 2**63


class Waiting(msgspec.Struct, frozen=True):
    """A waiting order, or with `change` a waiting modification of one at the venue; since when, ns UTC."""

    order_id: str
    since_ns: int
    change: ModifyOrder | None = None


class OrderQueue:
    """The waiting orders and modifications, by order id.

    With `waits` False nothing waits: orders whose turn would come in time leave at once, and the others are denied.
    That is for a driver whose time moves in bars. A backtest cannot see a wait that is shorter than a bar: an order at
    a close whose turn comes within `risk.max_order_wait_seconds` meets the next open, as if it had not waited.
    """

    def __init__(self, flow: OrderFlow, *, waits: bool) -> None:
        self._flow, self._waits = flow, waits
        self.reducing: dict[str, Waiting] = {}
        self.opening: dict[str, Waiting] = {}
        # The due time of the timer, None if none is set.
        self._timer_ns: int | None = None

    def __len__(self) -> int:
        return len(self.reducing) + len(self.opening)

    def may_leave(self, order_id: str, *, reduces: bool) -> bool:
        """Return whether an order may leave now, and count it; otherwise it must wait for its turn.

        Raises:
            OrderDeniedError: If orders do not wait, and its turn would come too late.
        """
        gate, now_ns = self._flow.gate, self._flow.freshness.now_ns
        if not self._waits:
            turn_ns, patience = gate.room_at(now_ns), gate.limits.max_order_wait_seconds
            if not reduces and turn_ns - now_ns > patience * _SECOND:
                raise OrderDeniedError(order_id, WAIT_RULE, patience, (turn_ns - now_ns) / _SECOND)
            gate.count(turn_ns)
            return True
        is_behind = self.reducing or (self.opening and not reduces)
        if is_behind or gate.room_at(now_ns) > now_ns:
            return False
        gate.count(now_ns)
        return True

    def put(self, waiting: Waiting, *, reduces: bool) -> None:
        """Add an order to the queue; newer terms of a waiting order keep its place and time."""
        for queue in (self.reducing, self.opening):
            if waiting.order_id in queue:
                since_ns = queue[waiting.order_id].since_ns
                queue[waiting.order_id] = msgspec.structs.replace(waiting, since_ns=since_ns)
                return
        (self.reducing if reduces else self.opening)[waiting.order_id] = waiting

    def drop(self, order_id: str) -> None:
        """Remove an order from the queue."""
        self.reducing.pop(order_id, None)
        self.opening.pop(order_id, None)

    def release(self) -> None:
        """Send the orders whose turn has come; deny those that have waited too long."""
        self._timer_ns = None
        flow, now_ns = self._flow, self._flow.freshness.now_ns
        for _ in range(len(self)):
            # New orders, for example after a denial, wait for the timer: a strategy can order again after each.
            if not len(self) or not flow.link_up or flow.gate.room_at(now_ns) > now_ns:
                break
            queue = self.reducing or self.opening
            self._let_go(queue.pop(next(iter(queue))))
        for waiting in self._overdue(now_ns):
            waited = (max(now_ns, flow.gate.room_at(now_ns)) - waiting.since_ns) / _SECOND
            patience = flow.gate.limits.max_order_wait_seconds
            self._refuse(waiting, OrderDeniedError(waiting.order_id, WAIT_RULE, patience, waited))

    def _let_go(self, waiting: Waiting) -> None:
        """Send a waiting order or modification if it still passes the gate."""
        flow, change = self._flow, waiting.change
        order = flow.blotter.orders[waiting.order_id]
        if not order.is_open:
            return
        try:
            if change is None:
                flow.examine(order, flow.blotter.sums_without(order))
                flow.place(order)
            else:
                changed = msgspec.structs.replace(
                    order, quantity=change.quantity, limit_price=change.limit_price, stop_price=change.stop_price
                )
                flow.modifications.examine(order, changed)
                flow.modifications.send(changed)
        except OrderDeniedError as denial:
            self._refuse(waiting, denial)
            return
        flow.gate.count(flow.freshness.now_ns)

    def _refuse(self, waiting: Waiting, denial: OrderDeniedError) -> None:
        order = self._flow.blotter.orders[waiting.order_id]
        if waiting.change is None:
            self._flow.deny(order, denial)
        elif order.is_open:
            self._flow.modifications.deny(order, denial)

    @property
    def _patience_ns(self) -> int:
        seconds = self._flow.gate.limits.max_order_wait_seconds
        return _NEVER_NS if seconds == math.inf else int(seconds * _SECOND)

    def _overdue(self, now_ns: int) -> list[Waiting]:
        """Remove and return the opening orders that have waited too long."""
        patience_ns = self._patience_ns
        late = list(itertools.takewhile(lambda each: now_ns - each.since_ns >= patience_ns, self.opening.values()))
        for waiting in late:
            del self.opening[waiting.order_id]
        return late

    def set_timer(self) -> None:
        """Set the timer, at an event's end, for the next turn or the next order that has waited too long."""
        flow, gate, now_ns = self._flow, self._flow.gate, self._flow.freshness.now_ns
        due = gate.room_at(now_ns) if flow.link_up else _NEVER_NS
        oldest = next(iter(self.opening.values()), None)
        if oldest is not None:
            due = min(due, oldest.since_ns + self._patience_ns)
        if due < _NEVER_NS and (self._timer_ns is None or due < self._timer_ns):
            self._timer_ns = max(due, now_ns)
            flow.add(SetTimer(QUEUE_TIMER, self._timer_ns))
