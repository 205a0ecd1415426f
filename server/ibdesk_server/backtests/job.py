"""A backtest somebody asked for: what is to be done, where it stands, what came of it."""

from __future__ import annotations

import enum
import math
from typing import Any

import msgspec

from ibdesk.backtest import Result, Stats
from ibdesk.engine import RiskLimits


class JobState(enum.Enum):
    """Where a backtest is in its life."""

    # QUEUED: it waits for its turn, or for its bars.
    QUEUED = "queued"
    # RUNNING: a process is at work on it.
    RUNNING = "running"
    # DONE: result and report can be read; final.
    DONE = "done"
    # FAILED: it could not be done, or took too long; final.
    FAILED = "failed"
    # CANCELLED: somebody ended it; final.
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Return whether it stays so."""
        return self in {JobState.DONE, JobState.FAILED, JobState.CANCELLED}


class BacktestTask(msgspec.Struct, frozen=True, kw_only=True):
    """All that the process of a backtest must know.

    `limits` are the risk rules by name, None where one is off. `bars` is ``sample``, the path of a file, or empty when
    they lie in the job's own folder; `symbols` are those to trade on, all when there are none. `reading` is what the
    file does not say itself, by argument of `read_bars`. `asked` is the request as it came.
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
    """How a backtest ended; `stats` and what follows are there when it is done.

    `csp` is the Content-Security-Policy under which the report shows itself and nothing else.
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
    """A backtest as it stands; `progress` is the fraction of its bars that are done."""

    id: str
    task: BacktestTask
    state: JobState
    progress: float
    started_ns: int | None = None
    outcome: BacktestOutcome | None = None

    @property
    def error(self) -> str:
        """Why it failed, else nothing."""
        return self.outcome.error if self.outcome is not None else ""


def plain_limits(limits: RiskLimits) -> dict[str, float | str | bool | None]:
    """Return risk rules as JSON takes them, None where a rule is off; `limits_from` reads them."""
    return {name: None if limit == math.inf else limit for name, limit in limits.by_name.items()}


def limits_from(plain: dict[str, float | str | bool | None]) -> RiskLimits:
    """Return the risk rules that `plain_limits` wrote."""
    return RiskLimits().but({name: math.inf if limit is None else limit for name, limit in plain.items()})


def figures(stats: Stats) -> dict[str, Any]:
    """Return the figures as JSON takes them: spans in seconds, None for what is not known."""
    found: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(stats).items():
        plain = value.total_seconds() if hasattr(value, "total_seconds") else value
        found[name] = None if isinstance(plain, float) and not abs(plain) < float("inf") else plain
    return found


def done(result: Result, *, csp: str, at_ns: int) -> BacktestOutcome:
    """Return the outcome of a backtest that went well."""
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
