"""The length of each bar, from the steps between bars or as declared."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping

import polars as pl

from ibdesk.data.bars import DAY_NS, INTERVAL, distinct, listed, shown, span
from ibdesk.data.names import symbol_id
from ibdesk.errors import ConfigError, DataError
from ibdesk.model import interval_ns, interval_words

Length = str | dt.timedelta
Interval = Length | Mapping[str, Length] | None

# Steps shorter than the usual one by up to this factor come from the calendar (23-hour days, short months).
CALENDAR_SLACK = 0.85
# If a symbol's usual step is a smaller fraction of all its steps, it trades too rarely to show its interval.
_REGULAR = 0.5
_FEW_STEPS = 5
_LENGTHS = pl.Duration("ns")
# Polars writes durations to CSV files like this.
_ISO = re.compile(r"P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>[\d.]+)S)?)?")


def bar_intervals(
    bars: pl.DataFrame, steps: pl.DataFrame, *, declared: Interval
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return the bars and the interval of each symbol, ns.

    If not all bars have one length, the frame has the column `interval`. The first bar of a session may be shorter
    than the others: IB's hourly bars of US stocks open at 09:30 and 10:00.

    Raises:
        DataError: If a length cannot be determined, several lengths are not declared, or bars overlap.
    """
    if INTERVAL in bars.columns and declared is None:
        bars = bars.with_columns(_stated(bars[INTERVAL]))
        intervals = {
            str(symbol): int(length)
            for symbol, length in bars.group_by("symbol").agg(pl.col(INTERVAL).max().cast(pl.Int64)).iter_rows()
        }
    else:
        bars = bars.drop(INTERVAL, strict=False)
        intervals = _declared(bars, declared) if declared is not None else _shown_by(bars, steps)
        if _fit(steps, intervals):
            return bars, dict(sorted(intervals.items()))
        bars = bars.with_columns(_lengths(bars, intervals))
    bars = _cut_first_bars(bars)
    _refuse_overlaps(bars)
    return (bars.drop(INTERVAL) if bars[INTERVAL].n_unique() == 1 else bars), dict(sorted(intervals.items()))


def _fit(steps: pl.DataFrame, intervals: Mapping[str, int]) -> bool:
    """Return whether all bars have one length and none overlaps the next, as in most frames."""
    length, *others = set(intervals.values())
    shortest = steps["step"].min()
    return not others and (shortest is None or int(shortest) >= length)  # type: ignore[arg-type]  # a column of int


def length_ns(length: Length) -> int:
    """Return a length in ns.

    Raises:
        DataError: If the text is not a length.
    """
    try:
        if isinstance(length, str) and (iso := _ISO.fullmatch(length.strip())):
            length = dt.timedelta(**{unit: float(amount) for unit, amount in iso.groupdict(default="0").items()})
        nanoseconds = interval_ns(length) if isinstance(length, str) else round(length.total_seconds() * 1e9)
    except (AttributeError, ConfigError) as error:
        raise DataError(f"interval: {error}") from None
    if nanoseconds <= 0:
        raise DataError(f"interval must be positive, got {length}")
    return nanoseconds


def _stated(column: pl.Series) -> pl.Series:
    """Return a column of lengths in ns, from durations, words or ns."""
    if column.null_count():
        raise DataError(f"bars: row {column.is_null().arg_max()}: the interval is missing")
    if isinstance(column.dtype, pl.Duration):
        return column.cast(_LENGTHS)
    if column.dtype == pl.String:
        words = {text: length_ns(text) for text in column.unique()}
        return column.replace_strict(words, return_dtype=pl.Int64).cast(_LENGTHS)
    if column.dtype.is_integer():
        return column.cast(pl.Int64).cast(_LENGTHS)
    raise DataError(f"bars: interval must be a duration or words like '1 min', got {column.dtype}")


def _declared(bars: pl.DataFrame, declared: Interval) -> dict[str, int]:
    symbols = sorted(distinct(bars["symbol"]))
    if not isinstance(declared, Mapping):
        return dict.fromkeys(symbols, length_ns(declared or ""))
    last_year = bars.select(pl.col("opened_at").dt.year().max()).item()
    by_id = {symbol_id(name, last_year): length for name, length in declared.items()} | dict(declared)
    if missing := [symbol for symbol in symbols if symbol not in by_id]:
        raise DataError(f"interval says nothing about {listed(missing)}: give a length for each symbol")
    return {symbol: length_ns(by_id[symbol]) for symbol in symbols}


def _lengths(bars: pl.DataFrame, intervals: Mapping[str, int]) -> pl.Series:
    if len(set(intervals.values())) == 1:
        same = pl.repeat(next(iter(intervals.values())), bars.height, dtype=pl.Int64, eager=True)
        return same.cast(_LENGTHS).alias(INTERVAL)
    return bars["symbol"].replace_strict(intervals, return_dtype=pl.Int64).cast(_LENGTHS).alias(INTERVAL)


