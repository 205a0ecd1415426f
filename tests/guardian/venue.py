"""A venue for one instrument that is slow to take orders, whose answers lag, whose cancels race with fills, and that
fills in parts; no clock."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from ibdesk.guardian.account import AccountSnapshot, Execution, WorkingOrder
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
    # own_lag_ns: how late the executions of the guardian's own orders are told.
    own_lag_ns: int = 0
    orders: list[LiveOrder] = field(default_factory=list)
    executions: list[tuple[int, Execution]] = field(default_factory=list)
    history: list[tuple[int, float]] = field(default_factory=list)
    turned: list[str] = field(default_factory=list)
    sent: list[Reduce] = field(default_factory=list)
    # on_way: orders that are not taken yet, with when they are, and when a cancel behind them takes effect.
    on_way: dict[str, tuple[int, Reduce, int | None]] = field(default_factory=dict)
    # answers: what TWS says of the guardian's orders that are over: the reference, and how much was filled.
    answers: list[tuple[str, float]] = field(default_factory=list)
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
        if rest <= 0 and live.is_own:
            self._answer(live.order.reference)
        if rest > 0:
            left = msgspec.structs.replace(live.order, remaining=rest)
            self.orders.append(LiveOrder(left, live.is_own, live.dies_ns))

    def trade_by_hand(self, quantity: float) -> None:
        """Let a person trade in TWS."""
        self.held += quantity
        self._book(quantity, "")

    def do(self, steps: list[Step], *, cancel_ns: int, loses_order: bool = False, taken_ns: int = 0) -> None:
        """Carry out what a plan wants; cancels take effect after `cancel_ns`, an order may be lost on the way, or is
        taken after `taken_ns`.
        """
        for step in steps:
            match step:
                case CancelEverything():
                    self._cancel(self.orders, cancel_ns)
                case CancelOrder(order=order):
                    self._cancel([live for live in self.orders if live.order.order_id == order.order_id], cancel_ns)
                case CancelOwn(reference=reference):
                    self._cancel_own(reference, cancel_ns)
                case Reduce():
                    self.sent.append(step)
                    if not loses_order:
                        self.on_way[step.reference] = (self.now_ns + taken_ns, step, None)
                        self._take_arrived()

    def pass_time(self, nanoseconds: int) -> None:
        """Let time go by; cancels take effect."""
        self.now_ns += nanoseconds
        self._take_arrived()
        for live in list(self.orders):
            if live.dies_ns is not None and live.dies_ns <= self.now_ns:
                self.orders.remove(live)
                if live.is_own:
                    self._answer(live.order.reference)

    def look(self) -> AccountSnapshot:
        """Return what the venue tells now: orders as they are, executions and the position as they were."""
        seen = []
        for at_ns, done in self.executions:
            lag_ns = self.own_lag_ns if done.reference.startswith("guardian-") else self.execution_lag_ns
            if at_ns <= self.now_ns - lag_ns:
                seen.append(done)
        told = [held for at_ns, held in self.history if at_ns <= self.now_ns - self.position_lag_ns]
        held = told[-1] if told else self.history[0][1]
        return AccountSnapshot(
            asked_ns=self.now_ns,
            holdings={CON_ID: held} if held else {},
            orders=tuple(live.order for live in self.orders),
            executions=tuple(seen),
        )

    def _book(self, signed: float, reference: str) -> None:
        self.executions.append((self.now_ns, Execution(f"x{len(self.executions)}.01", CON_ID, signed, reference)))
        self.history.append((self.now_ns, self.held))

    def _answer(self, reference: str) -> None:
        filled = abs(sum(done.quantity for _, done in self.executions if done.reference == reference))
        self.answers.append((reference, filled))

    def _take_arrived(self) -> None:
        for reference, (taken_ns, step, cancel_ns) in list(self.on_way.items()):
            if taken_ns <= self.now_ns:
                del self.on_way[reference]
                live = self.enter(step.quantity, reference, is_own=True)
                live.dies_ns = None if cancel_ns is None else self.now_ns + cancel_ns

    def _cancel_own(self, reference: str, cancel_ns: int) -> None:
        """Cancel an order of the guardian: behind it where it is not taken yet."""
        if reference in self.on_way:
            taken_ns, step, _ = self.on_way[reference]
            self.on_way[reference] = taken_ns, step, cancel_ns
            return
        lives = [live for live in self.orders if live.order.reference == reference]
        if not lives:
            self._answer(reference)
        self._cancel(lives, cancel_ns)

    def _cancel(self, lives: list[LiveOrder], cancel_ns: int) -> None:
        for live in lives:
            if live.dies_ns is None:
                live.dies_ns = self.now_ns + cancel_ns
