"""The fills of a desk with their owners and commissions, and its tables of orders, fills and positions."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable

import msgspec
import polars as pl

from ibdesk.backtest.round_trips import round_trips
from ibdesk.desk.tables import BlockTable
from ibdesk.desk.unanswered import Asked, Unanswered
from ibdesk.engine import EXTERNAL, Engine
from ibdesk.model import Commission, Fill, FillSnapshot, Order, Position
from ibdesk.store import Row

_TIME = pl.Datetime("ns", "UTC")
# Rounding error allowed in a closed position.
_FLAT = 1e-6

ORDER_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "id": pl.String,
    "owner": pl.String,
    "symbol": pl.String,
    "side": pl.String,
    "quantity": pl.Float64,
    "filled": pl.Float64,
    "type": pl.String,
    "limit_price": pl.Float64,
    "stop_price": pl.Float64,
    "time_in_force": pl.String,
    "status": pl.String,
    "average_price": pl.Float64,
    "reason": pl.String,
    "by": pl.String,
    "client_key": pl.String,
    "correlation_id": pl.String,
    "version": pl.Int64,
    "created_at": _TIME,
    "updated_at": _TIME,
}
# The request that the venue has not answered yet, a change or a cancel, and its time.
PENDING_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {"pending": pl.String, "pending_since": _TIME}
FILL_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "execution_id": pl.String,
    "order_id": pl.String,
    "owner": pl.String,
    "symbol": pl.String,
    "side": pl.String,
    "quantity": pl.Float64,
    "price": pl.Float64,
    "commission": pl.Float64,
    "filled_at": _TIME,
}
POSITION_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "owner": pl.String,
    "symbol": pl.String,
    "quantity": pl.Float64,
    "average_price": pl.Float64,
    "last_price": pl.Float64,
    "mark_price": pl.Float64,
    "unrealized_pnl": pl.Float64,
    "realized_pnl": pl.Float64,
    "commission": pl.Float64,
}
QUOTE_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "symbol": pl.String,
    "at": _TIME,
    "bid": pl.Float64,
    "ask": pl.Float64,
    "bid_size": pl.Float64,
    "ask_size": pl.Float64,
}


class BookedFill(msgspec.Struct, frozen=True):
    """A fill, its owner, and its commission once that is known."""

    fill: Fill
    owner: str
    commission: float | None = None


class Ledger:
    """The list of fills, which the engine does not keep; everything else is read from the engine."""

    def __init__(self, engine: Engine, unanswered: Unanswered) -> None:
        self._engine, self._unanswered = engine, unanswered
        self._fills: dict[str, BookedFill] = {}
        self._early: dict[str, float] = {}
        self._order_table, self._fill_table = BlockTable(_order_frame), BlockTable(_fill_frame)

    def book(self, fill: Fill) -> BookedFill:
        """Store a fill that the engine has just booked; a known fill is returned unchanged."""
        known = self._fills.get(fill.execution_id)
        if known is None:
            owner = self._engine.portfolio.owner_of(fill.execution_id) or EXTERNAL
            known = BookedFill(fill, owner, self._early.pop(fill.execution_id, None))
            self._fills[fill.execution_id] = known
        return known

    def restore(self, fills: Iterable[FillSnapshot]) -> None:
        """Store the fills of earlier journals."""
        for left in fills:
            self._fills[left.fill.execution_id] = BookedFill(left.fill, left.owner, left.commission)

    def rows(self) -> list[Row]:
        """Return a row per fill, oldest first."""
        return [fill_row(booked) for booked in self._fills.values()]

    def charge(self, commission: Commission) -> BookedFill | None:
        """Add a commission to its fill; return None if the fill is not known yet."""
        booked = self._fills.get(commission.execution_id)
        if booked is None:
            self._early[commission.execution_id] = commission.amount
            return None
        booked = msgspec.structs.replace(booked, commission=commission.amount)
        self._fills[commission.execution_id] = booked
        return booked

    @property
    def count(self) -> int:
        """The number of fills."""
        return len(self._fills)

    # --- rows for the feed

    def position_rows(self) -> list[Row]:
        """Return a row per owner and instrument with a current or past position, marked at the last price."""
        rows: list[Row] = []
        for book in self._engine.portfolio.books.values():
            for position in book.positions.values():
                price = self._engine.price_of(position.instrument)
                rows.append(
                    {
                        "owner": book.owner,
                        "symbol": position.instrument,
                        "quantity": position.quantity,
                        "average_price": finite(position.average_price),
                        "last_price": self._engine.orders.last_of(position.instrument),
                        "mark_price": price,
                        "unrealized_pnl": unrealized(position, price),
                        "realized_pnl": position.realized_pnl,
                        "commission": self._engine.orders.exposures.commission(book.owner, position.instrument),
                    }
                )
        return rows

    # --- tables for people

    # There may be a day's orders and fills, and no tick must wait while a table is made of them. The loop only copies
    # references to immutable values. The rest is done in another thread, and is kept small because that thread holds
    # the interpreter lock meanwhile.

    async def orders(self) -> pl.DataFrame:
        """Return every order, oldest first."""
        orders = list(self._engine.blotter.orders.values())
        # These values change while the order does not; they are few, and are read on the loop.
        asked = {order.id: self._unanswered.of(order.id) for order in orders} if len(self._unanswered) else {}
        table = await asyncio.to_thread(self._order_table.of, orders)
        found = [asked.get(order.id) for order in orders]
        columns = {"pending": [a.what if a else "" for a in found], "pending_since": [a and a.since_ns for a in found]}
        return table.with_columns(pl.DataFrame(columns, schema=PENDING_SCHEMA).iter_columns())

    def order_row(self, order: Order) -> Row:
        """Return the order as plain columns, with its unanswered request."""
        return order_row(order, self._unanswered.of(order.id))

    async def fills(self) -> pl.DataFrame:
        """Return every fill, oldest first."""
        return await asyncio.to_thread(self._fill_table.of, list(self._fills.values()))

    async def round_trips(self) -> pl.DataFrame:
        """Return closed round trips by owner; an unknown commission counts as zero.

        A trip that began before the oldest known fill is left out.
        """
        held = {
            (book.owner, position.instrument): position.quantity
            for book in self._engine.portfolio.books.values()
            if book.owner != EXTERNAL
            for position in book.positions.values()
        }
        return await asyncio.to_thread(_round_trip_frame, list(self._fills.values()), held)

    def positions(self) -> pl.DataFrame:
        """Return current and past positions by owner."""
        return _frame(self.position_rows(), POSITION_SCHEMA)

    def quotes(self) -> pl.DataFrame:
        """Return the last quote of each instrument that has one."""
        quotes = [market.quote for market in self._engine.markets.values() if market.quote is not None]
        rows = [
            {
                "symbol": quote.instrument,
                "at_ns": quote.at_ns,
                "bid": finite(quote.bid),
                "ask": finite(quote.ask),
                "bid_size": quote.bid_size,
                "ask_size": quote.ask_size,
            }
            for quote in quotes
        ]
        return _frame(rows, QUOTE_SCHEMA)


def order_row(order: Order, asked: Asked | None = None) -> Row:
    """Return the order as plain columns; `asked` is the request that the venue has not answered yet."""
    return {
        "id": order.id,
        "owner": order.owner,
        "symbol": order.instrument,
        "side": order.side.value,
        "quantity": order.quantity,
        "filled": order.filled,
        "type": order.type.value,
        "limit_price": order.limit_price,
        "stop_price": order.stop_price,
        "time_in_force": order.time_in_force.value,
        "status": order.status.value,
        "average_price": order.average_price if order.filled else None,
        "reason": order.reason,
        "by": order.by,
        "client_key": order.client_key,
        "correlation_id": order.correlation_id,
        "version": order.version,
        "pending": "" if asked is None else asked.what,
        "pending_ns": None if asked is None else asked.since_ns,
        "created_ns": order.created_ns,
        "updated_ns": order.updated_ns,
    }


def fill_row(booked: BookedFill) -> Row:
    """Return the fill as plain columns."""
    fill = booked.fill
    return {
        "execution_id": fill.execution_id,
        "order_id": fill.order_id,
        "owner": booked.owner,
        "symbol": fill.instrument,
        "side": fill.side.value,
        "quantity": fill.quantity,
        "price": fill.price,
        "commission": booked.commission,
        "at_ns": fill.at_ns,
    }


def _order_frame(orders: list[Order]) -> pl.DataFrame:
    columns = {
        "id": [order.id for order in orders],
        "owner": [order.owner for order in orders],
        "symbol": [order.instrument for order in orders],
        "side": [order.side.value for order in orders],
        "quantity": [order.quantity for order in orders],
        "filled": [order.filled for order in orders],
        "type": [order.type.value for order in orders],
        "limit_price": [order.limit_price for order in orders],
        "stop_price": [order.stop_price for order in orders],
        "time_in_force": [order.time_in_force.value for order in orders],
        "status": [order.status.value for order in orders],
        "average_price": [order.average_price if order.filled else None for order in orders],
        "reason": [order.reason for order in orders],
        "by": [order.by for order in orders],
        "client_key": [order.client_key for order in orders],
        "correlation_id": [order.correlation_id for order in orders],
        "version": [order.version for order in orders],
        "created_at": [order.created_ns for order in orders],
        "updated_at": [order.updated_ns for order in orders],
    }
    return pl.DataFrame(columns, schema=ORDER_SCHEMA)


def _fill_frame(fills: list[BookedFill]) -> pl.DataFrame:
    return _frame([fill_row(booked) for booked in fills], FILL_SCHEMA)


def _round_trip_frame(fills: list[BookedFill], held: dict[tuple[str, str], float]) -> pl.DataFrame:
    """Return the closed round trips of these fills, which led to the positions `held` by owner and instrument."""
    by_owner: dict[str, list[tuple[Fill, float]]] = {}
    for booked in _since_flat(fills, held):
        by_owner.setdefault(booked.owner, []).append((booked.fill, booked.commission or 0.0))
    trips = [round_trips(fills).select(pl.lit(owner).alias("owner"), pl.all()) for owner, fills in by_owner.items()]
    return pl.concat(trips) if trips else round_trips([]).select(pl.lit("").alias("owner"), pl.all())


def _since_flat(fills: list[BookedFill], held: dict[tuple[str, str], float]) -> list[BookedFill]:
    """Return the fills since their book was first flat: the fills before may be incomplete."""
    quantities = dict(held)
    for booked in fills:
        key = booked.owner, booked.fill.instrument
        if key in quantities:
            quantities[key] -= booked.fill.signed_quantity
    kept = []
    for booked in fills:
        key = booked.owner, booked.fill.instrument
        if abs(quantities.get(key, 0.0)) > _FLAT:
            quantities[key] += booked.fill.signed_quantity
        else:
            kept.append(booked)
    return kept


def unrealized(position: Position, price: float | None) -> float | None:
    """Return the profit of closing a position now, None while its cost or the price is not known."""
    if not position.quantity:
        return 0.0
    return None if price is None else finite(position.unrealized_pnl(price))


def finite(figure: float) -> float | None:
    """Return the figure, None if it is NaN or infinite: rows contain no NaN."""
    return figure if math.isfinite(figure) else None


_TIME_COLUMNS = {"created_at": "created_ns", "updated_at": "updated_ns", "filled_at": "at_ns", "at": "at_ns"}


def _frame(rows: list[Row], schema: dict[str, pl.DataType | type[pl.DataType]]) -> pl.DataFrame:
    columns = {name: [row[_TIME_COLUMNS.get(name, name)] for row in rows] for name in schema}
    return pl.DataFrame(columns, schema=schema)
