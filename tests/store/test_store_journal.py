"""The journal: on disk before it counts, readable after a kill, and never guessed."""

from __future__ import annotations

import math
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ibdesk.engine import RiskLimits
from ibdesk.errors import JournalError
from ibdesk.model import Alert, Quote
from ibdesk.store import Entry, Journal, JournalReader

ALERT = Alert(origin="run", text="hello", at_ns=5)


def quote(number: int) -> Quote:
    return Quote("AAPL", number, 10.0, 10.1, 1.0, 2.0)


def entries(path: Path) -> list[Entry]:
    with JournalReader(path) as reader:
        return list(reader.entries())


def test_what_was_recorded_comes_back_in_order(make_journal) -> None:
    journal = make_journal()
    journal.record(quote(1), ())
    journal.record(quote(2), [ALERT, ALERT])
    journal.commit()

    assert entries(journal.path) == [Entry(1, quote(1), []), Entry(2, quote(2), [ALERT, ALERT])]
    assert journal.count == 2


def test_a_commit_is_seen_by_others_at_once_and_what_is_not_committed_by_nobody(make_journal) -> None:
    journal = make_journal()
    journal.record(quote(1), ())
    journal.commit()
    journal.record(quote(2), [ALERT])

    assert [entry.number for entry in entries(journal.path)] == [1]
    journal.commit()
    assert [entry.number for entry in entries(journal.path)] == [1, 2]


def test_a_reader_that_is_in_the_middle_keeps_nobody_from_writing(make_journal) -> None:
    journal = make_journal()
    for number in range(1, 4):
        journal.record(quote(number), ())
    journal.commit()

    with JournalReader(journal.path) as reader:
        reading = reader.entries()
        next(reading)
        journal.record(quote(4), ())
        journal.commit()
        # It reads the moment at which it began.
        assert [entry.number for entry in reading] == [2, 3]

    assert len(entries(journal.path)) == 4


def test_closing_writes_the_rest_and_may_be_done_twice(make_journal) -> None:
    journal = make_journal()
    journal.record(quote(1), ())

    journal.close()
    journal.close()

    assert len(entries(journal.path)) == 1


def test_only_its_owner_may_read_it(make_journal) -> None:
    journal = make_journal()
    journal.record(quote(1), ())
    journal.commit()

    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in journal.path.parent.glob("journal.sqlite*")}

    assert set(modes.values()) == {"0o600"}
    assert "journal.sqlite-wal" in modes


def test_a_journal_is_never_written_over(make_journal) -> None:
    journal = make_journal()
    journal.record(quote(1), ())
    journal.commit()

    with pytest.raises(JournalError, match=f"journal {journal.path} already exists: a journal is never overwritten"):
        make_journal()

    assert len(entries(journal.path)) == 1


def test_a_place_that_takes_no_file_is_named(tmp_path: Path, make_header) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(JournalError, match=f"journal {tmp_path}/file/j cannot be created: "):
        Journal.create(tmp_path / "file" / "j", make_header())


@pytest.mark.parametrize("content", [b"", b"hello", b"SQLite format 3\x00" + b"\x01" * 200])
def test_a_file_that_is_no_journal_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(content)

    with pytest.raises(JournalError, match=f"{path} is (not a|no) journal") as caught:
        JournalReader(path)

    assert "\n" not in str(caught.value)


def test_another_database_is_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL)")
    connection.close()

    with pytest.raises(JournalError, match=f"{path} is not a journal of ibdesk: it has no header and no events"):
        JournalReader(path)


def test_a_missing_journal_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=f"there is no journal {tmp_path}/gone"):
        JournalReader(tmp_path / "gone")


@pytest.mark.parametrize("name", ["50%23 off.sqlite", "a#b?mode=rw.sqlite"])
def test_any_file_name_will_do(make_journal, name: str) -> None:
    journal = make_journal(name)
    journal.record(quote(1), ())
    journal.commit()

    assert len(entries(journal.path)) == 1


def damage(path: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement, values)
    connection.close()


@pytest.fixture
def three(make_journal):
    journal = make_journal()
    for number in range(1, 4):
        journal.record(quote(number), [ALERT])
    journal.close()
    return journal.path


@pytest.mark.parametrize("number", [1, 2])
def test_a_missing_event_is_told_with_its_number(three: Path, number: int) -> None:
    damage(three, "DELETE FROM events WHERE number = ?", number)

    with pytest.raises(JournalError, match=f"{three} lacks event {number}: it is damaged"):
        entries(three)


@pytest.mark.parametrize("column", ["event", "actions"])
@pytest.mark.parametrize("data", [b"\xc1", b"\x81\xa4type\xa5stock", b"\x92\x01\x02"])
def test_an_entry_that_cannot_be_read_is_told_with_its_number(three: Path, column: str, data: bytes) -> None:
    damage(three, f"UPDATE events SET {column} = ? WHERE number = 2", data)

    with pytest.raises(JournalError, match=f"{three}, event 2, cannot be read: "):
        entries(three)


