"""One simulated engine process: a desk's runtime on the virtual loop, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ibdesk.clock import SystemClock
from ibdesk.desk.commands import Commands
from ibdesk.desk.runtime import Runtime
from ibdesk.desk.settings import DeskSettings
from ibdesk.desk.strategy_loading import FoundStrategy, checked_parameters, found_strategy
from ibdesk.engine import RiskLimits
from ibdesk.errors import IbdeskError
from ibdesk.model import StrategySource
from ibdesk.simulation.disk import Disk
from ibdesk.simulation.loop import Process, VirtualLoop
from ibdesk.simulation.network import Network
from ibdesk.store import Feed, FeedReader, Row, Topic
from ibdesk.strategy import Strategy
from ibdesk.tws import TwsSettings

HOST, PORT, CLIENT, RIVAL_CLIENT = "127.0.0.1", 7497, 5, 6
_TOPICS = (Topic.ORDERS, Topic.FILLS, Topic.LINK, Topic.RUNS, Topic.ALERTS)


class _LoadedHere:
    """A strategy loader without a separate thread or process."""

    async def find(
        self, strategy: Strategy | type[Strategy] | str | Path, parameters: dict[str, object]
    ) -> FoundStrategy:
        """Return the strategy, which is a class."""
        assert not isinstance(strategy, str | Path)  # noqa: S101 - simulated persons name classes
        return found_strategy(strategy, parameters)

    async def check_parameters(
        self,
        cls: type[Strategy],
        source: StrategySource,  # noqa: ARG002 - the class is given
        parameters: dict[str, object],
    ) -> dict[str, Any]:
        """Return all parameters."""
        return checked_parameters(cls, parameters)


class EngineProcess:
    """One generation of an engine: its process, its runtime, and its output."""

    def __init__(self, loop: VirtualLoop, name: str, disk: Disk, *, client_id: int, risk: Mapping[str, float]) -> None:
        self.process: Process = loop.process(name)
        self.disk, self.client_id, self._risk = disk, client_id, risk
        self.runtime: Runtime | None = None
        self.commands: Commands | None = None
        # reader: the desk's feed, not drained yet.
        self.reader: FeedReader | None = None
        self.snapshot: dict[Topic, list[Row]] = {}
        self.has_news = False
        # failure: the error that it ended with, None while it runs or after an orderly close.
        self.failure: BaseException | None = None
        self.journal: Path | None = None
        self._stop = asyncio.Event()
        self._loop = loop
        self.task = loop.run_in(self.process, self._live(), name)

    @property
    def is_up(self) -> bool:
        """Return whether it accepts commands."""
        return self.commands is not None and self.process.is_alive and not self.task.done()

    def _note_news(self) -> None:
        self.has_news = True

    def close(self) -> None:
        """Request an orderly end."""
        self._loop.call_soon(self._stop.set, context=self.process.context)

    def died(self, network: Network, *, silent_seconds: float = 0.0) -> None:
        """End it at once."""
        self._loop.end(self.process)
        network.died(self.process, silent_seconds=silent_seconds)

    async def _live(self) -> None:
        try:
            await self._open_and_run()
        except IbdeskError as error:
            self.failure = error
        except BaseExceptionGroup as errors:
            self.failure = errors
            while isinstance(self.failure, BaseExceptionGroup) and len(self.failure.exceptions) == 1:
                self.failure = self.failure.exceptions[0]

    async def _open_and_run(self) -> None:
        settings = DeskSettings(
            mode="paper",
            state_folder=self.disk.folder,
            tws=TwsSettings(host=HOST, port=PORT, client_id=self.client_id, reconnect_last_seconds=4, settle_seconds=8),
            risk=RiskLimits(**dict[str, Any](self._risk)),
        )
        feed = Feed()
        runtime = self.runtime = Runtime(settings, settings.tws, SystemClock(), feed, loading=_LoadedHere())
        self.journal = self.disk.journal = runtime.journal.path
        self.reader, self.snapshot = feed.subscribe(self._note_news, topics=_TOPICS)
        try:
            await runtime.service.connect()
            self.commands = Commands(runtime)
            running = asyncio.create_task(runtime.run_on_loop(), name="runtime")
            stopping = asyncio.create_task(self._stop.wait(), name="stop")
            await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
            self.commands = None
            stopping.cancel()
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        finally:
            runtime.close()
