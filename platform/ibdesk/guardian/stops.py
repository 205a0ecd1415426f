"""The stops of an account: which are carried out, which another one covers, and what came of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from ibdesk.clock import monotonic_ns, wall_ns
from ibdesk.guardian.account import GUARDIANS, Look
from ibdesk.guardian.claim import Claim
from ibdesk.guardian.decisions import Tripped
from ibdesk.guardian.plan import CancelEverything, CancelOrder, CancelOwn, Reduce, Step, StopPlan, Tell, reference_of
from ibdesk.guardian.record import Outcome, Record
from ibdesk.guardian.reduction import Patience
from ibdesk.guardian.sent import SentOrder, SentOrders, taken_up
from ibdesk.guardian.shares import RunShares, ShareBasis
from ibdesk.guardian.stop import Level, Stop

_SECOND = 1_000_000_000
_PATIENCE = Patience()
# So many outcomes are remembered.
_OUTCOMES_KEPT = 20
_DONE_WORDS = {
    Level.HALT: "no order works that would open a position",
    Level.CANCEL: "no order works",
    Level.FLATTEN: "no order works and no position is held",
}


class Sender(Protocol):
    """What takes the steps of a plan to TWS."""

    def new_order_id(self) -> int:
        """Return a number for the next order, 0 while TWS is away."""

    def do(self, step: CancelEverything | CancelOrder | CancelOwn | Reduce, *, order_id: int = 0) -> None:
        """Send a step."""


class Stops:
    """Every stop that was begun and is not over.

    One that another does as well is covered: it is kept, and carried out once the other was abandoned. `measure` tells
    what runs hold, None while that is not known.
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
        self._sent = SentOrders(settle_seconds=settle_seconds)
        # _kept: the orders that the claim's file has, and what it says of each.
        self._kept: set[tuple[str, bool, bool]] = set()
        self._fault = ""
        # _disowned_ns: when each order of an abandoned stop was first to be cancelled; 0 once it was alerted.
        self._disowned_ns: dict[str, int] = {}
        self.sender: Sender | None = None
        self.plans: list[StopPlan] = []
        self._begun_ns: dict[str, int] = {}
        self.finished: dict[str, object] = {}
        # baselines: positions on which TWS's positions and its executions agreed while no stop was carried out.
        self.baselines: dict[int, tuple[float, float]] = {}
        self.idle, self.woken = asyncio.Event(), asyncio.Event()
        self.idle.set()

    # --- one process at a time

    def take(self, account: str) -> bool:
        """Return whether this process carries out stops now; it then knows what others may have on their way."""
        if not self._claim.take(account):
            return False
        try:
            inherited = self._claim.inherit(account)
        except (OSError, msgspec.MsgspecError) as error:
            self._record.alert(f"the orders that another process may have on their way cannot be read: {error}")
            return True
        if inherited is not None:
            self._kept = _state_of(inherited)
            self._sent.inherit(taken_up(inherited, now_ns=monotonic_ns(), wall_ns=wall_ns()))
        return True

    def rest(self) -> None:
        """Let another process carry out stops, unless there is something to do."""
        if not self.is_busy:
            self._claim.release()

    @property
    def is_busy(self) -> bool:
        """Return whether a stop is carried out, or an order of an abandoned one may still be filled."""
        return bool(self.plans) or self._sent.has_unwanted

    # --- beginning and ending

    def begin(self, stop: Stop, *, tripped: Mapping[str, Tripped] | None = None) -> None:
        """Carry out a stop, unless another does as much; those that it covers wait.

        `tripped` are the rules that have acted, None where they are as they were. They are written down with the stop:
        a rule that counts as acted without its stop would never act again.
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
        """Go on with the stops that were not done when the process before this one died."""
        stops = self._record.memory.stops
        if stops:
            self._record.alert(f"{len(stops)} stop(s) were not done and are taken up: {stops[-1].reason}")
        self._arrange()

    def abandon(self, lifted: frozenset[str]) -> None:
        """Leave the stops whose halts a person has lifted: the engine trades again, and two must not act at once."""
        left = [stop for stop in self._record.memory.stops if stop.id in lifted]
        for stop in left:
            self._record.alert(f"the halt {stop.id} was lifted before the stop was done: it is abandoned")
            self._over(stop, Outcome(state="abandoned"))
        # Also those of stops that another process has begun.
        disowned = [order for stop_id in lifted for order in self._sent.disown(f"{GUARDIANS}{stop_id}-")]
        if left or disowned:
            self._arrange()
            self._cancel_unwanted(monotonic_ns())
            self._keep_sent()

    def forget(self) -> None:
        """Take every stop for over without being done: the account has ended."""
        for stop in self._record.memory.stops:
            self._over(stop, Outcome(state="ended"))
        self.baselines = {}
        self._sent.forget()
        self._keep_sent()
        self._arrange()

    def lost(self) -> None:
        """Take note that the connection to TWS broke."""
        self.baselines = {}
        for plan in self.plans:
            plan.lost()

    def status(self) -> dict[str, object]:
        """Return what is being done and what came of what was, as plain data."""
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
            "finished": self.finished,
            "outcomes": msgspec.to_builtins(self._record.memory.outcomes),
        }

    # --- carrying out

    def advance(self, look: Look) -> None:
        """Do what is next, given the account as it is."""
        self._sent.settle(look)
        self._cancel_unwanted(look.asked_ns, look)
        for plan in list(self.plans):
            if plan.lacks_shares:
                plan.shares = self._shares(plan.stop)
            self._do(plan, plan.look(look))
            self._keep_shares(plan)
            if plan.done:
                self._finish(plan)
        self._keep_sent()

    def compare(self, look: Look) -> None:
        """Remember positions on which TWS's positions and its executions agree while no stop is carried out."""
        if self.plans:
            return
        for con_id in look.holdings.keys() | self.baselines.keys():
            held, traded = look.held(con_id), look.traded(con_id)
            known = self.baselines.get(con_id)
            if known is None or abs(known[0] + traded - known[1] - held) < 1e-9:
                self.baselines[con_id] = held, traded
            else:
                # They are apart: a fill on its way, or a trade that no execution shows. It is measured afresh.
                del self.baselines[con_id]

    # --- what TWS says of single orders

    def reference_of(self, order_id: int) -> str | None:
        """Return the reference of an order of this client that may still be filled."""
        return next(
            (sent.reference for sent in self._sent if (sent.client_id, sent.order_id) == (self._client_id, order_id)),
            None,
        )

    def refused(self, reference: str, text: str, *, at_once: bool) -> None:
        """Take note that TWS has refused an order; the next may leave `at_once`."""
        self._record.write("refused", reference=reference, text=text)
        self._sent.refuse(reference, text)
        for plan in self.plans:
            self._do(plan, plan.refused(reference, text, monotonic_ns(), at_once=at_once))

    def reported(self, reference: str, filled: float, *, is_over: bool) -> None:
        """Take note of the status of an order of a guardian."""
        self._sent.report(reference, filled)
        if is_over:
            self._sent.end(reference, is_filled=False)

    def ended(self, reference: str, *, is_filled: bool, was_found: bool) -> None:
        """Take note that there was nothing left to cancel of an order."""
        self._record.write("ended order", reference=reference, is_filled=is_filled, was_found=was_found)
        self._sent.end(reference, is_filled=is_filled, was_found=was_found)

    def not_found(self, order_id: int) -> None:
        """Take note that TWS knows no order of this number that this client may cancel."""
        self._record.write("not found", order_id=order_id)
        for plan in self.plans:
            plan.not_found(order_id)

    # --- inside

    def _arrange(self) -> None:
        """Carry out what no other stop covers."""
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
        """Return the stop that does all of this one, the older of two that do the same."""
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
            sent=self._sent,
        )
        self._begun_ns.setdefault(stop.id, monotonic_ns())
        self.plans.append(plan)
        self._keep_shares(plan)
        self._do(plan, plan.begin(monotonic_ns()))

    def _shares(self, stop: Stop) -> RunShares | None:
        """Return what the stop's runs hold: as an earlier process has counted it, or as the engine's books say."""
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
            if isinstance(step, Tell):
                self._record.alert(step.text, stop=plan.stop.id)
                continue
            # Written first: an order that has left and is not in the log would be a riddle.
            self._record.write("step", stop=plan.stop.id, step=type(step).__name__, **msgspec.to_builtins(step))
            if self.sender is not None:
                self._send(self.sender, step)

    def _send(self, sender: Sender, step: CancelEverything | CancelOrder | CancelOwn | Reduce) -> None:
        order = self._sent.get(step.reference) if isinstance(step, CancelOwn | Reduce) else None
        if isinstance(step, CancelOwn):
            # The number of another client's order would be taken for that of one of ours.
            if order is not None and order.client_id == self._client_id:
                sender.do(step, order_id=order.order_id)
            return
        if not isinstance(step, Reduce):
            sender.do(step)
            return
        order_id = sender.new_order_id()
        if order is None or not order_id:
            self._sent.drop(step.reference)
            return
        order.client_id, order.order_id, order.sent_wall_ns = self._client_id, order_id, wall_ns()
        self._keep_sent()
        sender.do(step, order_id=order_id)

    def _cancel_unwanted(self, at_ns: int, look: Look | None = None) -> None:
        """Cancel the orders of abandoned stops, again and again until TWS says that nothing of them works."""
        shown = {} if look is None else {order.reference: order for order in look.orders}
        numbers = [order.order_id for order in shown.values()]
        for order in self._sent.unwanted(_PATIENCE.repeat_cancel, at_ns):
            step: CancelOwn | CancelOrder = CancelOwn(order.reference)
            working = shown.get(order.reference)
            if working is not None and order.client_id != self._client_id and numbers.count(working.order_id) == 1:
                step = CancelOrder(working)
            self._record.write("step", step=type(step).__name__, **msgspec.to_builtins(step))
            if self.sender is not None:
                self._send(self.sender, step)
            since_ns = self._disowned_ns.setdefault(order.reference, at_ns)
            if since_ns and _PATIENCE.passed(_PATIENCE.stuck, since_ns, at_ns):
                self._disowned_ns[order.reference] = 0
                self._record.alert(
                    f"the order {order.reference} of an abandoned stop may still be filled though it was cancelled "
                    f"{_PATIENCE.stuck:g} s ago: cancel it by hand in TWS"
                )

    def _keep_sent(self) -> None:
        """Write down which orders may still be filled, for the process after this one."""
        state = _state_of(self._sent)
        if state == self._kept:
            return
        self._disowned_ns = {key: at_ns for key, at_ns in self._disowned_ns.items() if key in self._sent}
        try:
            self._claim.keep(self._sent)
            self._kept, self._fault = state, ""
        except OSError as error:
            if str(error) != self._fault:
                self._fault = str(error)
                self._record.alert(f"the orders on their way cannot be written down for another process: {error}")

    def _finish(self, plan: StopPlan) -> None:
        stop = plan.stop
        seconds = (monotonic_ns() - self._begun_ns[stop.id]) / _SECOND
        outcome = Outcome(state="done", seconds=seconds, orders_sent=plan.orders_sent, cancels_sent=plan.cancels_sent)
        for covered in [each for each in self._record.memory.stops if each != stop and stop.covers(each)]:
            self._over(covered, msgspec.structs.replace(outcome, covered_by=stop.id))
        self._over(stop, outcome)
        self.finished = {
            "id": stop.id, "level": stop.level, "seconds": seconds, "orders_sent": plan.orders_sent,
            "cancels_sent": plan.cancels_sent,
        }  # fmt: skip
        whose = f" of {', '.join(stop.runs)}" if stop.runs else ""
        self._record.alert(
            f"done in {seconds:.1f} s: {_DONE_WORDS[stop.level]}{whose}. "
            f"The halt {stop.id} stands until a person lifts it",
            **self.finished,
        )
        self._arrange()

    def _over(self, stop: Stop, outcome: Outcome) -> None:
        """Take a stop off the list, and write down what came of it."""
        self._begun_ns.pop(stop.id, None)
        self.plans = [plan for plan in self.plans if plan.stop != stop]
        memory = self._record.memory
        outcomes = {key: value for key, value in memory.outcomes.items() if key != stop.id} | {stop.id: outcome}
        self._record.keep(
            stops=tuple(each for each in memory.stops if each != stop),
            shares={key: basis for key, basis in memory.shares.items() if key != stop.id},
            outcomes=dict(list(outcomes.items())[-_OUTCOMES_KEPT:]),
        )


def _state_of(orders: Iterable[SentOrder]) -> set[tuple[str, bool, bool]]:
    """Return what a later process must know of orders."""
    return {(order.reference, order.is_wanted, order.is_seen) for order in orders}
