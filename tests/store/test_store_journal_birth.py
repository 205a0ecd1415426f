"""The creation of a journal: it appears complete or not at all, and an empty file blocks no desk."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.small_disk import small_disk

from ibdesk.errors import JournalError
from ibdesk.model import Halt, HaltTrading, Restore, moment
from ibdesk.store import Journal, JournalReader, path_of_new_journal, restore_from, set_aside_unborn

NOW_NS = 1_773_241_200_000_000_000

BEGINNER = """
import itertools, sys
from pathlib import Path
from ibdesk.engine import RiskLimits
from ibdesk.store import Journal, JournalHeader

print("ready", flush=True)
for number in itertools.count():
    header = JournalHeader(program="p", mode="paper", account="DU1", started_ns=1, limits=RiskLimits())
    Journal.create(Path(sys.argv[1]) / f"paper-{number:08d}.sqlite", header)
"""


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(8))
def test_a_journal_whose_writer_is_killed_while_it_begins_is_there_whole_or_not_at_all(
    seed: int, tmp_path: Path
) -> None:
    with subprocess.Popen([sys.executable, "-c", BEGINNER, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        # Any moment will do: it is always in the middle of a beginning.
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(random.Random(seed).uniform(0.005, 0.1))
        writer.send_signal(signal.SIGKILL)

    for path in tmp_path.glob("paper-*.sqlite"):
        with JournalReader(path) as journal:
            assert journal.header.account == "DU1"


@pytest.mark.parametrize("room_bytes", [0, 4_096, 16_384, 32_768])
def test_a_journal_that_a_full_disk_lets_nobody_begin_leaves_nothing_half(
    room_bytes: int, tmp_path: Path, make_header
) -> None:
    with small_disk(tmp_path / "disk", mebibytes=1) as disk:
        disk.fill(leaving_bytes=room_bytes)
        path = disk.folder / "paper-20260310-140000-000000.sqlite"
        try:
            journal = Journal.create(path, make_header())
        except JournalError:
            assert not list(disk.folder.glob(".*"))
        else:
            journal.close()

        disk.make_room()
        if not path.exists():
            Journal.create(path, make_header()).close()
        with JournalReader(path) as reader:
            assert reader.header == make_header()


def begun(make_journal: Callable[..., Journal], name: str, account: str) -> Journal:
    journal = make_journal(name)
    journal.record(Restore(account=account, at_ns=1), ())
    journal.record(HaltTrading("the books look wrong", 2), ())
    journal.close()
    return journal


LATER = ["paper-20991231-000000-000000.sqlite", "paper-99991231-235959-999999.sqlite", "paper-zzz.sqlite"]


@pytest.mark.parametrize("name", LATER)
def test_a_file_without_a_header_is_set_aside_and_the_books_before_it_are_gone_on_from(
    name: str, make_journal: Callable[..., Journal], make_header, tmp_path: Path
) -> None:
    begun(make_journal, "paper-20260310-140000-000000.sqlite", "DU1")
    (tmp_path / name).touch()

    [sentence] = set_aside_unborn(tmp_path, "paper")
    own = path_of_new_journal(tmp_path, "paper", NOW_NS)

    assert sentence == (f"{tmp_path / name} has no header, so its desk never traded: it was renamed to {name}.unborn")
    assert own.name == f"paper-{moment(NOW_NS):%Y%m%d-%H%M%S-%f}.sqlite"
    taken = restore_from(own, make_header(), account="DU1", at_ns=9)
    assert taken.earlier == "paper-20260310-140000-000000.sqlite"
    assert [halt.reason for halt in taken.snapshot.halts] == ["the books look wrong"]
    # Once only.
    assert set_aside_unborn(tmp_path, "paper") == []
    assert sorted(path.name for path in tmp_path.glob("*.unborn")) == [f"{name}.unborn"]


def test_a_file_without_a_header_below_the_journal_of_another_account_is_passed_over(
    make_journal: Callable[..., Journal], make_header, tmp_path: Path
) -> None:
    begun(make_journal, "paper-20260310-140000-000000.sqlite", "DU1")
    (tmp_path / "paper-20260310-150000-000000.sqlite").touch()
    begun(make_journal, "paper-20260310-160000-000000.sqlite", "DU2")

    own = path_of_new_journal(tmp_path, "paper", NOW_NS)

    assert restore_from(own, make_header(), account="DU1", at_ns=9).earlier == "paper-20260310-140000-000000.sqlite"


def test_a_journal_that_lost_its_header_is_not_taken_for_one_that_never_traded(
    make_journal: Callable[..., Journal], make_header, tmp_path: Path
) -> None:
    journal = begun(make_journal, "paper-20260310-140000-000000.sqlite", "DU1")
    with journal.path.open("r+b") as file:
        file.truncate(journal.path.stat().st_size // 2)

    assert set_aside_unborn(tmp_path, "paper") == []
    with pytest.raises(JournalError, match="which may hold open orders"):
        restore_from(path_of_new_journal(tmp_path, "paper", NOW_NS), make_header(), account="DU1", at_ns=9)


def test_a_journal_of_the_last_moment_that_there_is_can_be_followed_by_none(
    make_journal: Callable[..., Journal], tmp_path: Path
) -> None:
    begun(make_journal, "paper-99991231-235959-999999.sqlite", "DU1")

    with pytest.raises(JournalError, match=r"no journal can follow .*paper-99991231-235959-999999.sqlite: move"):
        path_of_new_journal(tmp_path, "paper", NOW_NS)


def test_halts_and_books_belong_to_the_account_whatever_the_client_id_was(
    make_journal: Callable[..., Journal], make_header, tmp_path: Path
) -> None:
    begun(make_journal, "paper-20260310-140000-000000.sqlite", "DU1")
    own = path_of_new_journal(tmp_path, "paper", NOW_NS)

    taken = restore_from(own, make_header(client_id=8), account="DU1", at_ns=9)

    assert taken.earlier == "paper-20260310-140000-000000.sqlite"
    assert taken.snapshot.halts == [Halt("the books look wrong", "operator", 2, "19700101-000000-1")]
