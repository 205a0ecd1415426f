"""A new desk continues from the previous one, however that ended: books, orders, states and halts."""

from __future__ import annotations

import contextlib
import copy
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.stack import eventually

from ibdesk.data import sample_daily_bars
from ibdesk.desk import Desk, DeskSettings
from ibdesk.engine.state_changes import apply_changes
from ibdesk.errors import DeskError, JournalError, OrderDeniedError, OrderError, ReplayMismatchError
from ibdesk.gateway import GatewaySettings, GatewayThread, make_gateway
from ibdesk.gateway.faults import Gap
from ibdesk.model import DayBegan, Fill, PlaceOrder, Restore, StartStrategy, StateChanged
from ibdesk.store import JournalReader, Topic, replay

pytestmark = pytest.mark.proof

Watch = Callable[[Desk], Any]
WriteStrategy = Callable[[str, str], Path]
CLIENT = 33

_LIVE = """
import sys
from pathlib import Path
from ibdesk.desk import Desk, DeskSettings

desk = Desk.open(DeskSettings.make("paper", port=int(sys.argv[1]), client_id=33, state_folder=Path(sys.argv[2])))
print(desk.journal_path, desk.start(sys.argv[3], on=["AAPL", "IBM"], cash=1_000_000), flush=True)
if len(sys.argv) > 4:
    desk.halt(sys.argv[4])
    print("halted", flush=True)
sys.stdin.read()
"""

# Buys a share at each bar and counts its bars; the first bar also leaves an order that waits far below the market.
_ACCUMULATE = """
def on_bar(self, bar: Bar) -> None:
    self.state["bars"] = self.state.get("bars", 0) + 1
    if bar.instrument not in self.state:
        self.state[bar.instrument] = self.buy(bar.instrument, 7, limit=round(bar.close * 0.8, 2))
    self.buy(bar.instrument, 1)
"""


@pytest.fixture
def gateway() -> Iterator[GatewayThread]:
    """A gateway that plays real prices at fifty times their speed, and outlives the desks of a test."""
    settings = GatewaySettings(port=0, replay=Path("sample"), play_each_over_seconds=5, start=1500, speed=50.0)
    with GatewayThread(make_gateway(settings, bars=sample_daily_bars())) as thread:
        yield thread


