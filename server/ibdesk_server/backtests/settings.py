"""What backtests may take of the machine."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from ibdesk.config import Section


class BacktestSettings(Section):
    """Limits of the backtests that are started over the API; those of one machine share them."""

    data_folder: Path | None = Field(None, description="folder of files of bars to test on")
    at_once: int = Field(1, ge=1, le=64, description="how many run at a time")
    queue: int = Field(20, ge=0, le=10_000, description="how many may wait for their turn")
    seconds: float = Field(600, gt=0, le=86_400, description="how long one may take")
    max_bars: int = Field(2_000_000, ge=2, description="how many bars one may be about")
    max_file_bytes: int = Field(268_435_456, ge=1_024, description="how long a file of bars may be, unpacked")
    memory_bytes: int = Field(4_294_967_296, ge=268_435_456, description="how much memory one may take")
    niceness: int = Field(10, ge=0, le=19, description="how far one stands back for whatever else the machine does")
    keep: int = Field(200, ge=1, le=100_000, description="how many are kept; the oldest ones leave")
