"""Actions: what the engine wants done, and its only output.

Equal event sequences give equal action sequences, byte for byte in the form of `encode_actions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ibdesk.model.aim import Aim
from ibdesk.model.event import Severity
from ibdesk.model.halt import DESK_SCOPE, Halt, TradingState
from ibdesk.model.order import Order


class PlaceOrder(msgspec.Struct, frozen=True, tag="place_order"):
    """Send this order to the venue."""

    order: Order


class ModifyOrder(msgspec.Struct, frozen=True, kw_only=True, tag="modify_order"):
    """Change the terms of an open order; the prices and quantity are all of the new terms."""

    order_id: str
    quantity: float
    limit_price: float | None
    stop_price: float | None


class CancelOrder(msgspec.Struct, frozen=True, tag="cancel_order"):
    """Withdraw the remaining quantity of an open order."""

    order_id: str


class OrderDenied(msgspec.Struct, frozen=True, kw_only=True, tag="order_denied"):
    """A risk rule refused an order: `rule` allows `limit`, and the order asked for `asked`."""

    order_id: str
    rule: str
    limit: float
    asked: float
    at_ns: int


class OrderQueued(msgspec.Struct, frozen=True, tag="order_queued"):
    """An order waits because this second's maximum of orders has left; `order` is created, not sent.

    The action is repeated with the order's new terms when those change while it waits.
    """

    order: Order


class OrderDropped(msgspec.Struct, frozen=True, tag="order_dropped"):
    """A waiting order was withdrawn; it never left."""

    order_id: str
    at_ns: int


class SetTimer(msgspec.Struct, frozen=True, tag="set_timer"):
    """Send `TimerFired` with this id at `at_ns`."""

    timer_id: str
    at_ns: int


class Alert(msgspec.Struct, frozen=True, kw_only=True, tag="alert"):
    """Notify a person; `origin` is the run, or the part of the engine, that reports it."""

    origin: str
    text: str
    at_ns: int
    severity: Severity = Severity.INFO


class TradingHalted(msgspec.Struct, frozen=True, tag="trading_halted"):
    """Only orders that reduce a position pass the risk gate from now on, until a person lifts the halt `id`.

    `scope`, `state` and `rule` are those of the `Halt`.
    """

    reason: str
    at_ns: int
    by: str
    id: str
    scope: str = DESK_SCOPE
    state: TradingState = TradingState.HALTED
    rule: str = ""

    @property
    def halt(self) -> Halt:
        """Return the halt that began."""
        return Halt(self.reason, self.by, self.at_ns, self.id, self.scope, self.state, self.rule)


class RunFailed(msgspec.Struct, frozen=True, tag="run_failed"):
    """A run ended because its own code raised; `note` holds the error."""

    run_id: str
    note: str
    at_ns: int


class StateChanged(msgspec.Struct, frozen=True, tag="state_changed"):
    """The changes that this event made to the state of a run's strategy; a restart restores that state.

    `changes` have the form of `ibdesk.engine.state_changes`: applied to the state before, they give the state after.
    """

    run_id: str
    changes: list[list[Any]]


class AimChanged(msgspec.Struct, frozen=True, tag="aim_changed"):
    """A run is moving to hold `aim.target` of an instrument; None when it no longer is."""

    run_id: str
    instrument: str
    aim: Aim | None


Action = (
    PlaceOrder
    | ModifyOrder
    | CancelOrder
    | OrderDenied
    | OrderQueued
    | OrderDropped
    | SetTimer
    | Alert
    | TradingHalted
    | RunFailed
    | StateChanged
    | AimChanged
)

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[list[Action]] = msgspec.msgpack.Decoder(list[Action])


def encode_actions(actions: Sequence[Action]) -> bytes:
    """Return the actions' journal form (msgpack, equal actions give equal bytes)."""
    return _ENCODER.encode(actions)


def decode_actions(data: bytes) -> list[Action]:
    """Return the actions that `data` encodes.

    Raises:
        msgspec.DecodeError: If `data` is not a list of actions.
    """
    return _DECODER.decode(data)
