"""The log of a journal: moved into the file by its keeper, never by the commit that an order waits for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.stack import eventually

from ibdesk.model import Notice
from ibdesk.store import Journal, JournalLogKeeper, JournalReader

KILOBYTE, MEGABYTE = 1_024, 1_048_576
NOTICE = Notice(text="x" * 4 * KILOBYTE, at_ns=5)

MakeJournal = Callable[..., Journal]


def log_of(journal: Journal) -> Path:
    return journal.path.with_name(f"{journal.path.name}-wal")


def until_short(journal: Journal, limit_bytes: int) -> None:
    """Commit until the log has begun anew and is shorter than what its keeper lets it grow to."""

    def is_short() -> bool:
        journal.record(NOTICE, ())
        journal.commit()
        return log_of(journal).stat().st_size < limit_bytes

    eventually(is_short, "the log begins anew, and is left alone until it is long again")


def until_moved(journal: Journal, megabytes: int) -> None:
    eventually(lambda: journal.path.stat().st_size > megabytes * MEGABYTE, f"{megabytes} MB of the log are in the file")


def write(journal: Journal, megabytes: int) -> None:
    for _ in range(megabytes * MEGABYTE // (4 * KILOBYTE)):
        journal.record(NOTICE, ())
        journal.commit()


def test_no_commit_moves_the_log(make_journal: MakeJournal) -> None:
    journal = make_journal()
    before = journal.path.stat().st_size

    write(journal, 8)

    assert log_of(journal).stat().st_size > 8 * MEGABYTE
    assert journal.path.stat().st_size == before


def test_its_keeper_does_and_the_log_begins_anew(make_journal: MakeJournal) -> None:
    journal = make_journal()

    with JournalLogKeeper(journal.path, limit_bytes=MEGABYTE, look_seconds=0.01):
        for megabytes in (2, 4, 6):
            write(journal, 2)
            until_moved(journal, megabytes)
            until_short(journal, MEGABYTE)

    with JournalReader(journal.path) as reader:
        assert [entry.number for entry in reader.entries()] == list(range(1, journal.count + 1))


def test_what_cannot_be_moved_is_told_once_and_tried_again(
    make_journal: MakeJournal, caplog: pytest.LogCaptureFixture
) -> None:
    journal = make_journal()
    write(journal, 1)
    away = journal.path.rename(journal.path.with_name("away"))

    with JournalLogKeeper(journal.path, limit_bytes=KILOBYTE, look_seconds=0.01):
        eventually(lambda: caplog.records, "it is told")
        away.rename(journal.path)
        until_moved(journal, 1)

    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 1
    assert "cannot be shortened" in told[0].getMessage()
