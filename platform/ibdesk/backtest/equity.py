"""The account's equity at the close of each bar, computed by column after the run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from ibdesk.model import AnyInstrument

_Floats = npt.NDArray[np.float64]


def equity_curve(
    bars: pl.DataFrame, fills: pl.DataFrame, instruments: Mapping[str, AnyInstrument], *, cash: float
) -> pl.DataFrame:
    """Return a row per bar time: opened_at, cash, position_value, equity, drawdown, exposed.

    Values are as of the bar's close: cash after all fills of the bar and their commissions, positions at the last
    close of their instrument. `drawdown` is the equity divided by its highest value so far (including the start) less
    one; it is never positive. `exposed` is whether any position is open.
    """
    times = bars["opened_at"].unique(maintain_order=True)
    grid = times.to_physical().to_numpy()
    money = cash + np.cumsum(_by_bar(fills, fills["cash"] - fills["commission"], grid))
    value = np.zeros(len(grid))
    exposed = np.zeros(len(grid), dtype=bool)
    for name in fills["symbol"].unique(maintain_order=True):
        of_symbol = fills.filter(pl.col("symbol") == name)
        signed = (
            of_symbol["quantity"] * pl.select(pl.when(of_symbol["side"] == "buy").then(1.0).otherwise(-1.0)).to_series()
        )
        held = np.cumsum(_by_bar(of_symbol, signed, grid))
        # Rounding errors of binary fractions count as flat.
        held[np.abs(held) < 1e-9 * np.abs(held).max(initial=1.0)] = 0.0
        value += held * _last_closes(bars, name, grid) * instruments[name].multiplier
        exposed |= held != 0
    equity = money + value
    peak = np.maximum(np.maximum.accumulate(equity), cash)
    return pl.DataFrame(
        {
            "opened_at": times,
            "cash": money,
            "position_value": value,
            "equity": equity,
            "drawdown": equity / peak - 1,
            "exposed": exposed,
        }
    )


def _by_bar(fills: pl.DataFrame, amounts: pl.Series, grid: npt.NDArray[np.int64]) -> _Floats:
    """Return the sum of `amounts` over the fills of each bar time."""
    rows = np.searchsorted(grid, fills["bar_opened_at"].to_physical().to_numpy())
    return np.bincount(rows, weights=amounts.to_numpy(), minlength=len(grid)).astype(np.float64)


def _last_closes(bars: pl.DataFrame, name: str, grid: npt.NDArray[np.int64]) -> _Floats:
    """Return the last close of a symbol at each bar time, or its first close before its first bar."""
    of_symbol = bars.filter(pl.col("symbol") == name)
    closes = of_symbol["close"].to_numpy()
    if len(closes) == len(grid):
        return closes
    known = np.searchsorted(of_symbol["opened_at"].to_physical().to_numpy(), grid, side="right") - 1
    return closes[np.maximum(known, 0)]
