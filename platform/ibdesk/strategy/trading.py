"""The interface of the engine to a strategy."""

from __future__ import annotations

import datetime as dt
from typing import Protocol

from ibdesk.model import Order, Position, Quote, Severity, Side, TimeInForce, WhenClosed


class Trading(Protocol):
    """The engine as a strategy sees it: its own book, its own orders, and its instruments' market."""

    @property
    def now(self) -> dt.datetime:
        """The time of the event being handled, UTC."""
        ...

    @property
    def symbols(self) -> tuple[str, ...]:
        """The ids of the run's instruments."""
        ...

    @property
    def cash(self) -> float:
        """The cash of this run: its allotment plus the cash flow of its fills, less commission."""
        ...

    def position(self, symbol: str) -> Position:
        """Return this run's position."""
        ...

    def open_orders(self, symbol: str) -> list[Order]:
        """Return the orders of this run that may still fill, oldest first."""
        ...

    def quote(self, symbol: str) -> Quote | None:
        """Return the last quote, or None before the first."""
        ...

    def feature(self, name: str, symbol: str) -> float | None:
        """Return the feature's value at the last closed bar, or None while it is null."""
        ...

    def submit(
        self,
        symbol: str,
        *,
        side: Side,
        quantity: float,
        limit_price: float | None,
        stop_price: float | None,
        time_in_force: TimeInForce,
        outside_regular_hours: bool,
        when_closed: WhenClosed,
    ) -> str:
        """Send an order through the risk gate and return its id."""
        ...

    def aim(self, symbol: str, quantity: float) -> str | None:
        """Place an order for the difference to `quantity`, counting open orders as filled."""
        ...

    def modify(
        self, order_id: str, *, quantity: float | None, limit_price: float | None, stop_price: float | None
    ) -> None:
        """Change the terms of an open order that are not None."""
        ...

    def cancel(self, order_id: str) -> None:
        """Cancel an open order."""
        ...

    def set_timer(self, name: str, seconds: float) -> None:
        """Schedule a call of `on_timer(name)` after `seconds`."""
        ...

    @property
    def is_state_watched(self) -> bool:
        """Whether changes of `state` are checked after each event, because the strategy uses it."""
        ...

    def watch_state(self) -> None:
        """Check `state` for changes after each event from now on."""
        ...

    def say(self, text: str, severity: Severity) -> None:
        """Write a line to the journal and send it to the desk's clients."""
        ...
