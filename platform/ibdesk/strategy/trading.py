"""What a strategy may ask of the engine that runs it."""

from __future__ import annotations

import datetime as dt
from typing import Protocol

from ibdesk.model import Order, Position, Quote, Severity, Side, TimeInForce, WhenClosed


class Trading(Protocol):
    """The engine's end of a strategy: its own book, its own orders, the market it was started on."""

    @property
    def now(self) -> dt.datetime:
        """The time of the event being handled, UTC."""
        ...

    @property
    def symbols(self) -> tuple[str, ...]:
        """The ids of the instruments it runs on."""
        ...

    @property
    def cash(self) -> float:
        """The money of this run: what it was allotted, plus what its fills moved, less commission."""
        ...

    def position(self, symbol: str) -> Position:
        """What this run holds."""
        ...

    def open_orders(self, symbol: str) -> list[Order]:
        """The orders of this run that may still fill, oldest first."""
        ...

    def quote(self, symbol: str) -> Quote | None:
        """The last quote, None before the first."""
        ...

    def feature(self, name: str, symbol: str) -> float | None:
        """The feature's value at the last closed bar, None while it is null."""
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
        """Order what is missing to hold `quantity` once all open orders have filled."""
        ...

    def modify(
        self, order_id: str, *, quantity: float | None, limit_price: float | None, stop_price: float | None
    ) -> None:
        """Change the terms of an open order that are not None."""
        ...

    def cancel(self, order_id: str) -> None:
        """Withdraw an open order."""
        ...

    def set_timer(self, name: str, seconds: float) -> None:
        """Have `on_timer(name)` called after so many seconds."""
        ...

    @property
    def is_state_watched(self) -> bool:
        """Whether its `state` is looked at after each event, because the strategy uses it."""
        ...

    def watch_state(self) -> None:
        """Have its `state` looked at after each event from now on."""
        ...

    def say(self, text: str, severity: Severity) -> None:
        """Put a line on the record and before people's eyes."""
        ...
