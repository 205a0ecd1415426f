"""How the sample prices, which are daily, are played as a live market."""

from __future__ import annotations

import polars as pl

SECONDS_A_DAY = 5.0
"""The length of a day on the market's clock, in seconds: one 5-second bar."""
PAST_DAYS = 300
"""The number of past days of each symbol when the market opens, for a strategy's warm-up."""


def first_day(bars: pl.DataFrame) -> int:
    """Return the index of the opening day among the days of a bar frame."""
    days = bars["opened_at"].unique().sort()
    youngest = bars.group_by("symbol").agg(pl.col("opened_at").min())["opened_at"].max()
    return min(int((days < youngest).sum()) + PAST_DAYS, len(days) - 1)
