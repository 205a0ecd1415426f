"""Dates and times in the layouts of vendors, as instants or dates; ambiguous ones are refused, not guessed."""

from __future__ import annotations

import datetime as dt
import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import polars as pl

from ibdesk.data.bars import OPENED_AT
from ibdesk.data.layouts import Layout, layout_of
from ibdesk.errors import DataError

_LOCAL = pl.Datetime("ns")
_SECOND = 1_000_000_000
_FIRST = {"mdy": "month", "dmy": "day", "ymd": "year"}
# Abbreviations of zones that are not names of the zone database.
_ABBREVIATIONS = {"EDT": "Etc/GMT+4", "UTC": "UTC", "GMT": "UTC", "Z": "UTC"}
_OFFSET = re.compile(r"(?:utc|gmt)?\s*([+-])(\d{2}):?(\d{2})?", re.IGNORECASE)
# The most layouts tried for a column: some vendors write midnight without its time, or fractions only if not zero.
_MOST_LAYOUTS = 8
# Units of counts since 1970, by the largest count: seconds until 2103, the others until 2261.
_EPOCH_UNITS = (
    (4_200_000_000, "s", _SECOND),
    (9_200_000_000_000, "ms", 1_000_000),
    (9_200_000_000_000_000, "us", 1_000),
    (2**63, "ns", 1),
)
ZONE_QUESTION = "zone='America/New_York' or whichever it is"
_FIRST_YEAR, _LAST_YEAR = 1800, 2199


class Times(msgspec.Struct):
    """A column of times: as written (`local`), and as instants if a zone or offset is written with them.

    `zone` names the zone as written. Rows that are null in `local` have no time.
    """

    local: pl.Series
    instant: pl.Series | None = None
    zone: str = ""
    notes: tuple[str, ...] = ()


class UndecidedError(DataError):
    """A text with several readings; `question` is the argument that decides.

    `needs_zone` is whether the times also have no zone.
    """

    def __init__(self, reason: str, question: str, *, needs_zone: bool = False) -> None:
        super().__init__(reason, question, needs_zone)
        self.reason, self.question, self.needs_zone = reason, question, needs_zone

    def __str__(self) -> str:
        return f"{self.reason}: say which with {self.question}"


def parse_times(column: pl.Series, where: str, name: str, *, date_order: str | None) -> Times:
    """Return a column of dates, times, text or counts since 1970 as times.

    Raises:
        UndecidedError: If day and month cannot be told apart.
        DataError: If a row is not a date or time; it names the row.
    """
    match column.dtype:
        case pl.Date():
            return Times(column.cast(_LOCAL))
        case pl.Datetime(time_zone=None):
            return Times(column.cast(_LOCAL))
        case pl.Datetime(time_zone=zone):
            local = column.dt.replace_time_zone(None).cast(_LOCAL)
            return Times(local, column.dt.convert_time_zone("UTC").cast(OPENED_AT), zone or "UTC")
        case pl.String():
            return _parse_texts(column.str.strip_chars(), where, name, date_order=date_order)
        case other if other.is_numeric():
            return _parse_counts(column, where, name)
    raise DataError(f"{where}: column {name} holds {column.dtype}, not dates or times")


def zone_or_error(zone: str) -> str:
    """Return the name of a zone if the zone exists.

    Raises:
        DataError: If it does not exist.
    """
    try:
        ZoneInfo(zone)
        pl.Series([dt.datetime(2024, 1, 2)]).dt.replace_time_zone(zone)  # noqa: DTZ001 - a probe of the zone
    except (ZoneInfoNotFoundError, ValueError, OSError, pl.exceptions.PolarsError):
        raise DataError(f"there is no time zone {zone!r}: name one such as America/New_York or UTC") from None
    return zone


