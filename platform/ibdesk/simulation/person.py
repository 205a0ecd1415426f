"""The person at the desk: starts strategies, gives commands, lifts halts, and trades a little in TWS."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ibdesk.clock import SECOND
from ibdesk.desk.commands import Commands
from ibdesk.engine import RunState
from ibdesk.errors import DeskError, IbdeskError, LinkError
from ibdesk.model import Link
from ibdesk.simulation import plan as steps
from ibdesk.simulation.strategies import ALL

if TYPE_CHECKING:
    from ibdesk.desk.runtime import Runtime
    from ibdesk.simulation.world import World

# Seconds after the storm: when all runs are stopped and their positions closed, and when a probe order is placed by
# hand, and placed again if it was denied. No order of a strategy is open then that it could trade with.
STOPS_AT, PROBES_AT, PROBES_AGAIN_AT = 30.0, 38.0, 41.5
_FRESH_NS = 15 * SECOND
_OPEN = (RunState.RUNNING, RunState.ORPHANED)


class Person:
    """Gives the plan's commands to the running engine, and receives the answers."""

    def __init__(self, world: World) -> None:
        self._world = world
        # lifted: halts that the person has requested to lift.
        self.lifted: set[str] = set()
        self._ended: set[str] = set()
        self._started_on: object = None
        self._halts = 0
        self._is_calm = False
        self._probe = ""
        self._has_stopped = False
        self._commands: dict[type, Callable[[Any], None]] = {
            steps.Halt: self._halt,
            steps.Lift: self._lift_one,
            steps.Place: self._place,
            steps.Modify: self._modify,
            steps.Cancel: self._cancel,
            steps.StopRun: self._stop_run,
            steps.Reparameterize: self._reparameterize,
            steps.TradeAtTws: self._trade,
            steps.AcceptOutside: lambda step: self._accept(step.symbol),
        }

    def begin(self) -> None:
        """Begin to supervise the desk."""
        self._world.spawn(self._look_after(), "person")

    async def _look_after(self) -> None:
        world = self._world
        while True:
            await asyncio.sleep(0.5)
            engine = world.engine
            if engine is None or not engine.is_up or engine.runtime is None:
                continue
            if engine.runtime.service.link is not Link.UP:
                continue
            if self._started_on is not engine and not self._has_stopped:
                self._started_on = engine
                for name in world.plan.strategies:
                    if name not in self._ended:
                        self._start(name)
            if self._is_calm:
                self._put_in_order(engine.runtime)

    def _put_in_order(self, runtime: Runtime) -> None:
        """Lift halts, and accept outside trades."""
        guardian = self._world.guardian
        if guardian is not None and guardian.is_busy:
            # The guardian's work is not undone while it is in progress.
            return
        # Also after the runs are stopped: the guardian may act on the loss of closing them.
        for halt in list(runtime.engine.gate.halts):
            self._lift(halt)
        # Also then, so that a run does not close what the guardian has closed already.
        for symbol in list(runtime.engine.orders.outside.uncovered):
            self._accept(symbol)

    # ---- commands ---------------------------------------------------------------------------------------------

    def does(self, step: Any) -> None:
        """Carry out one step of the plan."""
        self._commands[type(step)](step)

    def _halt(self, _step: steps.Halt) -> None:
        self._halts += 1
        reason = f"halt {self._halts} of the plan"
        self._ask("halt", lambda c: c.halt(reason))

    def _lift_one(self, _step: steps.Lift) -> None:
        engine = self._world.engine
        halts = list(engine.runtime.engine.gate.halts) if engine is not None and engine.runtime else []
        if halts:
            self._lift(halts[0])

    def _stop_run(self, step: steps.StopRun) -> None:
        engine = self._world.engine
        self._stop(step.strategy, flatten=step.flatten)
        if engine is not None and engine.is_up:
            # Otherwise the command was lost, and the strategy is started again.
            self._ended.add(step.strategy)

    def _reparameterize(self, step: steps.Reparameterize) -> None:
        name = "every" if step.strategy == "Flicker" else "size"
        for run in self._runs(step.strategy):
            self._ask("change", functools.partial(_change, run, {name: step.size}))

    def _trade(self, step: steps.TradeAtTws) -> None:
        gateway = self._world.gateway
        assert gateway is not None  # noqa: S101 - for the type checker

        def trade() -> None:
            try:
                gateway.place_by_hand(step.symbol, step.side, step.quantity)
            except IbdeskError as error:
                self._world.trace.note(f"TWS refuses: {error}")

        self._world.in_gateway(trade)

    def _accept(self, symbol: str) -> None:
        self._ask("accept", lambda c: c.accept_external(symbol))

    def _start(self, name: str) -> None:
        symbols = list(self._world.plan.symbols)

        async def start(commands: Commands) -> None:
            try:
                try:
                    await commands.start(ALL[name], on=symbols, warm_up=8)
                except LinkError:
                    raise
                except DeskError:
                    # It was left with other parameters: it continues with the current ones.
                    runs = self._runs(name)
                    if not runs:
                        raise
                    await commands.start(ALL[name], on=symbols, warm_up=8, run_id=runs[0])
            except LinkError:
                # Requested again at the next look.
                self._started_on = None
                raise

        self._ask(f"start {name}", start)

    def _lift(self, halt: str) -> None:
        self.lifted.add(halt)
        self._ask("lift", lambda c: c.resume("the plan says so", id=halt))

    def _place(self, step: steps.Place) -> None:
        limit: float | None = None
        engine = self._world.engine
        price = engine.runtime.engine.price_of(step.symbol) if engine is not None and engine.runtime else None
        if step.offset is not None and price is not None:
            limit = round(price * (1 - step.offset if step.side == "buy" else 1 + step.offset), 2)

        def place(commands: Commands) -> Awaitable[Any]:
            return commands.place(step.symbol, step.side, step.quantity, limit=limit, client_key=step.key)

        self._ask("place", place)
        if step.is_repeated:
            self._world.at(self._world.seconds + 4.0, lambda: self._ask("place again", place))

    def _open_orders(self) -> list[Any]:
        engine = self._world.engine
        return [] if engine is None or engine.runtime is None else list(engine.runtime.engine.blotter.all_open())

    def _modify(self, step: steps.Modify) -> None:
        order = next((each for each in self._open_orders() if each.limit_price is not None), None)
        if order is not None:
            limit = round(order.limit_price * (1 + step.by), 2)
            self._ask("modify", lambda c: c.modify(order.id, limit=limit, quantity=step.quantity))

    def _cancel(self, step: steps.Cancel) -> None:
        orders = self._open_orders()
        if step.every:
            self._ask("cancel all", lambda c: c.cancel_all())
        elif orders:
            self._ask("cancel", lambda c: c.cancel(orders[0].id))

    def _runs(self, strategy: str) -> list[str]:
        engine = self._world.engine
        runs = engine.runtime.engine.runs if engine is not None and engine.runtime is not None else {}
        return [run.id for run in runs.values() if run.start.source.class_name == strategy and run.state in _OPEN]

    def _stop(self, strategy: str, *, flatten: bool) -> None:
        for run in self._runs(strategy):
            self._ask("stop", functools.partial(_stop_run, run, flatten=flatten))

    # ---- after the storm --------------------------------------------------------------------------------------

    def calms_down(self) -> None:
        """Restore order from now on."""
        self._is_calm = True
        self._world.at(self._world.seconds + PROBES_AT, self._place_probe)
        self._world.at(self._world.seconds + PROBES_AGAIN_AT, self._probe_again)
        self._world.at(self._world.seconds + STOPS_AT - 2, lambda: self._ask("cancel all", lambda c: c.cancel_all()))
        self._world.at(self._world.seconds + STOPS_AT, self._stop_all)

    def _place_probe(self) -> None:
        symbol, engine = self._world.plan.symbols[0], self._world.engine
        runtime = None if engine is None else engine.runtime
        held = 0.0 if runtime is None else runtime.engine.portfolio.held(symbol)
        # Each attempt is a new request. It goes towards flat, so that no limit of the plan blocks it.
        side = "sell" if held > 0 else "buy"

        async def place(commands: Commands) -> None:
            self._probe = (await commands.place(symbol, side, 1, client_key=f"probe {self._world.seconds:g}")).id

        self._ask("probe", place)

    def _probe_again(self) -> None:
        """Place the probe again if it was denied: closing all may have made the guardian halt the account."""
        if not self._probe:
            self._place_probe()

    def _stop_all(self) -> None:
        self._has_stopped = True
        self._look_at_runs()
        for name in self._world.plan.strategies:
            self._stop(name, flatten=True)

    def _look_at_runs(self) -> None:
        """Check that each strategy is one run, and receives market data."""
        world, engine = self._world, self._world.engine
        if engine is None or engine.runtime is None or not engine.is_up:
            return
        for name in world.plan.strategies:
            runs = self._runs(name)
            if len(runs) > 1 and not world.checker.excuses.has_lost_power:
                world.checker.report("1: a start that is repeated is one run", f"{runs}")
        # A run that was stopping as the desk died remains orphaned, and is not started again.
        is_running = any(self._runs(name) for name in world.plan.strategies if name not in self._ended)
        for symbol in world.plan.symbols if is_running else ():
            market = engine.runtime.engine.markets.get(symbol)
            at_ns = 0 if market is None or market.quote is None else market.quote.at_ns
            if world.loop.now_ns - at_ns > _FRESH_NS:
                world.checker.report("liveness: quotes come again", f"the last one of {symbol} came at {at_ns}")

    def at_the_end(self, report: Callable[[str, str], None]) -> None:
        """Check that the desk has traded, and holds nothing for runs that were closed."""
        world = self._world
        engine, truth = world.engine, world.checker.truth
        if engine is None or engine.runtime is None:
            return
        order = engine.runtime.engine.blotter.orders.get(self._probe)
        if (order is None or order.filled != 1) and not world.checker.openings.may_be_barred:
            report("liveness: an order by hand is filled", f"the probe is {order}")
        for run in engine.runtime.engine.runs.values():
            if run.id.partition("-")[0] in self._ended:
                continue
            for symbol in world.plan.symbols:
                held = engine.runtime.engine.portfolio.open_book(run.id).position(symbol).quantity
                if held:
                    report("liveness: a run that was closed holds nothing", f"{run.id} holds {held:g} {symbol}")
        if truth.executions and not world.plan.strategies:
            report("nothing trades by itself", str(len(truth.executions)))

    # ---- asking -----------------------------------------------------------------------------------------------

    def _ask(self, what: str, make: Callable[[Commands], Awaitable[Any]]) -> None:
        """Send a command to the running engine; its answer is part of the story."""
        world = self._world
        engine = world.engine
        if engine is None or not engine.is_up or engine.commands is None:
            world.trace.note(f"{what}: no engine is up")
            return
        commands = engine.commands

        async def carry_out() -> None:
            try:
                await make(commands)
                world.trace.note(f"{what}: done")
            except IbdeskError as error:
                world.trace.note(f"{what}: {error}")
            except Exception as error:  # noqa: BLE001 - any other error of a command is a bug of the product
                world.checker.report("a command fails with an error that people understand", f"{what}: {error!r}")

        world.loop.run_in(engine.process, carry_out(), what)


async def _change(run: str, parameters: dict[str, object], commands: Commands) -> None:
    await commands.change_parameters(run, parameters)


async def _stop_run(run: str, commands: Commands, *, flatten: bool) -> None:
    await commands.stop(run, flatten=flatten)
