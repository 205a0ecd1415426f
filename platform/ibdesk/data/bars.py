"""Bars fit to trade on: what a frame of prices must be, and what is wrong with one that is not."""

from __future__ import annotations

import datetime as dt

import msgspec
import polars as pl

from ibdesk.errors import DataError

PRICES = ("open", "high", "low", "close")
COLUMNS = ("symbol", "opened_at", *PRICES, "volume")
"""The columns of a bar frame: str, Datetime(ns, UTC), and Float64 for the rest."""

OPENED_AT = pl.Datetime("ns", "UTC")
_DAY_NS = 86_400_000_000_000
# Steps shorter than the usual one by up to this factor are the calendar's (23-hour days, short months).
_CALENDAR_SLACK = 0.85
# Exchanges closed for a week in September 2001; a daily series that is silent for longer has lost something.
_LONGEST_DAILY_PAUSE_NS = 7 * _DAY_NS
_GAPS_NAMED = 20


class CheckedBars(msgspec.Struct, frozen=True):
    """A bar frame that passed every check, sorted by time and symbol; the spacing of its bars; its gaps."""

    frame: pl.DataFrame
    interval_ns: int
    symbols: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def check_bars(frame: pl.DataFrame, *, allow_gaps: bool = True) -> CheckedBars:
    """Return the bars when they can be traded on.

    `frame` has the columns symbol, opened_at (the start of each bar, with a zone, or a date, which means
    midnight UTC), open, high, low, close, volume. Rows of one symbol come oldest first; symbols may follow
    each other or be mixed. The interval is the most common step between a symbol's bars. Missing bars inside
    a trading day, and a week and more without a daily bar, are warnings, or errors unless `allow_gaps`.

    Raises:
        DataError: At the first thing wrong; the sentence names symbol, row (counted from 0) and time.
    """
    bars = _typed(frame)
    _check_values(bars)
    steps = _steps(bars)
    _check_order(bars, steps)
    interval_ns = _interval_ns(steps)
    gaps = _gaps(steps, interval_ns)
    if gaps and not allow_gaps:
        more = f" (and {len(gaps) - 1} more gaps)" if len(gaps) > 1 else ""
        raise DataError(f"{gaps[0]}{more}: add the missing bars, or pass allow_gaps=True to go on without them")
    if len(gaps) > _GAPS_NAMED:
        gaps = [*gaps[:_GAPS_NAMED], f"and {len(gaps) - _GAPS_NAMED} more gaps"]
    symbols = tuple(bars["symbol"].unique(maintain_order=True).sort())
    ordered = bars if len(symbols) == 1 else bars.sort("opened_at", "symbol")
    return CheckedBars(ordered, interval_ns, symbols, tuple(gaps))


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame's bar columns in their types."""
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        hint = "; add it with .with_columns(symbol=pl.lit('AAPL'))" if missing == ["symbol"] else ""
        raise DataError(
            f"bars lack the column{'s' * (len(missing) > 1)} {', '.join(missing)}: "
            f"they have {', '.join(frame.columns) or 'none'}{hint}"
        )
    if frame.height < 2:
        raise DataError(f"bars need at least 2 rows to show their interval, got {frame.height}")
    match frame.schema["opened_at"]:
        case pl.Date():
            opened_at = pl.col("opened_at").cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
        case pl.Datetime(time_zone=None):
            raise DataError(
                "bars: opened_at has no time zone; say which it is with "
                ".with_columns(pl.col('opened_at').dt.replace_time_zone('UTC'))"
            )
        case pl.Datetime():
            opened_at = pl.col("opened_at").dt.convert_time_zone("UTC").cast(OPENED_AT)
        case other:
            raise DataError(f"bars: opened_at must be a datetime with a zone or a date, got {other}")
    for name in (*PRICES, "volume"):
        if not frame.schema[name].is_numeric():
            raise DataError(f"bars: {name} must be numbers, got {frame.schema[name]}")
    numbers = [pl.col(name).cast(pl.Float64) for name in (*PRICES, "volume")]
    return frame.select(pl.col("symbol").cast(pl.String), opened_at, *numbers)