def _parse_texts(column: pl.Series, where: str, name: str, *, date_order: str | None, may_count: bool = True) -> Times:
    column = column.replace("", None)
    counts = _counts(column) if may_count else None
    if counts is not None:
        return _parse_counts(counts, where, name)
    local = pl.repeat(None, len(column), dtype=_LOCAL, eager=True)
    zones = pl.repeat(None, len(column), dtype=pl.String, eager=True)
    notes: list[str] = []
    for _ in range(_MOST_LAYOUTS):
        left = local.is_null() & column.is_not_null()
        if not left.any():
            break
        row = left.arg_max() or 0
        layout = layout_of(column[row])
        if layout is None:
            break
        todo = column if left.all() else pl.select(pl.when(left).then(column)).to_series()
        form = layout.form
        if layout.mark:
            order = _order(todo, layout, where, name, date_order)
            form = layout.with_order(order)
            notes.append(f"dates are read with the {_FIRST[order]} first")
        parsed, tails = _parsed(todo, layout, form)
        if parsed[row] is None:
            break
        if left.all():
            local, zones = parsed, tails
            continue
        local = pl.select(pl.coalesce(local, parsed)).to_series()
        zones = pl.select(pl.coalesce(zones, tails)).to_series()
    _refuse_unread(local, column, where, name, date_order)
    if zones.null_count() == len(zones):
        return Times(local, notes=tuple(dict.fromkeys(notes)))
    if (zones.is_null() & local.is_not_null()).any():
        at = (zones.is_null() & local.is_not_null()).arg_max() or 0
        raise DataError(f"{where}: row {at}, column {name}: {column[at]!r} carries no zone, other rows do")
    instant, words = _by_zones(local, zones, where)
    return Times(local, instant, words, tuple(dict.fromkeys(notes)))


def _parsed(texts: pl.Series, layout: Layout, form: str) -> tuple[pl.Series, pl.Series]:
    """Return the times with this layout, and the zones after them."""
    heads, tails = texts, pl.repeat(None, len(texts), dtype=pl.String, eager=True)
    written: list[str] = []
    if layout.tail:
        heads, tails = texts.str.head(-layout.tail), texts.str.tail(layout.tail).str.strip_chars()
        written = tails.unique().drop_nulls().to_list()
    valid = [tail for tail in written if _is_zone(tail)]
    parsed = heads.str.to_datetime(form, strict=False, time_unit="ns")
    known = parsed.dt.year().is_between(_FIRST_YEAR, _LAST_YEAR)
    if len(valid) < len(written):
        known = known & tails.is_in(valid)
    if known.all(ignore_nulls=False):
        return parsed, tails
    return pl.select(pl.when(known).then(parsed)).to_series(), pl.select(pl.when(known).then(tails)).to_series()


def _order(texts: pl.Series, layout: Layout, where: str, name: str, given: str | None) -> str:
    """Return the order of day, month and year.

    Raises:
        UndecidedError: If no row shows it.
        DataError: If rows show different orders.
    """
    if given is not None:
        return given
    # No country writes the month first with dots.
    if layout.mark == "." and layout.year_digits == 4:
        return "dmy"
    first = texts.str.extract(r"^(\d{1,2})[-/.]").cast(pl.Int64)
    second = texts.str.extract(r"^\d{1,2}[-/.](\d{1,2})[-/.]").cast(pl.Int64)
    day_first, month_first = (first > 12).fill_null(value=False), (second > 12).fill_null(value=False)
    if layout.year_digits == 4 and day_first.any() != month_first.any():
        return "dmy" if day_first.any() else "mdy"
    if layout.year_digits == 4 and day_first.any():
        one, other = day_first.arg_max() or 0, month_first.arg_max() or 0
        raise DataError(
            f"{where}: column {name}: row {one} has the day first ({texts[one]!r}) and row {other} the month "
            f"({texts[other]!r}): write all dates in one order, best as 2024-01-31"
        )
    example = texts.drop_nulls()[0]
    question = "date_order='mdy' or 'dmy'" if layout.year_digits == 4 else "date_order='mdy', 'dmy' or 'ymd'"
    raise UndecidedError(
        f"dates like {example!r} may have the month or the day first",
        question,
        needs_zone=layout.has_clock and not layout.tail,
    )


