"""Bar frames, short to write."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

import polars as pl
import pytest

MakeBars = Callable[..., pl.DataFrame]


@pytest.fixture
def make_bars() -> MakeBars:
    """Return a maker of frames: rows of (open, high, low, close), or closes at which the whole bar stands."""

    def make(
        rows: Sequence[tuple[float, float, float, float] | float],
        *,
        symbol: str = "AAPL",
        start: dt.datetime = dt.datetime(2024, 1, 2, tzinfo=dt.UTC),
        step: dt.timedelta = dt.timedelta(days=1),
    ) -> pl.DataFrame:
        prices = [row if isinstance(row, tuple) else (row, row, row, row) for row in rows]
        opens, highs, lows, closes = (list(map(float, column)) for column in zip(*prices, strict=True))
        return pl.DataFrame(
            {
                "symbol": symbol,
                "opened_at": [start + i * step for i in range(len(prices))],
                "open": opens,
                "high": highs,
                "low": lows,
                "close": closes,
                "volume": 1000.0,
            },
            schema_overrides={"opened_at": pl.Datetime("ns", "UTC")},
        )

    return make
