"""The way of an order: through the risk gate to the venue, and back as reports and fills."""

from __future__ import annotations

import math
from collections.abc import Callable

from ibdesk.engine.aims import AIM_TIMER, Aims
from ibdesk.engine.blotter import Blotter
from ibdesk.engine.closed_market import ClosedMarket
from ibdesk.engine.closing_retries import RETRY_TIMER
from ibdesk.engine.exposures import Exposures
from ibdesk.engine.freshness import PASSING_RULES, Freshness
from ibdesk.engine.halting import Halting
from ibdesk.engine.lane import Lane
from ibdesk.engine.loss_watch import LOSS_TIMER, LossWatch
from ibdesk.engine.manual_exits import MANUAL_CANCEL_TIMER, MANUAL_RETRY_TIMER, ManualExits
from ibdesk.engine.market import Market
from ibdesk.engine.modifications import Modifications
from ibdesk.engine.open_orders import OpenOrders
from ibdesk.engine.order_queue import QUEUE_TIMER, WAIT_RULE, OrderQueue, Waiting
from ibdesk.engine.outbox import Outbox
from ibdesk.engine.outside import OutsideTrades
from ibdesk.engine.overrules import Overrules
from ibdesk.engine.portfolio import EXTERNAL, MANUAL, Portfolio
from ibdesk.engine.repetition import Repetition
from ibdesk.engine.risk import RiskGate, exposure_of, reduces
from ibdesk.engine.run import Run, RunState
from ibdesk.engine.self_crossing import SelfCrossing
from ibdesk.engine.terms import collared, fitted, refuse_index
from ibdesk.engine.venue_day import VenueDay
from ibdesk.errors import OrderDeniedError
from ibdesk.model import (
    TAKEN_BACK,
    Account,
    AnyInstrument,
    CancelOrder,
    Fill,
    Forex,
    Order,
    OrderDenied,
    OrderDropped,
    OrderQueued,
    OrderReport,
    OrderStatus,
    OrderType,
    PlaceOrder,
    RunBudget,
)

WITHDRAWN = "withdrawn before it was sent"
"""Why an order was cancelled that had not left."""

Call = Callable[..., None]
"""Calls a hook of a run: ``call(run, hook, *arguments)``; what the hook raises ends that run."""


