"""Starting a run: qualify, subscribe, warm up, and continue from an earlier run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ibdesk.desk.repeats import runs_meant
from ibdesk.desk.run_names import RunNames
from ibdesk.desk.warm_up import fetch_histories
from ibdesk.engine import RunState
from ibdesk.errors import DeskError
from ibdesk.model import NO_BUDGET, AnyInstrument, BarSource, Instrument, RunBudget, StartStrategy
from ibdesk.strategy import Strategy

if TYPE_CHECKING:
    from ibdesk.desk.runtime import Runtime


class RunStarter:
    """Starts the runs of one desk."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime, self._names = runtime, RunNames()

    async def start(
        self,
        strategy: Strategy | type[Strategy] | str | Path,
        *,
        on: list[str | Instrument],
        bar_ns: int,
        bar_source: BarSource,
        warm_up: int,
        parameters: dict[str, object],
        cash: float,
        run_id: str,
        name: str,
        budget: RunBudget | None,
        by: str,
        correlation_id: str,
    ) -> str:
        """Qualify, subscribe, warm up and start; return the run's id.

        If a run already does this, its id is returned. Otherwise the run continues with the book, orders and state of
        the run `run_id`, or of an orphaned run that was started in the same way; without one it is a new run.
        """
        runtime = self._runtime
        found = await runtime.loading.find(strategy, parameters)
        loaded = found.loaded
        instruments = [await runtime.qualify(each) for each in on]
        start = StartStrategy(
            run_id="",
            source=loaded.source,
            parameters=found.parameters,
            instruments=instruments,
            interval_ns=bar_ns,
            bar_source=bar_source,
            at_ns=runtime.clock.now_ns(),
            cash=cash,
            by=by,
            name=name,
            budget=budget or NO_BUDGET,
            correlation_id=correlation_id,
        )
        # An existing or refused run needs no history. Checked again after the await: another start may have come.
        if there := runs_meant(runtime.engine.runs, start, loaded.cls, run_id)[0]:
            return there.id
        self._watch(instruments)
        history = await fetch_histories(runtime.service, instruments, interval_ns=bar_ns, count=warm_up)
        there, before = runs_meant(runtime.engine.runs, start, loaded.cls, run_id)
        if there:
            return there.id
        start = msgspec.structs.replace(
            start,
            run_id=before.id if before else self._names.new(name or loaded.source.class_name, runtime.engine.runs),
            state=before.saved_state if before else start.state,
            budget=before.start.budget if before and budget is None else start.budget,
            at_ns=runtime.clock.now_ns(),
            history=[*history, *runtime.recent_bars.after(history, interval_ns=bar_ns)],
        )
        runtime.strategies.put(loaded.cls, loaded.source)
        runtime.command(start)
        if (run := runtime.engine.runs[start.run_id]).state is RunState.FAILED:
            raise DeskError(f"{start.run_id} could not start: {run.note}")
        return start.run_id

    def _watch(self, instruments: Sequence[AnyInstrument]) -> None:
        """Subscribe once to the bars and quotes of a run's instruments, and keep their newest bars for the start."""
        for instrument in instruments:
            if self._runtime.recent_bars.follow(instrument.id):
                self._runtime.service.subscribe_bars(instrument)
                self._runtime.service.subscribe_quotes(instrument)
