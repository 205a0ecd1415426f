"""The order flow: through the risk gate to the venue, and back as reports and fills."""

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
"""The reason of a cancelled order that had not left."""

Call = Callable[..., None]
"""Calls a hook of a run: ``call(run, hook, *arguments)``; an error of the hook ends that run."""


class OrderFlow:
    """Passes orders of runs and people to the gate and the venue, and reports their changes to the runs."""

    def __init__(self, *, gate: RiskGate, outbox: Outbox, call: Call, waits: bool = True, client_id: int = 0) -> None:
        self.markets: dict[str, Market] = {}
        self.exposures = Exposures(self.markets, is_kept=gate.decides)
        self.blotter = Blotter(self.exposures)
        self.portfolio = Portfolio(self.exposures.booked, self._currency_of)
        self.runs: dict[str, Run] = {}
        # The budgets of the runs that have limits of their own.
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
        """Return the quantity that a run holds in one of its instruments."""
        return lane.run.book.position(lane.instrument).quantity

    def price_of(self, instrument: str) -> float | None:
        """Return the price at which an instrument is valued, or None."""
        market = self.markets.get(instrument)
        return None if market is None else market.price

    def last_of(self, instrument: str) -> float | None:
        """Return the price of an instrument's last trade, None if none is known."""
        market = self.markets.get(instrument)
        return None if market is None or isinstance(market.instrument, Forex) else market.last

    def _currency_of(self, instrument: str) -> str:
        market = self.markets.get(instrument)
        return "" if market is None else market.instrument.currency

    def watch(self, instrument: AnyInstrument) -> None:
        """Follow the prices of an instrument, with the terms that TWS knows now."""
        market = self.markets.setdefault(instrument.id, Market(instrument))
        market.instrument = instrument
        self.exposures.watched(market)

    # --- to the venue

    def submit(self, order: Order) -> None:
        """Pass an order through the risk gate: it leaves as PlaceOrder, waits for its turn, or is denied.

        Raises:
            OrderError: If its instrument cannot be ordered.
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
        """Send an order that has passed the gate, or let it wait for its turn.

        Raises:
            OrderDeniedError: If its turn would come too late, or there is no price for its collar.
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
        """Withdraw an open order; this is never denied, and an order that has not left ends at once."""
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
        """Return whether an order only reduces or protects the position, given the `others` that are open.

        Raises:
            OrderDeniedError: If the gate denies it.
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
        """Return the order in the form that may leave: an opening market order gets its collar."""
        if reduces or order.type is not OrderType.MARKET:
            return order
        return collared(order, self.markets[order.instrument], self.gate.limits.collar_market_orders)

    def opens(self, order: Order) -> bool:
        """Return whether an order opens or adds to a position if all others fill before it."""
        held = self.exposures.holding(order.owner, order.instrument).position.quantity
        return not reduces(order, held, self.blotter.sums_without(order))

    def place(self, order: Order) -> None:
        """Send an order."""
        if self.self_crossing.resting:
            self.self_crossing.clear_the_way(order)
        sent = order.moved(OrderStatus.SENT, self.now_ns)
        # First, so that it is found when what follows has to be undone.
        self.add(PlaceOrder(sent))
        self.count_sent(sent)
        self.blotter.put(sent)
        self.refresh(sent)

    def count_sent(self, order: Order) -> None:
        """Count an order or a change that leaves, if the budget of its run needs it."""
        budget = self.budgets.get(order.owner) if self.budgets else None
        if budget is not None and budget.max_orders_per_minute < math.inf:
            self.exposures.money(order.owner).sent.count(self.now_ns)

    def record(self) -> None:
        """Record changed aims, and set the timer of the queue, at the end of an event."""
        self.aims.record()
        if len(self.queue):
            self.queue.set_timer()

    def on_timer(self, timer_id: str) -> None:
        """Handle a timer of the order flow."""
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

    # --- from the venue

    def on_order_report(self, report: OrderReport) -> None:
        """Handle a report of the venue about an order."""
        before = self.blotter.orders.get(report.order_id)
        order = self.blotter.report(report)
        if order is not None and before is not None:
            if report.by_other:
                self.overrules.step_in(order)
            self.order_changed(order, "" if report.reason == before.reason else report.reason)

    def on_fill(self, fill: Fill) -> None:
        """Book an execution, once, to the owner of its order, or to EXTERNAL if the order is not ours."""
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
            # A reversed execution comes again, corrected: only then is the position known.
            is_late = known is not None and not known.is_open and not fill.execution_id.endswith(TAKEN_BACK)
            self._tell_fill(order, fill, is_late=is_late)
            if not self.gate.halts.is_empty and self.gate.decides:
                # An order that protected a position which is now closed would open one.
                self.halting.trim(self.exposures.holding(order.owner, fill.instrument))
        self.losses.booked(owner)

    def _tell_fill(self, order: Order, fill: Fill, *, is_late: bool) -> None:
        """Report an execution to its run, and continue what waited for it."""
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
        """Store an order that the gate denied, and report it to its run."""
        denied = order.moved(OrderStatus.DENIED, self.now_ns, reason=denial.reason)
        self.tell_denial(denial)
        self.blotter.put(denied)
        self.repetition.denied(denied, denial.rule)
        self.order_changed(denied)
        run = self.runs.get(order.owner)
        if run is not None and (denial.rule == WAIT_RULE or denial.rule in PASSING_RULES):
            # The same order can pass a while later.
            run.lanes[order.instrument].allow()

    def tell_denial(self, denial: OrderDeniedError) -> None:
        """Record a denial of the gate and its reason."""
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
        """Update an order's lane by its new state, report it to its run, and continue what waited for it.

        `news` is a new reason of the venue.
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
            # It may have appeared, or become live again, after the halt began.
            self.halting.trim(self.exposures.holding(order.owner, order.instrument))

    def tell_order(self, order: Order) -> None:
        """Report an order's new state to its run."""
        run = self.runs.get(order.owner)
        if run is None:
            return
        lane = run.lanes[order.instrument]
        if order.id == lane.aimed_order and order.status in (OrderStatus.DENIED, OrderStatus.REJECTED):
            lane.refuse()
        if run.state is RunState.RUNNING:
            self.call(run, run.strategy.on_order, order)

    def refresh(self, order: Order) -> None:
        """Mark the exposure of an order's lane as stale, and note where the order rests."""
        if order.type is OrderType.LIMIT:
            self.self_crossing.note(order)
        run = self.runs.get(order.owner)
        if run is not None:
            run.lanes[order.instrument].is_stale = True
