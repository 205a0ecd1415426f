"""The sample prices, daily ones of years ago, as a live market."""

from __future__ import annotations

import polars as pl

SECONDS_A_DAY = 5.0
"""A day lasts so long on the market's clock: it is one 5-second bar."""
PAST_DAYS = 300
"""So many days of each symbol are past when the market opens: what a strategy is warmed up with."""


def first_day(bars: pl.DataFrame) -> int:
    """Return the place of the opening day among the days of a bar frame."""
    days = bars["opened_at"].unique().sort()
    youngest = bars.group_by("symbol").agg(pl.col("opened_at").min())["opened_at"].max()
    return min(int((days < youngest).sum()) + PAST_DAYS, len(days) - 1)
