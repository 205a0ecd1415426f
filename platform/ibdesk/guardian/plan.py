"""How the guardian carries out a stop, step by step: snapshots of the account in, orders and cancels out.

It reads no clock and no socket. `StopPlan.begin` returns the first steps, and each `look` the next ones, until `done`.
Time alone never counts as an answer: orders are gone when TWS no longer shows them, and a position is closed when TWS
says so. Orders and positions that do not change are requested again, cancelled again, and alerted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from ibdesk.guardian.account import GUARDIANS, AccountSnapshot, WorkingOrder
from ibdesk.guardian.closing_orders import ClosingOrders
from ibdesk.guardian.reduction import Reduction, ReductionTimings
from ibdesk.guardian.shares import RunShares
from ibdesk.guardian.stop import Level, Stop

# This many refusals in a row are alerted, and each further such number.
_ALERT_REFUSALS = 3


class CancelEverything(msgspec.Struct, frozen=True):
    """Cancel the orders of all clients (reqGlobalCancel)."""


class CancelOrder(msgspec.Struct, frozen=True):
    """Cancel one order of any client."""

    order: WorkingOrder


class CancelOwn(msgspec.Struct, frozen=True):
    """Cancel an order of this client that closes a position."""

    reference: str


class Reduce(msgspec.Struct, frozen=True):
    """Send a market order; `quantity` is signed: positive buys."""

    reference: str
    con_id: int
    quantity: float


class AlertPerson(msgspec.Struct, frozen=True):
    """Alert a person."""

    text: str


Step = CancelEverything | CancelOrder | CancelOwn | Reduce | AlertPerson


class Sender(Protocol):
    """The sender of a plan's steps to TWS."""

    def new_order_id(self) -> int:
        """Return a number for the next order, 0 while TWS is away."""

    def do(self, step: CancelEverything | CancelOrder | CancelOwn | Reduce, *, order_id: int = 0) -> None:
        """Send a step."""


