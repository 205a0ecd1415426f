"""Conversion of events and actions to rows of the feed, after the orders have left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from ibdesk.desk.ledger import Ledger, fill_row, finite
from ibdesk.desk.marks import Marks, risk_row
from ibdesk.engine import TARGET, Engine, Run, evaluate
from ibdesk.errors import OrderDeniedError, StrategyError
from ibdesk.model import (
    AcceptExternal,
    AccountReport,
    Action,
    Alert,
    Bar,
    BarHistory,
    CancelOrder,
    ChangeParameters,
    Commission,
    Event,
    Fill,
    LinkChanged,
    ModifyOrder,
    OrderDenied,
    OrderDropped,
    OrderFound,
    OrderQueued,
    OrderReport,
    PlaceOrder,
    Quote,
    Restore,
    ResumeTrading,
    Severity,
    StartStrategy,
    StopStrategy,
    Tick,
    TradingHalted,
    interval_words,
)
from ibdesk.store import Feed, Row, Topic
from ibdesk.store.totals import gross_profit

_log = logging.getLogger(__name__)


class Publisher:
    """Publishes the rows of each event; it holds no books of its own."""

    def __init__(self, engine: Engine, ledger: Ledger, feed: Feed, *, address: str, mode: str) -> None:
        self._engine, self._ledger, self._feed = engine, ledger, feed
        self._address, self._mode = address, mode
        self._last_bars: dict[tuple[str, str], Bar] = {}
        self._marks = Marks(engine, ledger, feed)
        self._run_states: dict[str, Row] = {}
        self._handlers: dict[type, Callable[[Any], None]] = {
            Quote: self._on_quote,
            Tick: self._decided,
            Bar: self._on_bar,
            OrderReport: lambda report: self._order(report.order_id),
            OrderFound: lambda found: self._order(found.order.id),
            Fill: self._on_fill,
            Commission: self._on_commission,
            AccountReport: self._on_account_report,
            LinkChanged: self._on_link_changed,
            StartStrategy: self._on_start_strategy,
            StopStrategy: lambda _: self._changed_runs(),
            ChangeParameters: lambda _: self._changed_runs(),
            Restore: self._on_restore,
            ResumeTrading: self._on_resume,
            AcceptExternal: self._on_accept_external,
        }

    def publish(self, event: Event, actions: Sequence[Action]) -> None:
        """Publish the consequences of one event."""
        handler = self._handlers.get(event.__class__)
        if handler is not None:
            handler(event)
        for action in actions:
            self._action(action)

    def mark(self) -> None:
        """Publish the rows that are shown a few times a second, if they have changed."""
        self._marks.publish()

    def link(self, at_ns: int, detail: str) -> None:
        """Publish the state of the link and the halts."""
        row = {
            "link": self._engine.link.value,
            "at_ns": at_ns,
            "detail": detail,
            "address": self._address,
            "mode": self._mode,
            "halts": [
                {"id": halt.id, "scope": halt.scope, "state": halt.state.value, "reason": halt.reason}
                for halt in self._engine.gate.halts.values()
            ],
        }
        self._feed.publish(Topic.LINK, "link", row)

    def alert(self, at_ns: int, severity: Severity, origin: str, text: str) -> None:
        """Publish an alert for people."""
        row = {"at_ns": at_ns, "severity": severity.value, "origin": origin, "text": text}
        self._feed.publish(Topic.ALERTS, f"{at_ns}/{origin}/{text}", row)

    # --- events

    def _on_bar(self, bar: Bar) -> None:
        self._bar(bar)
        self._decided(bar)

    def _on_fill(self, fill: Fill) -> None:
        self._feed.publish(Topic.FILLS, fill.execution_id, fill_row(self._ledger.book(fill)))
        self._order(fill.order_id)

    def _on_restore(self, command: Restore) -> None:
        """Publish the restored state of earlier journals."""
        self._feed.publish_all([(Topic.FILLS, str(row["execution_id"]), row) for row in self._ledger.rows()])
        for order in command.snapshot.orders:
            self._order(order.id)
        self._changed_runs()
        self.link(command.at_ns, "")

    def _on_commission(self, commission: Commission) -> None:
        booked = self._ledger.charge(commission)
        if booked is not None:
            self._feed.publish(Topic.FILLS, commission.execution_id, fill_row(booked))

    def _on_link_changed(self, change: LinkChanged) -> None:
        self.link(change.at_ns, change.detail)
        for order in self._engine.blotter.all_open():
            self._order(order.id)

    def _on_quote(self, quote: Quote) -> None:
        row = {
            "symbol": quote.instrument,
            "at_ns": quote.at_ns,
            "bid": finite(quote.bid),
            "ask": finite(quote.ask),
            "bid_size": quote.bid_size,
            "ask_size": quote.ask_size,
        }
        self._feed.publish(Topic.QUOTES, quote.instrument, row)
        self._decided(quote)

    def _bar(self, bar: Bar) -> None:
        row = {
            "symbol": bar.instrument,
            "opened_ns": bar.opened_ns,
            "interval_ns": bar.interval_ns,
            "open": bar.open,
            "high": bar.high,
            "low": bar.low,
            "close": bar.close,
            "volume": bar.volume,
        }
        self._feed.publish(Topic.BARS, f"{bar.instrument}/{bar.interval_ns}", row)

    def _decided(self, event: Bar | Quote | Tick) -> None:
        """Publish the bars that runs have built and decided on, and their features."""
        instrument = event.instrument
        market = self._engine.markets.get(instrument)
        for lane in market.lanes if market else ():
            bar, key = lane.last_bar, (lane.run.id, instrument)
            if bar is None or self._last_bars.get(key) is bar:
                continue
            self._last_bars[key] = bar
            if bar is not event:
                self._bar(bar)
            for name, value in lane.features.values().items():
                self._indicator(lane.run, instrument, bar.opened_ns, name, value)

    def _indicator(self, run: Run, symbol: str, opened_ns: int, name: str, value: float | None) -> None:
        row = {"run_id": run.id, "symbol": symbol, "opened_ns": opened_ns, "name": name, "value": value}
        self._feed.publish(Topic.INDICATORS, f"{run.id}/{symbol}/{name}", row)

    def _order(self, order_id: str) -> None:
        order = self._engine.blotter.orders.get(order_id)
        if order is not None:
            self._feed.publish(Topic.ORDERS, order.id, self._ledger.order_row(order))

    def _on_account_report(self, report: AccountReport) -> None:
        account = report.account
        row = {
            "id": account.id,
            "currency": account.currency,
            "net_liquidation": finite(account.net_liquidation),
            "cash": finite(account.cash),
            "buying_power": finite(account.buying_power),
            "available_funds": finite(account.available_funds),
            "realized_pnl": finite(account.realized_pnl),
            "unrealized_pnl": finite(account.unrealized_pnl),
            # The desk's profit before commissions at the time of these figures; current figures are derived from it.
            "gross_pnl": gross_profit(self._ledger.position_rows()),
            "updated_ns": account.updated_ns,
        }
        self._feed.publish(Topic.ACCOUNT, account.id, row)

    def _on_start_strategy(self, start: StartStrategy) -> None:
        """Publish the history of a run's warm-up, so that its chart begins where its features do."""
        run = self._engine.runs[start.run_id]
        for history in start.history:
            if history.interval_ns != start.interval_ns:
                continue
            frame = _frame(history)
            for opened_ns, *figures in zip(history.opened_ns, *_prices(history), strict=True):
                self._bar(Bar(history.instrument, opened_ns, history.interval_ns, *figures))
            try:
                features = evaluate(run.strategy, frame)
            except StrategyError as error:
                # A run whose features fail has ended or ends at its next bar; its chart begins without them.
                _log.warning("%s: its features over the warm-up cannot be shown: %s", run.id, error)
                continue
            for name in features.columns:
                if name != TARGET:
                    for opened_ns, value in zip(history.opened_ns, features[name], strict=True):
                        self._indicator(run, history.instrument, opened_ns, name, value)
        self._changed_runs()

    def _on_accept_external(self, _command: AcceptExternal) -> None:
        """Publish the executions that book trades outside to the owners of the position."""
        for fill in self._engine.orders.outside.accepted:
            self._feed.publish(Topic.FILLS, fill.execution_id, fill_row(self._ledger.book(fill)))

    def _on_resume(self, command: ResumeTrading) -> None:
        self._risk(risk_row(command.at_ns, "resumed", rule=command.by, text=command.reason))

    # --- actions

    def _action(self, action: Action) -> None:
        match action:
            case PlaceOrder() | OrderQueued():
                self._order(action.order.id)
            case ModifyOrder(order_id=order_id) | CancelOrder(order_id):
                self._order(order_id)
            case OrderDropped():
                self._order(action.order_id)
            case OrderDenied():
                self._order(action.order_id)
                text = str(OrderDeniedError(action.order_id, action.rule, action.limit, action.asked))
                self.alert(action.at_ns, Severity.WARNING, "risk", text)
                self._denied(action, text)
            case Alert():
                self.alert(action.at_ns, action.severity, action.origin, action.text)
                # Failed runs and lifted halts are reported by an alert.
                self._changed_runs()
                self.link(action.at_ns, "")
            case TradingHalted():
                self.alert(action.at_ns, Severity.ERROR, "risk", f"trading halted: {action.reason} (halt {action.id})")
                self._risk(risk_row(action.at_ns, "halted", rule=action.by, text=action.reason))
                self.link(action.at_ns, "")
            case _:
                pass

    def _denied(self, action: OrderDenied, text: str) -> None:
        order = self._engine.blotter.orders.get(action.order_id)
        row = risk_row(
            action.at_ns,
            "denied",
            owner=order.owner if order is not None else "",
            symbol=order.instrument if order is not None else "",
            order_id=action.order_id,
            rule=action.rule,
            limit=finite(action.limit),
            asked=finite(action.asked),
            text=text,
        )
        self._risk(row)

    def _risk(self, row: Row) -> None:
        self._feed.publish(Topic.RISK, "/".join(str(row[name]) for name in ("at_ns", "kind", "order_id", "rule")), row)

    def _changed_runs(self) -> None:
        for run in self._engine.runs.values():
            row = run_row(run)
            if self._run_states.get(run.id) != row:
                self._run_states[run.id] = row
                self._feed.publish(Topic.RUNS, run.id, row)


def run_row(run: Run) -> Row:
    """Return a run as plain columns."""
    start = run.start
    return {
        "run_id": run.id,
        "class_name": start.source.class_name,
        "path": start.source.path,
        "sha256": start.source.sha256,
        "parameters": start.parameters,
        "symbols": [instrument.id for instrument in start.instruments],
        "bar": interval_words(start.interval_ns),
        "state": run.state.value,
        "started_ns": start.at_ns,
        "note": run.note,
    }


def _prices(history: BarHistory) -> tuple[list[float], ...]:
    return history.open, history.high, history.low, history.close, history.volume


def _frame(history: BarHistory) -> pl.DataFrame:
    names = ("open", "high", "low", "close", "volume")
    opened_at = pl.Series("opened_at", history.opened_ns, dtype=pl.Int64).cast(pl.Datetime("ns", "UTC"))
    return pl.DataFrame([opened_at, *(pl.Series(n, p) for n, p in zip(names, _prices(history), strict=True))])
