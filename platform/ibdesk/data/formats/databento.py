"""Databento's ohlcv schemas as CSV, with prices as on the wire or in decimals."""

from __future__ import annotations

import polars as pl

from ibdesk.data.bars import INTERVAL, PRICES
from ibdesk.data.content import Content
from ibdesk.data.formats.raw import RawBars, find_columns, named
from ibdesk.data.formats.registry import BarFormat
from ibdesk.errors import DataError

# The bar length of each record type: ohlcv-1s, -1m, -1h, -1d.
_LENGTHS = {"32": "1 sec", "33": "1 min", "34": "1 hour", "35": "1 day"}
# Prices on the wire are whole numbers of 1e-9, and this one means no price.
_NO_PRICE = "9223372036854775807"


def _recognizes(content: Content) -> bool:
    return "rtype" in content.header and "tsevent" in content.header and "open" in content.header


def _in_units(column: pl.Series) -> pl.Series:
    """Return raw prices in units of money, each the nearest float: Polars multiplies by 1e-9, numpy divides."""
    whole = column.str.strip_chars().replace(_NO_PRICE, None).cast(pl.Int64, strict=False)
    return pl.Series(column.name, whole.to_numpy() / 1e9)


def _read(content: Content) -> RawBars:
    header = content.head[0]
    table = content.table(1)
    found = find_columns(header)
    raw = named(table, header, found)
    prices = [pl.col(name).str.strip_chars() for name in PRICES]
    if not raw.frame.select(pl.any_horizontal(price.str.contains(".", literal=True).any() for price in prices)).item():
        raw.frame = raw.frame.with_columns(_in_units(raw.frame[name]) for name in PRICES)
        raw.notes += ("prices are counted in 1e-9",)
    types = table[table.columns[content.header.index("rtype")]].str.strip_chars()
    if unknown := sorted(set(types.unique().drop_nulls()) - _LENGTHS.keys()):
        kinds = ", ".join(unknown)
        raise DataError(f"{content.name} has records of type {kinds}, which are no bars: use an ohlcv schema")
    raw.frame = raw.frame.with_columns(types.replace_strict(_LENGTHS, default=None).alias(INTERVAL))
    raw.day_zone = "UTC"
    raw.own_zone = "UTC"
    return raw


FORMATS = (
    BarFormat(
        name="databento",
        about="Databento ohlcv schemas; times UTC, prices raw (1e-9) or decimal",
        recognizes=_recognizes,
        read=_read,
    ),
)
