"""Frames as sources of bars: Polars as they are, pandas with any index and column levels."""

from __future__ import annotations

from typing import Any

import polars as pl

from ibdesk.data.content import Content
from ibdesk.data.formats.raw import RawBars, find_columns
from ibdesk.data.formats.tables import read_frame
from ibdesk.data.formats.yfinance import by_ticker, field_levels
from ibdesk.errors import DataError

POLARS, PANDAS = "the Polars frame", "the pandas frame"


def is_pandas(value: object) -> bool:
    """Return whether a value is a pandas frame, without importing pandas."""
    names = {(cls.__module__.partition(".")[0], cls.__name__) for cls in type(value).__mro__}
    return ("pandas", "DataFrame") in names


def read_polars(frame: pl.DataFrame | pl.LazyFrame) -> RawBars:
    """Return the bars of a Polars frame.

    Raises:
        DataError: If columns are missing.
    """
    return read_frame(Content(POLARS, frame=frame.lazy().collect()))


def read_pandas(frame: Any) -> RawBars:
    """Return the bars of a pandas frame; its index or a column holds the times.

    Two levels of columns are fields and tickers, as in yfinance; two levels of the index are symbol and time.

    Raises:
        DataError: If columns are missing, or a value has a type that no bar has.
    """
    if getattr(frame.columns, "nlevels", 1) > 1:
        return _read_levels(frame)
    if frame.columns.has_duplicates:
        twice = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
        raise DataError(f"{PANDAS} has the column {', '.join(twice)} more than once: keep one")
    columns = {str(name): _series(str(name), frame[name]) for name in frame.columns}
    if not find_columns(list(columns)).keys() & {"opened_at", "date", "time"} or frame.index.nlevels > 1:
        for level in range(frame.index.nlevels):
            values = frame.index.get_level_values(level)
            name = str(values.name or "index")
            columns.setdefault(_level_name(name, values, frame.index.nlevels), _series(name, values))
    return read_frame(Content(PANDAS, frame=pl.DataFrame([series.alias(name) for name, series in columns.items()])))


def _level_name(name: str, values: Any, levels: int) -> str:
    if name != "index" or levels == 1:
        return name
    return "opened_at" if values.dtype.kind == "M" or hasattr(values, "tz") else "symbol"


def _read_levels(frame: Any) -> RawBars:
    if frame.columns.nlevels != 2:
        raise DataError(f"{PANDAS} has {frame.columns.nlevels} levels of columns: two are read, fields and tickers")
    one, other = ([str(name) for name in frame.columns.get_level_values(level)] for level in (0, 1))
    levels = field_levels(one, other)
    if levels is None:
        seen = ", ".join(one[:6])
        raise DataError(f"{PANDAS} has two levels of columns, and neither holds Open, High, Low, Close: {seen}")
    columns = [_series(str(place), frame.iloc[:, place]) for place in range(frame.shape[1])]
    bars = by_ticker(_series("opened_at", frame.index), columns, *levels)
    return RawBars(frame=bars, names={"opened_at": str(frame.index.name or "index")})


def _series(name: str, values: Any) -> pl.Series:
    """Return a pandas column or index as a series; times keep their zone."""
    zone = getattr(getattr(values, "dtype", None), "tz", None)
    if zone is not None:
        in_utc = _clock(values).tz_convert("UTC")
        instants = pl.Series(name, _clock(in_utc).tz_localize(None).to_numpy()).cast(pl.Datetime("ns"))
        local = pl.Series(name, _clock(values).tz_localize(None).to_numpy()).cast(pl.Datetime("ns"))
        return _with_zone(instants, local, str(zone))
    if values.dtype.kind in "iufMb":
        return pl.Series(name, values.to_numpy())
    plain = [None if value is None or value != value else value for value in values.astype(object)]  # noqa: PLR0124
    try:
        return pl.Series(name, plain, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        return pl.Series(name, [None if value is None else str(value) for value in plain], dtype=pl.String)


def _clock(values: Any) -> Any:
    """Return the object that converts the zone of times: the accessor of a column, or the index itself."""
    return values.dt if hasattr(values, "dt") else values


def _with_zone(instants: pl.Series, local: pl.Series, zone: str) -> pl.Series:
    """Return times in their zone; a fixed offset, which Polars does not support, is appended to each time as text."""
    try:
        return instants.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    except pl.exceptions.PolarsError:
        minutes = (local - instants).dt.total_minutes()
        sign = minutes.sign().replace_strict({-1: "-", 0: "+", 1: "+"}, default=None)
        hours = (minutes.abs() // 60).cast(pl.String).str.zfill(2)
        rest = (minutes.abs() % 60).cast(pl.String).str.zfill(2)
        return local.dt.strftime("%Y-%m-%d %H:%M:%S%.f") + sign + hours + ":" + rest
