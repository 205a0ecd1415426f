"""The connection and the run that a command line describes."""

from __future__ import annotations

import contextlib
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from ibdesk.cli.logs import record
from ibdesk.cli.screen import line, waiting
from ibdesk.config import Given
from ibdesk.desk import DeskHandle, DeskSettings
from ibdesk.desk.strategy_limits import TrialLimits
from ibdesk.desk.strategy_trial import try_file
from ibdesk.errors import ConfigError, DeskError, UnlistedFutureError
from ibdesk.model import instrument_of, interval_ns, moment
from ibdesk.telemetry import correlated

if TYPE_CHECKING:
    from ibdesk.desk import Desk
    from ibdesk.tws import Fence

_log = logging.getLogger(__name__)

_SETTLING_SECONDS = 5.0

_Tree = TypeVar("_Tree", bound=DeskSettings)


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a desk's connection; None leaves a value to the settings, whose file is `config`."""

    config: Path | None = None
    mode: str | None = None
    host: str | None = None
    port: int | None = None
    client_id: int | None = None
    account: str | None = None
    speed: float | None = None
    resume: str | None = None
    """The id of a halt to lift."""

    def settings(self, root: type[_Tree], *more: Given) -> _Tree:
        """Return the settings, overridden by these options and `more`.

        Raises:
            ConfigError: If a setting is invalid, or an option does not fit the mode.
        """
        of_tws = (
            Given("tws.host", self.host, "--tws-host"),
            Given("tws.port", self.port, "--tws-port"),
            Given("tws.client_id", self.client_id, "--client-id"),
            Given("tws.account", self.account, "--account"),
        )
        of_desk = (Given("mode", self.mode, "--mode"), Given("gateway.speed", self.speed, "--speed"))
        found = root.load(*of_desk, *of_tws, *more, config=self.config)
        if found.mode != "embedded":
            if self.speed is not None:
                raise ConfigError(f"--speed is only for mode embedded; the mode is {found.mode}")
            return found
        if wrong := next((one for one in of_tws if one.value is not None), None):
            raise ConfigError(
                f"{wrong.origin} is for your own TWS; the embedded gateway needs no address: add --mode paper or "
                f"--mode live"
            )
        return found

    def common_arguments(self) -> list[str]:
        """Return the options before the command that make another process read the same settings."""
        return [] if self.config is None else ["--config", str(self.config)]

    def arguments(self) -> list[str]:
        """Return the options that give `ibdesk engine` the same connection."""
        options = {
            "--mode": self.mode,
            "--tws-host": self.host,
            "--tws-port": self.port,
            "--client-id": self.client_id,
            "--account": self.account,
            "--speed": self.speed,
            "--resume": self.resume,
        }
        return [str(part) for option, value in options.items() if value is not None for part in (option, value)]

    def guardian_arguments(self) -> list[str]:
        """Return the options that make `ibdesk guardian` watch the same account."""
        options = {
            "--mode": self.mode,
            "--tws-host": self.host,
            "--tws-port": self.port,
            "--account": self.account,
        }
        return [str(part) for option, value in options.items() if value is not None for part in (option, value)]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy file, with its instruments, bars, parameters and limits."""

    strategy: Path
    on: list[str]
    bar: str = "5 secs"
    parameters: dict[str, object] = {}
    take_over: str = ""
    """The id of an earlier desk's run whose book this run continues."""
    budget: dict[str, float] = {}
    """The run's own limits, by name."""

    def check(self) -> None:
        """Check that the run can be started, before a desk is opened.

        Raises:
            ConfigError: If no instrument is named, or `bar` is not a valid length.
            InstrumentError: If a name is not an instrument.
            StrategyError: If the file or the parameters cannot be used.
        """
        if not self.on:
            raise ConfigError("name the instruments to trade with --on, such as --on AAPL,MSFT")
        for name in self.on:
            # TWS provides the terms of a future that ibdesk does not ship.
            with contextlib.suppress(UnlistedFutureError):
                instrument_of(name, near_year=moment(time.time_ns()).year)
        interval_ns(self.bar)
        try_file(self.strategy, self.parameters, TrialLimits())

    def arguments(self) -> list[str]:
        """Return the options that make `ibdesk engine` start this run."""
        options = ["--strategy", str(self.strategy), "--on", ",".join(self.on), "--bar", self.bar]
        options += [part for name, value in self.parameters.items() for part in ("-p", f"{name}={value}")]
        options += [part for name, limit in self.budget.items() for part in ("--budget", f"{name}={limit:g}")]
        return [*options, "--take-over", self.take_over] if self.take_over else options

    def start(self, desk: DeskHandle) -> str:
        """Start the run on a desk and return its id."""
        with waiting(f"warming up {self.strategy.stem} on {', '.join(self.on)}"):
            return desk.start(
                self.strategy,
                on=self.on,
                bar=self.bar,
                parameters=self.parameters,
                run_id=self.take_over,
                budget=self.budget or None,
            )


def open_desk(settings: DeskSettings, *, resume: str | None = None, fence: Fence | None = None) -> Desk:
    """Open a desk, showing a status meanwhile; `resume` is the id of a halt to lift.

    If that halt is not in force, such as one in a unit file that an earlier start lifted, a line reports it.

    `fence` checks orders before they leave, if other engines stand by.
    """
    # Imports the engine and ib_async, which commands without a desk do not need.
    from ibdesk.desk import Desk

    where = "the embedded gateway" if settings.mode == "embedded" else f"TWS at {settings.tws.address}"
    with waiting(f"connecting to {where}"):
        desk = Desk.open(settings, fence=fence)
    if resume is not None:
        with correlated():
            _lift(desk, settings, resume)
    return desk


def _lift(desk: DeskHandle, settings: DeskSettings, halt_id: str) -> None:
    reason = f"--resume {halt_id}"
    try:
        desk.resume(reason, id=halt_id, by="local")
    except DeskError as error:
        _log.warning("--resume lifted no halt: %s", error)
        line("resume", f"no halt lifted: {error}")
    else:
        record(settings, "risk.resume", id=halt_id, reason=reason)
        line("resume", f"halt {halt_id} is lifted")


def end_run(desk: DeskHandle, run_id: str, *, flatten: bool) -> bool:
    """Stop a run and wait for its orders to end; return whether they have.

    Raises:
        DeskError: If the desk has failed.
    """
    desk.stop(run_id, flatten=flatten)
    deadline = time.monotonic() + _SETTLING_SECONDS
    while desk.health().open_orders and time.monotonic() < deadline:
        time.sleep(0.02)
    return not desk.health().open_orders


def check_runs(desk: DeskHandle, run_id: str) -> None:
    """Check that the run and its desk have not failed.

    Raises:
        DeskError: If either has failed.
    """
    for run in desk.runs():
        if run.run_id == run_id and run.state == "failed":
            raise DeskError(f"{run_id} has failed and no longer trades: {run.note}")
