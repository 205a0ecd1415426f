"""The simulated world on one virtual clock: gateway, engines, guardian, a person, and their faults."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec

from ibdesk.clock import SECOND, machine_time
from ibdesk.gateway import Gateway
from ibdesk.gateway.faults.kinds import KINDS
from ibdesk.gateway.market.walk import RandomWalk
from ibdesk.simulation import plan as steps
from ibdesk.simulation.checker import Checker, Violation
from ibdesk.simulation.crash import Crash
from ibdesk.simulation.disk import Disk
from ibdesk.simulation.engine_process import CLIENT, PORT, RIVAL_CLIENT, EngineProcess
from ibdesk.simulation.guardian_process import GuardianProcess
from ibdesk.simulation.loop import Process, VirtualLoop
from ibdesk.simulation.network import End, Network
from ibdesk.simulation.person import Person
from ibdesk.simulation.plan import AnyStep, Plan
from ibdesk.simulation.trace import Trace

# The start of every simulation: a Monday, 10:00 in New York.
START_NS = 1_795_446_000 * SECOND
# The time until a service manager restarts an engine that has ended.
_RESTART_SECONDS = (0.5, 3.0)


class SeedResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a simulation."""

    plan: Plan
    violation: Violation | None
    trace: str
    seconds: float
    orders: int
    executions: int
    generations: int