@pytest.fixture
def reopen(gateway: GatewayThread, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Opens a desk in this process on the folder and under the client id of the generation before."""
    with contextlib.ExitStack() as stack:
        yield lambda **changes: stack.enter_context(
            contextlib.closing(Desk.open(_settings(gateway, tmp_path, changes)))
        )


def _settings(gateway: GatewayThread, folder: Path, changes: dict[str, Any]) -> DeskSettings:
    return DeskSettings.make("paper", **({"port": gateway.port, "client_id": CLIENT, "state_folder": folder} | changes))


def events_in(journal: Path) -> list[Any]:
    """Return the journaled events that change books."""
    with JournalReader(journal) as reader:
        return [entry.event for entry in reader.book_entries()]


class Generation:
    """A desk in its own process, to be killed."""

    def __init__(self, gateway: GatewayThread, folder: Path, *arguments: str) -> None:
        command = [sys.executable, "-c", _LIVE, str(gateway.port), str(folder), *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        journal, self.run = self.line().split()
        self.journal = Path(journal)

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def placed(self) -> int:
        assert self._process.poll() is None
        with JournalReader(self.journal) as reader:
            return sum(isinstance(action, PlaceOrder) for entry in reader.book_entries() for action in entry.actions)

    def filled(self) -> int:
        assert self._process.poll() is None
        with JournalReader(self.journal) as reader:
            return sum(isinstance(entry.event, Fill) for entry in reader.book_entries())

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate(timeout=10)


def until(holds: Callable[[], bool], seconds: float = 15) -> None:
    """Check repeatedly until it holds; each check calls another process or thread."""
    eventually(holds, "it holds", seconds=seconds)


def executed(gateway: GatewayThread) -> dict[str, float]:
    """The signed quantity of each execution at the venue."""
    return gateway.call(lambda: {done.id: done.fill.signed_quantity for done in gateway.gateway.venue.executions})


def sent(gateway: GatewayThread) -> list[str]:
    """The `orderRef` of every order that ever reached the venue."""
    return gateway.call(lambda: [r.request.text("orderRef") for r in gateway.gateway.venue.records.values()])


def booked(desk: Desk) -> dict[str, float]:
    """The quantity of each execution in the desk's books; all are purchases."""
    return dict(desk.fills().select("execution_id", "quantity").rows())


def test_a_desk_killed_mid_trade_is_taken_up_and_its_strategy_goes_on(
    gateway: GatewayThread, reopen: Callable[..., Desk], tmp_path: Path, watch: Watch, write_strategy: WriteStrategy
) -> None:
    path = write_strategy("accumulate", _ACCUMULATE)
    generation = Generation(gateway, tmp_path, str(path))
    until(lambda: generation.placed() >= 12)
    generation.kill()
    # No desk is connected while the orders below the market are filled.
    before = executed(gateway)
    gateway.faults.cause(Gap(percent=-50.0, for_seconds=60))
    until(lambda: sum(quantity == 7 for quantity in executed(gateway).values()) == 2)

    desk = reopen()

    # Before anything can trade: all executions, once each, in the book of their run.
    assert len(before) < len(booked(desk))
    assert booked(desk) == executed(gateway)
    assert desk.fills()["owner"].unique().to_list() == [generation.run]
    assert desk.positions()["owner"].unique().to_list() == [generation.run]
    assert sum(desk.positions()["quantity"]) == sum(executed(gateway).values())
    assert [(info.run_id, info.state) for info in desk.runs()] == [(generation.run, "orphaned")]
    bars = states(generation.journal)[-1]["bars"]

    assert desk.start(path, on=["IBM", "AAPL"]) == generation.run
    watcher = watch(desk)
    watcher.wait_for(Topic.FILLS, count=len(booked(desk)) + 10)
    desk.stop(generation.run)
    until(lambda: booked(desk) == executed(gateway) and not desk.health().open_orders)
    journal = Path(desk.journal_path)
    desk.close()

    assert len(sent(gateway)) == len(set(sent(gateway)))
    # It continues to count, and does not place the waiting orders again.
    assert states(journal)[0]["bars"] == bars + 1
    assert sum(quantity == 7 for quantity in executed(gateway).values()) == 2
    assert replay(generation.journal).earlier == ""
    assert replay(journal).earlier == generation.journal.name


def test_open_orders_of_a_killed_desk_belong_to_their_run_and_can_be_withdrawn(
    gateway: GatewayThread, reopen: Callable[..., Desk], tmp_path: Path, watch: Watch, write_strategy: WriteStrategy
) -> None:
    generation = Generation(gateway, tmp_path, str(write_strategy("accumulate", _ACCUMULATE)))
    until(lambda: generation.placed() >= 6)
    generation.kill()

    desk = reopen()
    waiting = desk.orders().filter(desk.orders()["quantity"] == 7)
    desk.stop(generation.run, flatten=True)
    until(lambda: not desk.health().open_orders and sum(desk.positions()["quantity"]) == 0)

    assert waiting.select("owner", "status").rows() == [(generation.run, "working")] * 2
    assert gateway.call(lambda: list(gateway.gateway.venue.open_orders())) == []
    assert sum(executed(gateway).values()) == 0
    assert desk.runs()[0].state == "stopped"


def test_a_third_desk_continues_from_the_second(
    gateway: GatewayThread, reopen: Callable[..., Desk], tmp_path: Path, write_strategy: WriteStrategy
) -> None:
    generation = Generation(gateway, tmp_path, str(write_strategy("accumulate", _ACCUMULATE)))
    until(lambda: generation.placed() >= 6)
    generation.kill()
    second = reopen()
    fills, positions, journal = booked(second), second.positions(), Path(second.journal_path)
    second.close()

    third = reopen()

    names = ["owner", "symbol", "quantity", "average_price", "realized_pnl", "commission"]
    assert booked(third) == fills == executed(gateway)
    assert third.positions().select(names).rows() == positions.select(names).rows()
    assert [info.state for info in third.runs()] == ["orphaned"]
    own = Path(third.journal_path)
    third.close()
    assert [replay(each).earlier for each in (journal, own)] == [generation.journal.name, journal.name]


@pytest.mark.parametrize("seed", range(int(os.environ.get("IBDESK_PROOF_SEEDS", "2"))))
def test_after_any_kills_the_book_equals_the_brokers(
    seed: int, gateway: GatewayThread, reopen: Callable[..., Desk], tmp_path: Path, write_strategy: WriteStrategy
) -> None:
    """Three generations of one strategy, each killed at another moment of its trading."""
    chance = random.Random(seed)
    path = write_strategy("accumulate", _ACCUMULATE)
    generations = []
    for _ in range(3):
        generations.append(Generation(gateway, tmp_path, str(path)))
        wanted = chance.randint(1, 9)
        until(lambda: generations[-1].placed() >= wanted)  # noqa: B023 - asked inside the loop only
        generations[-1].kill()

    desk = reopen()

    assert len({generation.run for generation in generations}) == 1
    assert booked(desk) == executed(gateway)
    assert desk.fills()["owner"].unique().to_list() == [generations[0].run]
    assert sum(desk.positions()["quantity"]) == sum(executed(gateway).values())
    assert len(sent(gateway)) == len(set(sent(gateway)))
    desk.close()
    earlier = [replay(generation.journal).earlier for generation in generations]
    assert earlier == ["", generations[0].journal.name, generations[1].journal.name]
    kept = [state["bars"] for generation in generations for state in states(generation.journal)]
    assert kept == list(range(1, len(kept) + 1))


def test_a_snapshot_that_was_changed_is_found_by_the_replay(
    gateway: GatewayThread, reopen: Callable[..., Desk], tmp_path: Path, write_strategy: WriteStrategy
) -> None:
    generation = Generation(gateway, tmp_path, str(write_strategy("accumulate", _ACCUMULATE)))
    until(lambda: generation.filled() >= 2)
    generation.kill()
    desk = reopen()
    journal = Path(desk.journal_path)
    desk.close()
    assert replay(journal).earlier == generation.journal.name
    with JournalReader(generation.journal) as reader:
        last_fill = max(entry.number for entry in reader.entries() if isinstance(entry.event, Fill))

    with sqlite3.connect(generation.journal) as connection:
        connection.execute("DELETE FROM events WHERE number = ?", (last_fill,))
    connection.close()

    with pytest.raises(ReplayMismatchError, match="replay differs at event"):
        replay(journal)


def test_a_halt_outlives_a_killed_desk_until_a_person_lifts_it(
    gateway: GatewayThread,
    reopen: Callable[..., Desk],
    tmp_path: Path,
    watch: Watch,
    write_strategy: WriteStrategy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = write_strategy("accumulate", _ACCUMULATE)
    generation = Generation(gateway, tmp_path, str(path), "the books look wrong")
    assert generation.line() == "halted"
    generation.kill()

    desk = reopen()
    [words] = [record.getMessage() for record in caplog.records if "halted" in record.getMessage()]
    run = desk.start(path, on=["AAPL", "IBM"])
    watcher = watch(desk)
    watcher.wait_for(Topic.ORDERS, status="denied")
    before = sent(gateway)
    desk.close()

    again = reopen()
    assert again.health().halted == "the books look wrong"
    again.resume(reason="they were right", id=again.health().halt_ids[0])
    assert again.start(path, on=["AAPL", "IBM"]) == run
    watch(again).wait_for(Topic.FILLS, count=len(booked(again)) + 3)
    again.close()

    assert words.startswith("trading has been halted since 20")
    assert "by operator (the books look wrong): only orders that reduce a position pass until resume(id=" in words
    assert set(sent(gateway)) > set(before)
    assert reopen().health().halted == ""


def test_a_halt_and_the_days_loss_hold_under_another_client_id(
    gateway: GatewayThread, reopen: Callable[..., Desk]
) -> None:
    desk = reopen()
    halt = desk.halt("the books look wrong")
    desk.close()

    other = reopen(client_id=CLIENT + 5)
    with pytest.raises(OrderDeniedError, match="trading is halted"):
        other.place("IBM", "buy", 1)
    with pytest.raises(DeskError, match=f"give the id of the halt to lift: trading is halted by id='{halt.id}'"):
        other.resume(reason="they were right")
    other.resume(id=halt.id, reason="they were right")
    other.close()

    third = reopen()
    assert third.health().halted == ""
    with pytest.raises(DeskError, match=f"there is no halt '{halt.id}': trading is not halted"):
        third.resume(id=halt.id, reason="once more")


def test_the_next_desk_knows_the_prices_at_which_the_day_was_counted(
    gateway: GatewayThread, reopen: Callable[..., Desk], watch: Watch
) -> None:
    first = reopen()
    first.place("IBM", "buy", 10)
    watch(first).wait_for(Topic.POSITIONS, symbol="IBM", quantity=10.0)
    first.close()

    second = reopen()
    watch(second).wait_for(Topic.QUOTES, symbol="IBM")
    journal = Path(second.journal_path)
    second.close()
    third = reopen()

    # It is noted when a desk closes, at the prices of then.
    noted = [event for event in events_in(journal) if isinstance(event, DayBegan)][-1].valuation
    [taken] = [event for event in events_in(Path(third.journal_path)) if isinstance(event, Restore)]
    assert (noted.currency, list(noted.prices)) == ("USD", ["IBM"])
    assert taken.snapshot.day_valuation == noted


def test_the_price_of_what_an_orphaned_run_holds_is_followed(
    gateway: GatewayThread, reopen: Callable[..., Desk], watch: Watch, write_strategy: WriteStrategy
) -> None:
    path = write_strategy("hold", "def target(self):\n    return pl.lit(10.0)")
    first = reopen()
    first.start(path, on="IBM")
    watch(first).wait_for(Topic.FILLS, quantity=10.0)
    first.close()

    desk = reopen()

    assert [info.state for info in desk.runs()] == ["orphaned"]
    watch(desk).wait_for(Topic.QUOTES, symbol="IBM")


def test_a_run_that_was_stopped_goes_on_when_it_is_named(
    gateway: GatewayThread, reopen: Callable[..., Desk], watch: Watch, write_strategy: WriteStrategy
) -> None:
    body = "size: float = 10.0\n\ndef target(self):\n    return pl.lit(self.size)"
    path = write_strategy("hold", body)
    first = reopen()
    run = first.start(path, on="IBM")
    watch(first).wait_for(Topic.FILLS, quantity=10.0)
    first.stop(run)
    first.close()

    desk = reopen()
    with pytest.raises(DeskError, match="there is no run 'Hold' to continue: the runs are Hold-"):
        desk.start(path, on="IBM", run_id="Hold")
    assert desk.start(path, on="IBM", parameters={"size": 14}, run_id=run) == run
    watch(desk).wait_for(Topic.FILLS, quantity=4.0)

    assert desk.positions().select("owner", "quantity").rows() == [(run, 14.0)]


def test_a_desk_of_another_client_id_goes_on_with_the_books_of_the_account(
    gateway: GatewayThread, reopen: Callable[..., Desk], tmp_path: Path, watch: Watch, write_strategy: WriteStrategy
) -> None:
    generation = Generation(gateway, tmp_path, str(write_strategy("accumulate", _ACCUMULATE)))
    until(lambda: generation.placed() >= 6)
    generation.kill()

    desk = reopen(client_id=CLIENT + 1)

    assert [(info.run_id, info.state) for info in desk.runs()] == [(generation.run, "orphaned")]
    assert booked(desk) == executed(gateway)
    assert desk.positions()["owner"].unique().to_list() == [generation.run]
    waiting = desk.orders().filter(desk.orders()["quantity"] == 7)
    assert waiting["status"].to_list() == ["working"] * 2
    # They are followed, and reported as out of reach: TWS lets only the client that placed an order cancel it.
    watcher = watch(desk)
    for order in waiting["id"]:
        text = (
            f"order {order}: was placed under client id {CLIENT}: it is followed, but only a desk under that id, or a "
            f"person in TWS, can change or withdraw it"
        )
        watcher.wait_for(Topic.ALERTS, text=text)
    desk.stop(generation.run)
    reason = f"it was placed under client id {CLIENT}, connect with that one to change it"
    for order in waiting["id"]:
        watcher.wait_for(Topic.ALERTS, text=f"order {order}: cannot be cancelled: {reason}")
    assert len(gateway.call(lambda: list(gateway.gateway.venue.open_orders()))) == 2


def test_a_desk_and_its_gateway_both_restart(tmp_path: Path, watch: Watch, write_strategy: WriteStrategy) -> None:
    path = write_strategy("accumulate", _ACCUMULATE)
    settings = GatewaySettings(port=0, seed=3, speed=50.0, state=tmp_path / "gateway.state")
    with GatewayThread(make_gateway(settings)) as first:
        generation = Generation(first, tmp_path, str(path))
        until(lambda: generation.placed() >= 12)
        generation.kill()
        done = executed(first)
    with GatewayThread(make_gateway(settings)) as second, Desk.open(_settings(second, tmp_path, {})) as desk:
        assert booked(desk) == executed(second)
        assert set(done) <= set(booked(desk))
        assert desk.fills()["owner"].unique().to_list() == [generation.run]
        assert desk.start(path, on=["AAPL", "IBM"]) == generation.run
        watch(desk).wait_for(Topic.FILLS, count=len(done) + 4)
        desk.stop(generation.run)
        until(lambda: booked(desk) == executed(second))
        assert len(sent(second)) == len(set(sent(second)))


def test_orders_by_hand_outlive_a_desk_with_their_book_and_their_keys(
    gateway: GatewayThread, reopen: Callable[..., Desk], watch: Watch
) -> None:
    desk = reopen(risk={"max_order_shares": 50})
    bought = desk.place("IBM", "buy", 10, client_key="bought", by="alice")
    waiting = desk.place("AAPL", "buy", 7, limit=1, client_key="waiting", by="alice")
    with pytest.raises(OrderDeniedError):
        desk.place("GOOG", "buy", 51, client_key="denied", by="alice")
    watch(desk).wait_for(Topic.ORDERS, id=bought.id, status="filled")
    watch(desk).wait_for(Topic.ORDERS, id=waiting.id, status="working")
    first = Path(desk.journal_path)
    desk.close()

    again = reopen(risk={"max_order_shares": 500})

    # No limit would deny the order now: only the key stops it.
    with pytest.raises(OrderError, match="a new try needs a new key"):
        again.place("GOOG", "buy", 51, client_key="denied", by="alice")
    assert again.place("IBM", "buy", 10, client_key="bought", by="alice").id == bought.id
    assert again.place("AAPL", "buy", 7, limit=1, client_key="waiting", by="alice").id == waiting.id
    assert sorted(sent(gateway)) == sorted([bought.id, waiting.id])
    held = again.positions().filter(again.positions()["quantity"] != 0)
    assert held.select("owner", "symbol", "quantity").rows() == [("manual", "IBM", 10.0)]
    watcher = watch(again)
    again.modify(waiting.id, quantity=8)
    watcher.wait_for(Topic.ORDERS, id=waiting.id, quantity=8.0, owner="manual", by="alice")
    again.cancel(waiting.id)
    watcher.wait_for(Topic.ORDERS, id=waiting.id, status="cancelled")
    # Positions by hand are marked to the market without a request.
    watcher.wait_for(Topic.QUOTES, symbol="IBM")
    second = Path(again.journal_path)
    again.close()
    assert replay(first).orders == 2
    assert replay(second).earlier == first.name


def test_an_earlier_journal_of_another_version_stops_the_desk_with_one_sentence(
    gateway: GatewayThread, reopen: Callable[..., Desk]
) -> None:
    desk = reopen()
    journal = Path(desk.journal_path)
    desk.close()

    with sqlite3.connect(journal) as connection:
        [header] = connection.execute("SELECT value FROM meta WHERE key = 'header'").fetchone()
        older = msgspec.json.encode(msgspec.json.decode(header) | {"schema": 1})
        connection.execute("UPDATE meta SET value = ?", (older,))
    connection.close()

    with pytest.raises(JournalError, match=r"may hold open orders: .*\(schema 1, this one reads 5\)") as caught:
        reopen()
    assert "\n" not in str(caught.value)


def states(journal: Path) -> list[dict[str, Any]]:
    """Every state of the one run that a journal has kept."""
    found: list[dict[str, Any]] = [{}]
    with JournalReader(journal) as reader:
        for entry in reader.entries():
            if isinstance(entry.event, StartStrategy):
                found = [entry.event.state]
            changes = [action.changes for action in entry.actions if isinstance(action, StateChanged)]
            found += [apply_changes(copy.deepcopy(found[-1]), each) for each in changes]
    return found[1:]
