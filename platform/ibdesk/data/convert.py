"""Turns raw bars into typed bars, and reports everything that the file leaves open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import polars as pl

from ibdesk.data.bars import COLUMNS, DAY_NS, INTERVAL, OPENED_AT, PRICES, distinct, shown
from ibdesk.data.content import MAX_BYTES
from ibdesk.data.daily_stamps import to_instants
from ibdesk.data.formats.raw import RawBars
from ibdesk.data.intervals import length_ns
from ibdesk.data.names import file_symbol, instrument_or_none, last_years, symbol_id
from ibdesk.data.numbers import DecimalMark, parse_numbers, plain_numbers
from ibdesk.data.times import ZONE_QUESTION, Times, UndecidedError, parse_times, zone_or_error
from ibdesk.errors import DataError
from ibdesk.model import AnyInstrument, Session


class ReadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The facts that a file does not state; see `read_bars`."""

    symbol: str | None = None
    zone: str | None = None
    date_order: str | None = None
    decimal: str | None = None
    format: str | None = None
    interval: Any = None
    instruments: Mapping[str, AnyInstrument] = {}
    max_bytes: int = MAX_BYTES

    def daily_symbols(self) -> frozenset[str]:
        """Return the ids of the symbols whose bars are declared to last at least a day."""
        lengths = self.interval if isinstance(self.interval, Mapping) else {}
        return frozenset(symbol_id(name) for name, length in lengths.items() if length_ns(length) >= DAY_NS)

    def session_of(self, symbol: str) -> Session | None:
        """Return the session of a symbol's instrument, or None if it has none."""
        instrument = self.instruments.get(symbol) or instrument_or_none(symbol)
        return None if instrument is None else instrument.session


class Part(msgspec.Struct):
    """The typed bars of one file or frame before the checks; `zone` is that of the times as written."""

    where: str
    frame: pl.DataFrame
    format: str
    zone: str = ""
    warnings: list[str] = []
    notes: list[str] = []


def convert(raw: RawBars, part: Part, options: ReadOptions, *, file_name: str = "") -> Part:
    """Return `part` with the bars of `raw`, each symbol's oldest first.

    Raises:
        DataError: If a value cannot be used, or facts are missing; it names all of them at once.
    """
    where = part.where
    asked: list[UndecidedError] = []
    asked_of_times: list[UndecidedError] = []
    times = _times(raw, part, options, asked_of_times)
    symbols = _symbols(raw, None if times is None else times.local, options, where, file_name, asked)
    asked += asked_of_times
    zone = raw.own_zone or options.zone or raw.zone
    zone = None if zone is None else zone_or_error(zone)
    if raw.own_zone and options.zone not in (None, raw.own_zone):
        part.notes.append(f"the file states its zone, {raw.own_zone}: {options.zone} is not used")
    opened_at = None if times is None else _opened_at(raw, part, times, options, symbols, zone, asked)
    if opened_at is None or symbols is None:
        _ask(asked, where, has_zone=zone is not None)
        raise AssertionError(asked)
    frame = _numbers(raw, part, options).with_columns(
        symbols.alias("symbol"), opened_at.cast(OPENED_AT).alias("opened_at")
    )
    frame = frame.select(*COLUMNS, *([INTERVAL] if INTERVAL in raw.frame.columns else []))
    part.notes = [*raw.notes, *part.notes]
    part.frame = in_order(_without_empty(frame, part), part)
    return part


def _ask(asked: Sequence[UndecidedError], where: str, *, has_zone: bool) -> None:
    reasons = [undecided.reason for undecided in asked]
    questions = [undecided.question for undecided in asked]
    if any(undecided.needs_zone for undecided in asked) and not has_zone:
        reasons.append("the times carry no zone")
        questions.append(ZONE_QUESTION)
    raise DataError(f"{where}: {', and '.join(reasons)}: say which with {', and '.join(questions)}")


# ---- symbols ---------------------------------------------------------------------------------------------------------


def _symbols(
    raw: RawBars,
    times: pl.Series | None,
    options: ReadOptions,
    where: str,
    file_name: str,
    asked: list[UndecidedError],
) -> pl.Series | None:
    """Return the instrument's id for each row, null for rows of unwanted symbols."""
    rows = raw.frame.height
    last = None if times is None else times.dt.year().max()
    last_year = last if isinstance(last, int) else None
    wanted = None if options.symbol is None else symbol_id(options.symbol, last_year)
    if "symbol" in raw.frame.columns:
        return _symbol_column(raw, times, options, where, wanted, asked, is_file=bool(file_name))
    stated = symbol_id(raw.symbol, last_year) if raw.symbol else None
    if stated and wanted is None and file_name and options.session_of(stated) is None:
        asked.append(_unknown([stated]))
        return None
    if wanted is None and stated is None:
        try:
            stated = file_symbol(file_name, last_year)
        except DataError:
            why = f"the file's name {file_name!r} names no single one" if file_name else "there is no column symbol"
            asked.append(UndecidedError(f"no instrument is named in it, {why}", "symbol='AAPL' or whichever it is"))
            return None
        raw.notes += (f"the symbol is taken from the file's name {file_name!r}",)
    return pl.repeat(wanted or stated, rows, dtype=pl.String, eager=True)


