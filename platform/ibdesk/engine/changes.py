"""Changes at run time: the parameters of a run, and the limits of the risk gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from ibdesk.engine.run import RunState
from ibdesk.errors import DeskError
from ibdesk.model import ChangeLimits, ChangeParameters, Notice, Severity, StopStrategy

if TYPE_CHECKING:
    from ibdesk.engine.engine import Engine


def change_parameters(engine: Engine, command: ChangeParameters) -> None:
    """Change the parameters of a run, from its next bar on.

    Raises:
        DeskError: If there is no such run, or it has ended.
        StrategyError: If a parameter is invalid, or the features cannot be computed with it; then nothing changes.
    """
    run = engine.run_of(command.run_id)
    if not run.is_running:
        raise DeskError(f"{run.id} is {run.state.value}: start it again with the new parameters")
    before = run.start.parameters
    asked = msgspec.structs.replace(run.start, parameters=command.parameters)
    run.take_parameters(command.parameters, engine.strategy_of(asked))
    words = _in_words(before, command.parameters)
    engine.alert(run.id, f"parameters changed by {command.by}: {words}", Severity.INFO)


def stop_strategy(engine: Engine, stop: StopStrategy) -> None:
    """End a run, and close its positions if the command says so.

    Raises:
        DeskError: If there is no such run.
    """
    run = engine.run_of(stop.run_id)
    made_before = run.orders.made
    if run.state is RunState.RUNNING:
        engine.calls.call(run, run.strategy.on_stop)
    if run.state in (RunState.RUNNING, RunState.ORPHANED):
        engine.end_run(run, RunState.STOPPED, "", made_before=made_before)
    if stop.flatten:
        engine.orders.aims.flatten(run)


def change_limits(engine: Engine, command: ChangeLimits) -> None:
    """Change the limits of the risk gate: refused targets can be ordered again, and a loss beyond a limit halts."""
    before = engine.gate.limits.by_name
    engine.gate.change(engine.gate.limits.but(command.limits))
    engine.allow_targets()
    words = _in_words(before, engine.gate.limits.by_name)
    engine.alert("risk", f"the limits were changed by {command.by}: {words}", Severity.WARNING)
    engine.orders.losses.take_limits()
    engine.orders.losses.look()
    engine.orders.queue.release()


def take_notice(engine: Engine, notice: Notice) -> None:
    """Show a message of TWS or the link to a person, unless it is informational."""
    if notice.severity is not Severity.INFO:
        engine.alert("link", notice.text, notice.severity)


def _in_words(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    names = [name for name in after if before.get(name) != after[name]]
    return ", ".join(f"{name} {before.get(name)} -> {after[name]}" for name in names) or "nothing changed"