class OrderFlow:
    """Takes orders of runs and of people to the gate and the venue, and tells runs what became of theirs."""

    def __init__(self, *, gate: RiskGate, outbox: Outbox, call: Call, waits: bool = True, client_id: int = 0) -> None:
        self.markets: dict[str, Market] = {}
        self.exposures = Exposures(self.markets, is_kept=gate.decides)
        self.blotter = Blotter(self.exposures)
        self.portfolio = Portfolio(self.exposures.booked, self._currency_of)
        self.runs: dict[str, Run] = {}
        # budgets: what runs may use of the account, of those that have limits of their own.
        self.budgets: dict[str, RunBudget] = {}
        self.account = Account()
        self.link_up = True
        self.gate, self._outbox, self.call = gate, outbox, call
        self.freshness = Freshness(outbox, gate)
        self.repetition, self.self_crossing = Repetition(self), SelfCrossing(self)
        self.add, self.alert = outbox.add, outbox.alert
        self.aims, self.halting = Aims(self), Halting(self, client_id)
        self.manual_exits = ManualExits(self)
        self.queue = OrderQueue(self, waits=waits)
        self.venue_day, self.closed = VenueDay(outbox), ClosedMarket(self, waits=waits)
        self.overrules, self.modifications = Overrules(self), Modifications(self)
        self.outside = OutsideTrades(
            self.portfolio, self.blotter, outbox, self.price_of, self.cancel, self.overrules.halt
        )
        self.losses = LossWatch(self)

    @property
    def now_ns(self) -> int:
        """The time of the event being handled, ns UTC."""
        return self._outbox.now_ns

    def held(self, lane: Lane) -> float:
        """Return what a run holds in one of its instruments."""
        return lane.run.book.position(lane.instrument).quantity

    def price_of(self, instrument: str) -> float | None:
        """Return the price at which an instrument is valued, None when there is none yet."""
        market = self.markets.get(instrument)
        return None if market is None else market.price

    def last_of(self, instrument: str) -> float | None:
        """Return at which price an instrument traded last, None when no trade is known."""
        market = self.markets.get(instrument)
        return None if market is None or isinstance(market.instrument, Forex) else market.last

    def _currency_of(self, instrument: str) -> str:
        market = self.markets.get(instrument)
        return "" if market is None else market.instrument.currency

    def watch(self, instrument: AnyInstrument) -> None:
        """Keep the prices of an instrument, by what TWS knows of it now."""
        market = self.markets.setdefault(instrument.id, Market(instrument))
        market.instrument = instrument
        self.exposures.watched(market)

    # --- the way out

    def submit(self, order: Order) -> None:
        """Pass an order through the risk gate: it leaves as PlaceOrder, waits for its turn, or is denied.

        Raises:
            OrderError: If its instrument takes no orders.
        """
        market = self.markets[order.instrument]
        refuse_index(order, market.instrument)
        try:
            order = fitted(order, market.instrument)
            is_exit = self.examine(order, self.blotter.sums(order.owner, order.instrument))
            if not self.gate.decides:
                return
            if not self.closed.keeps(order, reduces=is_exit):
                self.send_or_queue(order, reduces=is_exit)
        except OrderDeniedError as denial:
            self.deny(order, denial)

    def send_or_queue(self, order: Order, *, reduces: bool) -> None:
        """Let an order leave that has passed the gate, or have it wait for its turn.

        Raises:
            OrderDeniedError: If its turn would come too late, or it has no price for its collar.
        """
        if self.gate.limits.collar_market_orders < math.inf:
            order = self.collar(order, reduces=reduces)
        if self.queue.may_leave(order.id, reduces=reduces):
            self.place(order)
            return
        # First, so that it is found when what follows has to be undone.
        self.add(OrderQueued(order))
        self.blotter.put(order)
        self.refresh(order)
        self.queue.put(Waiting(order.id, self.freshness.now_ns), reduces=reduces)

    def cancel(self, order_id: str) -> None:
        """Withdraw an open order; cancelling is never denied, and one that has not left is gone at once."""
        order = self.blotter.orders.get(order_id)
        if order is None or not order.is_open:
            return
        self.queue.drop(order_id)
        if order.status is OrderStatus.CREATED:
            self.closed.drop(order)
            order = order.moved(OrderStatus.CANCELLED, self.now_ns, reason=WITHDRAWN)
            self.blotter.put(order)
            self.add(OrderDropped(order_id, self.now_ns))
            self.order_changed(order)
            return
        self.blotter.withdraw(order_id)
        if self.gate.limits.max_cancels_per_minute < math.inf:
            self.exposures.account.cancels.count(self.now_ns)
        budget = self.budgets.get(order.owner) if self.budgets else None
        if budget is not None and budget.max_cancels_per_minute < math.inf:
            self.exposures.money(order.owner).cancels.count(self.now_ns)
        self.add(CancelOrder(order_id))

    def examine(self, order: Order, others: OpenOrders) -> bool:
        """Return whether an order only reduces or protects what is held, `others` being open beside it.

        Raises:
            OrderDeniedError: If the gate refuses it.
        """
        if self.overrules.runs and order.status is OrderStatus.CREATED:
            self.overrules.check(order)
        if self.outside.uncovered:
            self.outside.check(order)
        market = self.markets[order.instrument]
        now_ns = self._outbox.now_ns
        is_exit = self.gate.check(order, exposure_of(self, order, others), now_ns)
        if not is_exit and self.gate.decides:
            if now_ns >= self.venue_day.barred_ns:
                self.venue_day.check(order, now_ns)
            self.freshness.check(order, market, self.closed.opens_at)
            if self.self_crossing.resting:
                self.self_crossing.check(order, market)
        return is_exit

    def collar(self, order: Order, *, reduces: bool) -> Order:
        """Return the order as it may leave: a market order that opens a position as far as its collar reaches."""
        if reduces or order.type is not OrderType.MARKET:
            return order
        return collared(order, self.markets[order.instrument], self.gate.limits.collar_market_orders)

    def opens(self, order: Order) -> bool:
        """Return whether an order opens or adds to a position, all others counted as filled before it."""
        held = self.exposures.holding(order.owner, order.instrument).position.quantity
        return not reduces(order, held, self.blotter.sums_without(order))

    def place(self, order: Order) -> None:
        """Let an order leave."""
        if self.self_crossing.resting:
            self.self_crossing.clear_the_way(order)
        sent = order.moved(OrderStatus.SENT, self.now_ns)
        # First, so that it is found when what follows has to be undone.
        self.add(PlaceOrder(sent))
        self.count_sent(sent)
        self.blotter.put(sent)
        self.refresh(sent)

    def count_sent(self, order: Order) -> None:
        """Count an order or a change that leaves, where the budget of its run asks for it."""
        budget = self.budgets.get(order.owner) if self.budgets else None
        if budget is not None and budget.max_orders_per_minute < math.inf:
            self.exposures.money(order.owner).sent.count(self.now_ns)

    def record(self) -> None:
        """Put on the record, at the end of an event, what it leaves to later ones."""
        self.aims.record()
        if len(self.queue):
            self.queue.set_timer()

    def on_timer(self, timer_id: str) -> None:
        """Go on with what a timer was set for here."""
        if timer_id == QUEUE_TIMER:
            self.queue.release()
        elif timer_id.startswith((MANUAL_RETRY_TIMER, MANUAL_CANCEL_TIMER)):
            self.manual_exits.on_timer(timer_id)
        elif timer_id.startswith((AIM_TIMER, RETRY_TIMER)):
            self.aims.on_timer(timer_id)
        elif timer_id == LOSS_TIMER:
            self.losses.look()
        else:
            self.closed.on_timer(timer_id)

    # --- the way back

    def on_order_report(self, report: OrderReport) -> None:
        """Take what the venue said about an order."""
        before = self.blotter.orders.get(report.order_id)
        order = self.blotter.report(report)
        if order is not None and before is not None:
            if report.by_other:
                self.overrules.step_in(order)
            self.order_changed(order, "" if report.reason == before.reason else report.reason)

    def on_fill(self, fill: Fill) -> None:
        """Book an execution, once, to the owner of its order, or to EXTERNAL when it is not of ours."""
        known = self.blotter.orders.get(fill.order_id)
        owner = EXTERNAL if known is None else known.owner
        if known is None and not self.portfolio.owner_of(fill.execution_id):
            self.outside.trade(fill)
        if not self.portfolio.book(fill, owner):
            return
        self.exposures.traded(fill)
        self.losses.awaited.traded(fill.instrument)
        if known is None:
            self.outside.note_unpriced(fill.instrument)
        elif fill.instrument in self.outside.uncovered:
            self.outside.trim(fill.instrument)
        order = self.blotter.filled(fill)
        if order is not None:
            self.refresh(order)
            if not order.is_open:
                self.repetition.filled(order)
            # One that is taken back comes again, corrected: only then is it known what is held.
            is_late = known is not None and not known.is_open and not fill.execution_id.endswith(TAKEN_BACK)
            self._tell_fill(order, fill, is_late=is_late)
            if not self.gate.halts.is_empty and self.gate.decides:
                # An order that protected what is closed now would open a position.
                self.halting.trim(self.exposures.holding(order.owner, fill.instrument))
        self.losses.booked(owner)

    def _tell_fill(self, order: Order, fill: Fill, *, is_late: bool) -> None:
        """Tell a run of an execution, and go on with what waited for it."""
        run = self.runs.get(order.owner)
        if run is None:
            if order.owner == MANUAL:
                self.manual_exits.settle(order)
                if is_late:
                    self.manual_exits.reopen(order.instrument)
            return
        lane = run.lanes[order.instrument]
        if lane.aim is not None:
            self.aims.note_fill(lane, fill)
        if run.is_running:
            self.call(run, run.strategy.on_fill, fill)
        self.tell_order(order)
        if lane.aim is not None:
            self.call(run, self.aims.settle, lane, order)
        if is_late:
            self.call(run, self.aims.reopen, lane)

    def deny(self, order: Order, denial: OrderDeniedError) -> None:
        """Keep an order that the gate refused, and tell its run."""
        denied = order.moved(OrderStatus.DENIED, self.now_ns, reason=denial.reason)
        self.tell_denial(denial)
        self.blotter.put(denied)
        self.repetition.denied(denied, denial.rule)
        self.order_changed(denied)
        run = self.runs.get(order.owner)
        if run is not None and (denial.rule == WAIT_RULE or denial.rule in PASSING_RULES):
            # A while later the same order may pass.
            run.lanes[order.instrument].allow()

    def tell_denial(self, denial: OrderDeniedError) -> None:
        """Put on the record what the gate refused, and why."""
        self.add(
            OrderDenied(
                order_id=denial.order_id,
                rule=denial.rule,
                limit=denial.limit,
                asked=denial.asked,
                at_ns=self.now_ns,
            )
        )

    def order_changed(self, order: Order, news: str = "") -> None:
        """Take an order's new state into its lane, tell its run, and go on with what waited for it.

        `news` is a new reason that the venue gave.
        """
        self.refresh(order)
        self.repetition.changed(order)
        self.tell_order(order)
        run = self.runs.get(order.owner)
        if run is not None:
            lane = run.lanes[order.instrument]
            if lane.aim is not None:
                self.call(run, self.aims.settle, lane, order, news)
        elif order.owner == MANUAL:
            self.manual_exits.settle(order)
        if not self.gate.halts.is_empty and order.is_open and self.gate.decides:
            # It may have turned up, or come back to life, after the halt began.
            self.halting.trim(self.exposures.holding(order.owner, order.instrument))

    def tell_order(self, order: Order) -> None:
        """Tell an order's run what became of it."""
        run = self.runs.get(order.owner)
        if run is None:
            return
        lane = run.lanes[order.instrument]
        if order.id == lane.aimed_order and order.status in (OrderStatus.DENIED, OrderStatus.REJECTED):
            lane.refuse()
        if run.state is RunState.RUNNING:
            self.call(run, run.strategy.on_order, order)

    def refresh(self, order: Order) -> None:
        """Have the lane of an order look again at its exposure, and others at where it rests."""
        if order.type is OrderType.LIMIT:
            self.self_crossing.note(order)
        run = self.runs.get(order.owner)
        if run is not None:
            run.lanes[order.instrument].is_stale = True
