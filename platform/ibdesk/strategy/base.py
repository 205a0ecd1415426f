"""A trading strategy: parameters, features, and what to do about them."""

from __future__ import annotations

import copy
import datetime as dt
import functools
from typing import Any, ClassVar

import polars as pl
from pydantic import BaseModel, ConfigDict

from ibdesk.errors import StrategyError
from ibdesk.model import Bar, Fill, Order, Position, Quote, Severity, Side, StrategySource, TimeInForce, WhenClosed
from ibdesk.strategy.trading import Trading


class Strategy(BaseModel):
    """The base of every strategy.

    Parameters are pydantic fields: validated, documented by a JSON schema, unknown ones refused. Either declare
    `target`, the position wanted after each bar, or write the `on_...` hooks and order by hand. The same object
    runs in a backtest, on paper and live; it reads no clock and no file, so that its decisions can be replayed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(pl.Expr, functools.cached_property))

    # Both are among the object's own attributes once it is bound. As private attributes of pydantic they would cost
    # 3 us at each look, and every helper looks.
    _trading: ClassVar[Trading | None] = None
    # The file of a class that was loaded from one; the loader sets it.
    _source: ClassVar[StrategySource | None] = None

    @functools.cached_property
    def _state(self) -> dict[str, Any]:
        return {}

    # --- what to declare

    def features(self) -> dict[str, pl.Expr]:
        """Return named Polars expressions over the bars of one instrument.

        The columns are ``opened_at`` (Datetime ns, UTC), ``open``, ``high``, ``low``, ``close`` and ``volume``. A
        feature may look back only; the backtest proves that it does.
        """
        return {}

    def target(self) -> pl.Expr | None:
        """Return the signed position wanted after each bar, over bar columns and features; null is no opinion."""
        return None

    # --- what may happen

    def on_start(self) -> None:
        """Called before the first bar, and again when the run goes on after a restart; timers are set anew here."""

    def on_bar(self, bar: Bar) -> None:
        """Called at the close of each bar of each instrument; by default the engine orders towards `target`."""

    def on_quote(self, quote: Quote) -> None:
        """Called at each change of the best bid or ask."""

    def on_fill(self, fill: Fill) -> None:
        """Called at each execution of an order of this strategy."""

    def on_order(self, order: Order) -> None:
        """Called when an order of this strategy changes its state, also when it was denied."""

    def on_timer(self, name: str) -> None:
        """Called when a timer set by `after` comes due."""

    def on_stop(self) -> None:
        """Called once, before its open orders are cancelled."""

    # --- what to do

    def buy(
        self,
        symbol: str,
        quantity: float,
        *,
        limit: float | None = None,
        stop: float | None = None,
        time_in_force: TimeInForce = TimeInForce.DAY,
        outside_regular_hours: bool = False,
        when_closed: WhenClosed = WhenClosed.USUAL,
    ) -> str:
        """Buy, at the market unless `limit` or `stop` (prices) say otherwise, and return the order's id.

        `outside_regular_hours` lets a limit or stop trade before and after the regular session too; `when_closed` says
        what becomes of an order whose market is closed (see `WhenClosed`).
        """
        return self._engine.submit(
            symbol,
            side=Side.BUY,
            quantity=quantity,
            limit_price=limit,
            stop_price=stop,
            time_in_force=time_in_force,
            outside_regular_hours=outside_regular_hours,
            when_closed=when_closed,
        )

    def sell(
        self,
        symbol: str,
        quantity: float,
        *,
        limit: float | None = None,
        stop: float | None = None,
        time_in_force: TimeInForce = TimeInForce.DAY,
        outside_regular_hours: bool = False,
        when_closed: WhenClosed = WhenClosed.USUAL,
    ) -> str:
        """Sell, at the market unless `limit` or `stop` (prices) say otherwise, and return the order's id; see `buy`."""
        return self._engine.submit(
            symbol,
            side=Side.SELL,
            quantity=quantity,
            limit_price=limit,
            stop_price=stop,
            time_in_force=time_in_force,
            outside_regular_hours=outside_regular_hours,
            when_closed=when_closed,
        )

    def order_target(self, symbol: str, quantity: float) -> str | None:
        """Order at the market what is missing to hold `quantity` (signed), counting open orders as filled.

        Returns the order's id, or None when nothing is missing.
        """
        return self._engine.aim(symbol, quantity)

    def close(self, symbol: str) -> str | None:
        """Order at the market what makes the position flat."""
        return self._engine.aim(symbol, 0.0)

    def modify(
        self,
        order_id: str,
        *,
        quantity: float | None = None,
        limit: float | None = None,
        stop: float | None = None,
    ) -> None:
        """Change the quantity or prices of an open order; what is None stays."""
        self._engine.modify(order_id, quantity=quantity, limit_price=limit, stop_price=stop)

    def cancel(self, order_id: str) -> None:
        """Withdraw what is left of an order; one that is already final is left alone."""
        self._engine.cancel(order_id)

    def after(self, seconds: float, name: str = "timer") -> None:
        """Have `on_timer(name)` called after so many seconds of market time."""
        self._engine.set_timer(name, seconds)

    def log(self, text: str, *, severity: Severity = Severity.INFO) -> None:
        """Put a line into the journal and before whoever watches."""
        self._engine.say(text, severity)

    # --- what to know

    @property
    def symbols(self) -> tuple[str, ...]:
        """The ids of the instruments this run was started on."""
        return self._engine.symbols

    @property
    def now(self) -> dt.datetime:
        """The time of the event being handled, UTC; at a bar, its close."""
        return self._engine.now

    @property
    def cash(self) -> float:
        """The money of this run: allotted, plus what its fills moved, less commission."""
        return self._engine.cash

    @property
    def state(self) -> dict[str, Any]:
        """Plain data (numbers, text, lists, dicts) that outlives a restart of the run.

        It is journaled with each event that changes it. What an event changes before the strategy's code raises is
        not kept.
        """
        trading = self._trading
        if trading is not None and not trading.is_state_watched:
            trading.watch_state()
        return self._state

    def position(self, symbol: str) -> Position:
        """Return what this run holds of an instrument."""
        return self._engine.position(symbol)

    def open_orders(self, symbol: str) -> list[Order]:
        """Return this run's orders that may still fill, oldest first."""
        return self._engine.open_orders(symbol)

    def quote(self, symbol: str) -> Quote | None:
        """Return the last quote of an instrument, None before the first."""
        return self._engine.quote(symbol)

    def feature(self, name: str, symbol: str) -> float | None:
        """Return a feature at the last closed bar of an instrument, None while it is null."""
        return self._engine.feature(name, symbol)

    @property
    def _engine(self) -> Trading:
        trading = self._trading
        if trading is None:
            raise StrategyError(
                f"{type(self).__name__} is not running: its helpers work only inside its on_... hooks, "
                f"in a backtest or on a desk"
            )
        return trading

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle a strategy from a file by its class, which is found again in that file, and its parameters."""
        if self._trading is not None:
            raise StrategyError(f"{type(self).__name__} is running: pickle the strategy that it was started from")
        if "_source" not in vars(type(self)):
            return super().__reduce_ex__(protocol)
        return _remade, (type(self), self.model_dump(mode="json"))


def _remade(cls: type[Strategy], parameters: dict[str, Any]) -> Strategy:
    return cls(**parameters)


def rebound(bound: Strategy, strategy: Strategy) -> Strategy:
    """Return a copy of a bound strategy with the parameters of `strategy`, and without what the old ones had cached."""
    cls = type(bound)
    changed = bound.model_copy(update={name: getattr(strategy, name) for name in cls.model_fields})
    for name in list(vars(changed)):
        if name != "_state" and isinstance(getattr(cls, name, None), functools.cached_property):
            del vars(changed)[name]
    return changed


def bind(strategy: Strategy, trading: Trading, state: dict[str, Any]) -> Strategy:
    """Return a copy of the strategy that belongs to one run: it trades through `trading` and starts at `state`."""
    bound = strategy.model_copy(deep=True)
    vars(bound).update(_trading=trading, _state=copy.deepcopy(state))
    return bound