def _refuse_unread(local: pl.Series, column: pl.Series, where: str, name: str, date_order: str | None) -> None:
    rows = local.is_null().arg_true()
    if rows.is_empty():
        return
    row = rows[0]
    more = f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
    found = "empty" if column[row] is None else repr(column[row][:60])
    wanted = "a date or time like 2024-01-31 or 2024-01-31 09:30:00"
    layout = None if column[row] is None else layout_of(column[row])
    if layout is not None and layout.mark and date_order is not None:
        wanted = f"a date in the order {date_order}, which was given"
    raise DataError(f"{where}: row {row}, column {name}: {found} is not {wanted}{more}")


# ---- zones behind the times ------------------------------------------------------------------------------------------


def _is_zone(tail: str) -> bool:
    if _OFFSET.fullmatch(tail) or tail.upper() in _ABBREVIATIONS:
        return True
    try:
        zone_or_error(tail)
    except DataError:
        return False
    return True


def _by_zones(local: pl.Series, zones: pl.Series, where: str) -> tuple[pl.Series, str]:
    """Return the instants of times followed by zones or offsets, and a description of the zones."""
    written = zones.unique().drop_nulls().sort().to_list()
    if all(_offset_ns(tail) is not None for tail in written):
        offsets = zones.replace_strict({tail: _offset_ns(tail) for tail in written}, return_dtype=pl.Int64)
        instant = (local.cast(pl.Int64) - offsets).cast(_LOCAL).dt.replace_time_zone("UTC")
        return instant.cast(OPENED_AT), "UTC" if not (offsets != 0).any() else "offsets as written"
    instant = pl.repeat(None, len(local), dtype=OPENED_AT, eager=True)
    for tail in written:
        part = pl.select(pl.when(zones == tail).then(local)).to_series()
        offset = _offset_ns(tail)
        if offset is not None:
            found = (part.cast(pl.Int64) - offset).cast(_LOCAL).dt.replace_time_zone("UTC").cast(OPENED_AT)
        else:
            found = localized(part, tail, None, f"{where}: ").cast(OPENED_AT)
        instant = pl.select(pl.coalesce(instant, found)).to_series()
    return instant, ", ".join(written)


def _offset_ns(tail: str) -> int | None:
    if match := _OFFSET.fullmatch(tail):
        seconds = int(match[2]) * 3600 + int(match[3] or 0) * 60
        return (seconds if match[1] == "+" else -seconds) * _SECOND
    known = _ABBREVIATIONS.get(tail.upper())
    return {"UTC": 0, "Etc/GMT+4": -4 * 3600 * _SECOND}.get(known or "")


# ---- times without a zone, in a zone that changes its clocks ---------------------------------------------------------


def localized(local: pl.Series, zone: str, symbols: pl.Series | None, where: str) -> pl.Series:
    """Return the instants of wall-clock times; in a repeated hour the file's order decides the pass."""
    early = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
    late = local.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null").dt.convert_time_zone("UTC")
    never = (early.is_null() & local.is_not_null()).arg_true()
    if not never.is_empty():
        row = never[0]
        raise DataError(
            f"{where}row {row}: {local[row]:%Y-%m-%d %H:%M} does not exist in {zone}, where the clocks go forward "
            f"then: give the zone in which the times are written, e.g. zone='UTC'"
        )
    twice = (early != late).fill_null(value=False).arg_true().to_list()
    if not twice:
        return early
    second = _second_passes(local, twice, symbols, zone, where)
    use_late = pl.Series([False]).new_from_index(0, len(local)).scatter(second, values=True) if second else None
    return early if use_late is None else pl.select(pl.when(use_late).then(late).otherwise(early)).to_series()


