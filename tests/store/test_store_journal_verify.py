"""Verifying journals finds and names each kind of damage, and accepts intact journals."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from ibdesk.errors import JournalError
from ibdesk.model import HaltTrading, Quote, Restore
from ibdesk.store import Journal, JournalHeader, JournalReader
from ibdesk.store.journal_copy import JournalCopy
from ibdesk.store.journal_packing import pack, packed_path
from ibdesk.store.journal_verify import journals_among, verify_journal, verify_journals

MakeJournal = Callable[..., Journal]


def change(path: Path, statement: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.execute(statement, values)


@pytest.fixture
def whole(recorded: SimpleNamespace) -> Path:
    """A run's journal, closed."""
    recorded.journal.close()
    return Path(recorded.path)


def test_a_whole_journal_is_told_by_its_figures_packed_or_not(recorded: SimpleNamespace, whole: Path) -> None:
    plain = verify_journal(whole)
    assert pack(whole)
    packed = verify_journal(whole)

    orders = sum(type(action).__name__ == "PlaceOrder" for actions in recorded.caused for action in actions)
    for facts in (plain, packed):
        assert facts.faults == []
        assert (facts.events, facts.actions) == (len(recorded.events), sum(map(len, recorded.caused)))
        assert facts.orders == orders > 0
        assert (facts.mode, facts.account) == ("paper", "DU1")
        assert facts.ended_ns == max(event.at_ns for event in recorded.events)
    assert (plain.is_packed, packed.is_packed) == (False, True)
    assert packed.size_bytes < plain.size_bytes


def test_a_journal_that_is_being_written_is_verified_too(make_journal: MakeJournal) -> None:
    journal = make_journal()
    journal.record(HaltTrading("stop", 2), ())
    journal.commit()

    facts = verify_journal(journal.path)
    journal.record(HaltTrading("again", 3), ())
    journal.commit()

    assert (facts.events, facts.faults) == (1, [])
    assert verify_journal(journal.path).events == 2


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM events WHERE number = 7", "it lacks event 7"),
        ("DELETE FROM events WHERE number BETWEEN 1 AND 3", "it lacks events 1 to 3"),
        ("UPDATE events SET event = x'00' WHERE number = 5", "event 5 cannot be read: "),
        ("UPDATE events SET actions = x'c1' WHERE number = 5", "event 5 cannot be read: "),
        ("UPDATE events SET at_ns = at_ns + 1 WHERE number = 5", "event 5 has the time "),
        ("UPDATE meta SET value = '{}' WHERE key = 'header'", "is not a journal of ibdesk: "),
        (
            "UPDATE meta SET value = replace(CAST(value AS TEXT), '\"schema\":5', '\"schema\":4') WHERE key = 'header'",
            r"written by another version of ibdesk \(schema 4, this one reads 5\)",
        ),
    ],
)
def test_each_harm_is_named(whole: Path, statement: str, said: str) -> None:
    change(whole, statement)

    facts = verify_journal(whole)

    assert len(facts.faults) == 1
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(facts.faults[0])


def test_bytes_that_were_written_over_are_found(whole: Path) -> None:
    size = whole.stat().st_size
    with whole.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xa5" * 8_192)

    assert verify_journal(whole).faults


def test_a_packed_journal_that_was_cut_off_is_found(whole: Path) -> None:
    assert pack(whole)
    with packed_path(whole).open("r+b") as file:
        file.truncate(packed_path(whole).stat().st_size // 2)

    [fault] = verify_journal(whole).faults

    assert "cannot be unpacked" in fault


def test_the_chain_between_journals_is_followed(make_journal: MakeJournal, tmp_path: Path) -> None:
    def write(number: int, earlier: str, account: str = "DU1") -> Path:
        journal = make_journal(f"paper-{number}.sqlite")
        journal.record(Restore(account=account, at_ns=1, earlier=earlier), ())
        journal.close()
        return journal.path

    write(1, "")
    write(2, "paper-1.sqlite")
    write(3, "paper-0.sqlite")
    write(4, "paper-2.sqlite", account="DU2")
    write(5, "paper-6.sqlite")
    write(6, "")

    facts = {each.name: each for each in verify_journals(journals_among([tmp_path]))}

    assert list(facts) == [f"paper-{number}.sqlite" for number in range(1, 7)]
    assert [name for name, each in facts.items() if each.faults] == ["paper-4.sqlite", "paper-5.sqlite"]
    assert facts["paper-2.sqlite"].earlier == "paper-1.sqlite"
    assert facts["paper-3.sqlite"].notes == ["it continued from paper-0.sqlite, which is no longer here"]
    assert facts["paper-4.sqlite"].faults == [
        "it continued from paper-2.sqlite, which is of account DU1 and not of DU2"
    ]
    assert facts["paper-5.sqlite"].faults == ["it continued from paper-6.sqlite, which is not older than itself"]

    (tmp_path / "paper-1.sqlite").write_bytes(b"not a database" * 100)
    [fault] = verify_journal(tmp_path / "paper-2.sqlite").faults
    assert "paper-1.sqlite, which cannot be read" in fault


def test_a_copy_may_lack_events_and_a_file_never_begun_is_a_note(
    whole: Path, tmp_path: Path, make_header: Callable[..., JournalHeader]
) -> None:
    with JournalReader(whole) as journal:
        rows = journal.book_rows(0, at_most_bytes=10**9)
    copy = JournalCopy.open(tmp_path / "copies", "paper-20260101-000000-000001.sqlite", make_header(), host="other")
    assert copy is not None
    copy.append(rows)
    copy.close()
    unborn = tmp_path / "paper-2.sqlite"
    sqlite3.connect(unborn).close()
    unborn.touch()

    of_copy, of_unborn = verify_journal(copy.path), verify_journal(unborn)

    assert of_copy.faults == of_unborn.faults == []
    assert (of_copy.is_copy, of_copy.events) == (True, len(rows))
    assert of_copy.notes == ["it is a copy of what changed books on other"]
    assert of_unborn.notes


def test_what_is_not_there_is_refused(tmp_path: Path, make_journal: MakeJournal) -> None:
    with pytest.raises(JournalError, match="there is no journal in"):
        journals_among([tmp_path])
    with pytest.raises(JournalError, match=r"there is no journal .*none\.sqlite"):
        journals_among([tmp_path / "none.sqlite"])
    journal = make_journal()
    journal.record(Quote("AAPL", 1, 10.0, 10.1), ())
    journal.close()
    assert pack(journal.path)
    assert journals_among([journal.path]) == [journal.path]
