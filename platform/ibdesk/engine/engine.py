"""The engine: an event goes in, actions come out, and nothing else happens.

It does no IO, reads no clock and draws no chance, so the same events give the same actions, byte for byte, in a
backtest, on paper, live and in a replay.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ibdesk.engine.blotter import Blotter
from ibdesk.engine.features import GrowingFeatures
from ibdesk.engine.market import Market
from ibdesk.engine.portfolio import EXTERNAL, Portfolio
from ibdesk.engine.risk import Exposure, RiskGate, RiskLimits
from ibdesk.engine.run import FeatureFactory, Run, RunState
from ibdesk.errors import DeskError, OrderDeniedError, OrderError
from ibdesk.model import (
    Account,
    AccountReport,
    Action,
    Alert,
    Bar,
    CancelOrder,
    CancelRequest,
    Commission,
    Event,
    Fill,
    HaltTrading,
    Index,
    Link,
    LinkChanged,
    ModifyOrder,
    Notice,
    Order,
    OrderDenied,
    OrderReport,
    OrderStatus,
    PlaceOrder,
    PositionReport,
    Quote,
    ResumeTrading,
    SetTimer,
    Severity,
    StartStrategy,
    StopStrategy,
    Tick,
    TimerFired,
    TradingHalted,
)
from ibdesk.strategy import Strategy

_SECOND = 1_000_000_000
_NOTHING: tuple[Action, ...] = ()
# Where an object lies in memory, as Python writes it into messages: another place at each replay.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")

StrategyResolver = Callable[[StartStrategy], Strategy]
"""Returns the strategy that a start command means; must give the same for the same command."""


class Engine:
    """Runs strategies over events.

    `strategies` finds the strategy of a start command; `make_features` says how features are computed, by default
    at each bar over all bars so far. With `strict` an error in a strategy's code is raised (a backtest wants that);
    otherwise that run fails and the others go on.
    """

    def __init__(
        self,
        *,
        strategies: StrategyResolver,
        limits: RiskLimits | None = None,
        make_features: FeatureFactory = lambda strategy, _: GrowingFeatures(strategy),
        strict: bool = False,
    ) -> None:
        self.blotter = Blotter()
        self.portfolio = Portfolio()
        self.gate = RiskGate(limits or RiskLimits())
        self.markets: dict[str, Market] = {}
        self.runs: dict[str, Run] = {}
        self.account = Account()
        self.link = Link.UP
        self._strategies, self._make_features, self._strict = strategies, make_features, strict
        self._actions: list[Action] = []
        self._event: Event | None = None
        self._reported: dict[str, PositionReport] = {}
        self._handlers: dict[type, Callable[[Any], None]] = {
            Bar: self._on_bar,
            Quote: self._on_quote,
            Tick: self._on_tick,
            Fill: self._on_fill,
            Commission: self._on_commission,
            OrderReport: self._on_order_report,
            PositionReport: self._on_position_report,
            AccountReport: self._on_account_report,
            LinkChanged: self._on_link_changed,
            TimerFired: self._on_timer_fired,
            StartStrategy: self._on_start_strategy,
            StopStrategy: self._on_stop_strategy,
            HaltTrading: self._on_halt_trading,
            ResumeTrading: self._on_resume_trading,
            CancelRequest: self._on_cancel_request,
            Notice: self._on_notice,
        }

    @property
    def now_ns(self) -> int:
        """The time of the event being handled, or of the last one; ns UTC, 0 before the first."""
        return 0 if self._event is None else self._event.at_ns

    def handle(self, event: Event) -> Sequence[Action]:
        """Take one event and return what is to be done about it, in order.

        Raises:
            DeskError: If a command cannot be carried out (a run id twice, a run that does not exist).
            Exception: With `strict`, whatever a strategy's code raises.
        """
        self._event = event
        self._handlers[event.__class__](event)
        if not self._actions:
            return _NOTHING
        actions, self._actions = self._actions, []
        return actions

    def price_of(self, instrument: str) -> float | None:
        """Return the last price of an instrument, None when there is none yet."""
        market = self.markets.get(instrument)
        return None if market is None else market.price

    # --- what runs ask for

    def submit(self, order: Order) -> None:
        """Pass an order through the risk gate: it leaves as PlaceOrder, or it is denied.

        Raises:
            OrderError: If its instrument takes no orders.
        """
        market = self.markets[order.instrument]
        if isinstance(market.instrument, Index):
            raise OrderError(f"order {order.id}: {order.instrument} is an index, which takes no orders")
        order = _on_grid(market, order)
        try:
            self.gate.check(order, self._exposure(order, market), self.now_ns)
        except OrderDeniedError as denial:
            self._deny(order, denial)
            return
        sent = order.moved(OrderStatus.SENT, self.now_ns)
        self.blotter.put(sent)
        self._refresh(sent)
        self._actions.append(PlaceOrder(sent))

    def modify(
        self,
        owner: str,
        order_id: str,
        *,
        quantity: float | None,
        limit_price: float | None,
        stop_price: float | None,
    ) -> None:
        """Pass new terms of an open order through the risk gate; the order keeps its own until the venue agrees."""
        order = self.blotter.orders.get(order_id)
        if order is None or order.owner != owner or not order.is_open:
            return
        market = self.markets[order.instrument]
        changed = msgspec.structs.replace(
            order,
            quantity=order.quantity if quantity is None else quantity,
            limit_price=order.limit_price if limit_price is None else limit_price,
            stop_price=order.stop_price if stop_price is None else stop_price,
        ).checked()
        changed = _on_grid(market, changed)
        try:
            self.gate.check(changed, self._exposure(order, market), self.now_ns)
        except OrderDeniedError as denial:
            self._tell_denial(denial)
            return
        self._actions.append(
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
            self._actions.append(CancelOrder(order_id))

    def set_timer(self, timer_id: str, seconds: float) -> None:
        """Have a timer fire after so many seconds."""
        self._actions.append(SetTimer(timer_id, self.now_ns + int(seconds * _SECOND)))

    def alert(self, origin: str, text: str, severity: Severity) -> None:
        """Tell a person."""
        self._actions.append(Alert(origin=origin, text=text, at_ns=self.now_ns, severity=severity))

    # --- the market

    def _on_bar(self, bar: Bar) -> None:
        market = self.markets.get(bar.instrument)
        if market is None:
            return
        if bar.opened_ns >= self.gate.day_ends_ns:
            self._begin_day(bar.opened_ns)
        market.price = bar.close
        for lane in market.bar_lanes:
            try:
                lane.on_bar(bar)
            except Exception as error:
                self._fail(lane.run, error)

    def _on_quote(self, quote: Quote) -> None:
        market = self.markets.get(quote.instrument)
        if market is None:
            return
        if quote.at_ns >= self.gate.day_ends_ns:
            self._begin_day(quote.at_ns)
        market.quote = quote
        # A quote with both sides is the freshest price there is.
        if quote.spread >= 0:
            market.price = quote.mid
        for lane in market.lanes:
            try:
                lane.on_quote(quote)
            except Exception as error:
                self._fail(lane.run, error)

    def _on_tick(self, tick: Tick) -> None:
        market = self.markets.get(tick.instrument)
        if market is None:
            return
        if tick.at_ns >= self.gate.day_ends_ns:
            self._begin_day(tick.at_ns)
        market.price = tick.price
        for lane in market.lanes:
            try:
                lane.on_tick(tick)
            except Exception as error:
                self._fail(lane.run, error)

    def _begin_day(self, at_ns: int) -> None:
        """Measure the day's loss from the last prices of the day before, whatever the first ones of this day are."""
        self.gate.begin_day(self.portfolio.pnl(self.price_of), at_ns)

    # --- orders and money

    def _on_order_report(self, report: OrderReport) -> None:
        order = self.blotter.report(report)
        if order is not None:
            self._order_changed(order)

    def _on_fill(self, fill: Fill) -> None:
        known = self.blotter.orders.get(fill.order_id)
        owner = EXTERNAL if known is None else known.owner
        if not self.portfolio.book(fill, owner):
            return
        order = self.blotter.filled(fill)
        if order is not None:
            self._refresh(order)
            run = self.runs.get(owner)
            if run is not None and run.is_running:
                self._call(run, run.strategy.on_fill, fill)
            self._tell_order(order)
        self._watch_loss()

    def _on_commission(self, commission: Commission) -> None:
        self.portfolio.charge(commission.execution_id, commission.amount)

    def _on_position_report(self, report: PositionReport) -> None:
        self._reported[report.instrument] = report

    def _on_account_report(self, report: AccountReport) -> None:
        self.account = report.account

    def _on_link_changed(self, change: LinkChanged) -> None:
        self.link = change.link
        match change.link:
            case Link.DOWN | Link.CLOSED:
                for order in self.blotter.lose_sight(change.at_ns):
                    self._order_changed(order)
            case Link.UP:
                for instrument in self.portfolio.instruments():
                    # The venue does not report what the account does not hold.
                    flat = PositionReport(instrument, 0.0, 0.0, change.at_ns)
                    self._reported.setdefault(instrument, flat)
                for report in self._reported.values():
                    self._settle(report)
                self._allow_targets()

    def _settle(self, report: PositionReport) -> None:
        """Give what the account holds and no book explains to EXTERNAL, and say so."""
        moved = self.portfolio.settle_external(report.instrument, report.quantity, report.average_price)
        if moved:
            self.alert(
                EXTERNAL,
                f"{report.instrument}: the account holds {report.quantity:g}, our books explain "
                f"{report.quantity - moved:g}; the rest is kept apart as {EXTERNAL}",
                Severity.WARNING,
            )

    # --- commands

    def _on_start_strategy(self, start: StartStrategy) -> None:
        if start.run_id in self.runs:
            raise DeskError(f"there is a run {start.run_id} already: give the new one another id")
        # What fails up to here fails the command: it leaves nothing behind.
        run = self.runs[start.run_id] = Run(self, start, self._strategies(start), self._make_features)
        for instrument in start.instruments:
            market = self.markets.setdefault(instrument.id, Market(instrument))
            market.instrument = instrument
        self._call(run, self._begin, run)
        if run.state is RunState.RUNNING:
            for lane in run.lanes.values():
                self.markets[lane.instrument].add(lane)

    def _on_stop_strategy(self, stop: StopStrategy) -> None:
        run = self.runs.get(stop.run_id)
        if run is None:
            known = ", ".join(self.runs) or "none"
            raise DeskError(f"there is no run {stop.run_id!r}: the runs are {known}")
        if run.state is RunState.RUNNING:
            self._call(run, run.strategy.on_stop)
        if run.state is RunState.RUNNING:
            self._end(run, RunState.STOPPED, "")
        if stop.flatten:
            run.flatten()

    def _on_timer_fired(self, timer: TimerFired) -> None:
        run_id, _, name = timer.timer_id.partition("/")
        run = self.runs.get(run_id)
        if run is not None and run.state is RunState.RUNNING:
            self._call(run, run.strategy.on_timer, name)

    def _on_halt_trading(self, halt: HaltTrading) -> None:
        self._halt(halt.reason)

    def _on_resume_trading(self, resume: ResumeTrading) -> None:
        self.gate.halted = ""
        self._allow_targets()
        self.alert("operator", f"trading resumed: {resume.reason}", Severity.WARNING)

    def _on_cancel_request(self, request: CancelRequest) -> None:
        if request.order_id:
            self.cancel(request.order_id)
        else:
            for order in self.blotter.all_open():
                self.cancel(order.id)

    def _on_notice(self, notice: Notice) -> None:
        if notice.severity is not Severity.INFO:
            self.alert("link", notice.text, notice.severity)

    # --- inside

    def _begin(self, run: Run) -> None:
        """Warm the features up, tell the strategy, and give it what the bar in progress has seen so far."""
        interval_ns = run.start.interval_ns
        for history in run.start.history:
            market = self.markets[history.instrument]
            # Where other runs watch already, a fresher price is known.
            if history.close and not market.lanes:
                market.price = history.close[-1]
            if history.interval_ns == interval_ns:
                run.lanes[history.instrument].warm_up(history)
        run.strategy.on_start()
        for history in run.start.history:
            if history.interval_ns < interval_ns:
                run.lanes[history.instrument].catch_up(history)

    def _exposure(self, order: Order, market: Market) -> Exposure:
        """Return what the gate must know; `order` itself, when open already, is not counted as pending."""
        book = self.portfolio.open_book(order.owner)
        pending = 0.0
        # Of a run that has ended all orders were asked back: they keep nobody from getting out.
        if self.runs[order.owner].is_running:
            pending = self.blotter.pending(order.owner, order.instrument)
            if order.id in self.blotter.orders:
                pending -= order.signed_remaining
        return Exposure(
            held=book.position(order.instrument).quantity,
            pending=pending,
            price=market.price,
            quote=market.quote,
            multiplier=market.instrument.multiplier,
            pnl=self.portfolio.pnl(self.price_of) if self.gate.limits.max_daily_loss < math.inf else 0.0,
            link_up=self.link is Link.UP,
        )

    def _deny(self, order: Order, denial: OrderDeniedError) -> None:
        denied = order.moved(OrderStatus.DENIED, self.now_ns, reason=str(denial))
        self.blotter.put(denied)
        self._tell_denial(denial)
        self._order_changed(denied)
        if denial.rule == "max_orders_per_second":
            # A second later the same order may pass.
            self.runs[order.owner].lanes[order.instrument].allow()

    def _tell_denial(self, denial: OrderDeniedError) -> None:
        self._actions.append(
            OrderDenied(
                order_id=denial.order_id,
                rule=denial.rule,
                limit=denial.limit,
                asked=denial.asked,
                at_ns=self.now_ns,
            )
        )
        if denial.rule == "max_daily_loss":
            self._halt(_loss_words(denial.asked, denial.limit))

    def _order_changed(self, order: Order) -> None:
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
            held = run.book.position(order.instrument).quantity
            run.lanes[order.instrument].exposure = held + self.blotter.pending(order.owner, order.instrument)

    def _watch_loss(self) -> None:
        limit = self.gate.limits.max_daily_loss
        if limit == math.inf:
            return
        loss = self.gate.loss(self.portfolio.pnl(self.price_of), self.now_ns)
        if loss > limit:
            self._halt(_loss_words(loss, limit))

    def _halt(self, reason: str) -> None:
        if not self.gate.halted:
            self.gate.halted = reason or "no reason was given"
            self._actions.append(TradingHalted(self.gate.halted, self.now_ns))

    def _allow_targets(self) -> None:
        """Let targets be asked again that were refused for a reason that is gone now."""
        for run in self.runs.values():
            for lane in run.lanes.values():
                lane.allow()

    def _call(self, run: Run, hook: Callable[..., None], *arguments: object) -> None:
        try:
            hook(*arguments)
        except Exception as error:
            self._fail(run, error)

    def _fail(self, run: Run, error: Exception) -> None:
        """End a run whose own code raised; the other runs go on."""
        if self._strict:
            raise error
        if run.state is RunState.RUNNING:
            note = _ADDRESS.sub("", f"{type(error).__name__}: {error}")
            self._end(run, RunState.FAILED, note)
            self.alert(run.id, f"stopped, because its code failed: {note}", Severity.ERROR)

    def _end(self, run: Run, state: RunState, note: str) -> None:
        run.state, run.note = state, note
        for lane in run.lanes.values():
            market = self.markets[lane.instrument]
            market.remove(lane)
            for order in self.blotter.open_orders(run.id, lane.instrument):
                self.cancel(order.id)


def _on_grid(market: Market, order: Order) -> Order:
    """Return the order with its prices on the tick grid, the one place where prices are rounded."""
    limit, stop, rounded = order.limit_price, order.stop_price, market.instrument.round_price
    if limit is None and stop is None:
        return order
    return msgspec.structs.replace(
        order,
        limit_price=None if limit is None else rounded(limit),
        stop_price=None if stop is None else rounded(stop),
    )


def _loss_words(loss: float, limit: float) -> str:
    return f"the day's loss of {loss:.2f} is beyond risk.max_daily_loss of {limit:g}"
