"""A strategy started in another way than an orphaned run is refused, unless the run is named to be continued."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ibdesk.data import sample_daily_bars
from ibdesk.desk import Desk, DeskSettings
from ibdesk.errors import DeskError
from ibdesk.gateway import GatewaySettings, GatewayThread, make_gateway
from ibdesk.store import Topic, replay

Watch = Callable[[Desk], Any]
WriteStrategy = Callable[[str, str], Path]
Open = Callable[[], Desk]

HOLD = """
size: int = 100

def target(self):
    return pl.lit(float(self.size))
"""


@pytest.fixture
def gateway() -> Iterator[GatewayThread]:
    """A gateway that plays real prices at fifty times their speed, and outlives the desks of a test."""
    settings = GatewaySettings(port=0, replay=Path("sample"), play_each_over_seconds=5, start=1500, speed=50.0)
    with GatewayThread(make_gateway(settings, bars=sample_daily_bars())) as thread:
        yield thread


@pytest.fixture
def open_again(gateway: GatewayThread, tmp_path: Path) -> Iterator[Open]:
    with contextlib.ExitStack() as stack:
        settings = DeskSettings.make("paper", port=gateway.port, client_id=33, state_folder=tmp_path)
        yield lambda: stack.enter_context(contextlib.closing(Desk.open(settings)))


@pytest.fixture
def hold(write_strategy: WriteStrategy) -> Path:
    return write_strategy("hold", HOLD)


@pytest.fixture
def left(open_again: Open, hold: Path, watch: Watch) -> str:
    """A run that held 100 AAPL when its desk ended."""
    desk = open_again()
    run_id = desk.start(hold, on=["AAPL"])
    watch(desk).wait_for(Topic.POSITIONS, owner=run_id, quantity=100.0)
    desk.close()
    return run_id


def held(gateway: GatewayThread) -> float:
    return gateway.call(lambda: sum(done.fill.signed_quantity for done in gateway.gateway.venue.executions))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parameters": {"size": 120}}, "size was 100, not 120"),
        ({"bar": "10 secs"}, "its bars differed"),
        ({"on": ["AAPL", "IBM"]}, "it was on AAPL"),
        ({"on": ["IBM", "AAPL"], "parameters": {"size": 120}}, "size was 100, not 120; it was on AAPL"),
    ],
    ids=str,
)
def test_another_start_than_that_of_the_run_left_behind_is_refused(
    gateway: GatewayThread, open_again: Open, hold: Path, left: str, changes: dict[str, Any], words: str
) -> None:
    desk = open_again()

    with pytest.raises(DeskError) as caught:
        desk.start(hold, **({"on": ["AAPL"]} | changes))

    assert str(caught.value) == (
        f"{left} was left by an earlier desk with 100 AAPL and 0 open orders ({words}): continue it in the requested "
        f"way with run_id={left!r} (--take-over {left}), or stop it first, with flatten to close its positions"
    )
    assert [(run.run_id, run.state) for run in desk.runs()] == [(left, "orphaned")]
    assert held(gateway) == 100


def test_a_run_is_taken_over_with_other_parameters_by_its_id(
    gateway: GatewayThread, open_again: Open, hold: Path, left: str, watch: Watch
) -> None:
    desk = open_again()

    assert desk.start(hold, on=["AAPL"], parameters={"size": 120}, run_id=left) == left

    watch(desk).wait_for(Topic.POSITIONS, owner=left, quantity=120.0)
    assert [(run.run_id, run.state, run.parameters) for run in desk.runs()] == [(left, "running", {"size": 120})]
    assert held(gateway) == 120
    journal = Path(desk.journal_path)
    desk.close()
    assert replay(journal).runs == (left,)


def test_the_same_start_goes_on_without_being_asked(open_again: Open, hold: Path, left: str) -> None:
    assert open_again().start(hold, on=["AAPL"]) == left


def test_a_run_that_was_left_behind_and_stopped_makes_room_for_another(
    gateway: GatewayThread, open_again: Open, hold: Path, left: str, watch: Watch
) -> None:
    desk = open_again()
    desk.stop(left, flatten=True)
    watch(desk).wait_for(Topic.POSITIONS, owner=left, quantity=0.0)

    new = desk.start(hold, on=["AAPL"], parameters={"size": 120})

    assert new != left
    watch(desk).wait_for(Topic.POSITIONS, owner=new, quantity=120.0)
    assert held(gateway) == 120


@pytest.mark.parametrize("other", [{"on": ["IBM"]}, {"name": "second", "parameters": {"size": 5}}], ids=str)
def test_a_run_on_other_instruments_or_of_another_name_has_nothing_to_do_with_it(
    open_again: Open, hold: Path, left: str, other: dict[str, Any]
) -> None:
    assert open_again().start(hold, **({"on": ["AAPL"]} | other)) != left
