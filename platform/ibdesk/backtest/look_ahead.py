"""The look-ahead test: checks at sampled bars that a strategy uses only past bars."""

from __future__ import annotations

import numpy as np
import polars as pl

from ibdesk.engine import TARGET, evaluate
from ibdesk.errors import LookAheadError
from ibdesk.strategy import Strategy

# Sums over another length may add in another order; the last bits decide no trade.
_TOLERANCE = 1e-9


def check_look_ahead(
    strategy: Strategy, symbol: str, bars: pl.DataFrame, columns: pl.DataFrame, *, samples: int
) -> None:
    """Evaluate the strategy on prefixes of one symbol's bars and compare the last row with `columns`.

    `columns` is the result of `evaluate` for all of `bars`. About half of the prefixes have lengths from short to all
    bars but one; the others end at changes of the target, where look-ahead is most visible. With zero samples nothing
    is checked.

    Raises:
        LookAheadError: At the first sampled bar where a feature or the target differs without the later bars.
    """
    for length in sample_lengths(columns, samples):
        prefix = evaluate(strategy, bars.head(length)).row(-1, named=True)
        whole = columns.row(length - 1, named=True)
        for name, without in prefix.items():
            if not _same(whole[name], without):
                raise LookAheadError(
                    type(strategy).__name__,
                    name,
                    symbol,
                    length - 1,
                    f"{bars['opened_at'][length - 1]:%Y-%m-%d %H:%M:%S}",
                    whole[name],
                    without,
                )


def sample_lengths(columns: pl.DataFrame, samples: int) -> list[int]:
    """Return the lengths of the prefixes to evaluate, shortest first; deterministic."""
    longest = columns.height - 1
    if samples < 1 or longest < 1:
        return []
    spread = np.geomspace(1, longest, max(samples - samples // 2, 1)).round().astype(int)
    lengths = {longest, *spread.tolist()} if samples > 1 else {longest}
    if TARGET in columns.columns:
        target = columns[TARGET].head(longest)
        changes = target.ne_missing(target.shift(1)).arg_true()[1:]
        if len(changes):
            chosen = np.linspace(0, len(changes) - 1, max(samples // 2, 1)).round().astype(int)
            lengths |= {int(changes[int(i)]) + 1 for i in chosen}
    return sorted(lengths)


def _same(whole: float | None, without: float | None) -> bool:
    if whole is None or without is None:
        return whole is without
    return abs(whole - without) <= _TOLERANCE * max(abs(whole), abs(without))
