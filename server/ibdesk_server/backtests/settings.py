"""The settings of backtests over the API."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from ibdesk.config import Section


class BacktestSettings(Section):
    """Limits of backtests over the API, shared by all web workers of one machine."""

    data_folder: Path | None = Field(None, description="folder of bar files for backtests")
    at_once: int = Field(1, ge=1, le=64, description="how many backtests run at a time")
    queue: int = Field(20, ge=0, le=10_000, description="how many backtests may wait")
    seconds: float = Field(600, gt=0, le=86_400, description="time limit of one backtest")
    max_bars: int = Field(2_000_000, ge=2, description="maximum number of bars of one backtest")
    max_file_bytes: int = Field(268_435_456, ge=1_024, description="maximum size of a bar file, uncompressed")
    memory_bytes: int = Field(4_294_967_296, ge=268_435_456, description="memory limit of one backtest")
    niceness: int = Field(
        10, ge=0, le=19, description="niceness of a backtest's process: a higher value yields more to other processes"
    )
    keep: int = Field(200, ge=1, le=100_000, description="how many finished backtests are kept; the oldest are deleted")
