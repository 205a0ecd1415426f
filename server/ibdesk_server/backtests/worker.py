"""The worker process of one backtest: ``python -m ibdesk_server.backtests.worker FOLDER``.

It runs the task in the folder and writes the outcome there. It ends when its standard input closes, because then the
server that started it has ended.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import resource
import sys
import threading
import time
from pathlib import Path

from ibdesk.backtest import Result, backtest, blaming
from ibdesk.data import Bars, read_bars
from ibdesk.errors import DataError, IbdeskError
from ibdesk.exchange import SCHEDULES, TickSlippage
from ibdesk.strategy import load_strategy, make_strategy
from ibdesk_server.backtests.job import BacktestOutcome, BacktestTask, JobState, done, limits_from
from ibdesk_server.backtests.jobs import JobFolder


def main(folder: Path) -> None:
    """Run the task of a folder."""
    threading.Thread(target=_leave_with_the_server, daemon=True).start()
    job = JobFolder(folder)
    task = job.task
    # A backtest yields the CPU to other work, above all to a trading desk.
    os.nice(task.niceness)
    resource.setrlimit(resource.RLIMIT_DATA, (task.memory_bytes, task.memory_bytes))
    try:
        outcome = _work(job, task)
    except IbdeskError as error:
        outcome = _failed(str(error))
    except MemoryError:
        outcome = _failed(f"it needs more than the allowed {task.memory_bytes / 2**20:,.0f} MiB of memory")
    job.finish(outcome)


def _work(job: JobFolder, task: BacktestTask) -> BacktestOutcome:
    bars = _bars(job, task)
    strategy = Path(task.strategy)
    with blaming(strategy):
        result = backtest(
            make_strategy(load_strategy(strategy).cls, task.parameters),
            bars,
            cash=task.cash,
            commissions=SCHEDULES[task.commission](),
            slippage=TickSlippage(task.slippage_ticks),
            limits=limits_from(task.limits),
            warm_up=task.warm_up,
            progress=job.tell_progress,
        )
    return _keep(job, result)


def _bars(job: JobFolder, task: BacktestTask) -> Bars:
    """Return the bars of the backtest.

    Raises:
        DataError: If they cannot be read, are too many, or lack a symbol.
    """
    bars = read_bars(task.bars or job.bars, **task.reading, allow_gaps=True, max_bytes=task.max_file_bytes)
    chosen = bars.only(task.symbols)
    if len(chosen) > task.max_bars:
        raise DataError(f"{len(chosen):,} bars are too many: a backtest may use at most {task.max_bars:,}")
    return chosen


def _keep(job: JobFolder, result: Result) -> BacktestOutcome:
    """Write the round trips and the report of a result, and return the outcome."""
    result.report(job.report)
    result.round_trips.write_parquet(job.round_trips)
    return done(result, csp=policy(job.report.read_text()), at_ns=time.time_ns())


def policy(page: str) -> str:
    """Return the Content-Security-Policy under which a page may run its own scripts and load nothing.

    The scripts are named by their hashes. `sandbox` gives the page its own origin, so that it cannot use the reader's
    login.
    """
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    hashes = sorted({base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts})
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
        f"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox allow-scripts"
    )


def _failed(error: str) -> BacktestOutcome:
    return BacktestOutcome(state=JobState.FAILED, finished_ns=time.time_ns(), error=error)


def _leave_with_the_server() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