def _unknown(names: Sequence[str]) -> UndecidedError:
    listed = ", ".join(repr(name) for name in names[:6])
    one = len(names) == 1
    what = f"the symbol {listed} names no instrument" if one else f"the symbols {listed} name no instruments"
    return UndecidedError(what, "symbol='AAPL' or whichever it is" if one else f"instruments={{{names[0]!r}: ...}}")


def _symbol_column(
    raw: RawBars,
    times: pl.Series | None,
    options: ReadOptions,
    where: str,
    wanted: str | None,
    asked: list[UndecidedError],
    *,
    is_file: bool,
) -> pl.Series | None:
    column = raw.frame["symbol"].cast(pl.String)
    if any(name != name.strip() or not name for name in distinct(column)):
        column = column.str.strip_chars().replace("", None)
    if column.null_count():
        name = raw.names.get("symbol", "symbol")
        raise DataError(f"{where}: row {column.is_null().arg_max()}, column {name}: the symbol is missing")
    last = dict.fromkeys(distinct(column)) if times is None else last_years(column, times)
    ids = {name: symbol_id(name, year) for name, year in last.items()}
    if wanted is not None and wanted not in ids.values():
        if len(ids) > 1:
            raise DataError(f"{where} has no bars of {wanted}: it has {', '.join(sorted(ids.values())[:12])}")
        ids = dict.fromkeys(ids, wanted)
    if wanted is not None:
        if len(set(ids.values())) > 1:
            raw.notes += (f"only the bars of {wanted} are taken, of {len(ids)} symbols",)
        return column.replace_strict({name: wanted for name, of in ids.items() if of == wanted}, default=None)
    unknown = sorted(name for name, of in ids.items() if options.session_of(of) is None)
    if unknown and is_file:
        asked.append(_unknown(unknown))
        return None
    if unknown:
        raw.notes += (f"{', '.join(unknown[:6])}: no instrument has this name, so that it stays as written",)
    as_written = all(name == of for name, of in ids.items())
    return column if as_written else column.replace_strict(ids, return_dtype=pl.String)


# ---- times -----------------------------------------------------------------------------------------------------------


def _times(raw: RawBars, part: Part, options: ReadOptions, asked: list[UndecidedError]) -> Times | None:
    """Return the times as written, None if day and month cannot be told apart."""
    column = _time_column(raw, part.where)
    order = raw.own_date_order or options.date_order or raw.date_order
    try:
        times = parse_times(column, part.where, raw.names.get(column.name, column.name), date_order=order)
    except UndecidedError as undecided:
        asked.append(undecided)
        return None
    part.notes += times.notes
    return times


def _opened_at(
    raw: RawBars,
    part: Part,
    times: Times,
    options: ReadOptions,
    symbols: pl.Series | None,
    zone: str | None,
    asked: list[UndecidedError],
) -> pl.Series | None:
    column = "opened_at" if "opened_at" in raw.frame.columns else "date"
    name = raw.names.get(column, column)
    try:
        keys = [] if symbols is None else [symbols, *([raw.frame[INTERVAL]] if INTERVAL in raw.frame.columns else [])]
        opened_at, part.zone = to_instants(
            times,
            keys,
            part.where,
            name,
            zone=zone,
            day_zone=raw.day_zone,
            session_of=options.session_of,
            are_daily=options.daily_symbols(),
        )
    except UndecidedError as undecided:
        asked.append(undecided)
        return None
    return opened_at


def _time_column(raw: RawBars, where: str) -> pl.Series:
    """Return the column of times; separate dates and times of day are joined."""
    frame = raw.frame
    if "opened_at" in frame.columns:
        return frame["opened_at"]
    date, time = frame["date"], frame["time"]
    if isinstance(date.dtype, pl.Date | pl.Datetime) and time.dtype == pl.Time:
        return (date.cast(pl.Datetime("ns")) + time.cast(pl.Duration("ns"))).alias("date")
    digits = _digits(time)
    dates = date.dt.strftime("%Y-%m-%d") if isinstance(date.dtype, pl.Date | pl.Datetime) else date.cast(pl.String)
    if (dates.is_null() != digits.is_null()).any():
        row = (dates.is_null() != digits.is_null()).arg_max()
        raise DataError(f"{where}: row {row}: the date or the time is missing")
    return (dates.str.strip_chars() + " " + digits).alias("date")


