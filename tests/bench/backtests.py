"""Bars per second of the event-driven backtest, order life cycle and costs on, against reading the bars alone."""

from __future__ import annotations

import time

import numpy as np
import polars as pl
from tests.bench.row import Row

from ibdesk import backtest, load_strategy
from ibdesk.model import Bar
from ibdesk.strategy import make_strategy

# Bars, and the spans of the strategy: the usual ones trade every 29 bars, the long ones every few hundred.
CASES = ((100_000, 12, 26), (1_000_000, 12, 26), (1_000_000, 120, 260))


def walk(count: int) -> pl.DataFrame:
    """Return a seeded random walk as a bar frame of one symbol."""
    draw = np.random.default_rng(7)
    close = 100.0 * np.exp(np.cumsum(draw.normal(0.0, 0.0005, count)))
    opened = np.concatenate([[close[0]], close[:-1]])
    spread = np.abs(draw.normal(0.0, 0.0003, count)) * close
    return pl.DataFrame(
        {
            "symbol": ["AAPL"] * count,
            "opened_at": np.arange(count, dtype=np.int64) * 60_000_000_000,
            "open": opened,
            "high": np.maximum(opened, close) + spread,
            "low": np.minimum(opened, close) - spread,
            "close": close,
            "volume": np.full(count, 1000.0),
        }
    ).with_columns(pl.col("opened_at").cast(pl.Datetime("ns", "UTC")))


def _reading(bars: pl.DataFrame) -> float:
    """Return the seconds it takes to make every bar as a value, and nothing else."""
    began = time.perf_counter()
    columns = [bars[name].to_list() for name in ("open", "high", "low", "close", "volume")]
    opened = bars["opened_at"].dt.epoch("ns").to_list()
    for opened_ns, *prices in zip(opened, *columns, strict=True):
        Bar("AAPL", opened_ns, 60_000_000_000, *prices)
    return time.perf_counter() - began


def measure() -> list[Row]:
    """Return the rows of this benchmark."""
    cls = load_strategy("strategies/ema_cross.py").cls
    rows = []
    for count, fast, slow in CASES:
        bars, strategy = walk(count), make_strategy(cls, {"fast": fast, "slow": slow})
        reading = _reading(bars)
        began = time.perf_counter()
        result = backtest(strategy, bars)
        seconds = time.perf_counter() - began
        rows.append(
            Row(
                f"backtest of {count:,} bars, {result.orders.height:,} orders",
                count / seconds,
                "bars/s",
                count / reading,
                reading / seconds,
                ">= 500,000 bars/s",
            )
        )
    return rows
