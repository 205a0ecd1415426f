"""A venue for one instrument whose answers lag, whose cancels race with fills, and that fills in parts; no clock."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from ibdesk.guardian.account import Execution, Look, WorkingOrder
from ibdesk.guardian.plan import CancelEverything, CancelOrder, CancelOwn, Reduce, Step

CON_ID = 265598
SECOND = 1_000_000_000


@dataclass
class LiveOrder:
    """An order at the venue; `dies_ns` is when a cancel takes effect."""

    order: WorkingOrder
    is_own: bool
    dies_ns: int | None = None


@dataclass
class Venue:
    """The truth about one position, and what it tells of it."""

    held: float
    now_ns: int = 0
    position_lag_ns: int = 0
    execution_lag_ns: int = 0
    orders: list[LiveOrder] = field(default_factory=list)
    executions: list[tuple[int, Execution]] = field(default_factory=list)
    history: list[tuple[int, float]] = field(default_factory=list)
    turned: list[str] = field(default_factory=list)
    sent: list[Reduce] = field(default_factory=list)
    _number: int = 0

    def __post_init__(self) -> None:
        self.history.append((self.now_ns, self.held))

    def enter(self, quantity: float, reference: str, *, is_own: bool = False) -> LiveOrder:
        """Let an order work; `quantity` is signed."""
        self._number += 1
        live = LiveOrder(
            WorkingOrder(
                permanent_id=self._number,
                client_id=90 if is_own else 1,
                order_id=self._number,
                con_id=CON_ID,
                side=1 if quantity > 0 else -1,
                remaining=abs(quantity),
                reference=reference,
            ),
            is_own,
        )
        self.orders.append(live)
        return live

    def fill(self, live: LiveOrder, quantity: float) -> None:
        """Execute a part of an order, or all of it."""
        quantity = min(quantity, live.order.remaining)
        if quantity <= 0 or live not in self.orders:
            return
        signed = live.order.side * quantity
        before, self.held = self.held, self.held + signed
        if live.is_own and (before * self.held < 0 or abs(self.held) > abs(before)):
            self.turned.append(f"{before:g} became {self.held:g} at {self.now_ns / SECOND:.1f} s")
        self._book(signed, live.order.reference)
        rest = live.order.remaining - quantity
        self.orders.remove(live)
        if rest > 0:
            left = msgspec.structs.replace(live.order, remaining=rest)
            self.orders.append(LiveOrder(left, live.is_own, live.dies_ns))

    def trade_by_hand(self, quantity: float) -> None:
        """Let a person trade in TWS."""
        self.held += quantity
        self._book(quantity, "")

    def do(self, steps: list[Step], *, cancel_ns: int, loses_order: bool = False) -> None:
        """Carry out what a plan wants; cancels take effect after `cancel_ns`, an order may be lost on the way."""
        for step in steps:
            match step:
                case CancelEverything():
                    self._cancel(self.orders, cancel_ns)
                case CancelOrder(order=order):
                    self._cancel([live for live in self.orders if live.order.order_id == order.order_id], cancel_ns)
                case CancelOwn(reference=reference):
                    self._cancel([live for live in self.orders if live.order.reference == reference], cancel_ns)
                case Reduce():
                    self.sent.append(step)
                    if not loses_order:
                        self.enter(step.quantity, step.reference, is_own=True)

    def pass_time(self, nanoseconds: int) -> None:
        """Let time go by; cancels take effect."""
        self.now_ns += nanoseconds
        self.orders = [live for live in self.orders if live.dies_ns is None or live.dies_ns > self.now_ns]

    def look(self) -> Look:
        """Return what the venue tells now: orders as they are, executions and the position as they were."""
        seen = [done for at_ns, done in self.executions if at_ns <= self.now_ns - self.execution_lag_ns]
        told = [held for at_ns, held in self.history if at_ns <= self.now_ns - self.position_lag_ns]
        held = told[-1] if told else self.history[0][1]
        return Look(
            asked_ns=self.now_ns,
            holdings={CON_ID: held} if held else {},
            orders=tuple(live.order for live in self.orders),
            executions=tuple(seen),
        )

    def _book(self, signed: float, reference: str) -> None:
        self.executions.append((self.now_ns, Execution(f"x{len(self.executions)}.01", CON_ID, signed, reference)))
        self.history.append((self.now_ns, self.held))

    def _cancel(self, lives: list[LiveOrder], cancel_ns: int) -> None:
        for live in lives:
            if live.dies_ns is None:
                live.dies_ns = self.now_ns + cancel_ns
