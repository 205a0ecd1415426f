"""One simulated guardian process. The engine's port is not simulated, so it judges the account and obeys people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ibdesk.errors import ConfigError
from ibdesk.guardian.command_socket import Command
from ibdesk.guardian.config import GuardianConfig
from ibdesk.guardian.decisions import Rules
from ibdesk.guardian.record import Record
from ibdesk.guardian.watch import Watch
from ibdesk.simulation.engine_process import HOST, PORT
from ibdesk.simulation.loop import Process, VirtualLoop
from ibdesk.simulation.network import Network

GUARDIAN_CLIENT = 90


class GuardianProcess:
    """One generation of the guardian; its log and memory are in a folder that outlives it."""

    def __init__(
        self, loop: VirtualLoop, folder: Path, *, max_daily_loss: float | None, say: Callable[[str], None]
    ) -> None:
        self.process: Process = loop.process("guardian")
        self._loop, self._say = loop, say
        self._config = GuardianConfig(
            mode="paper",
            state_folder=folder,
            desk_socket=folder / "desk-paper.sock",
            host=HOST,
            port=PORT,
            client_id=GUARDIAN_CLIENT,
            account="",
            rules=Rules(max_daily_loss=max_daily_loss),
        )
        self._record: Record | None = None
        self.watch: Watch | None = None
        # failure: the error that it ended with, None while it runs.
        self.failure: ConfigError | None = None
        self.task = loop.run_in(self.process, self._live(), "guardian")

    @property
    def is_busy(self) -> bool:
        """Return whether a stop is being carried out."""
        return self.watch is not None and bool(self.watch.status()["stops"])

    @property
    def finished(self) -> dict[str, object]:
        """Return the last stop that was carried out, empty before the first or without a running guardian."""
        found = {} if self.watch is None else self.watch.status()["finished"]
        assert isinstance(found, dict)  # noqa: S101 - for the type checker
        return found

    def ask(self, do: str) -> None:
        """Send a command over its socket, as a person does."""

        def answer() -> None:
            if self.watch is not None:
                self.watch.answer(Command(do=do, reason="the plan says so", by="operator"))

        self._loop.call_soon(answer, context=self.process.context)

    def died(self, network: Network) -> None:
        """End it at once; its files stay."""
        self._loop.end(self.process)
        network.died(self.process)
        if self.watch is not None:
            # The lock of a dead process is gone; this one would last until its descriptor is closed here.
            self.watch.release()

    async def _live(self) -> None:
        try:
            record = self._record = Record(self._config.log, self._config.memory, say=self._say)
            watch = self.watch = Watch(self._config, record)
            await watch.run()
        except ConfigError as error:
            self.failure = error
        finally:
            if self._record is not None:
                self._record.close()
