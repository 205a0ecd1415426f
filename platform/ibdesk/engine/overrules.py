"""Overrules: changes that a person makes at the broker to the orders and positions of our runs.

A run whose order was withdrawn or changed there, or whose position was closed, is halted until a person lifts the
halt: no opening order leaves, and the person's change is not repeated or undone. Exits at the market pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ibdesk.engine.open_orders import Sort, sort_of
from ibdesk.engine.portfolio import EXTERNAL
from ibdesk.errors import OrderDeniedError
from ibdesk.model import Order, Severity, TradingState, run_scope

if TYPE_CHECKING:
    from ibdesk.engine.order_flow import OrderFlow

RULE = "external_change"
"""The rule that keeps a run from repeating or reverting an order that a person has changed at the broker."""


class Overrules:
    """Halts runs that a person has overruled at the broker, and keeps that person's changes.

    `runs` are the runs halted for this reason. `orders` are the open orders that were changed there, and whether each
    opened a position then.
    """

    def __init__(self, flow: OrderFlow) -> None:
        self._flow = flow
        self.runs: set[str] = set()
        self.orders: dict[str, bool] = {}

    def step_in(self, order: Order) -> None:
        """Handle an order of ours that a person at the broker has withdrawn or changed."""
        flow, run = self._flow, self._flow.runs.get(order.owner)
        what = "changed" if order.is_open else "cancelled"
        if run is None:
            if not order.is_open:
                self._let_go(order)
            flow.alert(EXTERNAL, f"order {order.id} was {what} at the broker, not by this desk", Severity.WARNING)
            return
        if order.is_open:
            self.orders[order.id] = flow.opens(order)
        else:
            self._let_go(order)
        run.lanes[order.instrument].refuse()
        self.halt(order.owner, f"order {order.id} ({order.instrument}) was {what} at the broker, not by this desk")

    def _let_go(self, order: Order) -> None:
        """Give up the exit of an order that was cancelled there, unless the guardian cancels all orders."""
        if not self._flow.gate.halts.is_exclusive:
            self._flow.aims.let_go(order)

    def halt(self, owner: str, reason: str) -> None:
        """Keep a run from opening positions until a person lifts this halt; other books and runs continue."""
        if owner not in self._flow.runs:
            return
        self._flow.halting.halt(reason, EXTERNAL, scope=run_scope(owner), state=TradingState.REDUCING)
        self.look_at_halts()

    def look_at_halts(self) -> None:
        """Update the runs that are halted for a person's change at the broker."""
        scopes = {halt.scope for halt in self._flow.gate.halts.values() if halt.by == EXTERNAL}
        self.runs = {owner for owner in self._flow.runs if run_scope(owner) in scopes}
        self.orders = {
            order_id: opened
            for order_id, opened in self.orders.items()
            if (order := self._flow.blotter.orders.get(order_id)) is not None and order.owner in self.runs
        }

    def check(self, order: Order) -> None:
        """Deny a new resting order of a run that is halted here: it may repeat the withdrawn one.

        Raises:
            OrderDeniedError: For any order but one at the market.
        """
        if order.owner in self.runs and sort_of(order) is not Sort.MARKET:
            raise OrderDeniedError(order.id, RULE, 0.0, order.quantity)

    def keeps(self, order: Order, *, is_cancel: bool) -> bool:
        """Return whether a run must leave an order that a person has changed, and alert.

        The run may withdraw an order that protected a position which is gone.
        """
        opened = self.orders.get(order.id)
        if opened is None or not order.is_open:
            return False
        is_flat = not self._flow.portfolio.open_book(order.owner).position(order.instrument).quantity
        if is_cancel and not opened and is_flat:
            return False
        self._flow.alert(
            order.owner,
            f"order {order.id} was changed at the broker and stays as it is: {order.owner} may change or withdraw it "
            f"once the halt of the run is lifted",
            Severity.WARNING,
        )
        return True
