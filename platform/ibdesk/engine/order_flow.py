"""The way of an order: through the risk gate to the venue, and back as reports and fills."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from ibdesk.engine.blotter import Blotter
from ibdesk.engine.market import Market
from ibdesk.engine.outbox import Outbox
from ibdesk.engine.outside import OutsideTrades
from ibdesk.engine.portfolio import EXTERNAL, MANUAL, Portfolio
from ibdesk.engine.rates import rate_between
from ibdesk.engine.risk import Exposure, RiskGate
from ibdesk.engine.run import Run, RunState
from ibdesk.engine.terms import fitted
from ibdesk.errors import OrderDeniedError, OrderError
from ibdesk.model import (
    AcceptExternal,
    AnyInstrument,
    CancelOrder,
    CancelRequest,
    Fill,
    Forex,
    Halt,
    Index,
    ModifyOrder,
    ModifyRequest,
    Order,
    OrderDenied,
    OrderFound,
    OrderReport,
    OrderStatus,
    PlaceOrder,
    PlaceRequest,
    Severity,
    TradingHalted,
    moment,
)

GATE = "risk"
"""Who halts when a limit is broken."""

Call = Callable[..., None]
"""Calls a hook of a run: ``call(run, hook, *arguments)``; what the hook raises ends that run."""


class OrderFlow:
    """Takes orders of runs and of people to the gate and the venue, and tells runs what became of theirs."""

    def __init__(self, *, gate: RiskGate, outbox: Outbox, call: Call) -> None:
        self.blotter = Blotter()
        self.portfolio = Portfolio()
        self.markets: dict[str, Market] = {}
        self.runs: dict[str, Run] = {}
        self.link_up = True
        # account_currency: the currency of the account's money, as the venue reports it.
        self.account_currency = "USD"
        self._gate, self._outbox, self._call = gate, outbox, call
        self.outside = OutsideTrades(self.portfolio, self.blotter, outbox, self.price_of)

    def price_of(self, instrument: str) -> float | None:
        """Return the last price of an instrument, None when there is none yet."""
        market = self.markets.get(instrument)
        return None if market is None else market.price

    def watch(self, instrument: AnyInstrument) -> None:
        """Keep the prices of an instrument, by what TWS knows of it now."""
        self.markets.setdefault(instrument.id, Market(instrument)).instrument = instrument

    # --- what people ask

    def on_place_request(self, request: PlaceRequest) -> None:
        """Pass an order by hand through the risk gate; one that was placed under the same key already is let be.

        Raises:
            OrderError: If its terms make no sense together, or its instrument takes no orders.
        """
        if request.client_key and self.blotter.called(request.by, request.client_key) is not None:
            return
        # What fails fails before anything has changed: such a request leaves nothing behind, nor is it on the record.
        order = _by_hand(request).checked()
        if request.order_id in self.blotter.orders:
            raise OrderError(f"there is an order {request.order_id} already: give the new one another id")
        _refuse_index(order, request.instrument)
        self.watch(request.instrument)
        self.submit(order)

    def on_modify_request(self, request: ModifyRequest) -> None:
        """Pass new terms through the risk gate.

        Raises:
            OrderError: If they make no sense together.
        """
        self.modify(
            request.order_id,
            quantity=request.quantity,
            limit_price=request.limit_price,
            stop_price=request.stop_price,
        )

    def on_cancel_request(self, request: CancelRequest) -> None:
        """Withdraw one order, or all that are of an owner and in an instrument."""
        if request.order_id:
            self.cancel(request.order_id)
            return
        for order in self.blotter.all_open():
            if request.owner in ("", order.owner) and request.symbol in ("", order.instrument):
                self.cancel(order.id)

    def on_accept_external(self, command: AcceptExternal) -> None:
        """Book what a trade outside has closed to those who held it, and let them order again.

        Raises:
            DeskError: If there is nothing of the kind.
        """
        self.outside.accept(command.instrument, command.owner, command.at_ns)
        for run in self.runs.values():
            lane = run.lanes.get(command.instrument)
            if lane is not None:
                lane.exposure = self.exposure(run.id, command.instrument)
                lane.allow()
        self.watch_loss()

    # --- the way out

    def submit(self, order: Order) -> None:
        """Pass an order through the risk gate: it leaves as PlaceOrder, or it is denied.

        Raises:
            OrderError: If its instrument takes no orders.
        """
        market = self.markets[order.instrument]
        _refuse_index(order, market.instrument)
        try:
            order = fitted(order, market.instrument)
            if self.outside.uncovered:
                self.outside.check(order)
            self._gate.check(order, self._exposure(order, market), self._outbox.now_ns)
        except OrderDeniedError as denial:
            self._deny(order, denial)
            return
        sent = order.moved(OrderStatus.SENT, self._outbox.now_ns)
        # First, so that it is found when what follows has to be undone.
        self._outbox.add(PlaceOrder(sent))
        self.blotter.put(sent)
        self._refresh(sent)

    def modify(
        self,
        order_id: str,
        *,
        quantity: float | None,
        limit_price: float | None,
        stop_price: float | None,
    ) -> None:
        """Pass new terms of an open order through the risk gate; the order keeps its own until the venue agrees."""
        order = self.blotter.orders.get(order_id)
        if order is None or not order.is_open:
            return
        market = self.markets[order.instrument]
        changed = msgspec.structs.replace(
            order,
            quantity=order.quantity if quantity is None else quantity,
            limit_price=order.limit_price if limit_price is None else limit_price,
            stop_price=order.stop_price if stop_price is None else stop_price,
        ).checked()
        try:
            changed = fitted(changed, market.instrument)
            if self.outside.uncovered:
                self.outside.check(changed)
            self._gate.check(changed, self._exposure(order, market), self._outbox.now_ns)
        except OrderDeniedError as denial:
            self._tell_denial(denial)
            # The order lives on as it is; only its run is told why nothing became of the new terms.
            self._tell_order(msgspec.structs.replace(order, reason=str(denial)))
            return
        self._outbox.add(
            ModifyOrder(
                order_id=order_id,
                quantity=changed.quantity,
                limit_price=changed.limit_price,
                stop_price=changed.stop_price,
            )
        )

    def cancel(self, order_id: str) -> None:
        """Ask the venue to withdraw an open order; cancelling is never denied."""
        order = self.blotter.orders.get(order_id)
        if order is not None and order.is_open:
            self._outbox.add(CancelOrder(order_id))

    # --- the way back

    def on_order_report(self, report: OrderReport) -> None:
        """Take what the venue said about an order."""
        order = self.blotter.report(report)
        if order is not None:
            self.order_changed(order)

    def on_order_found(self, found: OrderFound) -> None:
        """Take an order that the venue has and our record lacks: it is its owner's, who counts on from it.

        One on an instrument that its run has nothing to do with is left alone.
        """
        order = found.order
        run = self.runs.get(order.owner)
        if order.id in self.blotter.orders or (run is not None and order.instrument not in run.lanes):
            return
        self.watch(found.instrument)
        self.blotter.put(order)
        if run is not None:
            run.count(order.id)
        self.order_changed(order)
        self._outbox.alert(
            order.owner,
            f"order {order.id} is at the venue and was missing here: {order.side.value} {order.quantity:g} "
            f"{order.instrument} belongs to {order.owner} from now on",
            Severity.WARNING,
        )
        if run is not None and run.state in (RunState.STOPPED, RunState.FAILED):
            self.cancel(order.id)

    def on_fill(self, fill: Fill) -> None:
        """Book an execution, once, to the owner of its order, or to EXTERNAL when it is not of ours."""
        known = self.blotter.orders.get(fill.order_id)
        owner = EXTERNAL if known is None else known.owner
        if known is None and not self.portfolio.owner_of(fill.execution_id):
            self.outside.trade(fill)
        if not self.portfolio.book(fill, owner):
            return
        if known is None:
            self.outside.note_unpriced(fill.instrument)
        elif fill.instrument in self.outside.uncovered:
            self.outside.trim(fill.instrument)
        order = self.blotter.filled(fill)
        if order is not None:
            self._refresh(order)
            run = self.runs.get(owner)
            if run is not None and run.is_running:
                self._call(run, run.strategy.on_fill, fill)
            self._tell_order(order)
        self.watch_loss()

    def _exposure(self, order: Order, market: Market) -> Exposure:
        """Return what the gate must know; `order` itself, when open already, is not counted as pending."""
        book = self.portfolio.open_book(order.owner)
        pending = 0.0
        run = self.runs.get(order.owner)
        # Of a run that has ended all orders were asked back: they keep nobody from getting out.
        if run is None or run.is_running:
            pending = self.blotter.pending(order.owner, order.instrument)
            if order.id in self.blotter.orders:
                pending -= order.signed_remaining
        return Exposure(
            held=book.position(order.instrument).quantity,
            pending=pending,
            price=market.price,
            quote=market.quote,
            multiplier=market.instrument.multiplier,
            counted_in=market.instrument.counted_in,
            unit_worth=self._unit_worth(market.instrument),
            pnl=self.portfolio.pnl(self.price_of) if self._gate.limits.max_daily_loss < math.inf else 0.0,
            link_up=self.link_up,
        )

    def _unit_worth(self, instrument: AnyInstrument) -> float:
        """Return what one unit counts against its limits: 1, or a pair's base currency in the account's money.

        A base currency whose rate is not known counts as it is.
        """
        if not isinstance(instrument, Forex):
            return 1.0
        return rate_between(instrument.symbol, self.account_currency, self.price_of) or 1.0

    def _deny(self, order: Order, denial: OrderDeniedError) -> None:
        denied = order.moved(OrderStatus.DENIED, self._outbox.now_ns, reason=str(denial))
        self._tell_denial(denial)
        self.blotter.put(denied)
        self.order_changed(denied)
        run = self.runs.get(order.owner)
        if run is not None and denial.rule == "max_orders_per_second":
            # A second later the same order may pass.
            run.lanes[order.instrument].allow()

    def _tell_denial(self, denial: OrderDeniedError) -> None:
        self._outbox.add(
            OrderDenied(
                order_id=denial.order_id,
                rule=denial.rule,
                # A whole number is written into the journal as another type than a float.
                limit=float(denial.limit),
                asked=float(denial.asked),
                at_ns=self._outbox.now_ns,
            )
        )
        if denial.rule == "max_daily_loss":
            self._halt_for_loss(denial.asked, denial.limit)

    def order_changed(self, order: Order) -> None:
        """Take an order's new state into its lane, and tell its run."""
        self._refresh(order)
        self._tell_order(order)

    def _tell_order(self, order: Order) -> None:
        """Tell an order's run what became of it."""
        run = self.runs.get(order.owner)
        if run is None:
            return
        if order.status in (OrderStatus.DENIED, OrderStatus.REJECTED):
            run.lanes[order.instrument].refuse()
        if run.state is RunState.RUNNING:
            self._call(run, run.strategy.on_order, order)

    def _refresh(self, order: Order) -> None:
        """Recompute the exposure of the lane an order belongs to."""
        run = self.runs.get(order.owner)
        if run is not None:
            run.lanes[order.instrument].exposure = self.exposure(order.owner, order.instrument)

    def exposure(self, owner: str, instrument: str) -> float:
        """Return what an owner will hold of an instrument once all its open orders have filled."""
        held = self.portfolio.open_book(owner).position(instrument).quantity
        return held + self.blotter.pending(owner, instrument)

    def watch_loss(self) -> None:
        """Halt when the day has lost more than it may."""
        limit = self._gate.limits.max_daily_loss
        if limit == math.inf:
            return
        loss = self._gate.loss(self.portfolio.pnl(self.price_of), self._outbox.now_ns)
        if loss > limit:
            self._halt_for_loss(loss, limit)

    def halt(self, reason: str, by: str) -> None:
        """Let pass only what reduces a position from here on, until a person lifts this halt.

        What the same one has halted for already, and holds, is not halted for again.
        """
        reason = reason or "no reason was given"
        if any(held.by == by and held.reason == reason for held in self._gate.halts.values()):
            return
        at_ns = self._outbox.now_ns
        halt = Halt(reason, by, at_ns, f"{moment(at_ns):%Y%m%d-%H%M%S}-{self._gate.halts_made + 1}")
        self._gate.put_halt(halt)
        self._outbox.add(TradingHalted(halt.reason, halt.at_ns, halt.by, halt.id))

    def _halt_for_loss(self, loss: float, limit: float) -> None:
        """Halt for a loss, once: it goes on changing while that halt holds."""
        if not any(held.by == GATE for held in self._gate.halts.values()):
            self.halt(f"the day's loss of {loss:.2f} is beyond risk.max_daily_loss of {limit:g}", GATE)


def _by_hand(request: PlaceRequest) -> Order:
    return Order(
        id=request.order_id,
        owner=MANUAL,
        instrument=request.instrument.id,
        side=request.side,
        quantity=request.quantity,
        type=request.order_type,
        limit_price=request.limit_price,
        stop_price=request.stop_price,
        time_in_force=request.time_in_force,
        created_ns=request.at_ns,
        updated_ns=request.at_ns,
        by=request.by,
        client_key=request.client_key,
        correlation_id=request.correlation_id,
    )


def _refuse_index(order: Order, instrument: AnyInstrument) -> None:
    if isinstance(instrument, Index):
        raise OrderError(f"order {order.id}: {order.instrument} is an index, which takes no orders")