def _digits(time: pl.Series) -> pl.Series:
    """Return times of day as text; ``930`` and ``93000`` get the zero that they lost."""
    texts = time.dt.strftime("%H:%M:%S%.f") if time.dtype == pl.Time else time.cast(pl.String).str.strip_chars()
    plain = texts.str.contains(r"^\d{1,6}$").fill_null(value=False)
    if not plain.any():
        return texts
    longest = texts.str.len_chars().max()
    return texts.str.zfill(6 if isinstance(longest, int) and longest > 4 else 4)


# ---- numbers ---------------------------------------------------------------------------------------------------------


def _numbers(raw: RawBars, part: Part, options: ReadOptions) -> pl.DataFrame:
    """Return the frame with prices and volume as floats, null for missing values."""
    frame = raw.frame
    names = [name for name in (*PRICES, "volume") if name in frame.columns]
    plain = {name: plain_numbers(frame[name]) for name in names}
    mark = DecimalMark([frame[name] for name in names], options.decimal, part.where, list(plain.values()))
    columns = []
    for name in names:
        numbers = parse_numbers(frame[name], mark, plain[name])
        wrong = numbers.is_nan().fill_null(value=False)
        if frame[name].dtype.is_float():
            # pandas writes missing values like this.
            numbers, wrong = numbers.fill_nan(None), pl.Series([], dtype=pl.Boolean)
        if wrong.any():
            rows = wrong.arg_true()
            more = f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
            found = repr(frame[name][rows[0]])[:60]
            raise DataError(
                f"{part.where}: row {rows[0]}, column {raw.names.get(name, name)}: {found} is not a number{more}"
            )
        columns.append(numbers.alias(name))
    frame = frame.with_columns(columns)
    prices = frame.select(PRICES)
    missing = prices.select(pl.sum_horizontal(pl.col(name).is_null().cast(pl.UInt32) for name in PRICES)).to_series()
    if ((missing > 0) & (missing < len(PRICES))).any():
        row = int(((missing > 0) & (missing < len(PRICES))).arg_max() or 0)
        name = next(name for name in PRICES if frame[name][row] is None)
        raise DataError(f"{part.where}: row {row}, column {raw.names.get(name, name)}: empty is not a number")
    if "volume" not in names:
        part.notes.append("there is no volume: it is taken as 0")
        return frame.with_columns(volume=pl.lit(0.0))
    if unknown := frame["volume"].null_count() - int((missing == len(PRICES)).sum() or 0):
        part.notes.append(f"{unknown:,} of {frame.height:,} volumes are missing and taken as 0")
    return frame.with_columns(pl.col("volume").fill_null(0.0))


def _without_empty(frame: pl.DataFrame, part: Part) -> pl.DataFrame:
    """Drop rows of other symbols, and rows with a time but no prices, the latter with a warning."""
    kept = frame.filter(pl.col("symbol").is_not_null()) if frame["symbol"].null_count() else frame
    if not kept["open"].null_count():
        return kept
    empty = kept["open"].is_null()
    first = kept["opened_at"].filter(empty)[0]
    count = int(empty.sum() or 0)
    part.warnings.append(
        f"{count:,} row{'s' if count > 1 else ''} without prices left out, the first at {shown(first)}"
    )
    return kept.filter(~empty)


# ---- order -----------------------------------------------------------------------------------------------------------


def in_order(frame: pl.DataFrame, part: Part) -> pl.DataFrame:
    """Return the bars with each symbol's oldest first, and bars that stand there twice once; say what was changed."""
    back = _backward(frame)
    if back:
        reverse = frame.reverse()
        if not _backward(reverse):
            frame = reverse
            part.notes.append("the file has the newest bar first")
        else:
            frame = frame.sort("symbol", "opened_at", maintain_order=True)
            part.warnings.append(
                f"{back:,} row{'s were' if back > 1 else ' was'} out of order; the bars were sorted by time"
            )
    times = frame["opened_at"]
    if times.is_sorted() and not (times == times.shift(1)).any():
        return frame
    columns = [name for name in frame.columns if name != "symbol"]
    equal = pl.all_horizontal((pl.col(name) == pl.col(name).shift(1)).over("symbol") for name in columns)
    equal = equal.fill_null(value=False)
    if count := int(frame.select(equal.sum()).item()):
        rows = "rows that repeat" if count > 1 else "row that repeats"
        part.warnings.append(f"{count:,} {rows} another left out")
        frame = frame.filter(~equal)
    return frame


def _backward(frame: pl.DataFrame) -> int:
    """Return how many bars are older than the one of their symbol before."""
    if frame["opened_at"].is_sorted():
        return 0
    before = pl.col("opened_at").shift(1).over("symbol")
    return int(frame.select((pl.col("opened_at") < before).sum()).item())
