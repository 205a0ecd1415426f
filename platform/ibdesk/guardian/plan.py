"""What the guardian does to carry out a stop, step by step: looks at the account in, orders and cancels out.

It reads no clock and no socket. `StopPlan.begin` gives the first steps, and each `look` the next ones, until `done`.
Time alone never counts as an answer: orders are gone when TWS no longer shows them, a position is closed when TWS says
so. Whatever does not move is asked for again, cancelled again, and alerted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ibdesk.guardian.account import Look, WorkingOrder
from ibdesk.guardian.reduction import Patience, Reduction
from ibdesk.guardian.stop import Level, Stop

# So many refusals in a row are alerted, and so many again.
_ALERT_REFUSALS = 3


class CancelEverything(msgspec.Struct, frozen=True):
    """Cancel the orders of all clients (reqGlobalCancel)."""


class CancelOrder(msgspec.Struct, frozen=True):
    """Cancel one order, also of another client."""

    order: WorkingOrder


class CancelOwn(msgspec.Struct, frozen=True):
    """Cancel an order of the plan's own."""

    reference: str


class Reduce(msgspec.Struct, frozen=True):
    """Send a market order; `quantity` is signed: positive buys."""

    reference: str
    con_id: int
    quantity: float


class Tell(msgspec.Struct, frozen=True):
    """Alert a person."""

    text: str


Step = CancelEverything | CancelOrder | CancelOwn | Reduce | Tell