def _second_passes(local: pl.Series, twice: list[int], symbols: pl.Series | None, zone: str, where: str) -> list[int]:
    """Return the rows in the second pass of a repeated hour.

    Raises:
        DataError: If the file has such an hour only once, so that the pass is ambiguous.
    """
    blocks: dict[tuple[object, dt.date], list[int]] = {}
    for row in twice:
        of = None if symbols is None else symbols[row]
        blocks.setdefault((of, local[row].date()), []).append(row)
    second: list[int] = []
    for (symbol, _), rows in blocks.items():
        newest_first = _falls(local if symbols is None else local.filter(symbols == symbol))
        in_time = rows[::-1] if newest_first else rows
        turns = [i for i in range(1, len(in_time)) if local[in_time[i]] <= local[in_time[i - 1]]]
        if len(turns) != 1:
            row = rows[0]
            raise DataError(
                f"{where}row {row}: {local[row]:%Y-%m-%d %H:%M} comes twice in {zone}, where the clocks go back then, "
                f"and the file has it once: write the times with their offset or in UTC, or leave that hour out"
            )
        second += in_time[turns[0] :]
    return sorted(second)


def _falls(local: pl.Series) -> bool:
    """Return whether the file has its newest row first."""
    known = local.drop_nulls()
    return len(known) > 1 and bool(known[0] > known[-1])


# ---- counts since 1970 -----------------------------------------------------------------------------------------------


def _counts(column: pl.Series) -> pl.Series | None:
    """Return a column of text as counts, or None if it contains anything else."""
    first = next(iter(column.drop_nulls().head(1)), None)
    if first is None or not re.fullmatch(r"-?\d{1,19}(\.\d+)?([eE]\+?\d+)?", first):
        return None
    whole = column.cast(pl.Int64, strict=False)
    counts = whole if whole.null_count() == column.null_count() else column.cast(pl.Float64, strict=False)
    if counts.null_count() != column.null_count() or counts.drop_nulls().is_empty():
        return None
    texts = column.drop_nulls()
    lengths = texts.str.len_chars()
    same = lengths.min() == lengths.max() and counts.dtype == pl.Int64
    if same and lengths[0] in {8, 12, 14} and layout_of(texts[0]) is not None:
        return None
    return counts


def _parse_counts(column: pl.Series, where: str, name: str) -> Times:
    _refuse_missing(column, where, name)
    largest = column.abs().max()
    if not isinstance(largest, int | float) or not largest < 2**63:
        raise DataError(f"{where}: column {name} holds {column[0]!r}, which is not a date or time")
    if column.dtype.is_integer() and 18_000_000 <= largest < 22_000_000:
        return _parse_texts(column.cast(pl.String), where, name, date_order=None, may_count=False)
    unit, factor = next((unit, factor) for limit, unit, factor in _EPOCH_UNITS if largest < limit)
    if largest < 50_000_000:
        wanted = "a date or time like 2024-01-31, 2024-01-31 09:30:00 or seconds since 1970"
        raise DataError(f"{where}: row 0, column {name}: {column[0]!r} is not {wanted}")
    if unit == "s" and largest >= 1_900_000_000:
        either = f"{column[0]} may be seconds since 1970 or a date with an hour"
        raise DataError(f"{where}: column {name}: {either}: write dates as 2024-01-31 09:00")
    if column.dtype.is_integer():
        counts = column.cast(pl.Int64) * factor
    else:
        counts = (column * (factor / 1000)).round().cast(pl.Int64) * 1000
    instant = counts.cast(_LOCAL).dt.replace_time_zone("UTC").cast(OPENED_AT)
    return Times(instant.dt.replace_time_zone(None), instant, f"UTC, {unit} since 1970")


def _refuse_missing(column: pl.Series, where: str, name: str) -> None:
    rows = column.is_null().arg_true()
    if column.dtype.is_float():
        rows = (column.is_null() | ~column.is_finite()).arg_true()
    if not rows.is_empty():
        more = f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
        raise DataError(f"{where}: row {rows[0]}, column {name}: empty is not a date or time{more}")
