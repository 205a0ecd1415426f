"""Sums over rows of positions, in which figures can be unknown."""

from __future__ import annotations

from collections.abc import Iterable

from ibdesk.engine.portfolio import EXTERNAL
from ibdesk.store.feed import Row


def total(rows: Iterable[Row], name: str) -> float | None:
    """Return the sum of a figure over positions, None if one that matters is unknown.

    An external position without a price counts as nothing; a difference between account and books whose cost is unknown
    matters, because it may be ours.
    """
    found = 0.0
    for row in rows:
        figure = row[name]
        if figure is not None:
            found += figure
        elif row["quantity"] and (row["owner"] != EXTERNAL or row["average_price"] is None):
            return None
    return found


def profit(rows: Iterable[Row]) -> float | None:
    """Return realized and unrealized profit less commission, None if a part of it is unknown."""
    positions = list(rows)
    realized, unrealized, commission = (total(positions, n) for n in ("realized_pnl", "unrealized_pnl", "commission"))
    if realized is None or unrealized is None or commission is None:
        return None
    return realized + unrealized - commission


def gross_profit(rows: Iterable[Row]) -> float | None:
    """Return realized and unrealized profit before commission, None if a part of it is unknown."""
    positions = list(rows)
    realized, unrealized = total(positions, "realized_pnl"), total(positions, "unrealized_pnl")
    return None if realized is None or unrealized is None else realized + unrealized
