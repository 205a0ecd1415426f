"""The halts of an account, which every desk and guardian on the machine shares."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.errors import DeskError
from ibdesk.model import Halt, TradingState
from ibdesk.store import AccountHalts, AccountHaltsError

NEWS = Halt("news", "operator", 7, "19700101-000000-1")


@pytest.fixture
def halts(tmp_path: Path) -> AccountHalts:
    """The halts of a paper account, none yet."""
    return AccountHalts("paper", "DU1", folder=tmp_path / "accounts")


def again(halts: AccountHalts) -> AccountHalts:
    """Return what another process would open."""
    return AccountHalts("paper", "DU1", folder=halts.path.parent)


def test_a_halt_is_read_by_another_and_lifted_once(halts: AccountHalts) -> None:
    other = again(halts)

    halts.add([NEWS])
    assert other.read().halts == [NEWS]
    other.lift(NEWS.id, "all is well", by="ann", at_ns=8)

    assert halts.read().halts == []
    with pytest.raises(DeskError, match=f"halt {NEWS.id} was lifted already, by ann at 1970-01-01 00:00:00 UTC"):
        halts.lift(NEWS.id, "again", by="bob", at_ns=9)


def test_a_lifted_halt_is_not_brought_back(halts: AccountHalts) -> None:
    halts.add([NEWS])
    halts.lift(NEWS.id, "all is well", by="ann", at_ns=8)

    halts.add([NEWS])

    assert halts.read().halts == []


def test_lifting_what_does_not_hold_names_what_does(halts: AccountHalts) -> None:
    halts.add([NEWS])

    with pytest.raises(DeskError, match=rf"there is no halt .x.: the account is halted by id=.{NEWS.id}. \(news"):
        halts.lift("x", "why", by="ann", at_ns=8)


def test_a_halt_made_here_gets_the_next_number_and_its_makers_name(halts: AccountHalts) -> None:
    halts.add([NEWS])

    made = halts.halt("loss", by="guardian", at_ns=60_000_000_000, scope="run:x", state=TradingState.REDUCING)

    assert made.id == "19700101-000100-guardian-2"
    assert halts.halt("loss", by="guardian", at_ns=1, scope="run:x", state=TradingState.REDUCING) == made
    assert halts.read().halts == [NEWS, made]
    assert halts.read().made == 2


def test_a_change_is_news_in_memory_until_it_is_read(halts: AccountHalts) -> None:
    other = again(halts)
    other.read()
    assert not other.is_news

    halts.add([NEWS])

    assert other.is_news
    assert other.peek().halts == [NEWS]
    assert other.is_news
    other.read()
    assert not other.is_news


def test_a_file_that_was_replaced_by_hand_is_noticed_by_a_look(halts: AccountHalts) -> None:
    halts.add([NEWS])
    halts.read()
    assert not halts.look()

    halts.path.unlink()

    assert halts.look()
    assert halts.read().halts == []
    assert not halts.look()


def test_a_mark_that_was_deleted_is_opened_anew(halts: AccountHalts) -> None:
    halts.read()
    other = again(halts)
    halts.path.with_suffix(".mark").unlink()

    halts.look()
    other.look()
    other.read()
    halts.add([NEWS])

    assert other.is_news


@pytest.mark.parametrize(
    "torn",
    [b"", b'{"halts": [', b"[]", b'{"halts": [{"reason": 1}]}', b'{"schema": 2}', b'{"unknown": 1}', b"\xff\xfe"],
)
def test_a_torn_file_is_refused_and_left_as_it_is(halts: AccountHalts, torn: bytes) -> None:
    halts.path.write_bytes(torn)

    for attempt in (
        halts.read,
        lambda: halts.add([NEWS]),
        lambda: halts.halt("x", by="y", at_ns=1),
        lambda: halts.lift("x", "y", by="z", at_ns=1),
    ):
        with pytest.raises(AccountHaltsError, match="so it counts as halted") as caught:
            attempt()
        assert str(halts.path) in str(caught.value)
    assert halts.path.read_bytes() == torn


@given(st.binary(max_size=200))
def test_whatever_the_file_holds_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    halts = AccountHalts("paper", "DU1", folder=tmp_path_factory.getbasetemp() / "any")
    halts.path.write_bytes(data)

    try:
        halts.read()
    except AccountHaltsError:
        pass
    finally:
        halts.close()


def test_only_its_owner_may_look(halts: AccountHalts) -> None:
    before = os.umask(0)
    try:
        halts.add([NEWS])
    finally:
        os.umask(before)

    for path in halts.path.parent.iterdir():
        assert not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO), path
    assert not halts.path.parent.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)


def test_a_process_that_keeps_the_lock_does_not_keep_others_from_halting(halts: AccountHalts) -> None:
    with halts.path.with_suffix(".lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        halts.add([NEWS])

        assert halts.read().halts == [NEWS]
        with pytest.raises(AccountHaltsError, match="another process has held its lock for"):
            halts.lift(NEWS.id, "why", by="ann", at_ns=8)
    assert halts.read().halts == [NEWS]


def test_a_writer_that_stood_still_over_what_it_had_read_takes_nothing_back(halts: AccountHalts) -> None:
    """Between its reading and its writing others halt and lift, without the lock that it keeps."""
    halts.add([NEWS])
    other = again(halts)
    acted: list[object] = []

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        # Hooks of the interpreter stay for good.
        if event == "open" and not acted and str(arguments[0]).startswith(f"{halts.path.parent}/.{halts.path.name}."):
            acted.append(arguments[0])
            other.add([Halt("meanwhile", "eve", 9, "19700101-000000-7")], waits=False)

    sys.addaudithook(hear)

    halts.lift(NEWS.id, "all is well", by="ann", at_ns=8)

    assert acted
    record = other.read()
    assert ([halt.reason for halt in record.halts], [lift.id for lift in record.lifted]) == (["meanwhile"], [NEWS.id])


def test_processes_that_halt_at_once_lose_none(halts: AccountHalts) -> None:
    program = (
        "import sys; from pathlib import Path; from ibdesk.store import AccountHalts\n"
        "halts = AccountHalts('paper', 'DU1', folder=Path(sys.argv[1]))\n"
        "for number in range(20): halts.halt(f'{sys.argv[2]} {number}', by=sys.argv[2], at_ns=number)\n"
    )
    command, names = [sys.executable, "-c", program, str(halts.path.parent)], ("ann", "bob", "eve")

    started = [subprocess.Popen([*command, name]) for name in names]

    assert [process.wait(60) for process in started] == [0, 0, 0]
    record = halts.read()
    assert sorted(halt.reason for halt in record.halts) == sorted(
        f"{name} {number}" for name in names for number in range(20)
    )
    assert len({halt.id for halt in record.halts}) == record.made == 60


def test_the_file_can_be_read_by_a_person(halts: AccountHalts) -> None:
    halts.add([NEWS])

    assert json.loads(halts.path.read_text())["halts"] == [
        {
            "reason": "news",
            "by": "operator",
            "at_ns": 7,
            "id": "19700101-000000-1",
            "scope": "desk",
            "state": "halted",
            "rule": "",
        }
    ]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(AccountHaltsError, match="so it counts as halted"):
        AccountHalts("paper", "DU1", folder=tmp_path / "file" / "accounts")
