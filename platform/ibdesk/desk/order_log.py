"""The log of orders and commands: one line per change, with the ids for a search.

Lines are written in a later turn of the loop: by then the bytes of their orders have left.
"""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Sequence
from typing import Any

from ibdesk.engine import Engine
from ibdesk.model import (
    AcceptExternal,
    Action,
    CancelOrder,
    ChangeLimits,
    ChangeParameters,
    Event,
    Fill,
    HaltTrading,
    ModifyOrder,
    Order,
    OrderDenied,
    OrderDropped,
    OrderFound,
    OrderQueued,
    OrderReport,
    PlaceOrder,
    ResumeTrading,
    StartStrategy,
    StopStrategy,
)

_log = logging.getLogger(__name__)

Command = StartStrategy | StopStrategy | ChangeParameters | ChangeLimits | HaltTrading | ResumeTrading | AcceptExternal

# The log's words for commands.
_DONE: dict[type, str] = {
    StartStrategy: "started",
    StopStrategy: "stopped",
    ChangeParameters: "given other parameters",
    ChangeLimits: "given other limits",
    HaltTrading: "halted",
    ResumeTrading: "resumed",
    AcceptExternal: "booked as traded elsewhere",
}
TOLD = frozenset({Fill, OrderFound, OrderReport, *_DONE})
"""The events that are logged even if they cause no action."""

_Line = tuple[int, str, tuple[object, ...], dict[str, Any]]


class OrderLog:
    """Collects the changes of orders in a turn, and logs them after the turn."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lines: collections.deque[_Line] = collections.deque()
        # The last logged status of each order.
        self._told: dict[str, object] = {}

    def note(self, event: Event, actions: Sequence[Action], latency_ns: int) -> None:
        """Note the effects of one event; `latency_ns` is the time from its bytes to those of its orders."""
        if not _log.isEnabledFor(logging.WARNING):
            return
        if event.__class__ in _DONE and _log.isEnabledFor(logging.INFO):
            self._note_command(event)  # type: ignore[arg-type] # exactly these are in the table
        for action in actions:
            self._note_action(action, latency_ns)
        match event:
            case Fill(order_id=order_id):
                facts = {"execution_id": event.execution_id, "fill_quantity": event.quantity, "fill_price": event.price}
                self._add_known(logging.INFO, "filled", order_id, **facts)
            case OrderReport(order_id=order_id):
                self._note_report(order_id)
            case OrderFound(order=order):
                self._add_known(logging.WARNING, "was found at the venue but not in the journal", order.id)

    def _note_command(self, command: Command) -> None:
        what = getattr(command, "run_id", "") or getattr(command, "instrument", "")
        what = what or ("risk" if isinstance(command, ChangeLimits) else "trading")
        reason = getattr(command, "reason", "")
        extra = {"by": command.by, "correlation_id": command.correlation_id, "reason": reason}
        if isinstance(command, StartStrategy | StopStrategy | ChangeParameters):
            extra["run_id"] = command.run_id
        words = what, _DONE[type(command)], command.by, f": {reason}" if reason else ""
        self._put(logging.INFO, "%s was %s by %s%s", words, extra)

    def _note_action(self, action: Action, latency_ns: int) -> None:
        match action:
            case PlaceOrder(order):
                self._add(logging.INFO, "sent", order, latency_ms=round(latency_ns / 1e6, 3))
            case ModifyOrder(order_id=order_id):
                terms = {"quantity": action.quantity, "limit_price": action.limit_price}
                self._add_known(logging.INFO, "modification sent", order_id, stop_price=action.stop_price, **terms)
            case CancelOrder(order_id):
                self._add_known(logging.INFO, "cancel sent", order_id)
            case OrderQueued(order):
                self._add(logging.INFO, order.reason or "waits for its turn", order)
            case OrderDropped(order_id):
                self._add_known(logging.INFO, "withdrawn before it was sent", order_id)
            case OrderDenied(order_id=order_id):
                facts = {"rule": action.rule, "limit": action.limit, "asked": action.asked}
                self._add_known(logging.WARNING, "denied", order_id, **facts)
            case _:
                pass

    def _note_report(self, order_id: str) -> None:
        order = self._engine.blotter.orders.get(order_id)
        if order is None or self._told.get(order_id) is order.status:
            return
        refused = order.status.value in ("rejected", "unknown")
        self._add(logging.WARNING if refused else logging.INFO, f"is {order.status.value}", order)

    def _add_known(self, level: int, what: str, order_id: str, **facts: Any) -> None:
        order = self._engine.blotter.orders.get(order_id)
        if order is not None:
            self._add(level, what, order, **facts)

    def _add(self, level: int, what: str, order: Order, **facts: Any) -> None:
        self._told[order.id] = order.status
        if not _log.isEnabledFor(level):
            return
        extra = {
            "order_id": order.id,
            "owner": order.owner,
            "symbol": order.instrument,
            "status": order.status.value,
            "reason": order.reason,
            "correlation_id": order.correlation_id,
            **facts,
        }
        words = order.id, what, order.side.value, order.quantity, order.instrument
        self._put(level, "order %s %s: %s %g %s", words, extra)

    def _put(self, level: int, template: str, words: tuple[object, ...], extra: dict[str, Any]) -> None:
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write)
        self._lines.append((level, template, words, extra))

    def _write(self) -> None:
        lines, self._lines = self._lines, collections.deque()
        for level, template, words, extra in lines:
            _log.log(level, template, *words, extra=extra)
