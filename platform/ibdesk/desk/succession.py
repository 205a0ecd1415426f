"""Which run of an earlier life a start goes on with."""

from __future__ import annotations

from collections.abc import Mapping

from ibdesk.engine import Run, RunState
from ibdesk.errors import DeskError
from ibdesk.model import StartStrategy


def predecessor(runs: Mapping[str, Run], start: StartStrategy, run_id: str) -> Run | None:
    """Return the run to go on with: the one named, else the oldest orphan that was started like this.

    Raises:
        DeskError: If there is no run of the name.
    """
    if run_id:
        if run_id not in runs:
            raise DeskError(f"there is no run {run_id!r} to go on with: the runs are {', '.join(runs) or 'none'}")
        return runs[run_id]
    orphans = (run for run in runs.values() if run.state is RunState.ORPHANED)
    return next((run for run in orphans if _likeness(run.start) == _likeness(start)), None)


def _likeness(start: StartStrategy) -> object:
    """Return what makes two starts mean the same run; the code may have been mended in between."""
    names = sorted(instrument.id for instrument in start.instruments)
    return start.source.class_name, start.name, start.parameters, names, start.interval_ns, start.bar_source
