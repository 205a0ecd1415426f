"""Real daily prices for trying a strategy: AAPL, GOOG, IBM and MSFT from 2000 (GOOG from 2004) to 2013.

They come with the package bokeh_sampledata (BSD), as quoted, with an adjusted close. A split halves a quoted price
overnight and would look like a crash, so the prices before a split are divided by its ratio, and volumes multiplied.
Dividends remain in the price, as they do for a trader.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import polars as pl

from ibdesk.data.bars import COLUMNS, PRICES
from ibdesk.data.checks import check_bars
from ibdesk.data.splits import adjust_for_splits, find_splits
from ibdesk.errors import DataError

SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")


def sample_daily_bars() -> pl.DataFrame:
    """Return the sample prices, adjusted for splits, as a bar frame sorted by time and symbol.

    A daily bar opens at midnight UTC of its day and closes at the next, a few hours after New York has.

    Raises:
        DataError: If the package bokeh_sampledata is not installed.
    """
    quoted = quoted_prices()
    adjusted = adjust_for_splits(quoted, find_splits(quoted), time="date")
    bars = adjusted.with_columns(
        opened_at=pl.col("date").cast(pl.Datetime("ns")).dt.replace_time_zone("UTC"),
    )
    return check_bars(bars.select(COLUMNS)).frame


def quoted_prices(package: str = "bokeh_sampledata") -> pl.DataFrame:
    """Return the prices as quoted: symbol, date, open, high, low, close, volume, adjusted_close.

    Raises:
        DataError: If the package that contains them is not installed.
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
