"""The backtest service of the API: start, find, cancel and delete backtests."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import polars as pl

from ibdesk.desk import DeskHandle
from ibdesk.engine import RiskLimits
from ibdesk.errors import DataError, DeskError
from ibdesk_server.backtests.data_folder import DataFolder
from ibdesk_server.backtests.job import BacktestJob, BacktestTask, plain_limits
from ibdesk_server.backtests.jobs import JobFolder, Jobs
from ibdesk_server.backtests.request import BacktestRequest, FileBars, HistoryBars
from ibdesk_server.backtests.runner import BacktestRunner, FetchBars
from ibdesk_server.backtests.settings import BacktestSettings
from ibdesk_server.strategy_folder import StrategyFolder

_SAMPLE = "sample"


class QueueFullError(DeskError):
    """The queue of backtests is full; try again later."""

    def __init__(self, queue: int) -> None:
        super().__init__(queue)
        self.queue = queue

    def __str__(self) -> str:
        return f"{self.queue} backtests are waiting already: try again when some of them are done"


class Backtests:
    """The backtests of a server, shared by all web workers of the machine."""

    def __init__(
        self, folder: Path, settings: BacktestSettings, strategies: StrategyFolder, limits: RiskLimits
    ) -> None:
        self._settings, self._strategies, self._limits = settings, strategies, limits
        self._jobs = Jobs(folder)
        self._data = DataFolder(settings.data_folder, max_bytes=settings.max_file_bytes)
        self._runner = BacktestRunner(self._jobs, settings)

    async def start(self, request: BacktestRequest, *, by: str, desk: DeskHandle) -> BacktestJob:
        """Check a request and queue the backtest.

        Raises:
            QueueFullError: If too many backtests are waiting.
            StrategyError: If there is no such strategy, or its parameters are wrong.
            DataError: If there is no such file, or it asks for too many bars.
        """
        strategy = await asyncio.to_thread(self._checked_strategy, request)
        bars, fetch = await asyncio.to_thread(self._source, request, desk)
        if not await asyncio.to_thread(self._runner.has_room):
            raise QueueFullError(self._settings.queue)
        task = BacktestTask(
            file=request.file,
            strategy=str(strategy),
            parameters=request.parameters,
            bars=bars,
            symbols=[] if fetch is not None else list(request.bars.symbols),
            reading=request.bars.reading() if isinstance(request.bars, FileBars) else {},
            cash=request.cash,
            commission=request.commission,
            slippage_ticks=request.slippage_ticks,
            limits=plain_limits(RiskLimits.none() if request.limits == "none" else self._limits),
            warm_up=request.warm_up,
            max_bars=self._settings.max_bars,
            max_file_bytes=self._settings.max_file_bytes,
            memory_bytes=self._settings.memory_bytes,
            niceness=self._settings.niceness,
            asked=request.model_dump(mode="json", exclude_defaults=True),
            by=by,
            created_ns=time.time_ns(),
        )
        return self._runner.start(task, fetch=fetch).read()

    async def all(self) -> list[BacktestJob]:
        """Return how every backtest stands, oldest first."""
        return await asyncio.to_thread(self._jobs.all)

    def find(self, job_id: str) -> JobFolder | None:
        """Return a backtest, None if the id is unknown."""
        return self._jobs.find(job_id)

    async def delete(self, job: JobFolder) -> None:
        """Delete a backtest; cancel it first if it runs."""
        await asyncio.to_thread(self._jobs.delete, job)

    async def close(self) -> None:
        """Cancel the backtests that this server runs."""
        await self._runner.close()

    def _checked_strategy(self, request: BacktestRequest) -> Path:
        path = self._strategies.path_of(request.file).resolve()
        self._strategies.check(path, request.parameters)
        return path

    def _source(self, request: BacktestRequest, desk: DeskHandle) -> tuple[str, FetchBars | None]:
        """Return the source of the bars for the worker, and the function that loads them if they are not on disk."""
        match request.bars:
            case FileBars(file=file):
                return str(self._data.path_of(file).resolve()), None
            case HistoryBars() as history:
                if history.count * len(history.symbols) > self._settings.max_bars:
                    raise DataError(f"a backtest may use at most {self._settings.max_bars:,} bars: ask for fewer")
                return "", lambda: _history(desk, history)
        return _SAMPLE, None


async def _history(desk: DeskHandle, wanted: HistoryBars) -> pl.DataFrame:
    """Request past bars from the desk, one symbol after the other because of TWS's pacing."""
    found = [await desk.aio.history(symbol, bar=wanted.bar, count=wanted.count) for symbol in wanted.symbols]
    return pl.concat(found)
