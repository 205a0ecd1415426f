"""A desk on another machine whose copy of the journal lacks the end recovers all of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.stack import eventually

from ibdesk.data import sample_daily_bars
from ibdesk.desk import Desk, DeskSettings
from ibdesk.errors import OrderError
from ibdesk.gateway import GatewaySettings, GatewayThread, make_gateway
from ibdesk.model import Fill, PlaceOrder, PlaceRequest, StartStrategy
from ibdesk.store import JournalReader, Topic, replay
from ibdesk.store.journal_copy import JournalCopy
from ibdesk.store.journal_reader import BookRow

pytestmark = pytest.mark.proof

Watch = Callable[[Desk], Any]
CLIENT = 33
_LIVE = """
import sys
from pathlib import Path
from ibdesk.desk import Desk, DeskSettings

desk = Desk.open(DeskSettings.make("paper", port=int(sys.argv[1]), client_id=33, state_folder=Path(sys.argv[2])))
desk.place("IBM", "buy", 3, limit=1.0, client_key="k1", by="anna")
print(desk.journal_path, desk.start(sys.argv[3], on=["AAPL", "IBM"]), flush=True)
sys.stdin.read()
"""
# Buys a share at each bar; the first bar also leaves an order that waits far below the market.
_ACCUMULATE = """
def on_bar(self, bar: Bar) -> None:
    if bar.instrument not in self.state:
        self.state[bar.instrument] = self.buy(bar.instrument, 7, limit=round(bar.close * 0.8, 2))
    self.buy(bar.instrument, 1)
"""


@pytest.fixture
def gateway() -> Iterator[GatewayThread]:
    settings = GatewaySettings(port=0, replay=Path("sample"), play_each_over_seconds=5, start=1500, speed=50.0)
    with GatewayThread(make_gateway(settings, bars=sample_daily_bars())) as thread:
        yield thread


def until(holds: Callable[[], bool], seconds: float = 15) -> None:
    eventually(holds, "it holds", seconds=seconds)


def executed_at(gateway: GatewayThread) -> dict[str, float]:
    """What each execution at the venue has moved; all are purchases."""
    return gateway.call(lambda: {done.id: done.fill.signed_quantity for done in gateway.gateway.venue.executions})


class Before:
    """A life that traded and was killed."""

    def __init__(self, gateway: GatewayThread, folder: Path, strategy: Path) -> None:
        command = [sys.executable, "-c", _LIVE, str(gateway.port), str(folder), str(strategy)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            journal, self.run = process.stdout.readline().split()
            self.path = Path(journal)
            until(lambda: self._count(Fill) >= 14)
            process.kill()
        with JournalReader(self.path) as reader:
            self.header, self.rows = reader.header, reader.book_rows(0, at_most_bytes=10**9)

    def _count(self, kind: type) -> int:
        with JournalReader(self.path) as reader:
            return sum(isinstance(entry.event, kind) for entry in reader.book_entries())

    def copied(self, folder: Path, rows: list[BookRow]) -> None:
        copy = JournalCopy.open(folder / "journals", self.path.name, self.header, host="elsewhere")
        assert copy is not None
        copy.append(rows)
        copy.close()


def at(rows: list[BookRow], kind: type, number: int = 0) -> int:
    """Where the events of a kind stand among the rows, the one asked for."""
    return [index for index, row in enumerate(rows) if isinstance(row.entry().event, kind)][number]


def after_orders(rows: list[BookRow], number: int) -> int:
    placed = [index for index, row in enumerate(rows) for act in row.entry().actions if isinstance(act, PlaceOrder)]
    return placed[number] + 1


CUTS: dict[str, Callable[[list[BookRow]], int]] = {
    "the start of the run was all": lambda rows: at(rows, StartStrategy) + 1,
    "an order was the last": lambda rows: after_orders(rows, 5),
    "an order was the first that is lacking": lambda rows: after_orders(rows, 8) - 1,
    "half of a fill's news is lacking": lambda rows: at(rows, Fill, 7) + 1,
    "the last order is lacking": lambda rows: after_orders(rows, -1) - 1,
    "the last event is lacking": lambda rows: len(rows) - 1,
}


@pytest.mark.parametrize("cut", list(CUTS))
def test_what_the_copy_lacks_comes_from_tws_to_whom_it_belongs(
    cut: str, gateway: GatewayThread, tmp_path: Path, watch: Watch, write_strategy: Callable[[str, str], Path]
) -> None:
    path, there = write_strategy("accumulate", _ACCUMULATE), tmp_path / "there"
    before = Before(gateway, tmp_path / "here", path)
    before.copied(there, before.rows[: CUTS[cut](before.rows)])
    venue = gateway.gateway.venue
    used = gateway.call(lambda: max(record.order_id for record in venue.records.values()))
    # As after TWS's nightly restart: what it proposes was used already.
    gateway.faults.roll_back_next_valid_id(1)

    settings = DeskSettings.make("paper", port=gateway.port, client_id=CLIENT, state_folder=there)
    with contextlib.closing(Desk.open(settings)) as desk:
        executed = executed_at(gateway)
        assert dict(desk.fills().select("execution_id", "quantity").rows()) == executed
        assert desk.fills()["owner"].unique().to_list() == [before.run]
        assert {owner for owner, held in desk.positions().select("owner", "quantity").rows() if held} == {before.run}
        waiting = desk.orders().filter(desk.orders()["status"] == "working").select("owner", "quantity").rows()
        assert sorted(waiting) == [(before.run, 7.0), (before.run, 7.0), ("manual", 3.0)]

        assert desk.start(path, on=["AAPL", "IBM"]) == before.run
        watch(desk).wait_for(Topic.FILLS, count=len(executed) + 6)
        desk.stop(before.run)
        until(lambda: desk.health().open_orders == 1)
        until(lambda: dict(desk.fills().select("execution_id", "quantity").rows()) == executed_at(gateway))
        held = dict(desk.positions().select("owner", pl.col("quantity").sum().over("owner")).rows())
        assert held == {before.run: sum(executed_at(gateway).values())}
        journal = Path(desk.journal_path)

    sent = gateway.call(lambda: [record.request.text("orderRef") for record in venue.records.values()])
    numbers = gateway.call(lambda: [record.order_id for record in venue.records.values()])
    assert len(sent) == len(set(sent))
    assert len(numbers) == len(set(numbers))
    assert max(numbers) > used
    assert replay(journal).earlier == before.path.name


def test_a_request_of_the_lost_moments_is_not_carried_out_again(
    gateway: GatewayThread, tmp_path: Path, write_strategy: Callable[[str, str], Path]
) -> None:
    there = tmp_path / "there"
    before = Before(gateway, tmp_path / "here", write_strategy("accumulate", _ACCUMULATE))
    before.copied(there, before.rows[: at(before.rows, PlaceRequest)])

    settings = DeskSettings.make("paper", port=gateway.port, client_id=CLIENT, state_folder=there)
    with contextlib.closing(Desk.open(settings)) as desk:
        [known] = desk.orders().filter(desk.orders()["owner"] == "manual")["id"].to_list()
        price = desk.orders().filter(desk.orders()["owner"] == "manual")["limit_price"][0]

        again = desk.place("IBM", "buy", 3, limit=price, client_key="k1", by="anna")
        with pytest.raises(OrderError, match="is another one"):
            desk.place("IBM", "sell", 3, client_key="k1", by="anna")

    assert again.id == known
    sent = gateway.call(lambda: [r.request.text("orderRef") for r in gateway.gateway.venue.records.values()])
    assert sum(reference.startswith("manual-") for reference in sent) == 1