def test_an_instrument_that_makes_no_sense_is_told_as_damage(make_journal, recorded) -> None:
    with sqlite3.connect(recorded.path) as connection:
        (data,) = connection.execute("SELECT event FROM events WHERE number = 1").fetchone()
        event = msgspec.msgpack.decode(data)
        event["instruments"][0]["tick_size"] = -1.0
        connection.execute("UPDATE events SET event = ? WHERE number = 1", (msgspec.msgpack.encode(event),))
    connection.close()

    with pytest.raises(JournalError, match="event 1, cannot be read: AAPL: tick_size must be positive"):
        entries(recorded.path)


@pytest.mark.parametrize("harm", ["cut off", "written over"])
def test_a_file_that_is_half_gone_is_told_as_damage(make_journal, harm: str) -> None:
    journal = make_journal()
    for number in range(1, 2_000):
        journal.record(quote(number), [ALERT])
    journal.close()
    half = journal.path.stat().st_size // 2
    with journal.path.open("r+b") as file:
        file.truncate(half) if harm == "cut off" else (file.seek(half), file.write(b"\xff" * 20_000))

    with pytest.raises(JournalError, match=f"{journal.path}.* cannot be read: .*malformed|is not a journal.*malformed"):
        entries(journal.path)


def test_a_journal_that_another_program_holds_is_written_once_it_lets_go(make_journal) -> None:
    journal = make_journal()
    journal._connection.execute("PRAGMA busy_timeout = 1")
    journal.record(quote(1), [])
    other = sqlite3.connect(journal.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match=f"journal {journal.path} cannot be written: database is locked"):
        journal.commit()

    other.close()
    journal.record(quote(2), [])
    journal.commit()

    assert [entry.number for entry in entries(journal.path)] == [1, 2]


@pytest.mark.parametrize("limits", [RiskLimits(), RiskLimits.none(), RiskLimits(price_collar=math.inf, day_zone="UTC")])
def test_the_header_comes_back_with_its_limits_also_those_that_are_off(make_journal, make_header, limits) -> None:
    journal = make_journal(limits=limits)

    with JournalReader(journal.path) as reader:
        assert reader.header == make_header(limits)
        assert reader.header.limits == limits


def test_a_disk_that_is_full_stops_the_write_and_the_rest_is_written_once_there_is_room(make_journal) -> None:
    journal = make_journal()
    journal.limit_pages(1)
    for number in range(1, 500):
        journal.record(quote(number), [ALERT])

    with pytest.raises(JournalError, match=f"journal {journal.path} cannot be written: .*full"):
        journal.commit()
    assert entries(journal.path) == []

    journal.limit_pages(None)
    journal.commit()
    assert len(entries(journal.path)) == 499


WRITER = """
import sys
from pathlib import Path
from ibdesk.engine import RiskLimits
from ibdesk.model import Alert, Quote
from ibdesk.store import Journal, JournalHeader

header = JournalHeader(program="p", mode="paper", account="DU1", started_ns=1, limits=RiskLimits())
journal = Journal.create(Path(sys.argv[1]), header)
number = 0
while True:
    for _ in range(5):
        number += 1
        journal.record(Quote("AAPL", number, 10.0, 10.1), [Alert(origin="r", text="x" * 200, at_ns=number)])
    journal.commit()
    # What follows a commit may leave the machine.
    print(number, flush=True)
"""


@pytest.mark.proof
@pytest.mark.parametrize("lines", [1, 300])
def test_a_killed_writer_leaves_everything_that_was_committed_and_no_gap(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "killed.sqlite"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(lines):
            committed = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        # What it had said before it died counts too.
        committed = max([committed, *map(int, writer.stdout.read().splitlines())])

    found = entries(path)

    assert [entry.number for entry in found] == list(range(1, len(found) + 1))
    assert len(found) >= committed
    assert all(entry.event == Quote("AAPL", entry.number, 10.0, 10.1) for entry in found)
    assert all(len(entry.actions) == 1 for entry in found)


@pytest.mark.parametrize("is_ended", [True, False])
def test_reading_a_journal_leaves_no_file_beside_it(make_journal, is_ended: bool) -> None:
    journal = make_journal()
    journal.record(quote(1), ())
    journal.commit()
    if is_ended:
        journal.close()
    before = {path: path.stat().st_mtime_ns for path in journal.path.parent.iterdir()}

    with JournalReader(journal.path) as first, JournalReader(journal.path) as second:
        assert len(list(first.entries())) == len(list(second.entries())) == 1

    after = {path: path.stat().st_mtime_ns for path in journal.path.parent.iterdir()}
    assert {path.name for path in after} == {path.name for path in before}
    assert after[journal.path] == before[journal.path]
    journal.close()
    assert [path.name for path in journal.path.parent.iterdir()] == [journal.path.name]