class StopPlan:
    """One stop being carried out.

    `attempt` is a number that no other plan has: it is in the references of the orders. `baselines` are positions that
    TWS's positions and executions had agreed on before, each with the day's net of executions then. `shares` are
    the parts of positions that the runs of the stop hold.
    """

    def __init__(
        self,
        stop: Stop,
        *,
        attempt: int = 1,
        baselines: Mapping[int, tuple[float, float]] | None = None,
        shares: Mapping[int, float] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.stop = stop
        self.done = False
        self.orders_sent = self.cancels_sent = 0
        self._patience = patience or Patience()
        self._attempt = attempt
        self._baselines, self._shares = dict(baselines or {}), shares
        self._reductions: dict[int, Reduction] = {}
        # _asked_ns: when each order was first to be cancelled, by permanent id; _cancelled_ns: when cancels last left.
        self._asked_ns: dict[int, int] = {}
        self._cancelled_ns: int | None = None
        self._all_done_since_ns: int | None = None
        self._told: set[str] = set()

    def begin(self, at_ns: int) -> list[Step]:
        """Return what to do before the first look."""
        return self._cancel_everything(at_ns) if self._cancels_all else []

    def look(self, look: Look) -> list[Step]:
        """Return what to do next, given the account as it is."""
        steps = self._cancel(look)
        if self.stop.level is Level.FLATTEN:
            steps += self._reduce(look)
        is_over = not self._unwanted(look) and all(each.is_flat for each in self._reductions.values())
        if not is_over:
            self._all_done_since_ns, self.done = None, False
            return steps
        if self._all_done_since_ns is None:
            self._all_done_since_ns = look.asked_ns
        self.done = self._patience.passed(self._patience.settle, self._all_done_since_ns, look.asked_ns)
        return steps

    def refused(self, reference: str, text: str, at_ns: int) -> list[Step]:
        """Take note that TWS has refused one of the plan's orders."""
        for reduction in self._reductions.values():
            if reduction.order is not None and reduction.order.reference == reference:
                reduction.refused(text, at_ns)
                if reduction.refusals % _ALERT_REFUSALS == 0:
                    return [
                        Tell(
                            f"TWS has refused {reduction.refusals} orders that were to close contract "
                            f"{reduction.con_id}: {text}; it is tried again: close it by hand in TWS"
                        )
                    ]
        return []

    def abandon(self) -> list[Step]:
        """Return what leaves nothing of the plan at work."""
        own = [reduction.order for reduction in self._reductions.values() if reduction.order is not None]
        return [CancelOwn(order.reference) for order in own]

    def lost(self) -> None:
        """Take note that the connection to TWS broke."""
        self._all_done_since_ns = self._cancelled_ns = None
        for reduction in self._reductions.values():
            reduction.lost()

    # --- orders

    @property
    def _cancels_all(self) -> bool:
        return self.stop.level is not Level.HALT and not self.stop.runs

    def _unwanted(self, look: Look) -> list[WorkingOrder]:
        """Return the orders that are to go, the plan's own not counted."""
        own = {each.order.reference for each in self._reductions.values() if each.order is not None}
        orders: Iterable[WorkingOrder] = (order for order in look.orders if order.reference not in own)
        if self.stop.runs:
            orders = (order for order in orders if order.run in self.stop.runs)
        if self.stop.level is Level.HALT:
            orders = (order for order in orders if order.opens(look.held(order.con_id)))
        return list(orders)

    def _cancel(self, look: Look) -> list[Step]:
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

    def _cancel_each(self, unwanted: list[WorkingOrder], look: Look) -> list[Step]:
        """Cancel orders one by one; where TWS would not know which is meant, all go if that takes no protection."""
        numbers = [order.order_id for order in look.orders]
        clear = [order for order in unwanted if order.order_id and numbers.count(order.order_id) == 1]
        self.cancels_sent += len(clear)
        steps: list[Step] = [CancelOrder(order) for order in clear]
        if unclear := [order for order in unwanted if order not in clear]:
            if len(unwanted) == len(look.orders):
                return self._cancel_everything(look.asked_ns)
            names = ", ".join(order.reference or str(order.permanent_id) for order in unclear)
            steps += self._tell(
                f"{len(unclear)} orders cannot be cancelled one by one, because clients share their numbers ({names}): "
                f"cancel them by hand in TWS, or cancel everything with `ibdesk stop --cancel`"
            )
        return steps

    def _cancel_everything(self, at_ns: int) -> list[Step]:
        self._cancelled_ns = at_ns
        self.cancels_sent += 1
        return [CancelEverything()]

    # --- positions

    def _reduce(self, look: Look) -> list[Step]:
        steps: list[Step] = []
        held = {con_id for con_id, quantity in look.holdings.items() if quantity}
        for con_id in sorted(held | set(self._reductions) | {order.con_id for order in look.orders}):
            reduction = self._reductions.get(con_id)
            if reduction is None:
                if self._shares is not None and con_id not in self._shares:
                    continue
                reduction = self._reductions[con_id] = Reduction(
                    con_id,
                    self._patience,
                    baseline=self._baselines.get(con_id),
                    share=None if self._shares is None else self._shares[con_id],
                )
            quantity = reduction.see(self._seen_by(reduction, look))
            steps += [Tell(f"contract {con_id}: {text}") for text in reduction.news]
            reduction.news.clear()
            if quantity:
                self.orders_sent += 1
                reference = f"guardian-{self.stop.id}-{self._attempt:x}.{self.orders_sent}"
                reduction.sent(reference, quantity, look.asked_ns)
                steps.append(Reduce(reference, con_id, quantity))
            elif reduction.order is not None and reduction.must_give_up(look.asked_ns):
                steps.append(CancelOwn(reduction.order.reference))
                steps.append(
                    Tell(f"TWS shows no trace of an order in contract {con_id}: it is cancelled and sent again")
                )
            steps += self._tell_of_waiting(reduction, look)
        return steps

    def _seen_by(self, reduction: Reduction, look: Look) -> Look:
        """Return what a reduction is to wait for: the orders of other runs may work on beside a stop of some runs."""
        if not self.stop.runs:
            return look
        own = reduction.order.reference if reduction.order is not None else ""
        orders = tuple(order for order in look.orders if order.run in self.stop.runs or order.reference == own)
        return msgspec.structs.replace(look, orders=orders)

    def _tell_of_waiting(self, reduction: Reduction, look: Look) -> list[Step]:
        order = reduction.order
        if order is None or not order.is_seen:
            return []
        if not self._patience.passed(self._patience.stuck, order.sent_ns, look.asked_ns):
            return []
        states = [each.status for each in look.orders if each.reference == order.reference]
        if not states:
            return []
        return self._tell(
            f"the order that closes contract {reduction.con_id} is {states[0]} and not filled: outside its trading "
            f"hours it waits until they begin"
        )

    def _tell(self, text: str) -> list[Step]:
        """Return an alert, the first time that it is raised."""
        if text in self._told:
            return []
        self._told.add(text)
        return [Tell(text)]
