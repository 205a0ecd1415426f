"""What a person does at the broker with the orders and positions of our runs, and what runs may not do about it.

A run whose order was withdrawn or changed there, or whose position was closed, is halted until a person lifts the
halt: nothing that opens leaves, and what the person did is not done again or undone. Exits at the market pass.
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
"""The rule by which a run is refused to place anew, or to change back, what a person has taken into their hands."""


class Overrules:
    """Halts runs that a person has overruled at the broker, and keeps what that person did.

    `runs` are the runs that are halted for it. `orders` are open orders that were changed there, each with whether it
    opened a position then.
    """

    def __init__(self, flow: OrderFlow) -> None:
        self._flow = flow
        self.runs: set[str] = set()
        self.orders: dict[str, bool] = {}

    def step_in(self, order: Order) -> None:
        """Take that somebody at the broker has withdrawn an order of ours or changed its terms."""
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
        """Close no longer what an order was to close that was cancelled there, unless the guardian cancels all."""
        if not self._flow.gate.halts.is_exclusive:
            self._flow.aims.let_go(order)

    def halt(self, owner: str, reason: str) -> None:
        """Let a run open nothing until a person has lifted this halt; other books and runs go on."""
        if owner not in self._flow.runs:
            return
        self._flow.halting.halt(reason, EXTERNAL, scope=run_scope(owner), state=TradingState.REDUCING)
        self.look_at_halts()

    def look_at_halts(self) -> None:
        """Know the runs that are halted for what a person did at the broker; those whose halt was lifted are free."""
        scopes = {halt.scope for halt in self._flow.gate.halts.values() if halt.by == EXTERNAL}
        self.runs = {owner for owner in self._flow.runs if run_scope(owner) in scopes}
        self.orders = {
            order_id: opened
            for order_id, opened in self.orders.items()
            if (order := self._flow.blotter.orders.get(order_id)) is not None and order.owner in self.runs
        }

    def check(self, order: Order) -> None:
        """Refuse a run that is halted here a new order that rests: it may be the one that was withdrawn.

        Raises:
            OrderDeniedError: For any order but one at the market.
        """
        if order.owner in self.runs and sort_of(order) is not Sort.MARKET:
            raise OrderDeniedError(order.id, RULE, 0.0, order.quantity)

    def keeps(self, order: Order, *, is_cancel: bool) -> bool:
        """Return whether a run may not touch an order, because a person has changed it, and say so.

        It may withdraw one that protected a position which is gone.
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
