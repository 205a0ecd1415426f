"""Promise 1: no intent is sent twice.

The engine is a process that is killed the moment the bytes of an order arrive, before anybody has answered it.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.promises.conftest import PlacedOrders

from ibdesk.data import sample_daily_bars
from ibdesk.desk import Desk, DeskSettings
from ibdesk.gateway import GatewaySettings, GatewayThread, make_gateway
from ibdesk.model import PlaceOrder
from ibdesk.store import JournalReader, replay

pytestmark = pytest.mark.proof

Until = Callable[..., None]
WriteStrategy = Callable[[str, str], Path]
REPLAY: dict[str, Any] = {"play_each_over_seconds": 5, "start": 1500, "speed": 50.0, "replay": Path("sample")}

_OPEN = """
import sys
from pathlib import Path
from ibdesk.desk import Desk, DeskSettings

desk = Desk.open(DeskSettings.make("paper", port=int(sys.argv[1]), client_id=33, state_folder=Path(sys.argv[2])))
print(desk.journal_path, flush=True)
"""
RUN = _OPEN + 'desk.start(sys.argv[3], on=["AAPL", "IBM"])\nsys.stdin.read()\n'
PLACE = _OPEN + 'desk.place("IBM", "buy", 1, client_key="mine-1")\nsys.stdin.read()\n'

BUY_EACH_BAR = """
def on_bar(self, bar: Bar) -> None:
    self.buy(bar.instrument, 1)
"""
BUY_ONCE = """
def on_bar(self, bar: Bar) -> None:
    self.state["bars"] = self.state.get("bars", 0) + 1
    if "order" not in self.state:
        self.state["order"] = self.buy(bar.instrument, 1)
"""


@pytest.fixture
def killer() -> PlacedOrders:
    """Kills at the first order."""
    return PlacedOrders(kill_at=1)


@pytest.fixture
def venue(killer: PlacedOrders) -> Iterator[GatewayThread]:
    """A gateway that plays real prices at fifty times their speed, and outlives the engine."""
    with GatewayThread(
        make_gateway(GatewaySettings(port=0, **REPLAY), bars=sample_daily_bars(), listener=killer)
    ) as thread:
        yield thread


def run_until_killed(killer: PlacedOrders, program: str, *arguments: str) -> Path:
    """Run a desk until the killer ends it, and return its journal."""
    killer.process = process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    journal = Path(process.stdout.readline().strip())
    assert killer.killed.wait(60)
    process.communicate(timeout=30)
    return journal


def settings_of(venue: GatewayThread, folder: Path) -> DeskSettings:
    return DeskSettings.make("paper", port=venue.port, client_id=33, state_folder=folder)


def test_an_order_whose_engine_was_killed_as_it_arrived_is_not_sent_again(
    killer: PlacedOrders, venue: GatewayThread, tmp_path: Path, write_strategy: WriteStrategy, until: Until
) -> None:
    path = write_strategy("buy_once", BUY_ONCE)
    run_until_killed(killer, RUN, str(venue.port), str(tmp_path), str(path))

    with contextlib.closing(Desk.open(settings_of(venue, tmp_path))) as desk:
        run = desk.start(path, on=["AAPL", "IBM"])
        until(lambda: desk.run_state(run).kept.get("bars", 0) > 20 and desk.fills().height == 1)
        [order] = desk.orders()["id"].to_list()

    assert killer.ordered == [order]


def test_a_request_whose_caller_had_no_answer_is_sent_once_when_it_is_repeated(
    killer: PlacedOrders, venue: GatewayThread, tmp_path: Path, until: Until
) -> None:
    run_until_killed(killer, PLACE, str(venue.port), str(tmp_path))

    with contextlib.closing(Desk.open(settings_of(venue, tmp_path))) as desk:
        again = desk.place("IBM", "buy", 1, client_key="mine-1")
        until(lambda: desk.fills().height == 1)

    assert killer.ordered == [again.id]


def test_after_a_kill_every_order_at_the_venue_is_in_the_journal(tmp_path: Path, write_strategy: WriteStrategy) -> None:
    # Killed when the first order of a bar has just come: the journal's own clock would commit it up to 50 ms later.
    killer = PlacedOrders(kill_at=13)
    gateway = make_gateway(GatewaySettings(port=0, **REPLAY), bars=sample_daily_bars(), listener=killer)
    with GatewayThread(gateway) as venue:
        path = write_strategy("buy_each_bar", BUY_EACH_BAR)
        journal = run_until_killed(killer, RUN, str(venue.port), str(tmp_path), str(path))
        arrived = killer.ordered[:13]

    with JournalReader(journal) as reader:
        placed = [a.order.id for entry in reader.entries() for a in entry.actions if isinstance(a, PlaceOrder)]
    assert len(set(arrived)) == 13
    assert set(arrived) <= set(placed)
    assert replay(journal).orders == len(placed)
