"""The stops of an account: which are carried out, which are covered by another, and their outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

import msgspec

from ibdesk.clock import monotonic_ns, wall_ns
from ibdesk.guardian.account import GUARDIANS, AccountSnapshot
from ibdesk.guardian.claim import Claim
from ibdesk.guardian.closing_orders import ClosingOrder, ClosingOrders, taken_up
from ibdesk.guardian.decisions import Tripped
from ibdesk.guardian.plan import (
    AlertPerson,
    CancelEverything,
    CancelOrder,
    CancelOwn,
    Reduce,
    Sender,
    Step,
    StopPlan,
    reference_of,
)
from ibdesk.guardian.record import FinishedStop, Record
from ibdesk.guardian.reduction import ReductionTimings
from ibdesk.guardian.shares import RunShares, ShareBasis
from ibdesk.guardian.stop import Level, Stop

_SECOND = 1_000_000_000
_PATIENCE = ReductionTimings()
# The number of outcomes that are kept.
_OUTCOMES_KEPT = 20
_DONE_WORDS = {
    Level.HALT: "no order works that would open a position",
    Level.CANCEL: "no order works",
    Level.FLATTEN: "no order works and no position is held",
}


class Stops:
    """Every stop that has begun and is not over.

    A stop is covered if another does its work: it is kept, and carried out if the other is abandoned. `measure`
    returns the positions of runs, None while unknown.
    """

    def __init__(
        self,
        record: Record,
        *,
        claim: Claim,
        client_id: int,
        settle_seconds: float,
        measure: Callable[[tuple[str, ...]], ShareBasis | None],
    ) -> None:
        self._record, self._claim, self._client_id, self._measure = record, claim, client_id, measure
        self._closing = ClosingOrders(settle_seconds=settle_seconds)
        # _kept: the orders in the claim's file, with their recorded state.
        self._kept: set[tuple[str, bool, bool]] = set()
        self._fault = ""
        self.sender: Sender | None = None
        self.plans: list[StopPlan] = []
        self._begun_ns: dict[str, int] = {}
        # baselines: positions on which TWS's positions and executions agreed while no stop was carried out.
        self.baselines: dict[int, tuple[float, float]] = {}
        self.idle, self.woken = asyncio.Event(), asyncio.Event()
        self.idle.set()

    def take(self, account: str) -> bool:
        """Return whether this process carries out stops now; it then knows the open orders of earlier processes."""
        if not self._claim.take(account):
            return False
        try:
            inherited = self._claim.inherit(account)
        except (OSError, msgspec.MsgspecError) as error:
            self._record.alert(f"the orders that another process may have on their way cannot be read: {error}")
            return True
        if inherited is not None:
            self._kept = _state_of(inherited)
            self._closing.inherit(taken_up(inherited, now_ns=monotonic_ns(), wall_ns=wall_ns()))
        return True

    def rest(self) -> None:
        """Release the claim for other processes, unless there is work to do."""
        if not self.is_busy:
            self._claim.release()

    @property
    def is_busy(self) -> bool:
        """Return whether a stop is being carried out, or an order of an abandoned one may still be filled."""
        return bool(self.plans) or self._closing.has_unwanted

    # --- beginning and ending

    def begin(self, stop: Stop, *, tripped: Mapping[str, Tripped] | None = None) -> None:
        """Carry out a stop, unless another does as much; those that it covers wait.

        `tripped` are the rules that have acted, None if unchanged. They are written together with the stop: a rule that
        counts as acted without its stop would never act again.
        """
        memory = self._record.memory
        acted = memory.tripped if tripped is None else dict(tripped)
        if any(each.id == stop.id and each.covers(stop) for each in memory.stops):
            self._record.keep(tripped=acted)
            return
        self._record.keep(
            stops=(*(each for each in memory.stops if each.id != stop.id), stop),
            tripped=acted,
            outcomes={key: outcome for key, outcome in memory.outcomes.items() if key != stop.id},
        )
        self._arrange()

    def take_up(self) -> None:
        """Resume the stops that were unfinished when the previous process died."""
        stops = self._record.memory.stops
        if stops:
            self._record.alert(f"{len(stops)} unfinished stop(s) are resumed: {stops[-1].reason}")
        self._arrange()

    def abandon(self, lifted: frozenset[str]) -> None:
        """Abandon the stops whose halts a person has lifted: the engine trades again, and two must not act at once."""
        left = [stop for stop in self._record.memory.stops if stop.id in lifted]
        for stop in left:
            self._record.alert(f"the halt {stop.id} was lifted before the stop was done: it is abandoned")
            self._over(stop, FinishedStop(state="abandoned", level=stop.level))
        # It includes the orders of stops that another process began.
        disowned = [order for stop_id in lifted for order in self._closing.disown(f"{GUARDIANS}{stop_id}-")]
        if left or disowned:
            self._arrange()
            self._cancel_closing(monotonic_ns())
            self._keep_closing()

    def forget(self) -> None:
        """Treat every stop as over but not done, because the account has ended."""
        for stop in self._record.memory.stops:
            self._over(stop, FinishedStop(state="ended", level=stop.level))
        self.baselines = {}
        self._closing.forget()
        self._keep_closing()
        self._arrange()

    def lost(self) -> None:
        """Record that the connection to TWS broke."""
        self.baselines = {}
        for plan in self.plans:
            plan.lost()

    def status(self) -> dict[str, object]:
        """Return the current stops and the outcomes of earlier ones, as plain data."""
        now_ns = monotonic_ns()
        return {
            "stops": [
                {
                    **msgspec.to_builtins(plan.stop),
                    "seconds": (now_ns - self._begun_ns[plan.stop.id]) / _SECOND,
                    "orders_sent": plan.orders_sent,
                    "cancels_sent": plan.cancels_sent,
                }
                for plan in self.plans
            ],
            "finished": self._record.memory.finished,
            "outcomes": msgspec.to_builtins(self._record.memory.outcomes),
        }

    # --- carrying out

    def advance(self, look: AccountSnapshot) -> None:
        """Carry out the next steps, given a snapshot of the account."""
        self._closing.settle(look)
        self._cancel_closing(look.asked_ns, look)
        for plan in list(self.plans):
            if plan.lacks_shares:
                plan.shares = self._shares(plan.stop)
            self._do(plan, plan.look(look))
            self._keep_shares(plan)
            if plan.done:
                self._finish(plan)
        self._keep_closing()

    def compare(self, look: AccountSnapshot) -> None:
        """Store positions on which TWS's positions and executions agree while no stop is carried out."""
        if self.plans:
            return
        for con_id in look.holdings.keys() | self.baselines.keys():
            held, traded = look.held(con_id), look.traded(con_id)
            known = self.baselines.get(con_id)
            if known is None or abs(known[0] + traded - known[1] - held) < 1e-9:
                self.baselines[con_id] = held, traded
            else:
                # They differ: a fill on its way, or a trade without an execution. The position is measured afresh.
                del self.baselines[con_id]

    # --- what TWS says of single orders

    def reference_of(self, order_id: int) -> str | None:
        """Return the reference of an order of this client that may still be filled."""
        return next(
            (
                sent.reference
                for sent in self._closing
                if (sent.client_id, sent.order_id) == (self._client_id, order_id)
            ),
            None,
        )

    def refused(self, reference: str, text: str, *, at_once: bool) -> None:
        """Record that TWS refused an order; the next leaves `at_once`, or after a pause."""
        self._record.write("refused", reference=reference, text=text)
        self._closing.refuse(reference, text)
        for plan in self.plans:
            self._do(plan, plan.refused(reference, text, monotonic_ns(), at_once=at_once))

    def reported(self, reference: str, filled: float, *, is_over: bool) -> None:
        """Record the status of a guardian's order."""
        self._closing.report(reference, filled)
        if is_over:
            self._closing.end(reference, is_filled=False)

    def ended(self, reference: str, *, is_filled: bool, was_found: bool) -> None:
        """Record that nothing was left to cancel of an order."""
        self._record.write("ended order", reference=reference, is_filled=is_filled, was_found=was_found)
        self._closing.end(reference, is_filled=is_filled, was_found=was_found)

    def not_found(self, order_id: int) -> None:
        """Record that TWS knows no order of this number that this client may cancel."""
        self._record.write("not found", order_id=order_id)
        for plan in self.plans:
            plan.not_found(order_id)

    # --- inside

    def _arrange(self) -> None:
        """Carry out the stops that no other stop covers."""
        wanted = [stop for stop in self._record.memory.stops if self._cover_of(stop) is None]
        self.plans = [plan for plan in self.plans if plan.stop in wanted]
        begun = [plan.stop for plan in self.plans]
        for stop in wanted:
            if stop not in begun:
                self._carry_out(stop)
        if self.plans:
            self.idle.clear()
        else:
            self.idle.set()
        self.woken.set()

    def _cover_of(self, stop: Stop) -> Stop | None:
        """Return the stop that does all of this one; of two equal stops the older."""
        stops = self._record.memory.stops
        for each in stops:
            is_same = stop.covers(each)
            if each != stop and each.covers(stop) and (not is_same or stops.index(each) < stops.index(stop)):
                return each
        return None

    def _carry_out(self, stop: Stop) -> None:
        plan = StopPlan(
            stop,
            attempt=self._record.new_attempt(),
            baselines=self.baselines,
            shares=self._shares(stop),
            closing=self._closing,
        )
        self._begun_ns.setdefault(stop.id, monotonic_ns())
        self.plans.append(plan)
        self._keep_shares(plan)
        self._do(plan, plan.begin(monotonic_ns()))

    def _shares(self, stop: Stop) -> RunShares | None:
        """Return the positions of the stop's runs: as counted by an earlier process, or by the engine's books."""
        if stop.level is not Level.FLATTEN or not stop.runs:
            return None
        basis = self._record.memory.shares.get(stop.id) or self._measure(stop.runs)
        return None if basis is None else RunShares(basis, runs=stop.runs, closing=[reference_of(stop)])

    def _keep_shares(self, plan: StopPlan) -> None:
        if plan.shares is None:
            return
        kept = self._record.memory.shares
        if kept.get(plan.stop.id) != plan.shares.basis:
            self._record.keep(shares={**kept, plan.stop.id: plan.shares.basis})

    def _do(self, plan: StopPlan, steps: list[Step]) -> None:
        for step in steps:
            if isinstance(step, AlertPerson):
                self._record.alert(step.text, stop=plan.stop.id)
            else:
                self._send(step, stop=plan.stop.id)

    def _send(self, step: CancelEverything | CancelOrder | CancelOwn | Reduce, **facts: str) -> None:
        # The log comes first: an order that left without a log entry could not be explained.
        self._record.write("step", **facts, step=type(step).__name__, **msgspec.to_builtins(step))
        sender = self.sender
        if sender is None:
            return
        order = self._closing.get(step.reference) if isinstance(step, CancelOwn | Reduce) else None
        if isinstance(step, CancelOwn):
            # The number of another client's order would be mistaken for one of ours.
            if order is not None and order.client_id == self._client_id:
                sender.do(step, order_id=order.order_id)
            return
        if not isinstance(step, Reduce):
            sender.do(step)
            return
        order_id = sender.new_order_id()
        if order is None or not order_id:
            self._closing.drop(step.reference)
            return
        order.client_id, order.order_id, order.sent_wall_ns = self._client_id, order_id, wall_ns()
        self._keep_closing()
        sender.do(step, order_id=order_id)

    def _cancel_closing(self, at_ns: int, look: AccountSnapshot | None = None) -> None:
        """Cancel the orders of abandoned stops, repeatedly, until TWS says that nothing of them works.

        It includes orders that plans wait for and TWS does not show: its answer says whether they can still fill.
        """
        for order in self._closing.unwanted(_PATIENCE.repeat_cancel, at_ns):
            self._cancel_order(order, look)
            if order.disowned_ns is not None and _PATIENCE.passed(_PATIENCE.stuck, order.disowned_ns, at_ns):
                self._alert_once(
                    order,
                    f"the order {order.reference} of an abandoned stop may still be filled though it was cancelled "
                    f"{_PATIENCE.stuck:g} s ago: cancel it by hand in TWS",
                )
        if look is None or not self.plans:
            return
        for order in self._closing.overdue(_PATIENCE.invisible, at_ns, refused_seconds=_PATIENCE.stuck):
            self._cancel_order(order, look)
            if not order.is_seen:
                self._alert_once(
                    order,
                    f"TWS shows no trace of the order {order.reference} in contract {order.con_id}: it is cancelled, "
                    f"and the next one waits until TWS answers",
                )

    def _cancel_order(self, order: ClosingOrder, look: AccountSnapshot | None) -> None:
        """Cancel an order by its number; for another client's order by the number that TWS shows."""
        shown = () if look is None else look.orders
        step: CancelOwn | CancelOrder = CancelOwn(order.reference)
        working = next((each for each in shown if each.reference == order.reference), None)
        numbers = [each.order_id for each in shown]
        if working is not None and order.client_id != self._client_id and numbers.count(working.order_id) == 1:
            step = CancelOrder(working)
        self._send(step)

    def _alert_once(self, order: ClosingOrder, text: str) -> None:
        if not order.is_told:
            order.is_told = True
            self._record.alert(text)

    def _keep_closing(self) -> None:
        """Write the orders that may still be filled to disk, for the next process."""
        state = _state_of(self._closing)
        if state == self._kept:
            return
        try:
            self._claim.keep(self._closing)
            self._kept, self._fault = state, ""
        except OSError as error:
            if str(error) != self._fault:
                self._fault = str(error)
                self._record.alert(f"the orders on their way cannot be written down for another process: {error}")

    def _finish(self, plan: StopPlan) -> None:
        stop = plan.stop
        seconds = (monotonic_ns() - self._begun_ns[stop.id]) / _SECOND
        outcome = FinishedStop(
            state="done", level=stop.level, seconds=seconds, orders_sent=plan.orders_sent,
            cancels_sent=plan.cancels_sent,
        )  # fmt: skip
        for covered in [each for each in self._record.memory.stops if each != stop and stop.covers(each)]:
            self._over(covered, msgspec.structs.replace(outcome, level=covered.level, covered_by=stop.id))
        self._over(stop, outcome)
        whose = f" of {', '.join(stop.runs)}" if stop.runs else ""
        self._record.alert(
            f"done in {seconds:.1f} s: {_DONE_WORDS[stop.level]}{whose}. "
            f"The halt {stop.id} stands until a person lifts it",
            **self._record.memory.finished,
        )
        self._arrange()

    def _over(self, stop: Stop, outcome: FinishedStop) -> None:
        """Remove a stop from the list, and write its outcome."""
        self._begun_ns.pop(stop.id, None)
        self.plans = [plan for plan in self.plans if plan.stop != stop]
        memory = self._record.memory
        outcomes = {key: value for key, value in memory.outcomes.items() if key != stop.id} | {stop.id: outcome}
        self._record.keep(
            stops=tuple(each for each in memory.stops if each != stop),
            shares={key: basis for key, basis in memory.shares.items() if key != stop.id},
            outcomes=dict(list(outcomes.items())[-_OUTCOMES_KEPT:]),
        )


def _state_of(orders: Iterable[ClosingOrder]) -> set[tuple[str, bool, bool]]:
    """Return the facts about orders that a later process needs."""
    return {(order.reference, order.is_wanted, order.is_seen) for order in orders}
