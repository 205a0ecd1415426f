"""JSON: Polygon, Alpaca, Alpha Vantage, Yahoo's chart, and plain records or columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from ibdesk.data.bars import PRICES
from ibdesk.data.content import Content
from ibdesk.data.formats.raw import RawBars, find_columns, has_prices, named
from ibdesk.data.formats.registry import BarFormat
from ibdesk.errors import DataError

# The days of these vendors' daily bars begin at midnight in New York.
_NEW_YORK = "America/New_York"


def frame_of(records: Iterable[object], where: str) -> pl.DataFrame:
    """Return records as a frame.

    Raises:
        DataError: If a record is not an object of plain values.
    """
    names: dict[str, None] = {}
    rows: list[Mapping[str, Any]] = []
    for row, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise DataError(f"{where}: record {row} is not an object with named values")
        names.update(dict.fromkeys(record))
        rows.append(record)
    return pl.DataFrame([column_of(name, [record.get(name) for record in rows], where) for name in names])


def column_of(name: str, values: list[Any], where: str) -> pl.Series:
    """Return values as a column of numbers or of text.

    Raises:
        DataError: If a value is neither.
    """
    known = [value for value in values if value is not None]
    if not all(isinstance(value, int | float | str) for value in known):
        raise DataError(f"{where}: {name} holds values that are neither numbers nor text")
    if all(isinstance(value, int) for value in known):
        if all(abs(value) < 2**63 for value in known):
            return pl.Series(name, values, dtype=pl.Int64, strict=False)
        values = [None if value is None else str(value) for value in values]
    elif all(isinstance(value, int | float) for value in known):
        return pl.Series(name, [None if value is None else _float(value) for value in values], dtype=pl.Float64)
    return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _bars(records: Iterable[object], where: str, *, symbol: str | None = None) -> RawBars:
    frame = frame_of(records, where)
    if frame.is_empty():
        raise DataError(f"{where} holds no bars")
    found = find_columns(frame.columns)
    if not has_prices(found):
        raise DataError(
            f"{where} lacks time, open, high, low or close: its records have {', '.join(frame.columns)[:200]}"
        )
    raw = named(frame, frame.columns, found)
    raw.symbol = symbol
    return raw


# ---- Polygon and Alpaca ----------------------------------------------------------------------------------------------


def _is_polygon(content: Content) -> bool:
    document = content.document
    return isinstance(document, dict) and "resultsCount" in document and isinstance(document.get("results"), list)


def _read_polygon(content: Content) -> RawBars:
    ticker = content.document.get("ticker")
    raw = _bars(content.document["results"], content.name, symbol=ticker if isinstance(ticker, str) else None)
    raw.day_zone = _NEW_YORK
    return raw


def _is_alpaca(content: Content) -> bool:
    document = content.document
    return isinstance(document, dict) and isinstance(document.get("bars"), dict | list)


def _read_alpaca(content: Content) -> RawBars:
    bars = content.document["bars"]
    if isinstance(bars, list):
        symbol = content.document.get("symbol")
        raw = _bars(bars, content.name, symbol=symbol if isinstance(symbol, str) else None)
    else:
        records = [
            {**record, "symbol": symbol} if isinstance(record, dict) else record
            for symbol, rows in bars.items()
            for record in (rows if isinstance(rows, list) else [rows])
        ]
        raw = _bars(records, content.name)
    raw.day_zone = _NEW_YORK
    return raw


# ---- Alpha Vantage ---------------------------------------------------------------------------------------------------


def _series_key(document: object) -> str | None:
    if not isinstance(document, dict) or not isinstance(document.get("Meta Data"), dict):
        return None
    return next((key for key, value in document.items() if "Time Series" in key and isinstance(value, dict)), None)


def _read_alpha_vantage(content: Content) -> RawBars:
    key = _series_key(content.document)
    if key is None:
        raise DataError(f"{content.name} is not a time series of Alpha Vantage")
    about = {str(name).partition(". ")[2]: value for name, value in content.document["Meta Data"].items()}
    records = [
        {"timestamp": time, **record} if isinstance(record, dict) else record
        for time, record in content.document[key].items()
    ]
    symbol, zone = about.get("Symbol"), about.get("Time Zone")
    raw = _bars(records, content.name, symbol=symbol if isinstance(symbol, str) else None)
    raw.own_zone = zone if isinstance(zone, str) else None
    return raw


# ---- Yahoo's chart ---------------------------------------------------------------------------------------------------


def _chart(document: object) -> dict[str, Any] | None:
    try:
        result = document["chart"]["result"][0]  # type: ignore[index]  # a document without this part is not a chart
        quote = result["indicators"]["quote"][0]
        is_chart = isinstance(result["timestamp"], list) and all(isinstance(quote[name], list) for name in PRICES)
    except (KeyError, IndexError, TypeError):
        return None
    return result if is_chart and isinstance(result.get("meta", {}), dict) else None


def _read_chart(content: Content) -> RawBars:
    chart = _chart(content.document)
    if chart is None:
        raise DataError(f"{content.name} is not a chart of Yahoo")
    about = chart.get("meta", {})
    columns = {"timestamp": chart["timestamp"], **chart["indicators"]["quote"][0]}
    symbol, zone = about.get("symbol"), about.get("exchangeTimezoneName")
    raw = _columns(columns, content.name)
    raw.symbol = symbol if isinstance(symbol, str) else None
    raw.day_zone = zone if isinstance(zone, str) else None
    return raw


def _columns(columns: Mapping[str, Any], where: str) -> RawBars:
    """Return the bars of columns given as lists of one length."""
    lists = {str(name): values for name, values in columns.items() if isinstance(values, list)}
    if len({len(values) for values in lists.values()}) != 1:
        raise DataError(f"{where}: its columns differ in length")
    frame = pl.DataFrame([column_of(name, values, where) for name, values in lists.items()])
    found = find_columns(frame.columns)
    if not has_prices(found):
        raise DataError(f"{where} lacks time, open, high, low or close: it has {', '.join(frame.columns)[:200]}")
    return named(frame, frame.columns, found)


# ---- plain records and columns ---------------------------------------------------------------------------------------


def _is_records(content: Content) -> bool:
    document = content.document
    return isinstance(document, list) and bool(document) and isinstance(document[0], dict)


def _is_columns(content: Content) -> bool:
    document = content.document
    if not isinstance(document, dict):
        return False
    lists = [str(name) for name, value in document.items() if isinstance(value, list)]
    try:
        return has_prices(find_columns(lists))
    except DataError:
        return False


FORMATS = (
    BarFormat(name="polygon", about="Polygon aggregates (JSON); UTC ms", recognizes=_is_polygon, read=_read_polygon),
    BarFormat(name="alpaca", about="Alpaca bars (JSON), one symbol or many", recognizes=_is_alpaca, read=_read_alpaca),
    BarFormat(
        name="alphavantage-json",
        about="Alpha Vantage time series (JSON), which state their zone",
        recognizes=lambda content: _series_key(content.document) is not None,
        read=_read_alpha_vantage,
    ),
    BarFormat(
        name="yahoo-chart",
        about="Yahoo's chart API (JSON)",
        recognizes=lambda content: _chart(content.document) is not None,
        read=_read_chart,
    ),
    BarFormat(
        name="json-records",
        about="JSON or JSON lines: one object per bar",
        recognizes=_is_records,
        read=lambda content: _bars(content.document, content.name),
    ),
    BarFormat(
        name="json-columns",
        about="JSON: one list per column",
        recognizes=_is_columns,
        read=lambda content: _columns(content.document, content.name),
    ),
)
