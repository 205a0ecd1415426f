"""A run whose warm-up is too short says how many bars it needs, and starts on what has history."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.desk.conftest import OpenDesk

from ibdesk.data import sample_daily_bars
from ibdesk.desk import Desk
from ibdesk.errors import HistoryError


def warned(desk: Desk, run: str) -> list[str]:
    """Return the warnings in a run's log: once a later command is in the journal, all earlier events are too."""
    desk.change_limits({"max_position_shares": 50_000})
    return [line.text for line in desk.run_log(run).lines if line.severity == "warning"]


def test_a_run_that_waits_for_more_bars_says_how_many_it_needs(desk: Desk, ema_cross: Path) -> None:
    run = desk.start(ema_cross, on=["AAPL"], bar="5 secs", parameters={"slow": 500})
    warm = desk.start(ema_cross, on=["IBM"], bar="5 secs", parameters={"slow": 499}, warm_up=499)

    [text] = warned(desk, run)
    assert text.startswith("AAPL: EmaCross needs 500 bars before it can decide, and its warm-up has 30")
    assert "start it with warm_up=500" in text
    assert warned(desk, warm) == []


@pytest.fixture
def late_prices(tmp_path: Path) -> Path:
    """Return a file of prices in which MSFT is not traded before the market of the test begins."""
    bars = sample_daily_bars().filter(pl.col("symbol").is_in(["AAPL", "MSFT"]))
    first_of_msft = bars["opened_at"].unique().sort()[1_700]
    path = tmp_path / "late.parquet"
    bars.filter((pl.col("symbol") == "AAPL") | (pl.col("opened_at") >= first_of_msft)).write_parquet(path)
    return path


def test_a_symbol_without_history_starts_later_than_the_others(
    open_desk: OpenDesk, ema_cross: Path, late_prices: Path
) -> None:
    market = {"replay": late_prices, "play_each_over_seconds": 5, "start": 1_500, "speed": 50}
    desk = open_desk(gateway=market)

    run = desk.start(ema_cross, on=["AAPL", "MSFT"], bar="5 secs")

    assert [info.state for info in desk.runs()] == ["running"]
    [text] = warned(desk, run)
    assert text.startswith("MSFT: EmaCross needs 26 bars before it can decide, and its warm-up has 0")
    with pytest.raises(HistoryError):
        desk.start(ema_cross, on=["MSFT"], bar="5 secs", name="other")
