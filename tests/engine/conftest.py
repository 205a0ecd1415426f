"""Fixtures of the engine: send it events and inspect its actions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
import pytest
from pydantic import PrivateAttr

from ibdesk.engine import Engine, RiskLimits, Run
from ibdesk.model import (
    Action,
    AnyInstrument,
    Bar,
    BarHistory,
    Commission,
    Event,
    Fill,
    Order,
    OrderFound,
    OrderReport,
    OrderStatus,
    OrderType,
    PlaceOrder,
    Quote,
    Side,
    StartStrategy,
    Stock,
    StrategySource,
    TimerFired,
    nanoseconds,
)
from ibdesk.strategy import Strategy

SECOND = 1_000_000_000
# Tuesday, 10:00 in New York; a whole number of minutes and hours.
TUESDAY = nanoseconds(dt.datetime(2026, 3, 10, 14, tzinfo=dt.UTC))


class Wish(Strategy):
    """Wants to hold what the last close says: a bar is an order to aim at its close."""

    def target(self) -> pl.Expr:
        return pl.col("close")


class Hands(Strategy):
    """Trades by hand: in each hook it does what a test says, and it keeps what it was told."""

    _on: dict[str, Callable[[Any, Any], object]] = PrivateAttr(default_factory=dict)
    _told: list[tuple[str, Any]] = PrivateAttr(default_factory=list)

    def told(self, hook: str) -> list[Any]:
        return [what for name, what in self._told if name == hook]

    def _hear(self, hook: str, what: Any = None) -> None:
        self._told.append((hook, what))
        if hook in self._on:
            self._on[hook](self, what)

    def on_start(self) -> None:
        self._hear("start")

    def on_bar(self, bar: Bar) -> None:
        self._hear("bar", bar)

    def on_quote(self, quote: Quote) -> None:
        self._hear("quote", quote)

    def on_fill(self, fill: Fill) -> None:
        self._hear("fill", fill)

    def on_order(self, order: Order) -> None:
        self._hear("order", order)

    def on_timer(self, name: str) -> None:
        self._hear("timer", name)

    def on_stop(self) -> None:
        self._hear("stop")


class Story:
    """An engine and the events that a test tells it, a second apart unless it says otherwise."""

    def __init__(self, limits: RiskLimits | None = None, *, strict: bool = False) -> None:
        self.strategies: dict[str, Strategy] = {}
        self.engine = Engine(
            strategies=lambda start: self.strategies[start.run_id], limits=limits or RiskLimits.none(), strict=strict
        )
        self.at_ns = TUESDAY
        self.events: list[Event] = []
        self._executions = 0

    def tell(self, event: Event) -> list[Action]:
        self.events.append(event)
        return list(self.engine.handle(event))

    def start(
        self,
        strategy: Strategy | None = None,
        run_id: str = "run",
        *,
        on: Sequence[AnyInstrument] = (Stock("AAPL"),),
        interval: int = 60,
        **more: Any,
    ) -> list[Action]:
        self.strategies[run_id] = strategy or Wish()
        more = {"parameters": {}} | more
        return self.tell(
            StartStrategy(
                run_id=run_id,
                source=StrategySource(type(self.strategies[run_id]).__name__),
                instruments=list(on),
                interval_ns=interval * SECOND,
                at_ns=self.at_ns,
                **more,
            )
        )

    def bar(
        self, close: float, *, instrument: str = "AAPL", interval: int = 60, at_ns: int | None = None
    ) -> list[Action]:
        """Tell a flat bar that opens now; it becomes known, and the story goes on, at its close."""
        if at_ns is not None:
            self.at_ns = at_ns
        bar = Bar(instrument, self.at_ns, interval * SECOND, close, close, close, close, 100.0)
        self.at_ns = bar.at_ns
        return self.tell(bar)

    def quote(self, bid: float, ask: float, *, instrument: str = "AAPL") -> list[Action]:
        self.at_ns += SECOND
        return self.tell(Quote(instrument, self.at_ns, bid, ask, 1.0, 1.0))

    def fill(self, order: Order, quantity: float | None = None, price: float = 10.0, **more: Any) -> list[Action]:
        self._executions += 1
        fields: dict[str, Any] = {
            "execution_id": f"e{self._executions}",
            "order_id": order.id,
            "instrument": order.instrument,
            "side": order.side,
            "quantity": order.quantity if quantity is None else quantity,
            "price": price,
            "at_ns": self.at_ns,
        }
        return self.tell(Fill(**fields | more))

    def report(self, order: Order, status: OrderStatus, **more: Any) -> list[Action]:
        return self.tell(OrderReport(order_id=order.id, status=status, at_ns=self.at_ns, **more))

    def charge(self, execution_id: str, amount: float) -> list[Action]:
        return self.tell(Commission(execution_id=execution_id, amount=amount, at_ns=self.at_ns))

    def run(self, run_id: str = "run") -> Run:
        return self.engine.runs[run_id]

    def hold(self, quantity: float, price: float = 10.0) -> None:
        """Have the run hold so much, bought at a price by an order of its own that the venue had kept."""
        run = self.run()
        missing = quantity - run.position("AAPL").quantity
        side = Side.BUY if missing > 0 else Side.SELL
        order = Order(
            id=f"{run.id}.{run.orders.made + 1}",
            owner=run.id,
            instrument="AAPL",
            side=side,
            quantity=abs(missing),
            type=OrderType.MARKET,
            created_ns=self.at_ns,
            updated_ns=self.at_ns,
            status=OrderStatus.UNKNOWN,
        )
        self.tell(OrderFound(order, Stock("AAPL"), self.at_ns))
        self.fill(order, price=price)

    def act(self, act: Callable[[Any], Any], run_id: str = "run") -> Any:
        """Have a run of `Hands` do something of its own, when a timer of it fires, and return what came of it."""
        done: list[Any] = []
        strategy = self.run(run_id).strategy
        assert isinstance(strategy, Hands)
        strategy._on["timer"] = lambda me, _: done.append(act(me))
        self.tell(TimerFired(f"{run_id}/act", self.at_ns))
        return done[0]

    def order(self, order_id: str) -> Order:
        return self.engine.blotter.orders[order_id]

    @staticmethod
    def placed(actions: Sequence[Action]) -> list[Order]:
        return [action.order for action in actions if isinstance(action, PlaceOrder)]

    @staticmethod
    def history(
        closes: Sequence[float], *, interval: int = 60, ends_ns: int = TUESDAY, instrument: str = "AAPL"
    ) -> BarHistory:
        """Flat bars whose last one closes at `ends_ns`."""
        first_ns = ends_ns - len(closes) * interval * SECOND
        opened_ns = [first_ns + i * interval * SECOND for i in range(len(closes))]
        prices = [float(close) for close in closes]
        volumes = [100.0] * len(closes)
        return BarHistory(instrument, interval * SECOND, opened_ns, prices, prices, prices, prices, volumes)


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
def tell_story() -> Callable[..., Story]:
    return Story


@pytest.fixture
def hands() -> Callable[..., Hands]:
    def make(**hooks: Callable[[Any, Any], object]) -> Hands:
        strategy = Hands()
        strategy._on.update(hooks)
        return strategy

    return make
