"""The last step on the trading path: actions of the engine, on the record already, become messages to TWS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from ibdesk.model import (
    Action,
    CancelOrder,
    ModifyOrder,
    Notice,
    Order,
    OrderReport,
    OrderStatus,
    PlaceOrder,
    SetTimer,
    Severity,
)

if TYPE_CHECKING:
    from ibdesk.desk.runtime import Runtime


class WayOut:
    """Carries out actions; what must not leave is reported back to the engine as an event."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        # _withheld: why no order of the event leaves.
        self._withheld = ""
        # _is_fenced: whether the guardian cancels orders or closes positions, which the engine does not know yet.
        self._is_fenced = False
        # _kept_back: orders that never left, and that nothing has withdrawn since.
        self._kept_back: set[str] = set()

    def carry_out(self, actions: Sequence[Action], *, is_recorded: bool, seconds_in_turn: float) -> Order | None:
        """Carry out the actions of one event; return the order if they placed one.

        While the record cannot be written, no order leaves; orders are still withdrawn: that is always right, and TWS
        reports it. When another process has halted the account while the engine decided, nothing leaves that opens;
        when that is the guardian which cancels orders or closes positions, no order at all. No order leaves either that
        was decided longer ago than a bar may be late: the process stood still in between.
        """
        watch = self._runtime.account_watch
        execute = self._execute if is_recorded else self._withhold
        if is_recorded and seconds_in_turn > self._runtime.engine.gate.limits.max_bar_lateness_seconds:
            self._withheld = f"the desk stood still for {seconds_in_turn:.1f} s after it was decided"
            execute = self._withhold
        elif not is_recorded:
            self._withheld = self._runtime.recorder.failure
        if watch.is_news and execute == self._execute and (halts := watch.unheld()):
            self._is_fenced = any(halt.is_fence for halt in halts)
            execute = self._hold_back
        placed: Order | None = None
        for action in actions:
            placed = execute(action) or placed
        return placed

    def _execute(self, action: Action) -> Order | None:
        """Carry out one action; return the order if it placed one."""
        runtime = self._runtime
        match action:
            case PlaceOrder():
                runtime.service.place(action.order)
                return action.order
            case ModifyOrder():
                order = runtime.engine.blotter.orders[action.order_id]
                runtime.service.modify(
                    msgspec.structs.replace(
                        order,
                        quantity=action.quantity,
                        limit_price=action.limit_price,
                        stop_price=action.stop_price,
                    )
                )
            case CancelOrder(order_id) if order_id in self._kept_back:
                # A halt that comes before its rejection withdraws it too: TWS has no such order.
                self._kept_back.discard(order_id)
            case CancelOrder():
                runtime.service.cancel(action.order_id)
            case SetTimer():
                runtime.timers.set(action)
            case _:
                pass
        return None

    def _withhold(self, action: Action) -> Order | None:
        """Carry out what may always leave."""
        match action:
            case PlaceOrder(order):
                self._never_sent(order, self._withheld)
            case ModifyOrder(order_id=order_id):
                self._keeps_terms(order_id, self._withheld)
            case _:
                self._execute(action)
        return None

    def _hold_back(self, action: Action) -> Order | None:
        """Carry out what opens no position, and no order at all while the guardian acts."""
        why = "the account was halted meanwhile"
        match action:
            case PlaceOrder(order) if self._is_fenced or self._runtime.engine.orders.opens(order):
                self._never_sent(order, why)
            case ModifyOrder(order_id=order_id):
                self._keeps_terms(order_id, why)
            case _:
                return self._execute(action)
        return None

    def _never_sent(self, order: Order, why: str) -> None:
        at_ns = self._runtime.clock.now_ns()
        self._kept_back.add(order.id)
        report = OrderReport(order_id=order.id, status=OrderStatus.REJECTED, at_ns=at_ns, reason=f"never sent: {why}")
        self._runtime.turn(report)

    def _keeps_terms(self, order_id: str, why: str) -> None:
        text = f"order {order_id} keeps its terms: {why}"
        self._runtime.turn(Notice(text, self._runtime.clock.now_ns(), Severity.WARNING))
