"""yfinance: a header of two or three lines, fields over tickers or tickers over fields, one ticker or many."""

from __future__ import annotations

import functools
import operator

import polars as pl

from ibdesk.data.bars import PRICES
from ibdesk.data.content import Content, plain
from ibdesk.data.formats.raw import SPELLINGS, RawBars
from ibdesk.data.formats.registry import BarFormat
from ibdesk.data.layouts import layout_of
from ibdesk.errors import DataError

_FIELDS = {spelling: name for name in (*PRICES, "volume") for spelling in SPELLINGS[name]}
_ALSO = {"adjclose", "dividends", "stocksplits", "capitalgains", "repaired?"}


def field_levels(one: list[str], other: list[str]) -> tuple[list[str], list[str]] | None:
    """Return fields and tickers of two levels of column names in either order; None if neither level has the fields."""
    for fields, tickers in ((one, other), (other, one)):
        spelled = [plain(field) for field in fields]
        known = [field in _FIELDS or field in _ALSO for field in spelled]
        if (
            fields
            and all(known)
            and {_FIELDS.get(field) for field in spelled} >= set(PRICES)
            and all(map(_is_ticker, tickers))
        ):
            return fields, tickers
    return None


def _is_ticker(text: str) -> bool:
    return any(character.isalpha() for character in text) and layout_of(text) is None


def by_ticker(time: pl.Series, columns: list[pl.Series], fields: list[str], tickers: list[str]) -> pl.DataFrame:
    """Return the columns of all tickers one below the other; rows in which a ticker has no price are dropped."""
    parts = []
    for ticker in dict.fromkeys(tickers):
        part: dict[str, pl.Series] = {"opened_at": time}
        for column, field, of in zip(columns, fields, tickers, strict=True):
            name = _FIELDS.get(plain(field))
            if of == ticker and name is not None:
                part.setdefault(name, column)
        frame = pl.DataFrame([series.alias(name) for name, series in part.items()])
        filled = [_is_filled(frame[name]) for name in PRICES if name in frame.columns]
        kept = functools.reduce(operator.or_, filled, pl.Series([False]).new_from_index(0, frame.height))
        parts.append(frame.filter(kept).with_columns(symbol=pl.lit(ticker)))
    return pl.concat(parts, how="diagonal_relaxed")


def _is_filled(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        return (column.str.strip_chars() != "").fill_null(value=False)
    if column.dtype.is_float():
        return (column.is_not_null() & column.is_not_nan()).fill_null(value=False)
    return column.is_not_null()


def _levels(content: Content) -> tuple[list[str], list[str]] | None:
    head = content.head
    if len(head) < 3 or len(head[0]) < 5 or len(head[0]) != len(head[1]) or layout_of(head[1][0]) is not None:
        return None
    return field_levels(head[0][1:], head[1][1:])


def _read(content: Content) -> RawBars:
    levels = _levels(content)
    if levels is None:
        raise DataError(f"{content.name} has not the header of several lines that yfinance writes")
    third = content.head[2]
    # The third line only names the index.
    lines = 3 if third and third[0] and not any(third[1:]) else 2
    table = content.table(lines)
    names = table.columns
    frame = by_ticker(table[names[0]], [table[name] for name in names[1 : len(levels[0]) + 1]], *levels)
    index = third[0] if lines == 3 else "1"
    return RawBars(frame=frame, names={"opened_at": index})


FORMATS = (
    BarFormat(
        name="yfinance",
        about="yfinance with a header of several lines, one ticker or many",
        recognizes=lambda content: _levels(content) is not None,
        read=_read,
    ),
)
