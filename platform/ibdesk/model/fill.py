"""Executions of our orders, and their commissions."""

from __future__ import annotations

import msgspec

from ibdesk.model.order import Side

TAKEN_BACK = "/taken-back"
"""The suffix of a fill's id that reverses the old version of a corrected execution."""


class Fill(msgspec.Struct, frozen=True, kw_only=True, tag="fill"):
    """One execution of an order of ours, identified by `execution_id`.

    `quantity` is positive; `side` says which way the position moved. `order_id` is our own order's id, empty if the
    order was not ours (placed by hand at TWS, or by another program). `at_ns` is ns UTC. `currency` is that of the cash
    which the execution moves, for a currency pair both (``EUR.USD``); it is empty if no cash moves, as with a future,
    or if it is not known.
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
        """Return the change of the position."""
        return self.side.sign * self.quantity

    @property
    def cash(self) -> float:
        """Return the money the execution moved before commission: negative for a buy."""
        return -self.signed_quantity * self.price * self.multiplier


class Commission(msgspec.Struct, frozen=True, kw_only=True, tag="commission"):
    """The venue's charge for one execution, in `currency`; it may arrive long after the fill.

    A later commission of the same execution replaces the earlier one.
    """

    execution_id: str
    amount: float
    at_ns: int
    currency: str = "USD"


def revision_of(execution_id: str) -> tuple[str, int]:
    """Return the part of the id that all versions of an execution share, and the number of this version, or 0.

    IB numbers the versions in the last part of the id: ``0000e0d5.67fe667b.01.01``, corrected ``...01.02``.
    """
    base, _, revision = execution_id.rpartition(".")
    return (base, int(revision)) if base and revision.isascii() and revision.isdigit() else (execution_id, 0)
