"""Runs queued backtests, each in its own process, which ends with the server."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

import polars as pl

from ibdesk.config import owner_only
from ibdesk.errors import IbdeskError, how_ended
from ibdesk_server.backtests.job import BacktestOutcome, BacktestTask, JobState
from ibdesk_server.backtests.jobs import JobFolder, Jobs
from ibdesk_server.backtests.settings import BacktestSettings

_log = logging.getLogger(__name__)

# How often a queued backtest checks for a slot that another web worker has released.
_LOOK_SECONDS = 0.1
_LAST_WORDS = 2_000

FetchBars = Callable[[], Awaitable[pl.DataFrame]]


class BacktestRunner:
    """Starts backtests, and cancels the running ones when it is closed."""

    def __init__(self, jobs: Jobs, settings: BacktestSettings) -> None:
        self._jobs, self._settings = jobs, settings
        self._tasks: set[asyncio.Task[None]] = set()

    def has_room(self) -> bool:
        """Return whether the queue has room for another backtest."""
        busy = sum(not job.state.is_final for job in self._jobs.all())
        return busy < self._settings.at_once + self._settings.queue

    def start(self, task: BacktestTask, *, fetch: FetchBars | None = None) -> JobFolder:
        """Queue a backtest and return its folder; `fetch` loads its bars if they are not in a file yet.

        Raises:
            OSError: If the task cannot be written.
        """
        job, lock = self._jobs.create(task)
        running = asyncio.create_task(self._run(job, lock, fetch), name=f"backtest {job.id}")
        self._tasks.add(running)
        running.add_done_callback(self._tasks.discard)
        return job

    async def close(self) -> None:
        """Cancel all backtests that this server runs."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, job: JobFolder, lock: int, fetch: FetchBars | None) -> None:
        """Run a backtest to its end; any error becomes its outcome."""
        try:
            if fetch is not None:
                await self._fetch(job, await fetch())
            with ExitStack() as stack:
                place = await self._place(stack, job)
                if place is not None:
                    await self._work(job, (lock, place))
        except IbdeskError as error:
            _fail(job, str(error))
        except Exception:  # noqa: BLE001 - the outcome reports the failure; the log has the cause
            _log.exception("backtest %s failed", job.id)
            _fail(job, "the server failed; its log says why")
        finally:
            os.close(lock)
        await asyncio.to_thread(self._jobs.prune, self._settings.keep)

    async def _fetch(self, job: JobFolder, bars: pl.DataFrame) -> None:
        await asyncio.to_thread(bars.write_parquet, job.bars)

    async def _place(self, stack: ExitStack, job: JobFolder) -> int | None:
        """Wait for a run slot of this machine; return None if the backtest is cancelled meanwhile."""
        while not job.is_cancelled:
            place = stack.enter_context(self._jobs.slot(self._settings.at_once))
            if place is not None:
                return place
            await asyncio.sleep(_LOOK_SECONDS)
        return None

    async def _work(self, job: JobFolder, inherited: tuple[int, int]) -> None:
        """Run the worker process; kill it if it takes too long or the server ends."""
        process = await asyncio.to_thread(_start, job, inherited)
        waiting = asyncio.create_task(asyncio.to_thread(process.wait), name=f"process of {job.id}")
        try:
            job.tell_pid(process.pid)
            if job.is_cancelled:
                process.kill()
            await asyncio.wait({waiting}, timeout=self._settings.seconds)
            if not waiting.done():
                _fail(job, f"it took more than the allowed {self._settings.seconds:g} s")
        finally:
            if process.poll() is None:
                process.kill()
            # Also on cancellation: a killed process ends at once, and must be waited for or it stays a zombie.
            process.wait()
            assert process.stdin is not None  # noqa: S101 - for the type checker; the pipe was requested
            process.stdin.close()
        if not job.is_cancelled:
            _fail(job, f"its process {how_ended(process.returncode)}: {_last_words(job)}")


def _start(job: JobFolder, inherited: tuple[int, int]) -> subprocess.Popen[bytes]:
    with open(job.log, "wb", opener=owner_only) as log:
        return subprocess.Popen(  # noqa: S603 - our own module, with a folder that we named
            [sys.executable, "-m", "ibdesk_server.backtests.worker", str(job.path)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=inherited,
            # One thread leaves the other cores to trading. With its own session, Ctrl+C in a terminal reaches
            # only the server.
            env=os.environ | {"POLARS_MAX_THREADS": "1"},
            start_new_session=True,
        )


def _fail(job: JobFolder, error: str) -> None:
    """Write a failure as the outcome, unless there is one already."""
    job.finish(BacktestOutcome(state=JobState.FAILED, finished_ns=time.time_ns(), error=error))


def _last_words(job: JobFolder) -> str:
    text = job.log.read_text(errors="replace")[-_LAST_WORDS:].strip()
    return text.rpartition("\n")[2] or "no output"
