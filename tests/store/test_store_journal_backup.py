"""A backup of a journal is the journal at that time; its desk continues to write and never waits."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from ibdesk.errors import JournalError
from ibdesk.model import HaltTrading, Notice
from ibdesk.store import Journal, JournalReader, replay
from ibdesk.store.journal_backup import back_up
from ibdesk.store.journal_packing import pack

MakeJournal = Callable[..., Journal]
KILOBYTE = 1_024


def fill(journal: Journal, count: int, *, first: int = 1) -> None:
    for number in range(first, first + count):
        journal.record(Notice(text=f"{number} " + "x" * 4 * KILOBYTE, at_ns=number), ())
        journal.commit()


def test_the_desk_commits_in_the_middle_of_a_backup_which_has_what_was_there_when_it_began(
    make_journal: MakeJournal, tmp_path: Path
) -> None:
    journal = make_journal()
    fill(journal, 6_000)
    committed: list[int] = []

    def in_the_middle(left: int, total: int) -> None:
        # A commit waits a tenth of a second for a lock and then fails: here it would.
        fill(journal, 50, first=journal.count + 1)
        committed.append(journal.count)
        assert 0 <= left < total

    report = back_up(journal.path, tmp_path / "backup.sqlite", progress=in_the_middle)

    assert len(committed) >= 2
    assert report.events == 6_000
    assert journal.count == committed[-1] > 6_000
    with JournalReader(tmp_path / "backup.sqlite") as backup, JournalReader(journal.path) as whole:
        assert backup.header == whole.header
        assert list(backup.entries()) == list(whole.entries())[:6_000]
    assert sorted(path.name for path in tmp_path.iterdir() if "backup" in path.name) == ["backup.sqlite"]


@pytest.mark.parametrize("name", ["backup.sqlite", "backup.sqlite.gz"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_backup_replays_like_its_journal(
    recorded: SimpleNamespace, tmp_path: Path, name: str, *, packed: bool
) -> None:
    report = replay(recorded.path)
    if packed:
        recorded.journal.close()
        assert pack(recorded.path)
    target = tmp_path / "elsewhere" / name

    made = back_up(recorded.path, target)

    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert made.events == report.events
    assert (replay(target).actions, replay(target).orders) == (report.actions, report.orders)
    assert [path.name for path in target.parent.iterdir()] == [name]


def test_a_backup_is_never_written_over(make_journal: MakeJournal, tmp_path: Path) -> None:
    journal = make_journal()
    journal.record(HaltTrading("stop", 2), ())
    journal.commit()
    target = tmp_path / "backup.sqlite"
    target.write_text("precious")

    with pytest.raises(JournalError, match="already exists: a backup is never overwritten"):
        back_up(journal.path, target)

    assert target.read_text() == "precious"


def test_a_backup_that_cannot_be_written_leaves_nothing(make_journal: MakeJournal, tmp_path: Path) -> None:
    journal = make_journal()
    journal.record(HaltTrading("stop", 2), ())
    journal.commit()

    with pytest.raises(JournalError, match="cannot be written"):
        back_up(journal.path, tmp_path / "journal.sqlite" / "backup.sqlite")
    with pytest.raises(JournalError, match="there is no journal"):
        back_up(tmp_path / "none.sqlite", tmp_path / "backup.sqlite")

    assert not [path for path in tmp_path.iterdir() if "backup" in path.name]
