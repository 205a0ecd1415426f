"""Real daily prices to try a strategy on: AAPL, GOOG, IBM and MSFT from 2000 (GOOG from 2004) to 2013.

They come with the package bokeh_sampledata (BSD), as they were quoted, beside an adjusted close. A split
halves a quoted price overnight and would look like a crash, so the prices before one are divided by its
ratio, and volumes multiplied. Dividends are left in the price, as they are for whoever trades it.
"""

from __future__ import annotations

import datetime as dt
import importlib.util
from pathlib import Path

import msgspec
import polars as pl

from ibdesk.data.bars import COLUMNS, PRICES, check_bars
from ibdesk.errors import DataError

SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
# Splits as companies make them: 3:2, and 2:1 up to 10:1.
_RATIOS = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0)
# A dividend on the day of a split moves the ratio by no more than this fraction.
_TOLERANCE = 0.01


class Split(msgspec.Struct, frozen=True):
    """From `on` on, `ratio` shares stand where one stood before."""

    symbol: str
    on: dt.date
    ratio: float


def sample_daily_bars() -> pl.DataFrame:
    """Return the sample prices, adjusted for splits, as a bar frame sorted by time and symbol.

    A daily bar opens at midnight UTC of its day and closes at the next, a few hours after New York has.

    Raises:
        DataError: If the package bokeh_sampledata is not installed.
    """
    quoted = quoted_prices()
    adjusted = adjust_for_splits(quoted, find_splits(quoted))
    bars = adjusted.with_columns(
        opened_at=pl.col("date").cast(pl.Datetime("ns")).dt.replace_time_zone("UTC"),
    )
    return check_bars(bars.select(COLUMNS)).frame


def quoted_prices(package: str = "bokeh_sampledata") -> pl.DataFrame:
    """Return the prices as they were quoted: symbol, date, open, high, low, close, volume, adjusted_close.

    Raises:
        DataError: If the package that holds them is not installed.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise DataError(
            f"the sample prices are in the package {package}, which is not installed: pip install 'ibdesk[research]'"
        )
    frame = pl.read_csv(Path(found.origin).parent / "_data" / "stocks.csv.gz", try_parse_dates=True)
    names = {name: name.lower().replace(" ", "_") for name in frame.columns}
    return (
        frame.rename(names)
        .rename({"ticker": "symbol", "adj_close": "adjusted_close"})
        .with_columns(pl.col(*PRICES, "volume").cast(pl.Float64))
        .filter(pl.col("symbol").is_in(SYMBOLS))
        .sort("symbol", "date")
    )


def find_splits(quoted: pl.DataFrame) -> list[Split]:
    """Return the splits that quoted prices show, by symbol and date.

    On the day of a split, the quoted close falls by its ratio and the adjusted close does not: the ratio of
    the two falls by exactly the split's ratio. A crash moves both, and a dividend moves their ratio by its
    small fraction.
    """
    factor = pl.col("close") / pl.col("adjusted_close")
    jumps = quoted.select("symbol", "date", jump=(factor.shift(1) / factor).over("symbol"))
    return [
        Split(row["symbol"], row["date"], ratio)
        for row in jumps.filter(pl.col("jump") > 1 + _TOLERANCE).iter_rows(named=True)
        for ratio in _RATIOS
        if abs(row["jump"] / ratio - 1) < _TOLERANCE
    ]


def adjust_for_splits(quoted: pl.DataFrame, splits: list[Split]) -> pl.DataFrame:
    """Return the prices with those before each split divided by its ratio, and their volumes multiplied by it."""
    adjusted = quoted
    for split in splits:
        before = (pl.col("symbol") == split.symbol) & (pl.col("date") < split.on)
        ratio = pl.when(before).then(split.ratio).otherwise(1.0)
        adjusted = adjusted.with_columns(*(pl.col(name) / ratio for name in PRICES), pl.col("volume") * ratio)
    return adjusted
