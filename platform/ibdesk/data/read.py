"""Reads bars from files in any layout, folders of them, and pandas and Polars frames."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from ibdesk.data.bars import COLUMNS, INTERVAL, Bars
from ibdesk.data.checks import check_bars
from ibdesk.data.content import MAX_BYTES, read_content
from ibdesk.data.convert import Part, ReadOptions, convert, in_order
from ibdesk.data.formats.registry import format_of
from ibdesk.data.frames import PANDAS, POLARS, is_pandas, read_pandas, read_polars
from ibdesk.data.intervals import Interval
from ibdesk.data.layouts import DATE_ORDERS
from ibdesk.data.names import last_years, symbol_id
from ibdesk.data.sample import sample_daily_bars
from ibdesk.data.splits import Split, adjust_for_splits
from ibdesk.data.times import zone_or_error
from ibdesk.data.trading_dates import trading_dates
from ibdesk.errors import DataError
from ibdesk.model import AnyInstrument

_SAMPLE = Path("sample")
# The endings of files of bars in a folder, optionally followed by .gz, .zip, .xz, .bz2 or .zst.
ENDINGS = (".csv", ".txt", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".pq", ".arrow", ".feather")
# The errors of reading a malformed file; formats that a user adds may raise any.
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, pl.exceptions.PolarsError)
_PACKED = (".gz", ".zip", ".xz", ".bz2", ".zst")


def read_bars(
    source: Any,
    *,
    symbol: str | None = None,
    zone: str | None = None,
    date_order: str | None = None,
    decimal: str | None = None,
    format: str | None = None,  # noqa: A002 - the natural name
    interval: Interval = None,
    splits: Iterable[Split | str] = (),
    instruments: Mapping[str, AnyInstrument] | None = None,
    allow_gaps: bool = False,
    max_bytes: int = MAX_BYTES,
) -> Bars:
    """Return the bars of a file, a folder, a pandas or a Polars frame, checked and sorted.

    The layout is recognized by content (`ibdesk data formats` lists the known ones) and named in `Bars.format`; files
    may be compressed. A folder means all files of bars in it, and the name ``sample`` the daily prices of
    `sample_daily_bars`. Facts that a file does not state are requested in one error message, never guessed:

    * `symbol`: the instrument, if neither content nor file name states it.
    * `zone`: the zone of times without one. Daily bars need none; they belong to their date.
    * `date_order`: ``mdy`` or ``dmy`` for dates like 01/02/2024 if no row shows it.
    * `decimal`: ``.`` or ``,`` for numbers like 1,234 if no row shows it.
    * `format`: a layout by name, which also applies the vendor's statements about its files.
    * `interval`: the length of bars (``1 min``, or by symbol) if they differ or there is only one row.
    * `splits`: splits to remove from the prices, as ``AAPL 2020-08-31 4:1``.
    * `instruments`: instruments by symbol, where `instrument_of` would return others.

    Missing bars are errors unless `allow_gaps`.

    Raises:
        DataError: If the source cannot be read, or a bar cannot be used; names file, row (counted from 0 after
        the header) and column.
    """
    options = ReadOptions(
        symbol=symbol,
        zone=None if zone is None else zone_or_error(zone),
        date_order=_date_order(date_order),
        decimal=decimal,
        format=format,
        interval=interval,
        instruments=instruments or {},
        max_bytes=max_bytes,
    )
    cuts = [split if isinstance(split, Split) else Split.parse(split) for split in splits]
    parts = list(_parts(source, options))
    where = parts[0].where if len(parts) == 1 else str(source)
    try:
        return _checked(parts, where, options, cuts, instruments=instruments, allow_gaps=allow_gaps)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def as_bars(source: Any, *, instruments: Mapping[str, AnyInstrument] | None = None) -> Bars:
    """Return a backtest's source as bars; a frame with ibdesk's own columns is checked as it is.

    Raises:
        DataError: If it cannot be traded on.
    """
    if isinstance(source, Bars):
        return source
    if isinstance(source, pl.DataFrame) and set(COLUMNS) <= set(source.columns):
        return check_bars(_by_id(source, instruments or {}), instruments=instruments)
    return read_bars(source, instruments=instruments, allow_gaps=True)


def _by_id(frame: pl.DataFrame, given: Mapping[str, AnyInstrument]) -> pl.DataFrame:
    """Return the frame with its symbols as ids in any spelling: BRK-B is BRK.B."""
    last = last_years(frame["symbol"], frame["opened_at"])
    names = {name: symbol_id(name, year) for name, year in last.items() if name not in given}
    spelled = {name: meant for name, meant in names.items() if name != meant}
    return frame.with_columns(pl.col("symbol").replace(spelled)) if spelled else frame


def _checked(
    parts: list[Part],
    where: str,
    options: ReadOptions,
    splits: list[Split],
    *,
    instruments: Mapping[str, AnyInstrument] | None,
    allow_gaps: bool,
) -> Bars:
    frame = _joined(parts)
    if splits:
        splits = _known_splits(splits, frame)
        dated = frame.with_columns(date=_market_dates(frame, options))
        frame = adjust_for_splits(dated, splits, time="date").drop("date")
    bars = check_bars(frame, allow_gaps=allow_gaps, interval=options.interval, instruments=instruments)
    return msgspec.structs.replace(
        bars,
        format=", ".join(dict.fromkeys(part.format for part in parts)),
        source=where,
        zone=", ".join(dict.fromkeys(part.zone for part in parts if part.zone)),
        warnings=(*(warning for part in parts for warning in part.warnings), *bars.warnings),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _joined(parts: list[Part]) -> pl.DataFrame:
    """Return the bars of all parts; equal overlapping bars count once."""
    if len(parts) == 1:
        return parts[0].frame
    states_length = all(INTERVAL in part.frame.columns for part in parts)
    frames = [part.frame if states_length else part.frame.drop(INTERVAL, strict=False) for part in parts]
    return in_order(pl.concat(frames).sort("symbol", "opened_at", maintain_order=True), parts[-1])


def _known_splits(splits: list[Split], frame: pl.DataFrame) -> list[Split]:
    """Return the splits with the ids of their symbols in any spelling."""
    known = set(frame["symbol"].unique())
    last_year = frame.select(pl.col("opened_at").dt.year().max()).item()
    found = []
    for split in splits:
        symbol = split.symbol if split.symbol in known else symbol_id(split.symbol, last_year)
        if symbol not in known:
            there = ", ".join(sorted(known)[:12])
            raise DataError(
                f"a split of {split.symbol} is given, and there are no bars of it: there are bars of {there}"
            )
        found.append(Split(symbol, split.on, split.ratio))
    return found


def _market_dates(frame: pl.DataFrame, options: ReadOptions) -> pl.Series:
    """Return the trading date of each bar before its length is known: daily bars open at midnight UTC."""
    dates = frame["opened_at"].dt.date()
    for symbol in frame["symbol"].unique():
        session, rows = options.session_of(symbol), (frame["symbol"] == symbol).arg_true()
        times = frame["opened_at"][rows]
        if session is not None and (times.dt.time() != dt.time()).any():
            dates = dates.scatter(rows, trading_dates(times, 1, session))
    return dates


def _parts(source: Any, options: ReadOptions) -> Iterator[Part]:
    if isinstance(source, Bars):
        source = source.frame
    if isinstance(source, pl.DataFrame | pl.LazyFrame):
        yield convert(read_polars(source), Part(POLARS, pl.DataFrame(), "polars"), options)
    elif is_pandas(source):
        yield convert(read_pandas(source), Part(PANDAS, pl.DataFrame(), "pandas"), options)
    elif not isinstance(source, str | Path):
        raise DataError(f"bars come from a path, a pandas or a Polars frame, got {type(source).__name__}")
    elif Path(source) == _SAMPLE and not Path(source).exists():
        yield Part("sample", sample_daily_bars(), "sample")
    elif Path(source).is_dir():
        yield from _read_folder(Path(source), options)
    else:
        yield _read_file(Path(source), options)


def _read_folder(folder: Path, options: ReadOptions) -> Iterator[Part]:
    files = sorted(file for file in folder.iterdir() if _may_hold_bars(file.name) and file.is_file())
    if not files:
        raise DataError(f"{folder} holds no file of bars ({', '.join(ENDINGS)}, or packed)")
    for file in files:
        yield _read_file(file, options)


def _may_hold_bars(name: str) -> bool:
    lower = name.lower()
    for ending in _PACKED:
        lower = lower.removesuffix(ending)
    return lower.endswith(ENDINGS) and not name.startswith(".")


def _read_file(path: Path, options: ReadOptions) -> Part:
    content = read_content(path, max_bytes=options.max_bytes)
    try:
        format = format_of(content, options.format)  # noqa: A001
        raw = format.read(content)
        raw.notes += tuple(dict.fromkeys(content.notes))
        if options.format is not None:
            raw.zone, raw.date_order = raw.zone or format.zone, raw.date_order or format.date_order
        return convert(raw, Part(str(path), pl.DataFrame(), format.name), options, file_name=path.name)
    except DataError as error:
        raise error if str(error).startswith(str(path)) else DataError(f"{path}: {error}") from None
    except _UNREADABLE as error:
        reason = str(error).partition("\n")[0][:200]
        raise DataError(f"{path} cannot be read as a table: {type(error).__name__}: {reason}") from None


def _date_order(given: str | None) -> str | None:
    if given is not None and given.lower() not in DATE_ORDERS:
        raise DataError(f"date_order must be one of {', '.join(DATE_ORDERS)}, got {given!r}")
    return None if given is None else given.lower()
