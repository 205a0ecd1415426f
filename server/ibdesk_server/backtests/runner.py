"""Runs backtests one after the other in processes of their own, which end with the server."""

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

# How often one that waits looks whether another web worker has left it a place.
_LOOK_SECONDS = 0.1
_LAST_WORDS = 2_000

FetchBars = Callable[[], Awaitable[pl.DataFrame]]


class BacktestRunner:
    """Takes backtests on, and ends those that are under way when it is closed."""

    def __init__(self, jobs: Jobs, settings: BacktestSettings) -> None:
        self._jobs, self._settings = jobs, settings
        self._tasks: set[asyncio.Task[None]] = set()

    def has_room(self) -> bool:
        """Return whether another backtest may be started now."""
        busy = sum(not job.state.is_final for job in self._jobs.all())
        return busy < self._settings.at_once + self._settings.queue

    def start(self, task: BacktestTask, *, fetch: FetchBars | None = None) -> JobFolder:
        """Take a backtest on and return its folder; `fetch` gives its bars when they are not in a file yet.

        Raises:
            OSError: If it cannot be written down.
        """
        job, lock = self._jobs.create(task)
        running = asyncio.create_task(self._run(job, lock, fetch), name=f"backtest {job.id}")
        self._tasks.add(running)
        running.add_done_callback(self._tasks.discard)
        return job

    async def close(self) -> None:
        """End all backtests that this server runs."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, job: JobFolder, lock: int, fetch: FetchBars | None) -> None:
        """See a backtest through; whatever goes wrong becomes its outcome."""
        try:
            if fetch is not None:
                await self._fetch(job, await fetch())
            with ExitStack() as stack:
                place = await self._place(stack, job)
                if place is not None:
                    await self._work(job, (lock, place))
        except IbdeskError as error:
            _fail(job, str(error))
        except Exception:  # noqa: BLE001 - its word to whoever asks for the outcome; the log has the cause
            _log.exception("backtest %s failed", job.id)
            _fail(job, "the server failed; its log says why")
        finally:
            os.close(lock)
        await asyncio.to_thread(self._jobs.prune, self._settings.keep)

    async def _fetch(self, job: JobFolder, bars: pl.DataFrame) -> None:
        await asyncio.to_thread(bars.write_parquet, job.bars)

    async def _place(self, stack: ExitStack, job: JobFolder) -> int | None:
        """Wait for one of the places of this machine; None once nobody wants it any more."""
        while not job.is_cancelled:
            place = stack.enter_context(self._jobs.slot(self._settings.at_once))
            if place is not None:
                return place
            await asyncio.sleep(_LOOK_SECONDS)
        return None

    async def _work(self, job: JobFolder, inherited: tuple[int, int]) -> None:
        """Have a process do it, and end that when it takes too long or the server ends."""
        process = await asyncio.to_thread(_start, job, inherited)
        waiting = asyncio.create_task(asyncio.to_thread(process.wait), name=f"process of {job.id}")
        try:
            job.tell_pid(process.pid)
            if job.is_cancelled:
                process.kill()
            await asyncio.wait({waiting}, timeout=self._settings.seconds)
            if not waiting.done():
                _fail(job, f"it took more than the {self._settings.seconds:g} s that a backtest may take")
        finally:
            if process.poll() is None:
                process.kill()
            # Also when this is cancelled: a killed process is gone in no time, and must not be left unburied.
            process.wait()
            assert process.stdin is not None  # noqa: S101 - for the type checker; it was asked for
            process.stdin.close()
        if not job.is_cancelled:
            _fail(job, f"its process {how_ended(process.returncode)}: {_last_words(job)}")


def _start(job: JobFolder, inherited: tuple[int, int]) -> subprocess.Popen[bytes]:
    with open(job.log, "wb", opener=owner_only) as log:
        return subprocess.Popen(  # noqa: S603 - our own module, on a folder that we named
            [sys.executable, "-m", "ibdesk_server.backtests.worker", str(job.path)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=inherited,
            # One thread, so that the other cores stay with whoever trades; a session of its own, so that Ctrl+C in
            # a terminal reaches the server alone.
            env=os.environ | {"POLARS_MAX_THREADS": "1"},
            start_new_session=True,
        )


def _fail(job: JobFolder, error: str) -> None:
    """Say that it failed, unless it has an outcome already."""
    job.finish(BacktestOutcome(state=JobState.FAILED, finished_ns=time.time_ns(), error=error))


def _last_words(job: JobFolder) -> str:
    text = job.log.read_text(errors="replace")[-_LAST_WORDS:].strip()
    return text.rpartition("\n")[2] or "it said nothing"
