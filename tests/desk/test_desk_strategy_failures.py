"""A strategy that misbehaves on a desk ends its own run; link, books, journal and the other runs continue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ibdesk.desk import Desk
from ibdesk.errors import DeskError, StrategyError
from ibdesk.model import Fill, Link, PlaceOrder, RunFailed
from ibdesk.store import JournalReader, Topic, replay

WriteStrategy = Callable[[str, str], Path]
Watch = Callable[[Desk], Any]

_STEADY = """
def on_bar(self, bar: Bar) -> None:
    self.state["bars"] = self.state.get("bars", 0) + 1
    self.buy(bar.instrument, 1)
"""
_BUYS_AND_FAILS = """
def on_start(self) -> None:
    self.buy("AAPL", 3)

def on_fill(self, fill) -> None:
    self.buy("AAPL", 7)
    {fault}
"""
_PANIC = "pl.select(pl.lit(pl.Series([1.0, 2.0, 3.0, 4.0])).rolling_sum(3, weights=[0.5, 0.5]))"


@pytest.mark.parametrize(
    "fault",
    ["raise SystemExit(3)", "raise KeyboardInterrupt", "raise GeneratorExit", _PANIC],
    ids=["exit", "interrupt", "generator", "panic"],
)
def test_what_on_fill_raises_ends_that_run_and_the_desk_trades_on(
    desk: Desk, watch: Watch, write_strategy: WriteStrategy, fault: str
) -> None:
    watcher = watch(desk)
    steady = desk.start(write_strategy("steady", _STEADY), on=["AAPL"])
    bad = desk.start(write_strategy("bad", _BUYS_AND_FAILS.format(fault=fault)), on=["AAPL"])
    watcher.wait_for(Topic.RUNS, run_id=bad, state="failed")
    watcher.wait_for(Topic.FILLS, owner=steady, count=3)

    states = {run.run_id: run.state for run in desk.runs()}
    assert states == {steady: "running", bad: "failed"}
    assert desk.health().link is Link.UP
    desk.close()
    _check_journal(Path(desk.journal_path), bad)


def _check_journal(path: Path, run_id: str) -> None:
    with JournalReader(path) as journal:
        entries = list(journal.entries())
    failed = [entry for entry in entries if any(isinstance(action, RunFailed) for action in entry.actions)]
    ((event, actions),) = [(entry.event, entry.actions) for entry in failed]
    assert isinstance(event, Fill)
    assert event.quantity == 3
    assert not any(isinstance(action, PlaceOrder) for action in actions)
    assert {action.run_id for action in actions if isinstance(action, RunFailed)} == {run_id}
    assert replay(path).events == len(entries)


def test_a_run_whose_warm_up_panics_does_not_start_and_the_desk_goes_on(
    desk: Desk, write_strategy: WriteStrategy
) -> None:
    panics = write_strategy(
        "panics",
        """
def features(self):
    return {"sum": pl.col("close").rolling_sum(3, weights=[0.5, 0.5])}
""",
    )

    with pytest.raises(DeskError, match="could not start: "):
        desk.start(panics, on=["AAPL"])

    assert desk.health().link is Link.UP
    assert desk.start(write_strategy("steady", _STEADY), on=["AAPL"])


_WEIGHTED = """
n: int = 2
fault: str = ""

def features(self):
    if self.fault:
        raise SystemExit(self.fault)
    return {"sum": pl.col("close").rolling_sum(self.n, weights=[0.5, 0.5])}

def on_bar(self, bar: Bar) -> None:
    self.buy(bar.instrument, self.n)
"""


@pytest.mark.parametrize("parameters", [{"n": 3}, {"fault": "x"}])
def test_parameters_that_make_the_features_fail_are_refused_and_the_run_goes_on(
    desk: Desk, watch: Watch, write_strategy: WriteStrategy, parameters: dict[str, object]
) -> None:
    watcher = watch(desk)
    run_id = desk.start(write_strategy("weighted", _WEIGHTED), on=["AAPL"])

    with pytest.raises(StrategyError, match="its features or target fail: "):
        desk.change_parameters(run_id, parameters)

    (run,) = desk.runs()
    assert (run.state, run.parameters) == ("running", {"n": 2, "fault": ""})
    watcher.wait_for(Topic.FILLS, owner=run_id, count=2)
    assert {row["quantity"] for row in watcher.wait_for(Topic.FILLS, owner=run_id)} == {2.0}