def _shown_by(bars: pl.DataFrame, steps: pl.DataFrame) -> dict[str, int]:
    """Return the intervals that the steps between bars show."""
    if steps.is_empty():
        raise DataError(
            f"bars need at least 2 rows of a symbol to show their interval, got {bars.height} "
            f"row{'s' * (bars.height != 1)}: add some, or pass interval='1 day'"
        )
    by_symbol = _by_symbol(steps)
    base: int = by_symbol["interval"].min()  # type: ignore[assignment]  # the frame is not empty
    longer = by_symbol.filter(pl.col("shortest") * CALENDAR_SLACK > base)
    if base >= DAY_NS * CALENDAR_SLACK:
        # Bars of two, three or four days do not exist: such steps are gaps in daily bars.
        base = DAY_NS if 2 * DAY_NS * CALENDAR_SLACK <= base < 5 * DAY_NS * CALENDAR_SLACK else base
        longer = longer.filter(pl.col("shortest") >= 5 * DAY_NS)
    mixed = longer.filter((pl.col("share") >= _REGULAR) | (pl.col("steps") < _FEW_STEPS))
    found = dict.fromkeys(distinct(bars["symbol"]), base)
    lone = sorted(found.keys() - set(by_symbol["symbol"])) if base < DAY_NS else []
    if mixed.height or lone:
        _ask_for_lengths(found, mixed, lone, base)
    return found


def _by_symbol(steps: pl.DataFrame) -> pl.DataFrame:
    """Return for each symbol its interval, its shortest step, and the fraction of its steps that is the usual one."""
    # From Friday to Monday, or around a holiday, is also a step of daily bars.
    days = pl.col("step") // DAY_NS
    may_be_weekend = days.is_between(2, 4)
    weekend = may_be_weekend & (pl.col("opened_at").dt.weekday() < pl.col("before").dt.weekday())
    if steps.select(may_be_weekend.any()).item():
        steps = steps.with_columns(step=pl.when(weekend).then(DAY_NS).otherwise(pl.col("step")))
    symbols = distinct(steps["symbol"])
    counts = (
        steps.group_by("step").len().with_columns(symbol=pl.lit(symbols[0]))
        if len(symbols) == 1
        else steps.group_by("symbol", "step").len()
    )
    counted = (
        counts.sort(["len", "step"], descending=[True, False])
        .group_by("symbol", maintain_order=True)
        .agg(
            usual=pl.col("step").first(),
            shortest=pl.col("step").min(),
            steps=pl.col("len").sum(),
            share=pl.col("len").first() / pl.col("len").sum(),
        )
    )
    # The shortest of a calendar's steps, so that no bar closes after the next one opens.
    calendar = pl.col("shortest") >= pl.col("usual") * CALENDAR_SLACK
    return counted.with_columns(interval=pl.when(calendar).then("shortest").otherwise("usual")).sort("symbol")


def _ask_for_lengths(found: Mapping[str, int], mixed: pl.DataFrame, lone: list[str], base: int) -> None:
    lengths = {symbol: interval_words(interval) for symbol, interval in found.items() if symbol not in lone}
    lengths |= {row["symbol"]: interval_words(row["usual"]) for row in mixed.iter_rows(named=True)}
    one = next(symbol for symbol in sorted(found) if symbol not in lone and symbol not in set(mixed["symbol"]))
    other = mixed["symbol"][0] if mixed.height else lone[0]
    seen = span(mixed["usual"][0]) if mixed.height else "one bar only"
    example = {one: lengths[one], other: lengths.get(other, "1 day")}
    raise DataError(
        f"bars of one interval are needed, or each symbol's must be declared: those of {one} are {span(base)} apart, "
        f"{other} has {seen if not mixed.height else f'bars {seen} apart'}; pass interval={example!r}"
    )


def _cut_first_bars(bars: pl.DataFrame) -> pl.DataFrame:
    """Cut the first bar of a session at the opening of the next bar."""
    following = (pl.col("opened_at").shift(-1) - pl.col("opened_at")).over("symbol")
    since = (pl.col("opened_at") - pl.col("opened_at").shift(1)).over("symbol")
    begins = since.is_null() | (since > pl.col(INTERVAL))
    short = begins & (following < pl.col(INTERVAL)) & (pl.col(INTERVAL) < pl.duration(days=1))
    return bars.with_columns(pl.when(short).then(following).otherwise(pl.col(INTERVAL)).cast(_LENGTHS).alias(INTERVAL))


def _refuse_overlaps(bars: pl.DataFrame) -> None:
    after = (pl.col("opened_at") - pl.col("opened_at").shift(1)).over("symbol").cast(pl.Int64)
    lasts = pl.col(INTERVAL).shift(1).over("symbol").cast(pl.Int64)
    # A day of 23 hours is a whole day.
    slack = pl.when(lasts >= DAY_NS).then(lasts * CALENDAR_SLACK).otherwise(lasts)
    early = bars.with_row_index("row").with_columns(after=after, lasts=lasts).filter(after < slack)
    if early.is_empty():
        return
    row = early.row(0, named=True)
    raise DataError(
        f"{row['symbol']}: row {row['row']}, {shown(row['opened_at'])}: only {span(row['after'])} after the bar "
        f"before, where most are {span(row['lasts'])} apart: bars of one interval are needed"
    )
