"""Round trips: positions from the first opening fill to the closing fill."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import polars as pl

from ibdesk.model import Fill, Side

SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "side": pl.String(),
    "quantity": pl.Float64(),
    "opened_at": pl.Datetime("ns", "UTC"),
    "closed_at": pl.Datetime("ns", "UTC"),
    "entry_price": pl.Float64(),
    "exit_price": pl.Float64(),
    "gross_pnl": pl.Float64(),
    "commission": pl.Float64(),
    "pnl": pl.Float64(),
    "return": pl.Float64(),
    "fills": pl.Int64(),
}
"""`quantity` is the total opened; prices are averages over it; `return` is `pnl` divided by the entry's value."""


class _Trip(msgspec.Struct):
    """An open round trip."""

    symbol: str
    side: Side
    opened_ns: int
    multiplier: float
    held: float = 0.0
    bought_in: float = 0.0
    entry_value: float = 0.0
    exit_value: float = 0.0
    commission: float = 0.0
    fills: int = 0


def round_trips(fills: Iterable[tuple[Fill, float]]) -> pl.DataFrame:
    """Return the closed round trips of fills and their commissions, in order of closing.

    A fill that crosses zero closes one trip and opens the next; its commission is split by quantity. A position that
    is open at the end is not a round trip.
    """
    open_trips: dict[str, _Trip] = {}
    rows = []
    for fill, commission in fills:
        left = fill.quantity
        while left > 0:
            trip = open_trips.get(fill.instrument)
            if trip is None:
                trip = open_trips[fill.instrument] = _Trip(fill.instrument, fill.side, fill.at_ns, fill.multiplier)
            opens = fill.side is trip.side
            part = left if opens else min(left, trip.held)
            _book(trip, fill, part, commission * part / fill.quantity)
            left -= part
            # Rounding errors of binary fractions, in the fill or the trip, count as zero.
            left = 0.0 if left <= 1e-9 * fill.quantity else left
            if trip.held <= 1e-9 * trip.bought_in:
                rows.append(_row(trip, fill.at_ns))
                del open_trips[fill.instrument]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _book(trip: _Trip, fill: Fill, quantity: float, commission: float) -> None:
    trip.fills += 1
    trip.commission += commission
    if fill.side is trip.side:
        trip.held += quantity
        trip.bought_in += quantity
        trip.entry_value += quantity * fill.price
    else:
        trip.held -= quantity
        trip.exit_value += quantity * fill.price


def _row(trip: _Trip, closed_ns: int) -> tuple[object, ...]:
    gross = (trip.exit_value - trip.entry_value) * trip.side.sign * trip.multiplier
    pnl = gross - trip.commission
    invested = abs(trip.entry_value) * trip.multiplier
    return (
        trip.symbol,
        "long" if trip.side is Side.BUY else "short",
        trip.bought_in,
        trip.opened_ns,
        closed_ns,
        trip.entry_value / trip.bought_in,
        trip.exit_value / trip.bought_in,
        gross,
        trip.commission,
        pnl,
        pnl / invested if invested else None,
        trip.fills,
    )
