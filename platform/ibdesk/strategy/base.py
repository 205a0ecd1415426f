"""The base class of strategies: parameters, features, target, hooks and orders."""

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

    Parameters are pydantic fields: validated, documented by a JSON schema; unknown ones are refused. Either declare
    `target`, the position wanted after each bar, or write `on_...` hooks that place orders. The same object runs in a
    backtest, on paper and live. It reads no clock and no file, so that its decisions can be replayed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(pl.Expr, functools.cached_property))

    # Instance attributes once the strategy is bound. As private attributes of pydantic each access would cost 3 us, and
    # every helper accesses them.
    _trading: ClassVar[Trading | None] = None
    # The file that the class was loaded from; set by the loader.
    _source: ClassVar[StrategySource | None] = None

    @functools.cached_property
    def _state(self) -> dict[str, Any]:
        return {}

    # --- declarations

    def features(self) -> dict[str, pl.Expr]:
        """Return named Polars expressions over the bars of one instrument.

        The columns are ``opened_at`` (Datetime ns, UTC), ``open``, ``high``, ``low``, ``close`` and ``volume``. A
        feature may use only past bars, which the backtest checks.
        """
        return {}

    def target(self) -> pl.Expr | None:
        """Return the signed position wanted after each bar, over bar columns and features; null means no opinion."""
        return None

    # --- hooks

    def on_start(self) -> None:
        """Prepare before the first bar, and again when the run continues after a restart; set timers here."""

    def on_bar(self, bar: Bar) -> None:
        """Handle the close of a bar of any instrument; by default the engine places orders to reach `target`."""

    def on_quote(self, quote: Quote) -> None:
        """Handle a change of the best bid or ask."""

    def on_fill(self, fill: Fill) -> None:
        """Handle an execution of an order of this strategy."""

    def on_order(self, order: Order) -> None:
        """Handle a change of state of an order of this strategy, including denials."""

    def on_timer(self, name: str) -> None:
        """Handle the expiry of a timer set by `after`."""

    def on_stop(self) -> None:
        """Finish, once, before the open orders are cancelled."""

    # --- orders, timers, log

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
        """Buy, at the market unless the prices `limit` or `stop` are given, and return the order's id.

        `outside_regular_hours` lets a limit or stop trade before and after the regular session too; `when_closed`
        decides about an order whose market is closed (see `WhenClosed`).
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
        """Sell, at the market unless the prices `limit` or `stop` are given, and return the order's id; see `buy`."""
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
        """Place a market order for the difference to `quantity` (signed), counting open orders as filled.

        Returns the order's id, or None if there is no difference.
        """
        return self._engine.aim(symbol, quantity)

    def close(self, symbol: str) -> str | None:
        """Close the position with a market order; return the order's id, or None if none is needed."""
        return self._engine.aim(symbol, 0.0)

    def modify(
        self,
        order_id: str,
        *,
        quantity: float | None = None,
        limit: float | None = None,
        stop: float | None = None,
    ) -> None:
        """Change the quantity or prices of an open order; None leaves a term unchanged."""
        self._engine.modify(order_id, quantity=quantity, limit_price=limit, stop_price=stop)

    def cancel(self, order_id: str) -> None:
        """Cancel the remaining quantity of an order; a final order is ignored."""
        self._engine.cancel(order_id)

    def after(self, seconds: float, name: str = "timer") -> None:
        """Schedule a call of `on_timer(name)` after `seconds` of market time."""
        self._engine.set_timer(name, seconds)

    def log(self, text: str, *, severity: Severity = Severity.INFO) -> None:
        """Write a line to the journal and send it to the desk's clients."""
        self._engine.say(text, severity)

    # --- state of the run and the market

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
        """The cash of this run: its allotment plus the cash flow of its fills, less commission."""
        return self._engine.cash

    @property
    def state(self) -> dict[str, Any]:
        """Plain data (numbers, text, lists, dicts) that survives a restart of the run.

        It is journaled with each event that changes it. Changes made by a hook that then raises are discarded.
        """
        trading = self._trading
        if trading is not None and not trading.is_state_watched:
            trading.watch_state()
        return self._state

    def position(self, symbol: str) -> Position:
        """Return this run's position in an instrument."""
        return self._engine.position(symbol)

    def open_orders(self, symbol: str) -> list[Order]:
        """Return this run's orders that may still fill, oldest first."""
        return self._engine.open_orders(symbol)

    def quote(self, symbol: str) -> Quote | None:
        """Return the last quote of an instrument, or None before the first."""
        return self._engine.quote(symbol)

    def feature(self, name: str, symbol: str) -> float | None:
        """Return a feature at the last closed bar of an instrument, or None while it is null."""
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
        """Pickle a strategy by its file, class and parameters."""
        if self._trading is not None:
            raise StrategyError(
                f"{type(self).__name__} is running: pickle the strategy object that it was started from"
            )
        if "_source" not in vars(type(self)):
            return super().__reduce_ex__(protocol)
        return _remade, (type(self), self.model_dump(mode="json"))


def _remade(cls: type[Strategy], parameters: dict[str, Any]) -> Strategy:
    return cls(**parameters)


def rebound(bound: Strategy, strategy: Strategy) -> Strategy:
    """Return a copy of a bound strategy with the parameters of `strategy` and without old cached properties."""
    cls = type(bound)
    changed = bound.model_copy(update={name: getattr(strategy, name) for name in cls.model_fields})
    for name in list(vars(changed)):
        if name != "_state" and isinstance(getattr(cls, name, None), functools.cached_property):
            del vars(changed)[name]
    return changed


def bind(strategy: Strategy, trading: Trading, state: dict[str, Any]) -> Strategy:
    """Return a copy of the strategy for one run, which trades through `trading` and starts with `state`."""
    bound = strategy.model_copy(deep=True)
    vars(bound).update(_trading=trading, _state=copy.deepcopy(state))
    return bound
