"""Reads bars from CSV and Parquet files, whatever their headers call the columns."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ibdesk.data.bars import COLUMNS, OPENED_AT, PRICES, CheckedBars, check_bars
from ibdesk.data.sample import sample_daily_bars
from ibdesk.errors import DataError

_SAMPLE = Path("sample")
_ENDINGS = (".csv", ".csv.gz", ".parquet")
# How the columns are commonly spelled, in lower case without blanks and underscores.
_SPELLINGS = {
    "symbol": ("symbol", "ticker", "instrument"),
    "opened_at": ("openedat", "date", "datetime", "time", "timestamp"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c", "last"),
    "volume": ("volume", "vol", "v"),
}


def read_bars(
    path: str | Path, *, symbol: str | None = None, zone: str = "UTC", allow_gaps: bool = False
) -> pl.DataFrame:
    """Return the bars of a CSV (also gzipped) or Parquet file as a checked frame, sorted by time and symbol.

    A folder stands for all such files in it, and the name ``sample`` for the daily prices of
    `sample_daily_bars`. The usual spellings of the columns are known (Date, timestamp, Open, Adj Close is
    left out, ...). A file without a symbol column takes `symbol`, or else the file's own name. Times without
    a zone are in `zone`; dates are midnight UTC, so that a daily bar closes at the next one, after New York
    has closed. A file without volume gets zeros. Missing bars are errors unless `allow_gaps`.

    Raises:
        DataError: If the file cannot be read, or a bar cannot be used; names file, row (counted from 0 after
        the header) and column.
    """
    path = Path(path)
    if path == _SAMPLE:
        return sample_daily_bars()
    if path.is_dir():
        return _read_folder(path, zone=zone, allow_gaps=allow_gaps)
    raw = _read(path)
    names = _columns(raw, path)
    frame = raw.select(pl.col(found).alias(name) for name, found in names.items())
    if "symbol" not in names:
        frame = frame.with_columns(symbol=pl.lit(symbol or path.name.partition(".")[0]))
    if "volume" not in names:
        frame = frame.with_columns(volume=pl.lit(0.0))
    frame = frame.with_columns(_times(frame["opened_at"], path, names["opened_at"], zone))
    for name in (*PRICES, "volume"):
        frame = frame.with_columns(_numbers(frame[name], path, names.get(name, name)))
    try:
        checked: CheckedBars = check_bars(frame.select(COLUMNS), allow_gaps=allow_gaps)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    return checked.frame


def _read_folder(folder: Path, *, zone: str, allow_gaps: bool) -> pl.DataFrame:
    files = sorted(file for file in folder.iterdir() if file.name.endswith(_ENDINGS))
    if not files:
        raise DataError(f"{folder} holds no CSV or Parquet file")
    bars = pl.concat([read_bars(file, zone=zone, allow_gaps=allow_gaps) for file in files])
    return check_bars(bars, allow_gaps=True).frame


def _read(path: Path) -> pl.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(path, infer_schema=False, truncate_ragged_lines=False)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path} is no table that can be read: {reason}") from None


def _columns(raw: pl.DataFrame, path: Path) -> dict[str, str]:
    """Return which column of the file holds what."""
    plain = {name.lower().replace(" ", "").replace("_", ""): name for name in raw.columns}
    names = {
        name: plain[spelling]
        for name, spellings in _SPELLINGS.items()
        for spelling in spellings[::-1]
        if spelling in plain
    }
    missing = [name for name in ("opened_at", *PRICES) if name not in names]
    if missing:
        wanted = "; ".join(f"{name} ({', '.join(_SPELLINGS[name])})" for name in missing)
        raise DataError(f"{path} lacks {wanted}: its columns are {', '.join(raw.columns)}")
    return names


def _times(column: pl.Series, path: Path, name: str, zone: str) -> pl.Series:
    match column.dtype:
        case pl.Date():
            return column.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
        case pl.Datetime(time_zone=None):
            return column.dt.replace_time_zone(zone).dt.convert_time_zone("UTC").cast(OPENED_AT)
        case pl.Datetime():
            return column.dt.convert_time_zone("UTC").cast(OPENED_AT)
        case pl.String():
            return _parsed_times(column, path, name, zone)
    raise DataError(f"{path}: column {name} holds {column.dtype}, not dates or times")


def _parsed_times(column: pl.Series, path: Path, name: str, zone: str) -> pl.Series:
    """Return ISO dates or times as instants; the first row decides which of the two they are."""
    first = column.drop_nulls().head(1)
    is_date = bool(first.len()) and first.str.to_date("%Y-%m-%d", strict=False).null_count() == 0
    if is_date:
        parsed = column.str.to_date("%Y-%m-%d", strict=False)
        times = parsed.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    else:
        zoned = bool(first.len()) and bool(first.str.contains(r"(Z|[+-]\d\d:?\d\d)$").all())
        plain = column.str.replace(" ", "T").str.to_datetime(
            time_unit="ns", time_zone="UTC" if zoned else None, strict=False
        )
        times = plain if zoned else plain.dt.replace_time_zone(zone).dt.convert_time_zone("UTC")
    _refuse_null(times, column, path, name, "a date or time like 2024-01-31 or 2024-01-31 09:30:00")
    return times.alias("opened_at")


def _numbers(column: pl.Series, path: Path, name: str) -> pl.Series:
    if column.dtype.is_numeric():
        return column.cast(pl.Float64)
    if column.dtype != pl.String:
        raise DataError(f"{path}: column {name} holds {column.dtype}, not numbers")
    numbers = column.str.strip_chars().cast(pl.Float64, strict=False)
    _refuse_null(numbers, column, path, name, "a number")
    return numbers


def _refuse_null(parsed: pl.Series, column: pl.Series, path: Path, name: str, wanted: str) -> None:
    rows = parsed.is_null().arg_true()
    if not rows.is_empty():
        row = rows[0]
        more = f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
        found = "empty" if column[row] is None else repr(column[row])
        raise DataError(f"{path}: row {row}, column {name}: {found} is not {wanted}{more}")
