"""Effects of executions and ends on linked orders: OCA rivals, children, and orders waiting for an execution."""

from __future__ import annotations

from typing import Protocol

from ibdesk.gateway.venue import conditions
from ibdesk.gateway.venue.groups import CANCELS, Groups, reduced
from ibdesk.gateway.venue.market_watch import MarketWatch
from ibdesk.gateway.venue.records import Hold, OrderRecord


class LinkedOrderActions(Protocol):
    """The operations that linked orders need of the order handler."""

    def cancel_order(self, record: OrderRecord, reason: str = "", *, by_system: bool = False) -> None:
        """Cancel an open order."""

    def release(self, record: OrderRecord, hold: Hold) -> None:
        """Lift one hold."""

    def resize(self, record: OrderRecord, quantity: float) -> None:
        """Change the size of an open order."""

    def look(self, record: OrderRecord) -> None:
        """Check the market and the conditions of an order."""


class LinkedOrders:
    """Cancels, reduces or releases the orders that are linked to an order. Orders without links are not affected."""

    def __init__(self, actions: LinkedOrderActions, groups: Groups, market_watch: MarketWatch) -> None:
        self._actions = actions
        self._groups = groups
        self._market_watch = market_watch

    def of_execution(self, record: OrderRecord, quantity: float) -> None:
        """Apply an execution that is already counted: cancel or reduce rivals, and check orders that wait for it."""
        for rival in self._groups.rivals(record):
            if record.is_done or record.terms.oca_type == CANCELS:
                self._actions.cancel_order(rival, by_system=True)
            else:
                self._reduce(rival, quantity / (record.remaining + quantity))
        if record.is_done:
            self.of_end(record)
        for other in self._market_watch.for_executions():
            for number, condition in enumerate(other.terms.conditions):
                if conditions.matches(condition, record.contract) and other is not record:
                    other.executions_seen.add(number)
                    self._actions.look(other)

    def of_end(self, record: OrderRecord) -> None:
        """Release the children when their parent is filled; cancel them when it ends otherwise."""
        parent, children = self._groups.parent(record), self._groups.children(record)
        self._groups.forget(record)
        for child in children:
            if record.status == "Filled":
                self._actions.release(child, Hold.PARENT)
            elif not child.is_done:
                self._actions.cancel_order(child, by_system=True)
        if record.status == "Cancelled" and record.terms.cancels_parent and parent is not None and not parent.is_done:
            self._actions.cancel_order(parent, by_system=True)

    def _reduce(self, rival: OrderRecord, part: float) -> None:
        left = reduced(rival.remaining, part, rival.contract.instrument.size_increment)
        if left > 0:
            self._actions.resize(rival, rival.filled + left)
        else:
            self._actions.cancel_order(rival, by_system=True)
