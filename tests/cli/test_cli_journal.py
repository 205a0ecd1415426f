"""`ibdesk journal` as a person types it, also beside a desk that writes."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ibdesk.engine import RiskLimits
from ibdesk.model import HaltTrading, Restore
from ibdesk.store import Journal, JournalHeader
from ibdesk.store.journal_packing import pack

Cli = Callable[..., tuple[int, str, str]]
OLD, NEW = "paper-20261129-090000-000000.sqlite", "paper-20261130-090000-000000.sqlite"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The state folder of a desk: a packed journal of two events, and one of three that is being written."""
    found = tmp_path / "state" / "ibdesk" / "journals"
    found.mkdir(parents=True)
    header = JournalHeader(program="ibdesk 0", mode="paper", account="", started_ns=10**18, limits=RiskLimits())
    made = []
    for name, events in ((OLD, 1), (NEW, 2)):
        journal = Journal.create(found / name, header)
        journal.record(Restore(account="DU1", at_ns=1, earlier=OLD if name == NEW else ""), ())
        for number in range(events):
            journal.record(HaltTrading("stop", number), ())
        journal.commit()
        made.append(journal)
    made[0].close()
    assert pack(found / OLD)
    yield found
    made[1].close()


def test_journals_are_listed_the_newest_first(cli: Cli, folder: Path) -> None:
    code, out, _ = cli("journal", "list")

    assert code == 0
    assert out.index(NEW) < out.index(OLD)
    [new, old] = [line for line in out.splitlines() if "paper-" in line]
    assert "open" in new
    assert "packed" in old
    assert [each["name"] for each in json.loads(cli("journal", "list", "--json")[1])] == [NEW, OLD]
    assert "1 more" in cli("journal", "list", "--last", 1)[1]


def test_whole_journals_are_verified_beside_a_desk_that_writes(cli: Cli, folder: Path) -> None:
    code, out, err = cli("journal", "verify")

    assert (code, err) == (0, "")
    assert "whole: 2 journals, 5 events, none missing" in out
    facts = json.loads(cli("journal", "verify", folder / NEW, "--json")[1])
    assert [(each["name"], each["events"], each["earlier"]) for each in facts] == [(NEW, 3, OLD)]


def test_a_journal_that_lacks_an_event_ends_with_1(cli: Cli, folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(folder / NEW)) as file, file:
        file.execute("DELETE FROM events WHERE number = 2")

    code, out, err = cli("journal", "verify")

    assert code == 1
    assert "it lacks event 2" in out
    assert "1 of 2 journals are damaged" in err


def test_a_backup_of_the_newest_journal_can_be_verified(cli: Cli, folder: Path, tmp_path: Path) -> None:
    code, out, err = cli("journal", "backup", tmp_path / "backup" / "a.sqlite.gz")

    assert (code, err) == (0, "")
    assert f"{NEW}: 3 events" in out
    # The journal that it continued from is not beside the backup, which is a note and not a fault.
    code, out, _ = cli("journal", "verify", tmp_path / "backup" / "a.sqlite.gz")
    assert code == 0
    assert "which is no longer here" in out
    assert cli("journal", "backup", tmp_path / "backup" / "a.sqlite.gz")[0] == 2


def test_an_empty_folder_has_no_journals(cli: Cli, tmp_path: Path) -> None:
    for command in (("list",), ("verify",), ("backup", tmp_path / "backup.sqlite")):
        code, _, err = cli("journal", *command)
        assert code == 2
        assert "there is no journal " in err
