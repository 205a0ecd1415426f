"""General tables: with a header of usual names, without a header, or with typed columns."""

from __future__ import annotations

import re

import polars as pl

from ibdesk.data.bars import COLUMNS, PRICES
from ibdesk.data.content import Content
from ibdesk.data.formats.raw import SPELLINGS, RawBars, find_columns, has_prices, named
from ibdesk.data.formats.registry import BarFormat
from ibdesk.data.layouts import is_clock, layout_of
from ibdesk.errors import DataError

_NUMBER = re.compile(r"[-+]?[$]?[\d.,']*\d[\d.,']*([eE][-+]?\d+)?[KMBkmb%]?")


def read_named(content: Content) -> RawBars:
    """Return the bars of a table with a header.

    Raises:
        DataError: If columns are missing.
    """
    header = content.head[0]
    found = find_columns(header)
    if not has_prices(found):
        missing = [name for name in PRICES if name not in found]
        missing += [] if found.keys() & {"opened_at", "date", "time"} else ["opened_at"]
        wanted = "; ".join(f"{name} ({', '.join(_usual(name)[:3])})" for name in missing)
        raise DataError(f"{content.name} lacks {wanted}: its columns are {', '.join(header)[:300]}")
    return named(content.table(1), header, found)


def _usual(name: str) -> tuple[str, ...]:
    return ("date", "time", "timestamp") if name == "opened_at" else SPELLINGS[name]


def _has_header(content: Content) -> bool:
    return bool(content.head) and len(content.head[0]) > 1 and not _is_data(content.head[0])


def _is_data(cells: list[str]) -> bool:
    """Return whether a line contains a date and at least four numbers."""
    numbers = sum(bool(_NUMBER.fullmatch(cell)) for cell in cells)
    return numbers >= 4 and any(layout_of(cell) is not None for cell in cells[:2])


def read_headerless(content: Content) -> RawBars:
    """Return the bars of a table without a header: optional symbol, date, optional time, prices, optional volume."""
    first = content.head[0]
    names = [] if layout_of(first[0]) is not None else ["symbol"]
    names.append("opened_at")
    after = first[len(names)] if len(first) > len(names) else ""
    is_packed = re.fullmatch(r"\d{4}|\d{6}", after) and len(first) - len(names) > len(PRICES) + 1
    if is_packed or (is_clock(after) and not _NUMBER.fullmatch(after)):
        names[-1:] = ["date", "time"]
    names += [*PRICES, "volume"]
    table = content.table(0)
    if table.width < len(names) - 1:
        raise DataError(f"{content.name} has no header and {table.width} columns: {', '.join(names)} are needed")
    columns = dict(zip(names, table.columns, strict=False))
    raw = RawBars(frame=table.select(pl.col(column).alias(name) for name, column in columns.items()))
    raw.names = {name: f"{place + 1}" for place, name in enumerate(columns)}
    raw.notes = (f"no header: columns are taken as {', '.join(columns)}",)
    if table.width > len(names):
        raw.notes += (f"columns left out: the last {table.width - len(names)}",)
    return raw


def _is_own(content: Content) -> bool:
    return content.frame is None and content.head[:1] != [] and content.head[0][: len(COLUMNS)] == list(COLUMNS)


def _read_own(content: Content) -> RawBars:
    return read_named(content)


def read_frame(content: Content) -> RawBars:
    """Return the bars of a typed frame.

    Raises:
        DataError: If columns are missing.
    """
    frame = content.frame if content.frame is not None else pl.DataFrame()
    found = find_columns(frame.columns)
    if not has_prices(found):
        missing = [name for name in PRICES if name not in found]
        missing += [] if found.keys() & {"opened_at", "date", "time"} else ["opened_at"]
        raise DataError(
            f"{content.name} lacks the columns {', '.join(missing)}: it has {', '.join(map(str, frame.columns))[:300]}"
        )
    return named(frame, frame.columns, found)


FORMATS = (
    BarFormat(
        name="ibdesk",
        about="ibdesk's own columns: symbol, opened_at with its zone, open, high, low, close, volume",
        recognizes=_is_own,
        read=_read_own,
    ),
    BarFormat(
        name="frame",
        about="Parquet, Arrow, Polars and pandas: typed columns under their usual names",
        recognizes=lambda content: content.frame is not None,
        read=read_frame,
    ),
    BarFormat(
        name="headerless",
        about="no header: date, optional time, open, high, low, close, volume (FirstRate, Kibot, MetaTrader 4, ...)",
        recognizes=lambda content: bool(content.head) and _is_data(content.head[0]),
        read=read_headerless,
    ),
    BarFormat(
        name="csv",
        about="a header with the usual names in any order; any delimiter, decimal point or comma",
        recognizes=_has_header,
        read=read_named,
    ),
)