def _check_values(bars: pl.DataFrame) -> None:
    for name in ("symbol", "opened_at"):
        _refuse(bars, pl.col(name).is_null(), f"{name} is missing")
    for name in (*PRICES, "volume"):
        _refuse(bars, pl.col(name).is_null() | ~pl.col(name).is_finite(), f"{name} is no number", name)
    for name in PRICES:
        _refuse(bars, pl.col(name) <= 0, f"{name} is not positive", name)
    _refuse(bars, pl.col("volume") < 0, "volume is negative", "volume")
    top, bottom = pl.max_horizontal("open", "low", "close"), pl.min_horizontal("open", "close")
    _refuse(bars, pl.col("high") < top, "high is below open, low or close", "high")
    _refuse(bars, pl.col("low") > bottom, "low is above open or close", "low")


def _check_order(bars: pl.DataFrame, steps: pl.DataFrame) -> None:
    rows = steps.filter(pl.col("step") <= 0)
    if rows.is_empty():
        return
    row, _, _, _, step = rows.row(0)
    what = "older than the one before: sort by opened_at" if step else "the second of this time: keep one"
    _refuse(bars, pl.int_range(pl.len()) == row, f"the bar is {what}")


def _refuse(bars: pl.DataFrame, wrong: pl.Expr, what: str, column: str = "") -> None:
    """Raise for the first row where `wrong` holds."""
    rows = bars.select(wrong.fill_null(value=False).arg_true()).to_series()
    if rows.is_empty():
        return
    row = rows[0]
    bar = bars.row(row, named=True)
    value = f" ({bar[column]!r})" if column else ""
    more = f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
    raise DataError(f"{bar['symbol']}: row {row}, {_shown(bar['opened_at'])}: {what}{value}{more}")


def _shown(time: dt.datetime | None) -> str:
    if time is None:
        return "no time"
    return f"{time:%Y-%m-%d}" if time.time() == dt.time() else f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _steps(bars: pl.DataFrame) -> pl.DataFrame:
    """Return for each bar that has one before it: row, symbol, opened_at, the time before, and the step in ns."""
    before = pl.col("opened_at").shift(1).over("symbol")
    return (
        bars.select("symbol", "opened_at", before=before)
        .with_row_index("row")
        .with_columns(step=(pl.col("opened_at") - pl.col("before")).cast(pl.Int64))
        .filter(pl.col("step").is_not_null())
    )


def _interval_ns(steps: pl.DataFrame) -> int:
    if steps.is_empty():
        raise DataError("bars: no symbol has 2 rows, so their interval is unknown")
    counts = steps.group_by("step").len().sort(["len", "step"], descending=[True, False])
    usual: int = counts["step"][0]
    shortest = steps.row(steps["step"].arg_min() or 0, named=True)
    if shortest["step"] < usual * _CALENDAR_SLACK:
        raise DataError(
            f"{shortest['symbol']}: row {shortest['row']}, {_shown(shortest['opened_at'])}: only "
            f"{span(shortest['step'])} after the bar before, where most are {span(usual)} apart: "
            f"bars of one interval are needed"
        )
    # The shortest of a calendar's steps, so that no bar closes after the next one opens.
    return int(shortest["step"])


def _gaps(steps: pl.DataFrame, interval_ns: int) -> list[str]:
    """Return a sentence for each place where bars are missing."""
    if interval_ns < _DAY_NS:
        same_day = pl.col("opened_at").dt.date() == pl.col("before").dt.date()
        found = steps.filter(same_day & (pl.col("step") > interval_ns))
    else:
        longest = max(_LONGEST_DAILY_PAUSE_NS, int(interval_ns / _CALENDAR_SLACK))
        found = steps.filter(pl.col("step") > longest)
    return [
        f"{gap['symbol']}: {gap['step'] // interval_ns - 1} bars of {span(interval_ns)} are missing between "
        f"{_shown(gap['before'])} and {_shown(gap['opened_at'])}"
        for gap in found.iter_rows(named=True)
    ]


def span(nanoseconds: int) -> str:
    """Return a span as a person would say it, e.g. ``5 s``, ``15 min``, ``1 d``."""
    for unit, size in (("d", _DAY_NS), ("h", 3_600_000_000_000), ("min", 60_000_000_000)):
        if nanoseconds >= size and nanoseconds % size == 0:
            return f"{nanoseconds // size} {unit}"
    return f"{nanoseconds / 1e9:g} s"
