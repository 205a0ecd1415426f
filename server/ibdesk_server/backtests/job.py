"""A backtest job: its task, state and outcome."""

from __future__ import annotations

import enum
import math
from typing import Any

import msgspec

from ibdesk.backtest import Result, Stats
from ibdesk.engine import RiskLimits


class JobState(enum.Enum):
    """The state of a backtest."""

    QUEUED = "queued"
    """Waiting for its turn or its bars."""
    RUNNING = "running"
    """A process is working on it."""
    DONE = "done"
    """Result and report can be read. Final."""
    FAILED = "failed"
    """It failed or took too long. Final."""
    CANCELLED = "cancelled"
    """A caller cancelled it. Final."""

    @property
    def is_final(self) -> bool:
        """Return whether the state cannot change any more."""
        return self in {JobState.DONE, JobState.FAILED, JobState.CANCELLED}


class BacktestTask(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a backtest's process.

    `limits` are the risk rules by name, None if one is off. `bars` is ``sample``, the path of a file, or empty if the
    bars are in the job's own folder. `symbols` are those to trade; empty means all. `reading` holds arguments for
    `read_bars`. `asked` is the original request.
    """

    file: str
    strategy: str
    parameters: dict[str, Any]
    bars: str
    symbols: list[str]
    reading: dict[str, Any]
    cash: float
    commission: str
    slippage_ticks: float
    limits: dict[str, float | str | bool | None]
    warm_up: int
    max_bars: int
    max_file_bytes: int
    memory_bytes: int
    niceness: int
    asked: dict[str, Any]
    by: str
    created_ns: int


class BacktestOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a backtest; `stats` and the fields after it are set if it is done.

    `csp` is the Content-Security-Policy that the report is served with.
    """

    state: JobState
    finished_ns: int
    error: str = ""
    class_name: str = ""
    sha256: str = ""
    parameters: dict[str, Any] = {}
    symbols: list[str] = []
    stats: dict[str, Any] | None = None
    warnings: list[str] = []
    csp: str = ""


class BacktestJob(msgspec.Struct, frozen=True, kw_only=True):
    """A backtest and its present state; `progress` is the fraction of its bars that are processed."""

    id: str
    task: BacktestTask
    state: JobState
    progress: float
    started_ns: int | None = None
    outcome: BacktestOutcome | None = None

    @property
    def error(self) -> str:
        """The reason of a failure, else empty."""
        return self.outcome.error if self.outcome is not None else ""


def plain_limits(limits: RiskLimits) -> dict[str, float | str | bool | None]:
    """Convert risk rules to JSON data, None if a rule is off. `limits_from` is the inverse."""
    return {name: None if limit == math.inf else limit for name, limit in limits.by_name.items()}


def limits_from(plain: dict[str, float | str | bool | None]) -> RiskLimits:
    """Convert the data of `plain_limits` back to risk rules."""
    return RiskLimits().but({name: math.inf if limit is None else limit for name, limit in plain.items()})


def figures(stats: Stats) -> dict[str, Any]:
    """Convert statistics to JSON data: durations in seconds, None if unknown."""
    found: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(stats).items():
        plain = value.total_seconds() if hasattr(value, "total_seconds") else value
        found[name] = None if isinstance(plain, float) and not abs(plain) < float("inf") else plain
    return found


def done(result: Result, *, csp: str, at_ns: int) -> BacktestOutcome:
    """Return the outcome of a successful backtest."""
    return BacktestOutcome(
        state=JobState.DONE,
        finished_ns=at_ns,
        class_name=result.source.class_name,
        sha256=result.source.sha256,
        parameters=result.parameters,
        symbols=list(result.symbols),
        stats=figures(result.stats),
        warnings=list(result.warnings),
        csp=csp,
    )
