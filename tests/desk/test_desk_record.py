"""A journal that cannot be written: no order leaves without a record, trading is halted, and can be resumed."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.small_disk import SmallDisk, small_disk
from tests.stack import eventually

from ibdesk.desk import Desk, DeskSettings
from ibdesk.errors import DeskError, JournalError, OrderDeniedError
from ibdesk.model import HaltTrading, Link
from ibdesk.store import JournalReader, Topic, replay
from ibdesk.testing.gateway import RunningGateway

pytestmark = [pytest.mark.proof, pytest.mark.timeout(120)]

Watch = Callable[[Desk], Any]
CLIENT = 33

_LOCKER = """
import sqlite3, sys

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""

_LIVE = """
import sys
from pathlib import Path
from ibdesk.desk import Desk, DeskSettings

desk = Desk.open(DeskSettings.make("paper", port=int(sys.argv[1]), client_id=33, state_folder=Path(sys.argv[2])))
desk.place("AAPL", "buy", 5)
print(desk.journal_path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def walking() -> Iterator[RunningGateway]:
    """A gateway whose prices move all the time, so that there is something to record."""
    with RunningGateway(symbols=["AAPL"], seed=7) as gateway:
        yield gateway


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", mebibytes=8) as disk:
        yield disk


def settings(gateway: RunningGateway, folder: Path) -> DeskSettings:
    return DeskSettings.make("paper", port=gateway.port, client_id=CLIENT, state_folder=folder / "ibdesk")


@contextlib.contextmanager
def locked(path: str) -> Iterator[None]:
    """Have another process hold the journal's lock."""
    with subprocess.Popen(
        [sys.executable, "-c", _LOCKER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        yield
        other.communicate()


def test_while_another_process_locks_the_journal_nothing_leaves_and_then_it_goes_on(
    walking: RunningGateway, tmp_path: Path, watch: Watch
) -> None:
    with Desk.open(settings(walking, tmp_path)) as desk:
        watcher = watch(desk)
        held = desk.place("AAPL", "buy", 5)
        watcher.wait_for(Topic.POSITIONS, owner="manual", quantity=5.0)
        sent = len(walking.orders)

        with locked(desk.journal_path):
            watcher.wait_for(Topic.RISK, kind="halted", rule="journal")
            with pytest.raises(OrderDeniedError, match="trading is halted"):
                desk.place("AAPL", "buy", 1)
            # It may leave while trading is halted, but not without a record.
            less = desk.place("AAPL", "sell", 2)
            [halt] = desk.risk().halts
            with pytest.raises(DeskError, match="no halt can be lifted while it cannot be recorded: journal"):
                desk.resume(id=halt.id, reason="too early")
            # The other process holds it far longer than any order may wait; the desk stands still for nobody.
            ends = time.monotonic() + 8.0
            while time.monotonic() < ends:
                assert desk.health().link is Link.UP
                watcher.wait_for(Topic.QUOTES, symbol="AAPL")
            assert len(walking.orders) == sent
        assert less.status == "rejected"
        assert less.reason.startswith(f"never sent: journal {desk.journal_path} cannot be written: database is locked")
        eventually(lambda: "is written again" in str(watch(desk).wait_for(Topic.ALERTS)), "it is written again")

        # It needs a person to go on.
        with pytest.raises(OrderDeniedError, match="trading is halted"):
            desk.place("AAPL", "buy", 1)
        assert desk.place("AAPL", "sell", 2).status == "sent"
        desk.resume(id=halt.id, reason="the other program was a backup")
        assert desk.place("AAPL", "buy", 1).status == "sent"
        journal = Path(desk.journal_path)

    assert [order.reference for order in walking.orders].count(held.id) == 1
    assert len(walking.orders) == sent + 2
    assert replay(journal).orders == 4


def test_a_full_disk_halts_trading_and_the_desk_goes_on_once_there_is_room(
    walking: RunningGateway, disk: SmallDisk, watch: Watch
) -> None:
    with Desk.open(settings(walking, disk.folder)) as desk:
        watcher = watch(desk)
        desk.place("AAPL", "buy", 5)
        watcher.wait_for(Topic.POSITIONS, owner="manual", quantity=5.0)
        sent = len(walking.orders)

        disk.fill()
        watcher.wait_for(Topic.RISK, kind="halted", rule="journal", seconds=60)
        assert desk.place("AAPL", "sell", 2).status == "rejected"
        assert len(walking.orders) == sent

        disk.make_room()
        eventually(lambda: "is written again" in str(watch(desk).wait_for(Topic.ALERTS)), "it is written again")
        [halt] = desk.risk().halts
        desk.resume(id=halt.id, reason="there is room")
        assert desk.place("AAPL", "sell", 2).status == "sent"
        journal = Path(desk.journal_path)

    assert replay(journal).orders == 3


def test_the_last_words_of_a_desk_on_a_full_disk_are_found_by_the_next_one(
    walking: RunningGateway, disk: SmallDisk
) -> None:
    command = [sys.executable, "-c", _LIVE, str(walking.port), str(disk.folder / "ibdesk")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as life:
        assert life.stdout is not None
        journal = Path(life.stdout.readline().strip())
        disk.fill()
        eventually(lambda: halts_in(journal), "it says why it trades no more", seconds=60)
        life.send_signal(signal.SIGKILL)
        life.communicate()

    # While there is no room nothing is begun, and nothing is broken.
    with pytest.raises(JournalError, match=r"cannot be created|no room for a reserve"):
        Desk.open(settings(walking, disk.folder))
    disk.make_room()
    with Desk.open(settings(walking, disk.folder)) as desk:
        assert "cannot be written" in desk.health().halted
        assert desk.positions()["owner"].to_list() == ["manual"]
        assert [order.quantity for order in walking.orders] == [5.0]
        next_journal = Path(desk.journal_path)
    assert replay(next_journal).earlier == journal.name
    replay(journal)


def halts_in(journal: Path) -> list[str]:
    with JournalReader(journal) as reader:
        return [e.event.reason for e in reader.book_entries() if isinstance(e.event, HaltTrading)]
