"""A repeated start of a running strategy: it returns the run or an error, and never opens a second position."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping

from ibdesk.desk.succession import predecessor
from ibdesk.engine import Run
from ibdesk.errors import DeskError
from ibdesk.model import NO_BUDGET, StartStrategy
from ibdesk.strategy import Strategy


def runs_meant(
    runs: Mapping[str, Run], start: StartStrategy, cls: type[Strategy], run_id: str
) -> tuple[Run | None, Run | None]:
    """Return the run that already does what `start` requests, and the run to continue; both are None for a new run.

    Raises:
        DeskError: If another run or orphan conflicts with the start, or there is no run `run_id`.
    """
    if not run_id and (there := running_like(runs.values(), start, cls)):
        return there, None
    return None, predecessor(runs, start, run_id)


def running_like(runs: Iterable[Run], start: StartStrategy, cls: type[Strategy]) -> Run | None:
    """Return the run that does what `start` requests, None if no run is related.

    A run is of the same strategy if class, file and name are equal and it trades one of the instruments.

    Raises:
        DeskError: If such a run differs from the request; the message lists the differences and the remedies.
    """
    wanted = {instrument.id for instrument in start.instruments}
    for run in runs:
        if not run.is_running or not _is_same_strategy(run.start, start) or wanted.isdisjoint(run.lanes):
            continue
        differences = list(_differences(run, start, cls))
        if not differences:
            return run
        raise DeskError(
            f"{start.source.class_name} already runs on {', '.join(run.lanes)} as {run.id} ({'; '.join(differences)}): "
            f"give it other parameters with change_parameters, stop it first, or start a second one with name="
        )
    return None


def _is_same_strategy(one: StartStrategy, other: StartStrategy) -> bool:
    return (one.source.class_name, one.source.path, one.name) == (
        other.source.class_name,
        other.source.path,
        other.name,
    )


def _differences(run: Run, start: StartStrategy, cls: type[Strategy]) -> Iterator[str]:
    """Yield the differences between a run and a request."""
    known = run.start
    for name, value in start.parameters.items():
        if known.parameters.get(name) != value:
            yield f"{name} is {known.parameters.get(name)}, not {value}"
    asked = {instrument.id for instrument in start.instruments}
    if asked != set(run.lanes):
        yield f"it was requested on {', '.join(sorted(asked))}"
    if known.interval_ns != start.interval_ns or known.bar_source is not start.bar_source:
        yield "its bars differ"
    if known.cash != start.cash:
        yield f"cash is {known.cash:g}, not {start.cash:g}"
    if start.budget not in (NO_BUDGET, known.budget):
        yield f"its budget is {known.budget.by_name}, not {start.budget.by_name}"
    if known.source.sha256 != start.source.sha256 or _code_of(type(run.strategy)) != _code_of(cls):
        yield "its code has changed since"


def _code_of(cls: type[Strategy]) -> list[object]:
    """Return the code of a class without a file, to distinguish a cell that was run again from one that was edited."""
    return [
        (name, _bytes_of(member))
        for kind in cls.__mro__
        if issubclass(kind, Strategy) and kind is not Strategy
        for name, member in sorted(vars(kind).items())
        if isinstance(member, types.FunctionType)
    ]


def _bytes_of(function: types.FunctionType | types.CodeType) -> object:
    code = function.__code__ if isinstance(function, types.FunctionType) else function
    constants = [_bytes_of(each) if isinstance(each, types.CodeType) else repr(each) for each in code.co_consts]
    return code.co_code, code.co_names, code.co_varnames, constants
