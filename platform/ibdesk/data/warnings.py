"""Rows that can be traded on but are probably wrong."""

from __future__ import annotations

import datetime as dt

import polars as pl

from ibdesk.data.bars import DAY_NS, Bars, shown
from ibdesk.data.calendars.market import has_holidays, trading_session
from ibdesk.data.names import instrument_or_none

# A close this many times its neighbors, or this fraction of them, that reverts at the next bar is an outlier.
_SPIKE = 1.5
# This many consecutive bars with one price in all four columns are a filled-in price.
_STALE_BARS = 10


def row_warnings(bars: Bars) -> list[str]:
    """Return a sentence for each doubtful row or run of rows, oldest first.

    These are daily bars on days when the market is closed, prices that jump and revert within one bar, and
    long runs of bars without a price change.
    """
    found: list[tuple[dt.datetime, str]] = []
    for symbol in bars.symbols:
        frame = bars.frame if len(bars.symbols) == 1 else bars.frame.filter(pl.col("symbol") == symbol)
        found += _spikes(symbol, frame)
        found += _stale(symbol, frame)
        if DAY_NS <= bars.intervals[symbol] < 5 * DAY_NS:
            found += _closed_days(symbol, frame)
    return [sentence for _, sentence in sorted(found)]


def _spikes(symbol: str, frame: pl.DataFrame) -> list[tuple[dt.datetime, str]]:
    close, before, after = pl.col("close"), pl.col("close").shift(1), pl.col("close").shift(-1)
    up = (close > _SPIKE * pl.max_horizontal(before, after)) & (before > 0) & (after > 0)
    down = (close * _SPIKE < pl.min_horizontal(before, after)) & (close > 0)
    rows = frame.with_columns(before=before, after=after).filter(up | down)
    return [
        (time, f"{symbol}: {shown(time)}: close {at:g} after {last:g}, then {following:g}")
        for time, at, last, following in rows.select("opened_at", "close", "before", "after").iter_rows()
    ]


def _stale(symbol: str, frame: pl.DataFrame) -> list[tuple[dt.datetime, str]]:
    flat = (pl.col("open") == pl.col("high")) & (pl.col("high") == pl.col("low")) & (pl.col("low") == pl.col("close"))
    runs = (
        frame.select("opened_at", "close", run=pl.struct(flat.alias("flat"), pl.col("close")).rle_id(), flat=flat)
        .group_by("run", maintain_order=True)
        .agg(pl.col("opened_at").first(), pl.col("close").first(), pl.col("flat").first(), pl.len())
        .filter(pl.col("flat") & (pl.col("len") >= _STALE_BARS))
    )
    return [
        (row["opened_at"], f"{symbol}: {shown(row['opened_at'])}: {row['len']} bars in a row stand at {row['close']:g}")
        for row in runs.iter_rows(named=True)
    ]


def _closed_days(symbol: str, frame: pl.DataFrame) -> list[tuple[dt.datetime, str]]:
    instrument = instrument_or_none(symbol)
    if not has_holidays(instrument):
        return []
    return [
        (time, f"{symbol}: {shown(time)}: the market is closed on this day")
        for time in frame["opened_at"]
        if time.time() == dt.time() and trading_session(instrument, time.date()) is None
    ]
