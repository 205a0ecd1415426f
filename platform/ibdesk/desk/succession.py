"""Which run of an earlier life a start goes on with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ibdesk.engine import Run, RunState
from ibdesk.errors import DeskError
from ibdesk.model import StartStrategy


def predecessor(runs: Mapping[str, Run], start: StartStrategy, run_id: str) -> Run | None:
    """Return the run to go on with: the one named, else the oldest orphan that was started like this.

    Raises:
        DeskError: If there is no run of the name, or an orphan of this strategy on one of the instruments was started
            in another way: two runs would hold what is meant for one.
    """
    if run_id:
        if run_id not in runs:
            raise DeskError(f"there is no run {run_id!r} to go on with: the runs are {', '.join(runs) or 'none'}")
        return runs[run_id]
    orphans = [run for run in runs.values() if run.state is RunState.ORPHANED and _is_of(run, start)]
    for run in orphans:
        if _likeness(run.start) == _likeness(start):
            return run
    wanted = {instrument.id for instrument in start.instruments}
    for run in orphans:
        if not wanted.isdisjoint(run.lanes):
            raise DeskError(
                f"{run.id} was left by an earlier desk with {_holdings(run)} ({'; '.join(_differences(run, start))}): "
                f"take it over as it is asked for now with run_id={run.id!r} (--take-over {run.id}), or stop it first, "
                f"with flatten to close what it holds"
            )
    return None


def _is_of(run: Run, start: StartStrategy) -> bool:
    """Return whether a run is of the same strategy; its file may have been moved in between."""
    return (run.start.source.class_name, run.start.name) == (start.source.class_name, start.name)


def _holdings(run: Run) -> str:
    held = ", ".join(f"{each.quantity:g} {each.instrument}" for each in run.book.positions.values() if each.quantity)
    orders = sum(len(run.open_orders(symbol)) for symbol in run.lanes)
    return f"{held or 'no position'} and {orders} open order{'' if orders == 1 else 's'}"


def _differences(run: Run, start: StartStrategy) -> Iterator[str]:
    """Yield what the run did otherwise than is asked for."""
    known = run.start
    for name, value in start.parameters.items():
        if known.parameters.get(name) != value:
            yield f"{name} was {known.parameters.get(name)}, not {value}"
    if {instrument.id for instrument in start.instruments} != set(run.lanes):
        yield f"it was on {', '.join(run.lanes)}"
    if known.interval_ns != start.interval_ns or known.bar_source is not start.bar_source:
        yield "its bars were others"


def _likeness(start: StartStrategy) -> object:
    """Return what makes two starts of a strategy mean the same run; the code may have been mended in between."""
    names = sorted(instrument.id for instrument in start.instruments)
    return start.parameters, names, start.interval_ns, start.bar_source
