"""What can be set about logs and about how long things may take."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Level = Literal["debug", "info", "warning", "error", "critical"]


class LogSettings(BaseModel):
    """Where the log of a process goes, and what is worth a line in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Level = Field("info", description="the least important line that is written to the file")
    loggers: dict[str, Level] = Field(
        {"ib_async": "warning", "httpx": "warning", "httpcore": "warning", "bokeh": "error", "tornado": "error"},
        description="levels of parts of the program, by the name in `logger`",
    )
    folder: Path | None = Field(None, description="folder of the log files; `logs` in the state folder by default")
    file: bool = Field(True, description="whether a file is written at all")
    file_bytes: int = Field(20_000_000, ge=10_000, description="how long a file gets before the next one is begun")
    file_count: int = Field(10, ge=2, le=1_000, description="how many files are kept, the one being written included")
    stderr_level: Level = Field("warning", description="the least important line that goes to standard error")
    stderr_format: Literal["auto", "json", "text"] = Field(
        "auto", description="how lines look there: `auto` is text on a terminal and JSON elsewhere"
    )
    queue_lines: int = Field(
        10_000, ge=100, description="how many lines may wait for a slow disk or terminal; later ones are dropped"
    )


class PerformanceSettings(BaseModel):
    """How long each span may take before a warning is logged, in milliseconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order_execution_ms: float = Field(10, gt=0, description="market data arrives to the bytes of its order left")
    order_command_ms: float = Field(10, gt=0, description="an operator's order comes to its bytes left")
    order_answer_ms: float = Field(2_000, gt=0, description="an order left to TWS's first word on it")
    journal_commit_ms: float = Field(50, gt=0, description="events and actions to the disk")
    history_request_ms: float = Field(30_000, gt=0, description="past bars from TWS")
    feed_flush_ms: float = Field(50, gt=0, description="new rows to all feed clients of a server")
    request_ms: float = Field(1_000, gt=0, description="a REST request, read to answered")
    desk_call_ms: float = Field(500, gt=0, description="a question to the desk, asked to answered")
    redis_call_ms: float = Field(50, gt=0, description="one call of Redis")
    loop_lag_ms: float = Field(1_000, gt=0, description="how late an event loop may come to its work")
    warn_seconds: float = Field(1, gt=0, description="how often at most one span is warned of")

    def budget_ns(self, span: str) -> float:
        """Return what a span may take, in ns; one that nothing is set for may take any time."""
        budget_ms: float = getattr(self, f"{span}_ms", float("inf"))
        return budget_ms * 1e6
