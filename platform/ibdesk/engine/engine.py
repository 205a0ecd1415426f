"""The engine: an event goes in, actions come out, and nothing else happens.

It does no IO, reads no clock and draws no random numbers, so the same events give the same actions, byte for byte, in a
backtest, on paper, live and in a replay.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from ibdesk.engine.account_check import AccountCheck
from ibdesk.engine.aims import leaves
from ibdesk.engine.bad_prints import BadPrints
from ibdesk.engine.changes import change_limits, change_parameters, stop_strategy, take_notice
from ibdesk.engine.closed_market import day_handlers
from ibdesk.engine.features import GrowingFeatures
from ibdesk.engine.freshness import freshness_handlers
from ibdesk.engine.market_handlers import MarketHandlers
from ibdesk.engine.order_flow import OrderFlow
from ibdesk.engine.outbox import Outbox
from ibdesk.engine.portfolio import EXTERNAL, MANUAL
from ibdesk.engine.requests import Requests
from ibdesk.engine.risk import RiskGate
from ibdesk.engine.risk_limits import RiskLimits
from ibdesk.engine.run import FeatureFactory, Run, RunState, check_succession
from ibdesk.engine.short_history import short_histories
from ibdesk.engine.snapshot import restore
from ibdesk.engine.strategy_calls import StrategyCalls
from ibdesk.errors import DeskError
from ibdesk.model import (
    AcceptExternal,
    Account,
    AccountReport,
    Action,
    Bar,
    BooksCompared,
    CancelRequest,
    CashCounted,
    ChangeLimits,
    ChangeParameters,
    Commission,
    DayBegan,
    Event,
    Fill,
    HaltTrading,
    Link,
    LinkChanged,
    ModifyRequest,
    Notice,
    OrderFound,
    OrderReport,
    PlaceRequest,
    PositionReport,
    Quote,
    Restore,
    ResumeTrading,
    RunInterrupted,
    SetTimer,
    Severity,
    StartStrategy,
    StopStrategy,
    Tick,
    TimerFired,
    WatchMarket,
)
from ibdesk.strategy import Strategy, as_strategy_error

_SECOND = 1_000_000_000
_NOTHING: tuple[Action, ...] = ()

StrategyResolver = Callable[[StartStrategy], Strategy]
"""Returns the strategy of a start command; the result must be the same for the same command."""


class Engine:
    """Runs strategies over events.

    `strategies` finds the strategy of a start command; `make_features` computes features, by default at each bar over
    all bars so far. `gate` replaces the gate that `limits` would make. With `strict` an error in a strategy's code is
    raised (for a backtest); otherwise that run fails, whatever its code raises: its orders of the event are undone, and
    the other runs continue. With `waits` orders above the rate wait for their turn (see `engine.order_queue`).
    """

    def __init__(
        self,
        *,
        strategies: StrategyResolver,
        limits: RiskLimits | None = None,
        gate: RiskGate | None = None,
        make_features: FeatureFactory = lambda strategy, _: GrowingFeatures(strategy),
        strict: bool = False,
        waits: bool = True,
        client_id: int = 0,
    ) -> None:
        self.gate = gate or RiskGate(limits or RiskLimits())
        self.outbox = Outbox()
        self.calls = StrategyCalls(self, self.outbox, strict=strict)
        self.orders = OrderFlow(
            gate=self.gate, outbox=self.outbox, call=self.calls.call, waits=waits, client_id=client_id
        )
        requests = Requests(self.orders)
        self.blotter, self.portfolio = self.orders.blotter, self.orders.portfolio
        self.markets, self.runs = self.orders.markets, self.orders.runs
        self.price_of, self.freshness = self.orders.price_of, self.orders.freshness
        self.losses = self.orders.losses
        self.prints = BadPrints(
            self.outbox, self.gate, self.freshness, lambda event: self._handlers[event.__class__](event)
        )
        prices = MarketHandlers(self.orders, self.calls, self.prints)
        # Read by `handle` after each event; they are only changed in place.
        self._with_state, self._aims_changed = self.calls.with_state, self.orders.aims.changed
        self._reducing, self._opening = self.orders.queue.reducing, self.orders.queue.opening
        self.check = AccountCheck(self.orders)
        self.link = Link.UP
        self.make_features = make_features
        self._strategies, self._strict = strategies, strict
        self._reported: dict[str, PositionReport] = {}
        self._handlers: dict[type, Callable[[Any], object]] = {
            Bar: prices.on_bar,
            Quote: prices.on_quote,
            Tick: prices.on_tick,
            Fill: self.check.on_fill,
            Commission: self.check.on_commission,
            OrderReport: self.orders.on_order_report,
            OrderFound: requests.on_order_found,
            PositionReport: self._on_position_report,
            AccountReport: self._on_account_report,
            LinkChanged: self._on_link_changed,
            TimerFired: self._on_timer_fired,
            StartStrategy: self._on_start_strategy,
            StopStrategy: lambda command: stop_strategy(self, command),
            ChangeParameters: lambda command: change_parameters(self, command),
            ChangeLimits: lambda command: change_limits(self, command),
            HaltTrading: self.orders.halting.on_halt_trading,
            ResumeTrading: lambda command: self.orders.halting.on_resume_trading(command, self.allow_targets),
            WatchMarket: lambda command: self.orders.watch(command.instrument),
            PlaceRequest: requests.on_place_request,
            ModifyRequest: requests.on_modify_request,
            CancelRequest: requests.on_cancel_request,
            AcceptExternal: requests.on_accept_external,
            DayBegan: self.losses.continue_day,
            BooksCompared: self.check.on_books_compared,
            CashCounted: self.check.on_cash_counted,
            Restore: lambda command: restore(self, command),
            RunInterrupted: self.calls.expect,
            Notice: lambda notice: take_notice(self, notice),
            **day_handlers(self.orders),
            **freshness_handlers(self.freshness, self.markets),
        }

    @property
    def now_ns(self) -> int:
        """The time of the event being handled, or of the last one; ns UTC, 0 before the first."""
        return self.outbox.now_ns

    @property
    def account(self) -> Account:
        """The account as last reported."""
        return self.orders.account

    def handle(self, event: Event) -> Sequence[Action]:
        """Handle one event and return the actions in order.

        Raises:
            DeskError: If a command cannot be carried out (a run id twice, a run that does not exist).
            OrderError: If an order by hand has inconsistent terms.
            BaseException: With `strict`, any error of a strategy's code; otherwise only that of a signal.
        """
        outbox = self.outbox
        outbox.event, outbox.now_ns, outbox.is_open = event, event.at_ns, True
        try:
            self._handlers[event.__class__](event)
            if self._aims_changed or self._reducing or self._opening:
                self.orders.record()
            if self._with_state:
                self.calls.keep_states()
                if self._aims_changed or self._reducing or self._opening:
                    self.orders.record()
        except BaseException:
            # Unfinished actions must not come out with the next event.
            outbox.actions, self.calls.faults = [], []
            raise
        finally:
            outbox.is_open = False
        if not outbox.actions:
            return _NOTHING
        actions, outbox.actions = outbox.actions, []
        return actions

    def run_of(self, run_id: str) -> Run:
        """Return a run.

        Raises:
            DeskError: If there is no run with this id.
        """
        run = self.runs.get(run_id)
        if run is None:
            known = ", ".join(self.runs) or "none"
            raise DeskError(f"there is no run {run_id!r}: the runs are {known}")
        return run

    def strategy_of(self, start: StartStrategy) -> Strategy:
        """Return the unbound strategy of a start command.

        Raises:
            StrategyError: If it cannot be found, or does not accept the parameters.
        """
        return self._strategies(start)

    def allow_targets(self) -> None:
        """Allow targets to be ordered again whose refusal may no longer hold."""
        for run in self.runs.values():
            if run.id not in self.orders.overrules.runs:
                for lane in run.lanes.values():
                    lane.allow()

    # --- requests of runs

    def set_timer(self, timer_id: str, seconds: float) -> None:
        """Set a timer that fires after `seconds`."""
        self.outbox.add(SetTimer(timer_id, self.now_ns + int(seconds * _SECOND)))

    def alert(self, origin: str, text: str, severity: Severity) -> None:
        """Send an alert to people."""
        self.outbox.alert(origin, text, severity)

    # --- money and link

    def _on_position_report(self, report: PositionReport) -> None:
        self._reported[report.instrument] = report
        if report.confirmed:
            self.orders.outside.settle(report)

    def _on_account_report(self, report: AccountReport) -> None:
        self.orders.account = report.account
        self.losses.count_in(report.account.currency)

    def _on_link_changed(self, change: LinkChanged) -> None:
        self.link = change.link
        self.orders.link_up = change.link is Link.UP
        match change.link:
            case Link.DOWN | Link.CLOSED:
                for order in self.blotter.lose_sight(change.at_ns):
                    self.orders.order_changed(order)
            case Link.UP:
                for report in self._reported.values():
                    if not report.doubtful:
                        self.orders.outside.settle(report)
                was_catching_up = self.freshness.catch_up()
                self.allow_targets()
                self.orders.aims.pursue_all()
                if was_catching_up:
                    self.freshness.decide_again(self.runs, self.calls.call)
                self.orders.queue.release()

    # --- commands

    def _on_start_strategy(self, start: StartStrategy) -> None:
        if start.run_id in (MANUAL, EXTERNAL):
            raise DeskError(f"{start.run_id} is a book and not a run: give the run another id")
        before = self.runs.get(start.run_id)
        if before is not None:
            check_succession(before, start)
        # An error up to here fails the command, and nothing is changed.
        run = self.runs[start.run_id] = self._made(start, orders_made=0 if before is None else before.orders.made)
        if before is not None:
            run.go_on(before)
        self.losses.take_budget(start.run_id, start.budget)
        for instrument in start.instruments:
            self.orders.watch(instrument)
        self.calls.call(run, self._begin, run)
        if run.state is RunState.RUNNING:
            for lane in run.lanes.values():
                self.markets[lane.instrument].add(lane)

    def _on_timer_fired(self, timer: TimerFired) -> None:
        self.orders.on_timer(timer.timer_id)
        self.prints.on_timer(timer.timer_id)
        run_id, _, name = timer.timer_id.partition("/")
        run = self.runs.get(run_id)
        if run is not None and run.state is RunState.RUNNING:
            self.calls.call(run, run.strategy.on_timer, name)

    # --- inside

    def _made(self, start: StartStrategy, *, orders_made: int) -> Run:
        """Return the run of a start command; unless `strict`, errors of its code become a StrategyError."""
        what = f"{start.source.class_name} cannot be started"
        with contextlib.nullcontext() if self._strict else as_strategy_error(what):
            return Run(self, start, self._strategies(start), self.make_features, orders_made=orders_made)

    def _begin(self, run: Run) -> None:
        """Warm up the features, call `on_start`, and add the data of the bar in progress so far."""
        interval_ns = run.start.interval_ns
        for history in run.start.history:
            market = self.markets[history.instrument]
            # If other runs already watch it, a fresher price is known.
            if history.close and not market.lanes:
                market.price = market.last = history.close[-1]
                market.price_at_ns = history.opened_ns[-1] + history.interval_ns
                self.losses.priced(market)
            if history.interval_ns == interval_ns:
                run.lanes[history.instrument].warm_up(history)
        for text in short_histories(run.strategy, run.start):
            self.alert(run.id, text, Severity.WARNING)
        run.strategy.on_start()
        for history in run.start.history:
            if history.interval_ns < interval_ns:
                run.lanes[history.instrument].catch_up(history)

    def end_run(self, run: Run, state: RunState, note: str, *, made_before: int | None = None) -> None:
        """End a run: it gets no more events, and its open orders are cancelled.

        Market orders with numbers above `made_before` stay, and so do orders that close a position.
        """
        run.state, run.note = state, note
        for lane in run.lanes.values():
            self.markets[lane.instrument].remove(lane)
            for order in self.blotter.open_orders(run.id, lane.instrument):
                if not leaves(lane, order, made_before=made_before):
                    self.orders.cancel(order.id)
