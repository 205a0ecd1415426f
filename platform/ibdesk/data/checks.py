"""Checks whether a frame of prices can be traded on, and describes the first fault of one that cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from ibdesk.data.bars import COLUMNS, INTERVAL, OPENED_AT, PRICES, Bars, distinct, shown
from ibdesk.data.gaps import find_gaps
from ibdesk.data.intervals import Interval, bar_intervals
from ibdesk.data.names import instrument_or_none
from ibdesk.data.splits import suspect_splits
from ibdesk.errors import DataError
from ibdesk.model import AnyInstrument

_GAPS_NAMED = 20
_NOT_POSITIVE = "; only futures and combinations trade at 0 and below: name a future with its expiry, such as CL-202005"


class _Rule(NamedTuple):
    """A fault that no row may have: `wrong` holds in the faulty rows, with the value in `column`."""

    wrong: pl.Expr
    what: str
    column: str = ""
    remedy: str = ""


def check_bars(
    frame: pl.DataFrame,
    *,
    allow_gaps: bool = True,
    interval: Interval = None,
    instruments: Mapping[str, AnyInstrument] | None = None,
) -> Bars:
    """Return the bars if they can be traded on.

    `frame` has the columns symbol, opened_at (the start of each bar, with a zone, or a date, which means
    midnight UTC), open, high, low, close, volume. Rows of one symbol come oldest first; symbols may follow
    each other or be mixed. A symbol's interval is the most common step between its bars. Bars of several lengths
    are refused unless `interval` (one for all, or one per symbol) or a column `interval` declares them.

    The sessions of the instruments decide which bars are missing: instruments are those in `instruments`, or those
    that the symbols name. Missing bars are warnings, or errors unless `allow_gaps`. A day that looks like a split is a
    warning. Only futures may have prices of 0 and below.

    Raises:
        DataError: At the first fault; the sentence names symbol, row (counted from 0) and time.
    """
    bars = _typed(frame)
    known = _instruments(bars, instruments or {})
    _check_values(bars, known)
    steps = _steps(bars, is_single=len(known) == 1)
    _check_order(bars, steps)
    bars, intervals = bar_intervals(bars, steps, declared=interval)
    gaps = find_gaps(steps, intervals, known)
    if gaps and not allow_gaps:
        more = f" (and {len(gaps) - 1} more gaps)" if len(gaps) > 1 else ""
        raise DataError(f"{gaps[0]}{more}: add the missing bars, or pass allow_gaps=True to continue without them")
    if len(gaps) > _GAPS_NAMED:
        gaps = [*gaps[:_GAPS_NAMED], f"and {len(gaps) - _GAPS_NAMED} more gaps"]
    suspected = tuple(suspect_splits(bars, intervals, known))
    return Bars(
        frame=_sorted(bars, intervals),
        intervals=intervals,
        warnings=(*gaps, *suspected),
        gaps=tuple(gaps),
        suspected=suspected,
    )


def _sorted(bars: pl.DataFrame, intervals: Mapping[str, int]) -> pl.DataFrame:
    """Return the bars in the order in which they become known."""
    if INTERVAL in bars.columns:
        return bars.sort(pl.col("opened_at") + pl.col(INTERVAL), "opened_at", "symbol")
    return bars if len(intervals) == 1 else bars.sort("opened_at", "symbol")


def _instruments(bars: pl.DataFrame, given: Mapping[str, AnyInstrument]) -> dict[str, AnyInstrument | None]:
    names = sorted(distinct(bars["symbol"]))
    return {name: given[name] if name in given else instrument_or_none(name) for name in names}


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame's bar columns, cast to their types."""
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        hint = "; add it with .with_columns(symbol=pl.lit('AAPL'))" if missing == ["symbol"] else ""
        raise DataError(
            f"bars lack the column{'s' * (len(missing) > 1)} {', '.join(missing)}: "
            f"they have {', '.join(frame.columns) or 'none'}{hint}"
        )
    match frame.schema["opened_at"]:
        case pl.Date():
            opened_at = pl.col("opened_at").cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
        case pl.Datetime(time_zone=None):
            raise DataError(
                "bars: opened_at has no time zone; set it with "
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
    lengths = [pl.col(INTERVAL)] if INTERVAL in frame.columns else []
    return frame.select(pl.col("symbol").cast(pl.String), opened_at, *numbers, *lengths)


def _check_values(bars: pl.DataFrame, known: Mapping[str, AnyInstrument | None]) -> None:
    rules = [_Rule(pl.col(name).is_null(), f"{name} is missing") for name in ("symbol", "opened_at")]
    rules += [
        _Rule(pl.col(name).is_null() | ~pl.col(name).is_finite(), f"{name} is not a number", name)
        for name in (*PRICES, "volume")
    ]
    # A name that is not a single instrument is a combination, whose price is a difference.
    below_zero = [name for name, instrument in known.items() if instrument is None or instrument.may_be_worthless]
    above_zero = ~pl.col("symbol").is_in(below_zero) if below_zero else pl.lit(value=True)
    rules += [
        _Rule((pl.col(name) <= 0) & above_zero, f"{name} is not positive", name, _NOT_POSITIVE) for name in PRICES
    ]
    top, bottom = pl.max_horizontal("open", "low", "close"), pl.min_horizontal("open", "close")
    rules += [
        _Rule(pl.col("volume") < 0, "volume is negative", "volume"),
        _Rule(pl.col("high") < top, "high is below open, low or close", "high"),
        _Rule(pl.col("low") > bottom, "low is above open or close", "low"),
    ]
    # One pass over the rows for all rules; the faulty row is located only if there is one.
    broken = bars.select(rule.wrong.fill_null(value=False).any().alias(str(n)) for n, rule in enumerate(rules)).row(0)
    if any(broken):
        _refuse(bars, rules[broken.index(True)])


def _check_order(bars: pl.DataFrame, steps: pl.DataFrame) -> None:
    rows = steps.filter(pl.col("step") <= 0)
    if rows.is_empty():
        return
    row, _, _, _, step = rows.row(0)
    what = "older than the one before: sort by opened_at" if step else "the second of this time: keep one"
    _refuse(bars, _Rule(pl.int_range(pl.len()) == row, f"the bar is {what}"))


def _refuse(bars: pl.DataFrame, rule: _Rule) -> None:
    """Raise for the first row that breaks a rule."""
    rows = bars.select(rule.wrong.fill_null(value=False).arg_true()).to_series()
    row = rows[0]
    bar = bars.row(row, named=True)
    value = f" ({bar[rule.column]!r})" if rule.column else ""
    more = f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
    where = f"{bar['symbol']}: row {row}, {shown(bar['opened_at'])}"
    raise DataError(f"{where}: {rule.what}{value}{more}{rule.remedy}")


def _steps(bars: pl.DataFrame, *, is_single: bool) -> pl.DataFrame:
    """Return for each bar with a predecessor: row, symbol, opened_at, the time before, and the step in ns."""
    before = pl.col("opened_at").shift(1)
    steps = (
        bars.select("symbol", "opened_at", before=before if is_single else before.over("symbol"))
        .with_row_index("row")
        .with_columns(step=(pl.col("opened_at") - pl.col("before")).cast(pl.Int64))
    )
    return steps[1:] if is_single else steps.filter(pl.col("step").is_not_null())
