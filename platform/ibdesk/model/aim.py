"""The position that a run is moving to."""

from __future__ import annotations

import msgspec


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """The position that a run is moving to in one instrument, while conflicting orders are being withdrawn.

    `apart` are the orders that the run has made by itself meanwhile, and `apart_filled` is their filled quantity,
    signed; they are not part of the aim. `order_id` is the order that leads to the target, once it has left.
    `flattens` says that a person or a limit wants the position closed: strategies cannot change such an aim, and a
    halt lets it pass. `failures` counts the closing orders that did not close the position.
    """

    target: float
    apart: list[str] = []
    apart_filled: float = 0.0
    order_id: str = ""
    flattens: bool = False
    failures: int = 0
