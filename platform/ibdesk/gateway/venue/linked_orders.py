"""What follows for other orders when one is executed or ends: for its rivals, its children, and those that wait."""

from __future__ import annotations

from typing import Protocol

from ibdesk.gateway.venue import conditions
from ibdesk.gateway.venue.groups import CANCELS, Groups, reduced
from ibdesk.gateway.venue.market_watch import MarketWatch
from ibdesk.gateway.venue.records import Hold, OrderRecord


class LinkedOrderActions(Protocol):
    """What the consequences have the floor do."""

    def cancel(self, record: OrderRecord, reason: str = "", *, by_system: bool = False) -> None:
        """Withdraw an open order."""

    def release(self, record: OrderRecord, hold: Hold) -> None:
        """Lift one hold."""

    def resize(self, record: OrderRecord, quantity: float) -> None:
        """Give an open order another size."""

    def look(self, record: OrderRecord) -> None:
        """Look at the market, and at its conditions, for an order."""


class LinkedOrders:
    """Draws the consequences of executions and ends; none for orders that stand alone."""

    def __init__(self, actions: LinkedOrderActions, groups: Groups, market_watch: MarketWatch) -> None:
        self._actions = actions
        self._groups = groups
        self._market_watch = market_watch

    def of_execution(self, record: OrderRecord, quantity: float) -> None:
        """Let an execution of this size, counted already, cancel or reduce rivals and wake those that waited for it."""
        for rival in self._groups.rivals(record):
            if record.is_done or record.terms.oca_type == CANCELS:
                self._actions.cancel(rival, by_system=True)
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
        """Let children begin when their parent is filled, and end when it ends otherwise."""
        parent, children = self._groups.parent(record), self._groups.children(record)
        self._groups.forget(record)
        for child in children:
            if record.status == "Filled":
                self._actions.release(child, Hold.PARENT)
            elif not child.is_done:
                self._actions.cancel(child, by_system=True)
        if record.status == "Cancelled" and record.terms.cancels_parent and parent is not None and not parent.is_done:
            self._actions.cancel(parent, by_system=True)

    def _reduce(self, rival: OrderRecord, part: float) -> None:
        left = reduced(rival.remaining, part, rival.contract.size_increment)
        if left > 0:
            self._actions.resize(rival, rival.filled + left)
        else:
            self._actions.cancel(rival, by_system=True)