class StopPlan:
    """The execution of one stop.

    `attempt` is a number unique to this plan; it is in the references of the orders. `baselines` are positions on which
    TWS's positions and executions agreed before, each with the day's net of executions then. `shares` are the parts of
    positions that the runs of the stop hold, None while unknown. `closing` are the orders of all plans that may still
    be filled: while one is open, no other leaves in its instrument. The caller owns `closing`, settles it before each
    look, and records refusals in it.
    """

    def __init__(
        self,
        stop: Stop,
        *,
        attempt: int = 1,
        baselines: Mapping[int, tuple[float, float]] | None = None,
        shares: RunShares | None = None,
        closing: ClosingOrders,
    ) -> None:
        self.stop = stop
        self.done = False
        self.orders_sent = self.cancels_sent = 0
        self._patience = ReductionTimings()
        self._attempt = attempt
        self._baselines, self.shares = dict(baselines or {}), shares
        self._closing = closing
        self._reductions: dict[int, Reduction] = {}
        # _asked_ns: when each order was first to be cancelled, by permanent id; _cancelled_ns: when cancels last left.
        self._asked_ns: dict[int, int] = {}
        self._cancelled_ns: int | None = None
        self._all_done_since_ns: int | None = None
        # _foreign: numbers of orders that TWS does not let this client cancel.
        self._foreign: set[int] = set()
        self._told: set[str] = set()

    def begin(self, at_ns: int) -> list[Step]:
        """Return the steps before the first look."""
        return self._cancel_everything(at_ns) if self._cancels_all else []

    def look(self, look: AccountSnapshot) -> list[Step]:
        """Return the next steps, given a snapshot of the account."""
        steps = self._cancel(look)
        if self.stop.level is Level.FLATTEN:
            steps += self._reduce(look)
        is_over = not self._unwanted(look) and all(each.is_flat for each in self._reductions.values())
        if not is_over or self.lacks_shares or (self._cancels_all and self._closing.has_unwanted):
            self._all_done_since_ns, self.done = None, False
            return steps
        if self._all_done_since_ns is None:
            self._all_done_since_ns = look.asked_ns
        self.done = self._patience.passed(self._patience.settle, self._all_done_since_ns, look.asked_ns)
        return steps

    def refused(self, reference: str, text: str, at_ns: int, *, at_once: bool = False) -> list[Step]:
        """Record that TWS refused one of the plan's orders; the next leaves `at_once`, or after a pause."""
        for reduction in self._reductions.values():
            if reduction.order is not None and reduction.order.reference == reference:
                reduction.refused(at_ns, at_once=at_once)
                if reduction.refusals % _ALERT_REFUSALS == 0:
                    return [
                        AlertPerson(
                            f"TWS has refused {reduction.refusals} orders to close contract "
                            f"{reduction.con_id}: {text}; it is tried again: close it by hand in TWS"
                        )
                    ]
        return []

    def not_found(self, order_id: int) -> None:
        """Record that TWS knows no order of this number that this client may cancel.

        The next look shows whether one works.
        """
        if order_id not in self._foreign:
            self._foreign.add(order_id)
            self._cancelled_ns = None

    @property
    def lacks_shares(self) -> bool:
        """Return whether the plan must close positions of runs and does not know their size."""
        return self.stop.level is Level.FLATTEN and bool(self.stop.runs) and self.shares is None

    def lost(self) -> None:
        """Record that the connection to TWS broke."""
        self._all_done_since_ns = self._cancelled_ns = None
        for reduction in self._reductions.values():
            reduction.lost()

    # --- orders

    @property
    def _cancels_all(self) -> bool:
        return self.stop.level is not Level.HALT and not self.stop.runs

    def _unwanted(self, look: AccountSnapshot) -> list[WorkingOrder]:
        """Return the orders to cancel, without those with which plans close positions."""
        orders: Iterable[WorkingOrder] = (
            order for order in look.orders if not self._closing.is_wanted(order.reference)
        )
        if self.stop.runs:
            # An order of this stop from an earlier process is not trusted: the position is measured afresh.
            mine = reference_of(self.stop)
            orders = (order for order in orders if order.run in self.stop.runs or order.reference.startswith(mine))
        if self.stop.level is Level.HALT:
            orders = (order for order in orders if order.opens(look.held(order.con_id)))
        return list(orders)

    def _cancel(self, look: AccountSnapshot) -> list[Step]:
        unwanted = self._unwanted(look)
        for order in unwanted:
            self._asked_ns.setdefault(order.permanent_id, look.asked_ns)
        steps: list[Step] = []
        if unwanted and (
            self._cancelled_ns is None
            or self._patience.passed(self._patience.repeat_cancel, self._cancelled_ns, look.asked_ns)
        ):
            self._cancelled_ns = look.asked_ns
            steps = self._cancel_everything(look.asked_ns) if self._cancels_all else self._cancel_each(unwanted, look)
        for order in unwanted:
            if self._patience.passed(self._patience.stuck, self._asked_ns[order.permanent_id], look.asked_ns):
                steps += self._tell(
                    f"order {order.reference or order.permanent_id} of client {order.client_id} is {order.status} "
                    f"though it was cancelled {self._patience.stuck:g} s ago: cancel it by hand in TWS"
                )
        return steps

    def _cancel_each(self, unwanted: list[WorkingOrder], look: AccountSnapshot) -> list[Step]:
        """Cancel orders one by one; if TWS does not allow that, cancel all, provided that this takes no protection."""
        numbers = [order.order_id for order in look.orders]
        shown = {order.reference for order in look.orders}
        numbers += [order.order_id for order in self._closing if order.reference not in shown]
        shared = [order for order in unwanted if not order.order_id or numbers.count(order.order_id) > 1]
        foreign = [order for order in unwanted if order not in shared and order.order_id in self._foreign]
        clear = [order for order in unwanted if order not in shared]
        if (shared or foreign) and len(unwanted) == len(look.orders):
            return [*self._tell_of_foreign(foreign), *self._cancel_everything(look.asked_ns)]
        self.cancels_sent += len(clear)
        steps: list[Step] = [CancelOrder(order) for order in clear]
        if shared:
            names = ", ".join(order.reference or str(order.permanent_id) for order in shared)
            steps += self._tell(
                f"{len(shared)} orders cannot be cancelled one by one, because clients share their numbers ({names}): "
                f"cancel them by hand in TWS, or cancel everything with `ibdesk stop --cancel`"
            )
        return steps + self._tell_of_foreign(foreign)

    def _tell_of_foreign(self, foreign: list[WorkingOrder]) -> list[Step]:
        names = ", ".join(f"{order.reference or order.permanent_id} of client {order.client_id}" for order in foreign)
        if not names:
            return []
        return self._tell(
            f"TWS does not let this client cancel {names} (10147): cancel it by hand in TWS, or cancel everything with "
            f"`ibdesk stop --cancel`"
        )

    def _cancel_everything(self, at_ns: int) -> list[Step]:
        self._cancelled_ns = at_ns
        self.cancels_sent += 1
        return [CancelEverything()]

    # --- positions

    def _reduce(self, look: AccountSnapshot) -> list[Step]:
        if self.lacks_shares:
            return self._tell(
                f"it is not known what {', '.join(self.stop.runs)} hold, so nothing of it is closed: close it by hand "
                f"in TWS, or close everything with `ibdesk stop --flatten`"
            )
        steps: list[Step] = []
        contracts = {con_id for con_id, quantity in look.holdings.items() if quantity}
        contracts |= self._reductions.keys() | {order.con_id for order in look.orders} | self._closing.contracts
        if self.shares is not None:
            self.shares.take(look.executions)
            contracts &= self.shares.contracts
        for con_id in sorted(contracts):
            reduction = self._reductions.get(con_id)
            if reduction is None:
                baseline = self._baselines.get(con_id)
                reduction = self._reductions[con_id] = Reduction(con_id, self._patience, baseline=baseline)
            share = None if self.shares is None else self.shares.of(con_id)
            quantity = reduction.see(self._seen_by(look), closing=self._closing, share=share)
            steps += [AlertPerson(f"contract {con_id}: {text}") for text in reduction.news]
            reduction.news.clear()
            if quantity:
                self.orders_sent += 1
                reference = f"{reference_of(self.stop)}{self._attempt:x}.{self.orders_sent}"
                reduction.sent(self._closing.add(reference, con_id=con_id, quantity=quantity, at_ns=look.asked_ns))
                steps.append(Reduce(reference, con_id, quantity))
            steps += self._tell_of_waiting(con_id, look)
        return steps

    def _seen_by(self, look: AccountSnapshot) -> AccountSnapshot:
        """Return the orders to wait for: beside a stop of some runs, the orders of other runs continue to work."""
        if not self.stop.runs:
            return look
        orders = tuple(
            order for order in look.orders if order.run in self.stop.runs or order.reference.startswith(GUARDIANS)
        )
        return msgspec.structs.replace(look, orders=orders)

    def _tell_of_waiting(self, con_id: int, look: AccountSnapshot) -> list[Step]:
        steps: list[Step] = []
        for order in self._closing:
            if order.con_id != con_id or not self._patience.passed(self._patience.stuck, order.sent_ns, look.asked_ns):
                continue
            states = [each.status for each in look.orders if each.reference == order.reference]
            if states and order.refusal:
                steps += self._tell(
                    f"the order that closes contract {con_id} is {states[0]}, and TWS refuses it ({order.refusal}): "
                    f"it is cancelled, and the next one waits until TWS shows it no more; cancel it by hand if it stays"
                )
            elif states:
                steps += self._tell(
                    f"the order that closes contract {con_id} is {states[0]} and not filled: outside its trading hours "
                    f"it waits until they begin"
                )
        return steps

    def _tell(self, text: str) -> list[Step]:
        """Return an alert the first time that it is raised."""
        if text in self._told:
            return []
        self._told.add(text)
        return [AlertPerson(text)]


def reference_of(stop: Stop) -> str:
    """Return the prefix of the references of all orders of a stop, in whichever process."""
    return f"{GUARDIANS}{stop.id}-"
