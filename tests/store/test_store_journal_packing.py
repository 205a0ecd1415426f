"""Finished journals are packed and read like any other; old ones are removed unless they are needed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from ibdesk.errors import JournalError
from ibdesk.model import HaltTrading, Quote, Restore
from ibdesk.store import (
    Journal,
    JournalFilter,
    JournalReader,
    JournalSettings,
    JournalTidier,
    read_page,
    replay,
    restore_from,
)
from ibdesk.store.journal_packing import pack, packed_path

DAY = 86_400.0
MakeJournal = Callable[..., Journal]


def test_a_packed_journal_is_read_paged_and_replayed_like_before(recorded: SimpleNamespace) -> None:
    path: Path = recorded.path
    with JournalReader(path) as journal:
        entries = list(journal.entries())
    page = read_page(path, JournalFilter(), limit=50, newest_first=True)
    report, size = replay(path), path.stat().st_size

    recorded.journal.close()
    assert pack(path)

    packed = packed_path(path)
    assert not path.exists()
    assert packed.stat().st_size < size / 2
    assert oct(packed.stat().st_mode & 0o777) == "0o600"
    with JournalReader(path) as journal:
        assert list(journal.entries()) == entries
    with JournalReader(packed) as journal:
        assert journal.path == path
        assert list(journal.book_entries())
    assert read_page(path, JournalFilter(), limit=50, newest_first=True) == page
    assert replay(path) == report
    assert replay(packed).actions == report.actions
    # Nothing that was unpacked is left.
    assert sorted(each.name for each in path.parent.iterdir() if each.name.startswith(".")) == []


def test_a_journal_that_is_being_written_is_not_packed(make_journal: MakeJournal) -> None:
    journal = make_journal()
    journal.record(Quote("AAPL", 1, 10.0, 10.1), ())
    journal.commit()

    assert not pack(journal.path)

    journal.record(Quote("AAPL", 2, 10.0, 10.1), ())
    journal.commit()
    with JournalReader(journal.path) as reader:
        assert len(list(reader.entries())) == 2
    assert not packed_path(journal.path).exists()


def test_packing_that_ends_on_the_way_leaves_the_journal(make_journal: MakeJournal) -> None:
    journal = make_journal()
    journal.record(HaltTrading("stop", 2), ())
    journal.close()

    assert not pack(journal.path, is_ending=lambda: True)

    assert [path.name for path in journal.path.parent.iterdir()] == [journal.path.name]
    assert pack(journal.path)


@pytest.mark.parametrize("harm", ["cut off", "written over"])
def test_a_damaged_packed_journal_is_named(make_journal: MakeJournal, harm: str) -> None:
    journal = make_journal()
    for number in range(1, 3_000):
        journal.record(Quote("AAPL", number, 10.0, 10.1), ())
    journal.close()
    assert pack(journal.path)
    packed = packed_path(journal.path)
    half = packed.stat().st_size // 2
    with packed.open("r+b") as file:
        file.truncate(half) if harm == "cut off" else (file.seek(half), file.write(b"\xff" * 200))

    with pytest.raises(JournalError, match=f"{packed} cannot be unpacked: "):
        JournalReader(journal.path)
    assert [path.name for path in packed.parent.iterdir()] == [packed.name]


class AtOpening:
    """Does something just before SQLite opens a file of this name: hooks of the interpreter stay for good."""

    def __init__(self, name: str, act: Callable[[], object]) -> None:
        self.name, self.act, self.acted = name, act, False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "sqlite3.connect" and not self.acted and f"{self.name}?mode=r" in str(arguments[0]):
            self.acted = True
            self.act()


def test_a_journal_that_is_packed_just_before_it_is_opened_is_read(make_journal: MakeJournal) -> None:
    journal = make_journal("paper-packed-meanwhile.sqlite")
    journal.record(HaltTrading("stop", 2), ())
    journal.close()

    packed: list[bool] = []

    def pack_it() -> None:
        packed.append(pack(journal.path))

    hook = AtOpening(journal.path.name, pack_it)
    with JournalReader(journal.path) as reader:
        entries = list(reader.entries())

    assert (hook.acted, packed, journal.path.exists()) == (True, [True], False)
    assert [entry.event for entry in entries] == [HaltTrading("stop", 2)]


def test_a_journal_that_is_closed_just_before_it_is_opened_is_read(make_journal: MakeJournal) -> None:
    journal = make_journal("paper-closed-meanwhile.sqlite")
    journal.record(HaltTrading("stop", 2), ())

    hook = AtOpening(journal.path.name, journal.close)
    with JournalReader(journal.path) as reader:
        entries = list(reader.entries())

    assert hook.acted
    assert [entry.event for entry in entries] == [HaltTrading("stop", 2)]


def finished(make_journal: MakeJournal, number: int, account: str, *, days_ago: float = 0) -> Path:
    journal = make_journal(f"paper-{number}.sqlite")
    if account:
        journal.record(Restore(account=account, at_ns=1), ())
    journal.record(HaltTrading(f"halt of {number}", 2), ())
    journal.close()
    written = time.time() - days_ago * DAY
    os.utime(journal.path, (written, written))
    return journal.path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_is_finished_is_packed_and_what_is_old_removed(
    make_journal: MakeJournal, make_header, tmp_path: Path
) -> None:
    finished(make_journal, 1, "DU1", days_ago=40)
    finished(make_journal, 2, "DU2", days_ago=40)
    finished(make_journal, 3, "DU1", days_ago=29)
    finished(make_journal, 4, "DU1", days_ago=40)
    finished(make_journal, 5, "")
    own = make_journal("paper-6.sqlite")
    own.record(Restore(account="DU1", at_ns=1, earlier="paper-4.sqlite"), ())
    own.commit()
    finished(make_journal, 7, "DU2")

    def tidy(keep_days: int) -> None:
        settings = JournalSettings(keep_days=keep_days)
        JournalTidier(own.path, "paper", "DU1", "paper-4.sqlite", settings).tidy()

    tidy(0)
    kept = {"paper-1.sqlite.gz", "paper-3.sqlite.gz", "paper-4.sqlite.gz"}
    # Another account's, one that may just begin, its own, and what is newer are left alone.
    left = {"paper-2.sqlite", "paper-5.sqlite", "paper-7.sqlite"}
    assert {name for name in names(tmp_path) if name.endswith((".sqlite", ".gz"))} == kept | left | {"paper-6.sqlite"}
    tidy(30)
    assert "paper-1.sqlite.gz" not in names(tmp_path)
    # What it went on from stays, however old: it proves what was taken over.
    assert {"paper-3.sqlite.gz", "paper-4.sqlite.gz", "paper-6.sqlite"} | left <= names(tmp_path)

    # A packed journal is gone on from like any other.
    own.close()
    for path in (*tmp_path.glob("paper-6.*"), *tmp_path.glob("paper-7.*")):
        path.unlink()
    taken = restore_from(tmp_path / "paper-8.sqlite", make_header(), account="DU1", at_ns=9)
    assert (taken.earlier, [halt.reason for halt in taken.snapshot.halts]) == ("paper-4.sqlite", ["halt of 4"])
