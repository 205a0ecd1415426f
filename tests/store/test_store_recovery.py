"""The snapshot that is read from a journal equals the one of the engine that wrote it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from ibdesk.engine import snapshot_of
from ibdesk.errors import JournalError
from ibdesk.model import Bar, EngineSnapshot, Halt, HaltTrading, Restore, RunFailed, StateChanged
from ibdesk.store import JournalReader, restore_from
from ibdesk.store.recovery import snapshot_in

AT_NS = 1_773_151_200_000_000_000 + 10**13


def without_day(snapshot: EngineSnapshot) -> EngineSnapshot:
    """The snapshot without the day's loss, which the desk puts on the record itself."""
    return msgspec.structs.replace(snapshot, day_pnl=0.0, day_ends_ns=0)


def test_a_journal_leaves_what_its_engine_leaves(recorded) -> None:
    with JournalReader(recorded.path) as journal:
        left = snapshot_in(journal, AT_NS)

    assert without_day(left) == without_day(snapshot_of(recorded.engine, AT_NS))
    assert len(left.fills) > 20
    assert {order.is_open for order in left.orders} == {True, False}


def test_a_failure_and_a_state_are_read_from_the_actions(make_journal, recorded) -> None:
    journal = make_journal("failed.sqlite")
    for event, actions in zip(recorded.events[:10], recorded.caused[:10], strict=True):
        journal.record(event, actions)
    journal.record(recorded.events[10], [StateChanged("run", [["set", ["a"], 1]]), RunFailed("run", "it broke", 1)])
    journal.record(HaltTrading("stop", 7, "guardian"), [])
    journal.close()

    with JournalReader(journal.path) as reader:
        left = snapshot_in(reader, AT_NS)

    [run] = left.runs
    assert (run.state, run.note, run.was_running) == ({"a": 1}, "it broke", False)
    assert left.halts == [Halt("stop", "guardian", 7, "19700101-000000-1")]


def test_market_data_alone_is_passed_over(make_journal) -> None:
    journal = make_journal()
    for number in range(1, 100):
        journal.record(Bar("AAPL", number, 5, 1.0, 1.0, 1.0, 1.0, 1.0), ())
    journal.record(HaltTrading("stop", 7), ())
    journal.close()

    with JournalReader(journal.path) as reader:
        assert [entry.number for entry in reader.book_entries()] == [100]


def test_the_newest_journal_of_the_same_account_is_restored(make_journal, make_header) -> None:
    first, second = make_journal("paper-1.sqlite"), make_journal("paper-2.sqlite")
    first.record(Restore(account="DU1", at_ns=1), ())
    first.record(HaltTrading("the first", 2), ())
    second.record(Restore(account="DU2", at_ns=3), ())
    # A desk that ended before it knew its account.
    unborn = make_journal("paper-3.sqlite")
    for journal in (first, second, unborn):
        journal.close()
    own = first.path.with_name("paper-4.sqlite")

    taken = restore_from(own, make_header(), account="DU1", at_ns=9)

    assert (taken.earlier, taken.snapshot.halts) == (
        "paper-1.sqlite",
        [Halt("the first", "operator", 2, "19700101-000000-1")],
    )
    assert restore_from(own, make_header(), account="DU3", at_ns=9) == Restore(account="DU3", at_ns=9)
    assert restore_from(first.path, make_header(), account="DU1", at_ns=9).earlier == ""


def test_a_damaged_earlier_journal_stops_the_desk(make_journal, make_header, tmp_path: Path) -> None:
    journal = make_journal("paper-1.sqlite")
    journal.record(Restore(account="DU1", at_ns=1), ())
    journal.close()
    with sqlite3.connect(journal.path) as connection:
        connection.execute("UPDATE events SET event = x'c1'")
    connection.close()

    with pytest.raises(JournalError, match=r"paper-1.sqlite, event 1, cannot be read"):
        restore_from(tmp_path / "paper-2.sqlite", make_header(), account="DU1", at_ns=9)
