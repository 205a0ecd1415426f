"""A cell with `desk.start` that is run again returns the run or an error; a second run needs a name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ibdesk.desk import Desk
from ibdesk.errors import ConfigError, DeskError
from ibdesk.gateway import Pacing
from ibdesk.model import Bar
from ibdesk.store import Topic
from ibdesk.strategy import Strategy
from ibdesk.testing.gateway import RunningGateway

Watch = Callable[[Desk], Any]
WriteStrategy = Callable[[str, str], Path]

HOLD = """
size: int = 100

def target(self):
    return pl.lit(float(self.size))
"""


def total(desk: Desk) -> float:
    return float(desk.positions()["quantity"].sum())


def test_the_same_start_again_is_the_run_that_is_there(desk: Desk, watch: Watch, write_strategy: WriteStrategy) -> None:
    path = write_strategy("hold", HOLD)
    run = desk.start(path, on=["AAPL", "IBM"])
    watcher = watch(desk)
    watcher.wait_for(Topic.POSITIONS, owner=run, symbol="IBM", quantity=100.0)

    assert desk.start(path, on=["IBM", "AAPL"]) == run
    assert desk.start(path, on=["IBM", "AAPL"], parameters={"size": 100}) == run

    assert len(desk.runs()) == 1
    # Three more bars of each: nothing is bought again.
    watcher.wait_for(Topic.BARS, symbol="IBM", count=3)
    assert total(desk) == 200


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parameters": {"size": 120}}, "size is 100, not 120"),
        ({"on": ["AAPL", "MSFT"]}, "it was requested on AAPL, MSFT"),
        ({"bar": "10 secs"}, "its bars differ"),
        ({"bars_from": "quotes"}, "its bars differ"),
        ({"cash": 5_000.0}, "cash is 0, not 5000"),
    ],
    ids=str,
)
def test_another_start_of_a_running_strategy_is_an_error_with_the_ways_out(
    desk: Desk, write_strategy: WriteStrategy, changes: dict[str, Any], words: str
) -> None:
    path = write_strategy("hold", HOLD)
    run = desk.start(path, on=["AAPL"], warm_up=0)

    asked: dict[str, Any] = {"on": ["AAPL"], "warm_up": 0} | changes
    with pytest.raises(DeskError) as raised:
        desk.start(path, **asked)

    assert f"Hold already runs on AAPL as {run} ({words})" in str(raised.value)
    assert "change_parameters, stop it first, or start a second one with name=" in str(raised.value)
    assert [each.run_id for each in desk.runs()] == [run]


def test_a_file_that_has_changed_is_not_taken_for_the_one_that_runs(desk: Desk, write_strategy: WriteStrategy) -> None:
    desk.start(write_strategy("hold", HOLD), on=["AAPL"], warm_up=0)

    with pytest.raises(DeskError, match="its code has changed since"):
        desk.start(write_strategy("hold", HOLD + "\n# mended\n"), on=["AAPL"], warm_up=0)


def test_a_class_of_a_notebook_is_known_by_its_code(desk: Desk) -> None:
    def cell(size: float) -> type[Strategy]:
        if size == 1:

            class Typed(Strategy):
                def on_bar(self, bar: Bar) -> None:
                    self.buy(bar.instrument, 1)

            return Typed

        class Typed(Strategy):  # type: ignore[no-redef]
            def on_bar(self, bar: Bar) -> None:
                self.buy(bar.instrument, 2)

        return Typed

    run = desk.start(cell(1), on="AAPL", warm_up=0)
    assert desk.start(cell(1), on="AAPL", warm_up=0) == run
    with pytest.raises(DeskError, match="its code has changed since"):
        desk.start(cell(2), on="AAPL", warm_up=0)


def test_a_second_run_on_purpose_has_a_name_and_is_found_by_it(desk: Desk, write_strategy: WriteStrategy) -> None:
    path = write_strategy("hold", HOLD)
    first = desk.start(path, on=["AAPL"], warm_up=0)

    second = desk.start(path, on=["AAPL"], warm_up=0, name="twice")

    assert second != first
    assert second.startswith("twice-")
    assert desk.start(path, on=["AAPL"], warm_up=0, name="twice") == second
    assert desk.start(path, on=["AAPL"], warm_up=0) == first
    for wrong in ("manual", "external", "a b", "a.b", "x" * 41):
        with pytest.raises(ConfigError, match="a run's name"):
            desk.start(path, on=["AAPL"], warm_up=0, name=wrong)


def test_the_same_strategy_on_other_instruments_is_another_run(desk: Desk, write_strategy: WriteStrategy) -> None:
    path = write_strategy("hold", HOLD)

    assert desk.start(path, on=["AAPL"], warm_up=0) != desk.start(path, on=["IBM"], warm_up=0)


def test_a_run_that_was_stopped_may_be_begun_anew(desk: Desk, write_strategy: WriteStrategy) -> None:
    path = write_strategy("hold", HOLD)
    first = desk.start(path, on=["AAPL"], warm_up=0)
    desk.stop(first)

    assert desk.start(path, on=["AAPL"], warm_up=0, parameters={"size": 5}) != first


def test_parameters_that_were_changed_meanwhile_are_those_of_the_run(desk: Desk, write_strategy: WriteStrategy) -> None:
    path = write_strategy("hold", HOLD)
    run = desk.start(path, on=["AAPL"], warm_up=0)
    desk.change_parameters(run, {"size": 50})

    with pytest.raises(DeskError, match="size is 50, not 100"):
        desk.start(path, on=["AAPL"], warm_up=0)
    assert desk.start(path, on=["AAPL"], warm_up=0, parameters={"size": 50}) == run


async def test_two_starts_at_once_are_one_run(desk: Desk, write_strategy: WriteStrategy) -> None:
    path = write_strategy("hold", HOLD)

    first, second = await asyncio.gather(desk.aio.start(path, on="AAPL"), desk.aio.start(path, on="AAPL"))

    assert first == second
    assert isinstance(desk.positions(), pl.DataFrame)
    assert len(desk.runs()) == 1


def test_a_start_that_is_there_or_is_refused_asks_for_no_history(
    open_desk: Callable[..., Desk], write_strategy: WriteStrategy
) -> None:
    desk, path = open_desk(gateway={"port": 0, "pacing": True}), write_strategy("hold", HOLD)
    run = desk.start(path, on="IBM", bar="1 min")
    asked = desk.health().messages_sent

    assert [desk.start(path, on="IBM", bar="1 min") for _ in range(2)] == [run, run]
    for _ in range(2):
        with pytest.raises(DeskError, match="size is 100, not 120"):
            desk.start(path, on="IBM", bar="1 min", parameters={"size": 120})

    # Each of the four asks what IBM is, and how its prices move.
    assert desk.health().messages_sent - asked <= 8


def test_an_orphan_is_taken_over_at_once_after_a_start_that_was_refused(
    tmp_path: Path, write_strategy: WriteStrategy
) -> None:
    path = write_strategy("hold", HOLD)
    with RunningGateway(symbols=["IBM"], pacing=Pacing()) as gateway:
        with Desk.open("paper", port=gateway.port, state_folder=tmp_path) as desk:
            run = desk.start(path, on="IBM", bar="1 min")
        with Desk.open("paper", port=gateway.port, state_folder=tmp_path) as desk:
            with pytest.raises(DeskError, match="size was 100, not 120"):
                desk.start(path, on="IBM", bar="1 min", parameters={"size": 120})

            assert desk.start(path, on="IBM", bar="1 min") == run
            assert [each.state for each in desk.runs()] == ["running"]
