"""Executions of our orders, and what each one cost."""

from __future__ import annotations

import msgspec

from ibdesk.model.order import Side

# What the id of a fill ends in that takes the old version of a corrected execution back.
TAKEN_BACK = "/taken-back"


class Fill(msgspec.Struct, frozen=True, kw_only=True, tag="fill"):
    """One execution of an order of ours, told apart by `execution_id`.

    `quantity` is positive; `side` says which way the position moved. `order_id` is our own order's id, empty when
    the order was not ours (a hand's, or another program's). `at_ns` is ns UTC. `currency` is that of the cash which
    the execution moves, of a currency pair both (``EUR.USD``); it is empty where none moves, as of a future, or is not
    known.
    """

    execution_id: str
    order_id: str
    instrument: str
    side: Side
    quantity: float
    price: float
    at_ns: int
    multiplier: float = 1.0
    currency: str = ""

    @property
    def signed_quantity(self) -> float:
        """Return by how much the position moved."""
        return self.side.sign * self.quantity

    @property
    def cash(self) -> float:
        """Return the money the execution moved before commission: negative for a buy."""
        return -self.signed_quantity * self.price * self.multiplier


class Commission(msgspec.Struct, frozen=True, kw_only=True, tag="commission"):
    """What the venue charged for one execution, in `currency`; it may come long after the fill.

    A later one for the same execution corrects the amount: it takes the place of the first.
    """

    execution_id: str
    amount: float
    at_ns: int
    currency: str = "USD"


def revision_of(execution_id: str) -> tuple[str, int]:
    """Return what all versions of an execution share, and the number of this one; 0 where the id has none.

    IB numbers the versions in the last part of the id: ``0000e0d5.67fe667b.01.01``, corrected ``...01.02``.
    """
    base, _, revision = execution_id.rpartition(".")
    return (base, int(revision)) if base and revision.isascii() and revision.isdigit() else (execution_id, 0)
