"""A position that a run is on its way to."""

from __future__ import annotations

import msgspec


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is on its way to hold of an instrument, while orders that stand in the way are being withdrawn.

    `apart` are the orders that the run has made by itself meanwhile, and `apart_filled` what those have filled, signed:
    they are no part of it. `order_id` is the order that leads to it, once that has left. `flattens` says that a person
    or a limit wants the position closed: strategies cannot change that aim, and a halt lets it pass. `failures`
    counts the closing orders that did not close.
    """

    target: float
    apart: list[str] = []
    apart_filled: float = 0.0
    order_id: str = ""
    flattens: bool = False
    failures: int = 0