class World:
    """One simulation."""

    def __init__(self, plan: Plan, folder: Path, *, verbose: bool = False) -> None:
        chance = random.Random(f"world {plan.seed}")  # noqa: S311 - repeatable on purpose
        self.plan, self.chance = plan, chance
        # It lacks asyncio's file readers, signals and subprocesses, which nothing here uses.
        self.loop = loop = VirtualLoop(chance, start_ns=START_NS)  # type: ignore[abstract]
        self.network = loop.network = Network(loop, chance, latency_ns=plan.latency_ns)
        self.trace = Trace(loop, verbose=verbose)
        self.checker = Checker(self)
        self.disk, self.gateway_disk = Disk(folder / "desk"), Disk(folder / "gateway")
        self.rival_disk = Disk(folder / "rival")
        self.gateway: Gateway | None = None
        self.gateway_process: Process | None = None
        self.engine: EngineProcess | None = None
        self.rival: EngineProcess | None = None
        self.guardian: GuardianProcess | None = None
        self.generations = 0
        # is_storm: whether faults and commands still come.
        self.is_storm = True
        self.person = Person(self)
        # _crash: the crash that is about to kill the engine.
        self._crash: Crash | None = None
        self._loses_power = any(isinstance(step, steps.Kill) and step.is_power_loss for step in plan.steps)
        self._faults: dict[type, Callable[[Any], None]] = {
            steps.Kill: self._kill_soon,
            steps.Stall: self._stall,
            steps.FillDisk: self._fill_disk,
            steps.Restart: self._restart,
            steps.HoldNetwork: self._hold_network,
            steps.CutLink: self._cut_link,
            steps.KillGateway: self._kill_gateway,
            steps.Misbehave: self._misbehave,
            steps.Rival: self._start_rival,
            steps.StopAll: self._stop_all,
            steps.KillGuardian: self._kill_guardian,
        }
        loop.after_turn = self._after_turn
        self.network.on_write = self._on_write

    @property
    def seconds(self) -> float:
        """Return the virtual seconds since the start."""
        return (self.loop.now_ns - START_NS) / SECOND

    # ---- running ----------------------------------------------------------------------------------------------

    def run(self, until: float | None = None) -> SeedResult:
        """Run to the end, to the first violation, or for `until` virtual seconds."""
        end = self.plan.storm_seconds + steps.SETTLE_SECONDS if until is None else until
        with machine_time(self.loop):
            try:
                self._start_gateway()
                self.at(0.3, self._start_engine)
                if self.plan.has_guardian:
                    self.at(0.2, self._start_guardian)
                for step in self.plan.steps:
                    self.at(step.at, lambda step=step: self._strike(step))
                self.at(self.plan.storm_seconds, self._calm_down)
                self.person.begin()
                self.loop.run_while(lambda: self.checker.violation is None and self.seconds < end)
                if self.checker.violation is None and until is None:
                    self.checker.at_the_end()
                return self._outcome()
            finally:
                self.loop.close()

    def _outcome(self) -> SeedResult:
        return SeedResult(
            plan=self.plan,
            violation=self.checker.violation,
            trace=self.trace.digest,
            seconds=self.seconds,
            orders=len(self.checker.truth.sent),
            executions=len(self.checker.truth.executions),
            generations=self.generations,
        )

    def at(self, seconds: float, action: Any) -> None:
        """Call `action` this many virtual seconds after the start."""
        delay = seconds - self.seconds
        self.loop.call_later(delay, action, context=self.loop.world.context)

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start a task of the world itself."""
        return self.loop.run_in(self.loop.world, work, name)

    # ---- processes --------------------------------------------------------------------------------------------

    def _start_gateway(self) -> None:
        plan = self.plan
        process = self.gateway_process = self.loop.process("gateway")
        self.gateway_disk.folder.mkdir(mode=0o700, exist_ok=True)
        gateway = process.context.run(
            lambda: Gateway(
                market=RandomWalk(plan.seed, plan.symbols, step_seconds=2.0, yearly_volatility=plan.yearly_volatility),
                port=PORT,
                seed=plan.seed,
                partial=plan.partial,
                state=self.gateway_disk.folder / "gateway.sqlite",
                listener=self.checker,
            )
        )
        self.gateway = gateway
        self.checker.truth.look_at(gateway)
        self.loop.run_in(process, gateway.run(), "gateway")

    def _start_engine(self) -> None:
        self.generations += 1
        self.trace.note("engine starts")
        self.engine = EngineProcess(self.loop, "desk", self.disk, client_id=CLIENT, risk=self.plan.risk)

    def _start_guardian(self) -> None:
        self.trace.note("guardian starts")
        folder = self.disk.folder.with_name("guardian")
        self.guardian = GuardianProcess(self.loop, folder, max_daily_loss=self.plan.guardian_loss, say=self.trace.note)

    def _stop_all(self, step: steps.StopAll) -> None:
        if self.guardian is not None:
            self.guardian.ask(step.do)

    def _kill_guardian(self, step: steps.KillGuardian) -> None:
        guardian, self.guardian = self.guardian, None
        if guardian is not None:
            guardian.died(self.network)
            self.at(self.seconds + step.down_seconds, self._start_guardian)

    def _start_again(self) -> None:
        self.engine = None
        self.at(self.seconds + self.chance.uniform(*_RESTART_SECONDS), self._start_engine)

    def in_gateway(self, action: Any) -> None:
        """Run `action` in the gateway's process."""
        if self.gateway_process is not None and self.gateway_process.is_alive:
            self.loop.call_soon(action, context=self.gateway_process.context)

    # ---- what happens at each turn ----------------------------------------------------------------------------

    def _on_write(self, end: End, data: bytes) -> None:
        self.trace.wrote(end.process.name, data)
        engine = self._engine_of(end.process)
        if engine is not None:
            if self._crash is not None and engine is self.engine:
                self._crash.note_write(engine.disk)
            self.checker.sends(engine, data)

    def _after_turn(self, process: Process) -> None:
        engine = self._engine_of(process)
        if engine is not None:
            if engine is self.engine and self._dies(engine):
                return
            self.checker.after_turn(engine)
            if self._loses_power:
                engine.disk.note(self.loop.now_ns)
        self.network.let_go(process)
        if self.guardian is not None and process is self.guardian.process:
            self._look_at_guardian(self.guardian)
        if process.name == "gateway":
            self.checker.take_in()
        if engine is not None and engine.task.done():
            self._ended(engine)
        if self.loop.errors:
            self.checker.report("an exception that nobody caught", f"{self.loop.errors[0]}")
        if self._crash is not None and engine is not None and engine is self.engine:
            self._crash.note_turn(engine.disk)

    def _look_at_guardian(self, guardian: GuardianProcess) -> None:
        """Record that the guardian has finished a stop, or has ended by itself."""
        self.checker.guardian.after_turn(guardian)
        if guardian.task.done():
            self.trace.note("guardian ended", detail=repr(guardian.failure))
            error = None if guardian.task.cancelled() else guardian.task.exception()
            if error is not None:
                self.checker.report("the guardian ended with an error that is not ours", repr(error))
            guardian.died(self.network)
            self.guardian = None
            self.at(self.seconds + self.chance.uniform(*_RESTART_SECONDS), self._start_guardian)

    def _engine_of(self, process: Process) -> EngineProcess | None:
        for engine in (self.engine, self.rival):
            if engine is not None and engine.process is process:
                return engine
        return None

    def _ended(self, engine: EngineProcess) -> None:
        """Record that an engine has ended by itself."""
        self.trace.note(f"{engine.process.name} ended", detail=repr(engine.failure))
        if not engine.task.cancelled():
            error = engine.task.exception()
            if error is not None:
                self.checker.report("an engine ended with an error that is not ours", repr(error))
        self.checker.generation_ended(engine)
        engine.died(self.network)
        if self.rival is None or self.rival.disk.folder != self.disk.folder:
            engine.disk.crash()
        if engine is self.engine:
            self._start_again()
        else:
            self.rival = None

    # ---- faults -----------------------------------------------------------------------------------------------

    def _strike(self, step: AnyStep) -> None:
        self.trace.note(step.words)
        self.checker.excuses.strikes(step)
        self._faults.get(type(step), self.person.does)(step)

    def _kill_soon(self, step: steps.Kill) -> None:
        self._crash = Crash(step, self.loop.now_ns, None if self.engine is None else self.engine.disk)

    def _stall(self, step: steps.Stall) -> None:
        engine = None if self.engine is None else self.engine.process
        guardian = None if self.guardian is None else self.guardian.process
        process = {"gateway": self.gateway_process, "guardian": guardian, "desk": engine}[step.process]
        if process is not None:
            process.free_ns = self.loop.now_ns + round(step.seconds * SECOND)
            if step.process == "desk":
                self.checker.openings.prices.hold(self.loop.now_ns, process.free_ns)

    def _hold_network(self, step: steps.HoldNetwork) -> None:
        self.network.hold(step.seconds)
        now_ns = self.loop.now_ns
        self.checker.openings.prices.hold(now_ns, now_ns + round(step.seconds * SECOND))

    def _restart(self, _step: steps.Restart) -> None:
        if self.engine is not None:
            self.engine.close()

    def _cut_link(self, _step: steps.CutLink) -> None:
        if self.engine is not None:
            self.network.cut(self.engine.process)

    def _dies(self, engine: EngineProcess) -> bool:
        """Kill the engine if that is due; return whether it is dead."""
        crash = self._crash
        if crash is None:
            return False
        found = crash.place(engine, self.network, self.loop.now_ns)
        if found is None:
            return False
        self._crash = None
        self.checker.excuses.has_lost_power |= crash.kill.is_power_loss
        kill, (whole, piece, log_bytes) = crash.kill, found
        writes = self.network.written(engine.process)
        self.trace.note(f"killed after {whole} of {writes} writes and {piece} bytes, log {log_bytes} bytes")
        self.network.let_go(engine.process, writes=whole, bytes_of_next=piece)
        engine.died(self.network, silent_seconds=kill.silent_seconds)
        if self.rival is not None and self.rival.disk.folder == self.disk.folder:
            # Its files are about to become copies too.
            self.rival.died(self.network)
            self.checker.generation_ended(self.rival)
            self.rival = None
        engine.disk.crash(log_bytes=log_bytes)
        self.checker.generation_ended(engine, lost_power=kill.is_power_loss)
        self._start_again()
        return True

    def _fill_disk(self, step: steps.FillDisk) -> None:
        engine = self.engine
        if engine is None or engine.runtime is None:
            return
        journal = engine.runtime.journal
        journal.limit_pages(0)

        def make_room() -> None:
            if self.engine is engine and engine.process.is_alive and not engine.task.done():
                journal.limit_pages(None)

        self.at(self.seconds + step.seconds, make_room)

    def _kill_gateway(self, step: steps.KillGateway) -> None:
        process = self.gateway_process
        if process is None or not process.is_alive:
            return
        self.loop.end(process)
        self.network.died(process)
        self.gateway_disk.crash()
        self.at(self.seconds + step.down_seconds, self._start_gateway)

    def _misbehave(self, step: steps.Misbehave) -> None:
        gateway, fields = self.gateway, step.fault
        fault = msgspec.convert(fields, KINDS[str(fields["kind"])])

        def strike() -> None:
            assert gateway is not None  # noqa: S101 - for the type checker
            # A fault may have no target, such as an order when there is none.
            gateway.faults.cause(fault)

        self.in_gateway(strike)

    def _start_rival(self, step: steps.Rival) -> None:
        if self.rival is not None:
            return
        disk = Disk(self.disk.folder) if step.same_folder else self.rival_disk
        client = CLIENT if step.same_client else RIVAL_CLIENT
        rival = self.rival = EngineProcess(self.loop, "rival", disk, client_id=client, risk=self.plan.risk)
        self.at(self.seconds + step.seconds, rival.close)

    def _calm_down(self) -> None:
        """End all faults; from now on everything must recover."""
        self.is_storm = False
        self.checker.excuses.calms_down()
        self._crash = None
        self.trace.note("calm")
        if self.rival is not None:
            self.rival.close()
        for process in self.loop.processes:
            process.free_ns = min(process.free_ns, self.loop.now_ns)
        self.network.release()

        def mend() -> None:
            gateway = self.gateway
            assert gateway is not None  # noqa: S101 - for the type checker
            gateway.faults.stop()
            gateway.faults.restore()
            gateway.hang_up(None)

        self.in_gateway(mend)
        self.person.calms_down()


def simulate(plan: Plan, *, until: float | None = None, verbose: bool = False) -> SeedResult:
    """Run one plan in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="ibdesk-simulation-", dir=_memory()) as folder, _apart(Path(folder)):
        return World(plan, Path(folder), verbose=verbose).run(until)


@contextlib.contextmanager
def _apart(folder: Path) -> Iterator[None]:
    """Keep the halts of the simulated account in its own folder, and silence the log."""
    disabled, accounts = logging.root.manager.disable, os.environ.get("IBDESK_ACCOUNTS")
    logging.disable(logging.CRITICAL)
    os.environ["IBDESK_ACCOUNTS"] = str(folder / "accounts")
    try:
        yield
    finally:
        logging.disable(disabled)
        if accounts is None:
            del os.environ["IBDESK_ACCOUNTS"]
        else:
            os.environ["IBDESK_ACCOUNTS"] = accounts


def _memory() -> str | None:
    """Return a folder in memory if there is one: the simulated disk decides what is synced."""
    shm = Path("/dev/shm")  # noqa: S108 - only a random name is created there
    return str(shm) if shm.is_dir() else None
