"""A copy of a journal holds the events that changed books, is marked, and can be continued or says why not."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from ibdesk.errors import JournalError
from ibdesk.model import HaltTrading, Quote, Restore, ResumeTrading
from ibdesk.store import Journal, JournalFilter, JournalHeader, JournalReader, journal_infos, read_page, replay
from ibdesk.store.journal_copy import FaultyRowsError, JournalCopy
from ibdesk.store.journal_files import path_of_new_journal
from ibdesk.store.journal_reader import BookRow
from ibdesk.store.recovery import restore_from, snapshot_in

NAME = "paper-20260310-140000-000000.sqlite"
AT_NS = 1_773_151_200_000_000_000 + 10**13
ALL = 1_000_000_000

MakeHeader = Callable[..., JournalHeader]


def rows_of(path: Path) -> list[BookRow]:
    with JournalReader(path) as journal:
        return journal.book_rows(0, at_most_bytes=ALL)


def open_copy(folder: Path, header: JournalHeader, name: str = NAME) -> JournalCopy:
    copy = JournalCopy.open(folder, name, header, host="elsewhere")
    assert copy is not None
    return copy


@pytest.fixture
def copied(recorded: SimpleNamespace, tmp_path: Path, make_header: MakeHeader) -> Path:
    """The copy of the recorded run, in the folder of another machine."""
    copy = open_copy(tmp_path / "there", make_header())
    copy.append(rows_of(recorded.path))
    copy.close()
    return copy.path


def test_a_copy_leaves_what_its_journal_leaves(recorded: SimpleNamespace, copied: Path) -> None:
    with JournalReader(recorded.path) as journal, JournalReader(copied) as copy:
        assert list(copy.book_entries()) == list(journal.book_entries())
        assert snapshot_in(copy, AT_NS) == snapshot_in(journal, AT_NS)
        assert copy.header == journal.header
        # What was only looked at is not in it.
        assert 0 < len(list(copy.book_entries())) < len(recorded.events)
    assert stat.S_IMODE(copied.stat().st_mode) == 0o600
    assert [path.name for path in copied.parent.iterdir() if path.suffix == ".new"] == []


def test_a_copy_cannot_be_replayed_and_says_where_the_journal_is(copied: Path) -> None:
    with pytest.raises(JournalError, match=r"is a copy, which .*: use the journal of this name on elsewhere"):
        replay(copied)


def test_a_copy_is_listed_as_one_and_read_in_pages(
    copied: Path, make_header: MakeHeader, recorded: SimpleNamespace
) -> None:
    Journal.create(copied.with_name("paper-20260310-150000-000000.sqlite"), make_header()).close()

    infos = journal_infos(copied.parent, current="paper-20260310-150000-000000.sqlite", limit=3)
    page = read_page(copied, JournalFilter(), limit=1_000)

    assert [(info.name == NAME, info.is_copy, info.account) for info in infos] == [
        (False, False, "DU1"),
        (True, True, "DU1"),
    ]
    with JournalReader(recorded.path) as journal:
        assert [row.number for row in page.rows] == [entry.number for entry in journal.book_entries()]


def test_what_comes_twice_is_there_once_and_rows_are_taken_in_pieces_of_any_size(
    recorded: SimpleNamespace, tmp_path: Path, make_header: MakeHeader
) -> None:
    rows = rows_of(recorded.path)
    copy = open_copy(tmp_path / "there", make_header())

    for first in range(0, len(rows), 3):
        copy.append(rows[max(0, first - 5) : first + 3])

    assert rows_of(copy.path) == rows
    assert copy.last == rows[-1].number
    copy.close()


def test_pieces_of_a_journal_are_as_large_as_asked_for_and_hold_one_row_at_least(recorded: SimpleNamespace) -> None:
    rows = rows_of(recorded.path)
    with JournalReader(recorded.path) as journal:
        assert journal.book_rows(0, at_most_bytes=1) == rows[:1]
        assert journal.book_rows(rows[3].number, at_most_bytes=rows[4].size + rows[5].size) == rows[4:6]
        assert journal.book_rows(rows[-1].number, at_most_bytes=ALL) == []
        assert journal.last_book_number == rows[-1].number
        assert journal.book_bytes(rows[3].number) == sum(row.size for row in rows[:4])


def test_the_journal_itself_is_left_alone(tmp_path: Path, make_journal, make_header: MakeHeader) -> None:
    original = make_journal(NAME)
    original.record(HaltTrading("stop", 7), ())
    original.close()
    before = original.path.read_bytes()

    assert JournalCopy.open(tmp_path, NAME, make_header(), host="elsewhere") is None

    assert original.path.read_bytes() == before


def test_two_standbys_of_one_machine_keep_one_copy(
    recorded: SimpleNamespace, tmp_path: Path, make_header: MakeHeader
) -> None:
    rows = rows_of(recorded.path)
    one, other = open_copy(tmp_path / "there", make_header()), open_copy(tmp_path / "there", make_header())

    one.append(rows[:5])
    other.append(rows[:8])
    one.append(rows[5:9])

    assert rows_of(one.path) == rows[:9]
    one.close()
    other.close()


BROKEN: dict[str, Callable[[list[BookRow]], list[BookRow]]] = {
    "one missing": lambda rows: rows[:3] + rows[4:],
    "the first ones missing": lambda rows: rows[1:],
    "an event that is none": lambda rows: [*rows[:3], msgspec.structs.replace(rows[3], event=b"\x81")],
    "an event of another version": lambda rows: [
        msgspec.structs.replace(rows[0], event=msgspec.msgpack.encode({"type": "not_invented_yet"}))
    ],
    "actions that are none": lambda rows: [*rows[:3], msgspec.structs.replace(rows[3], actions=b"\xc1")],
    "a number that goes back": lambda rows: [*rows[:3], msgspec.structs.replace(rows[3], number=1, after=2)],
}


@pytest.mark.parametrize("how", list(BROKEN))
def test_rows_that_are_no_journals_are_refused_all_of_them(
    how: str, recorded: SimpleNamespace, tmp_path: Path, make_header: MakeHeader
) -> None:
    copy = open_copy(tmp_path / "there", make_header())

    with pytest.raises(FaultyRowsError):
        copy.append(BROKEN[how](rows_of(recorded.path)))

    assert rows_of(copy.path) == []
    copy.close()


@pytest.mark.parametrize(
    "name", ["../paper-20260310-140000-000000.sqlite", "/etc/passwd", "paper-1.sqlite", f"{NAME}\n", f"x{NAME}", ""]
)
def test_a_name_from_elsewhere_does_not_lead_out_of_the_folder(
    name: str, tmp_path: Path, make_header: MakeHeader
) -> None:
    with pytest.raises(JournalError, match="is not the name of a journal"):
        JournalCopy.open(tmp_path / "there", name, make_header(), host="elsewhere")

    assert not (tmp_path / "there").exists()


def test_a_desk_after_a_copy_without_all_books_begins_halted_and_with_empty_books(
    recorded: SimpleNamespace, tmp_path: Path, make_header: MakeHeader
) -> None:
    folder = tmp_path / "there"
    Journal.create(folder / "paper-20260101-000000-000000.sqlite", make_header()).close()
    copy = open_copy(folder, make_header())
    copy.append(rows_of(recorded.path))
    copy.give_up("event 7 cannot be read")
    copy.close()

    command = restore_from(path_of_new_journal(folder, "paper", AT_NS), make_header(), account="DU1", at_ns=AT_NS)

    [halt] = command.snapshot.halts
    assert command == Restore(account="DU1", at_ns=AT_NS, snapshot=type(command.snapshot)(halts=[halt], halts_made=1))
    assert halt.by == "standby"
    assert "on elsewhere, which traded before, could not be copied (event 7 cannot be read)" in halt.reason
    assert journal_infos(folder, current="", limit=1)[0].note == "event 7 cannot be read"


def test_a_copy_that_was_given_up_is_begun_again(
    recorded: SimpleNamespace, tmp_path: Path, make_header: MakeHeader
) -> None:
    copy = open_copy(tmp_path / "there", make_header())
    copy.append(rows_of(recorded.path)[:4])
    copy.give_up("it broke")
    copy.close()

    again = open_copy(tmp_path / "there", make_header())
    again.append(rows_of(recorded.path))
    again.close()

    with JournalReader(again.path) as reader:
        assert reader.copy is not None
        assert reader.copy.fault == ""
    assert rows_of(again.path) == rows_of(recorded.path)


def test_the_copy_of_another_journal_of_this_name_is_refused(tmp_path: Path, make_header: MakeHeader) -> None:
    open_copy(tmp_path, make_header()).close()

    with pytest.raises(JournalError, match="is the copy of another journal of this name"):
        JournalCopy.open(tmp_path, NAME, msgspec.structs.replace(make_header(), started_ns=1), host="elsewhere")


def test_a_new_journal_sorts_after_those_before_it_though_their_clock_was_ahead(
    tmp_path: Path, make_header: MakeHeader
) -> None:
    began = 1_773_151_200_000_000_000
    ahead = path_of_new_journal(tmp_path, "paper", began + 3_600 * 10**9)
    journal = Journal.create(ahead, make_header())
    journal.record(Restore(account="DU1", at_ns=1), ())
    journal.record(HaltTrading("of the desk before", 2), ())
    journal.close()

    own = path_of_new_journal(tmp_path, "paper", began)
    other = path_of_new_journal(tmp_path, "live", began)

    assert own.name == "paper-20260310-150000-000001.sqlite"
    assert other.name == "live-20260310-140000-000000.sqlite"
    assert restore_from(own, make_header(), account="DU1", at_ns=3).earlier == ahead.name


def test_a_row_says_what_its_entry_says(recorded: SimpleNamespace) -> None:
    rows = rows_of(recorded.path)
    with JournalReader(recorded.path) as journal:
        assert [row.entry() for row in rows] == list(journal.book_entries())
    assert [row.after for row in rows] == [0, *(row.number for row in rows[:-1])]
    quotes = [event for event in recorded.events if isinstance(event, Quote)]
    assert len(quotes) > 0
    assert not any(isinstance(row.entry().event, Quote | ResumeTrading) and not row.actions for row in rows)
