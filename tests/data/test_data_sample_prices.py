"""The real prices that ibdesk is shown with are free of splits, and of nothing else."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from ibdesk.data import check_bars, sample_daily_bars
from ibdesk.data.sample import quoted_prices
from ibdesk.data.splits import Split, adjust_for_splits, find_splits
from ibdesk.errors import DataError


def test_the_splits_found_are_those_that_happened() -> None:
    # Apple split 2:1 on 2000-06-21 and 2005-02-28, Microsoft 2:1 on 2003-02-18; Microsoft's special dividend of
    # 3 dollars (2004-11-15) and Apple's fall by half (2000-09-29) are none.
    assert find_splits(quoted_prices()) == [
        Split("AAPL", dt.date(2000, 6, 21), 2.0),
        Split("AAPL", dt.date(2005, 2, 28), 2.0),
        Split("MSFT", dt.date(2003, 2, 18), 2.0),
    ]


def test_no_day_of_the_adjusted_series_moves_by_a_split() -> None:
    quoted = quoted_prices()
    splits = find_splits(quoted)
    adjusted = adjust_for_splits(quoted, splits, time="date")
    moves = adjusted.select(
        "symbol",
        "date",
        ours=(pl.col("close") / pl.col("close").shift(1)).over("symbol"),
        theirs=(pl.col("adjusted_close") / pl.col("adjusted_close").shift(1)).over("symbol"),
    ).drop_nulls()

    # On every day the price moves as the adjusted close does, but for dividends, of which 3 dollars on 27 were the
    # largest; a split left in, or one taken out that never was, would be off by half.
    assert moves.select((pl.col("ours") / pl.col("theirs") - 1).abs().max()).item() < 0.11
    for split in splits:
        day = moves.filter((pl.col("symbol") == split.symbol) & (pl.col("date") == split.on))
        assert day["ours"].item() == pytest.approx(1, abs=0.11)


def test_adjusting_keeps_the_money_that_changed_hands() -> None:
    quoted = quoted_prices()
    adjusted = adjust_for_splits(quoted, find_splits(quoted), time="date")
    first = adjusted.filter(pl.col("symbol") == "AAPL").row(0, named=True)

    # Two splits of 2:1 came later: 130.31 a share was quoted, 9,616,100 shares traded.
    assert first["close"] == 130.31 / 4
    assert first["volume"] == 9_616_100 * 4


def test_the_sample_is_a_clean_daily_frame() -> None:
    bars = sample_daily_bars()
    checked = check_bars(bars, allow_gaps=False)

    assert checked.symbols == ("AAPL", "GOOG", "IBM", "MSFT")
    assert checked.interval_ns == 86_400_000_000_000
    assert bars.height == 3 * 3270 + 2148


def test_without_the_package_the_error_says_what_to_install() -> None:
    with pytest.raises(DataError, match=r"package nowhere, which is not installed: pip install 'ibdesk\[res"):
        quoted_prices(package="nowhere")
