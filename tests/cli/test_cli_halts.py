"""Halting, listing and lifting halts from any terminal: by the desk that runs, else in the account's file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.desk.test_desk_port import Host

from ibdesk.desk import Desk
from ibdesk.desk.port.addresses import SocketAddress
from ibdesk.errors import OrderDeniedError
from ibdesk.model import RunBudget, StartStrategy
from ibdesk.store import AccountHalts, JournalReader
from ibdesk.store.redis import RedisSettings

pytestmark = pytest.mark.timeout(120)

EMA_CROSS = Path(__file__).parent.parent.parent / "strategies" / "ema_cross.py"
ACCOUNT = ("--mode", "paper", "--account", "DU7654321")


@pytest.fixture
def served(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, str]]:
    """A desk that runs, and the address at which it answers."""
    address = SocketAddress(tmp_path_factory.mktemp("s") / "d")
    with Desk.open("embedded", state_folder=tmp_path / "desk") as desk:
        host = Host(desk, address, RedisSettings())
        host.start()
        try:
            yield desk, str(address)
        finally:
            host.stop()


def test_the_desk_that_runs_halts_lists_and_lifts(cli: Callable[..., Any], served: tuple[Desk, str]) -> None:
    desk, address = served

    made = cli("halt", "its spread is wrong", "--scope", "instrument:aapl", "--state", "reducing", "--desk", address)

    assert made.code == 0, made.err
    [halt] = desk.risk().halts
    assert (halt.reason, halt.scope, halt.state, halt.by) == (
        "its spread is wrong",
        "instrument:AAPL",
        "reducing",
        "local",
    )
    assert f"ibdesk resume {halt.id} REASON" in made.out
    with pytest.raises(OrderDeniedError):
        desk.place("AAPL", "buy", 1)
    assert desk.place("IBM", "buy", 1).status != "denied"
    listed = cli("halts", "--desk", address).out
    assert all(word in listed for word in (halt.id, "REDUCING", "instrument:AAPL", "its spread is wrong"))

    lifted = cli("resume", halt.id, "it was right", "--desk", address)

    assert (lifted.code, desk.risk().halts) == (0, [])
    assert "NORMAL: nothing is halted" in lifted.out
    again = cli("resume", halt.id, "it was right", "--desk", address)
    assert (again.code, f"there is no halt {halt.id!r}" in again.err) == (1, True)


def test_where_no_desk_runs_the_accounts_file_is_written(cli: Callable[..., Any]) -> None:
    made = cli("halt", "prices look wrong", "--scope", "run:ema-1", *ACCOUNT)

    assert made.code == 0, made.err
    file = AccountHalts("paper", "DU7654321")
    [halt] = file.read().halts
    assert (halt.reason, halt.by, halt.scope, halt.state.value) == ("prices look wrong", "local", "run:ema-1", "halted")
    assert "none answers; these are the stored halts of account DU7654321" in made.out
    assert halt.id in cli("halts", *ACCOUNT).out

    lifted = cli("resume", halt.id, "they were right", *ACCOUNT)

    assert lifted.code == 0, lifted.err
    record = file.read()
    assert (record.halts, [(lift.id, lift.reason) for lift in record.lifted]) == ([], [(halt.id, "they were right")])
    assert "was lifted already" in cli("resume", halt.id, "they were right", *ACCOUNT).err
    file.close()


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("halt", " ", *ACCOUNT), 1, "give a reason to halt trading"),
        (("halt", "x", "--scope", "runs", *ACCOUNT), 1, "a scope is desk, run:<id> or instrument:<name>, got 'runs'"),
        (("halt", "x", "--state", "normal", *ACCOUNT), 2, "--state"),
        (("halt", "x", "--mode", "paper"), 2, "give it with --account U1234567"),
        (("halt", "x", "--desk", "unix:/nowhere/d", *ACCOUNT), 1, "cannot be reached"),
        (("halt", "x"), 1, "cannot be reached"),
        (("resume", "20260101-000000-1", "x", *ACCOUNT), 1, "there is no halt '20260101-000000-1'"),
    ],
)
def test_what_is_asked_in_a_wrong_way_is_refused(
    cli: Callable[..., Any], words: tuple[str, ...], code: int, sentence: str
) -> None:
    refused = cli(*words)

    assert (refused.code, sentence in refused.err) == (code, True), refused.err
    assert AccountHalts("paper", "DU7654321").read().halts == []


def test_a_run_is_started_with_the_budget_that_is_given(cli: Callable[..., Any], tmp_path: Path) -> None:
    budget = ("--budget", "max_position=500", "--budget", "max_daily_loss=1000")
    done = cli("run", EMA_CROSS, "--on", "AAPL", "--for", 1, *budget)

    assert done.code == 0, done.err
    [journal] = (tmp_path / "state" / "ibdesk" / "journals").glob("*.sqlite")
    with JournalReader(journal) as reader:
        [start] = [entry.event for entry in reader.book_entries() if isinstance(entry.event, StartStrategy)]
    wrong = cli("run", EMA_CROSS, "--on", "AAPL", "--for", 1, "--budget", "max_positon=500")
    assert start.budget == RunBudget(max_position=500, max_daily_loss=1000)
    assert (wrong.code, "a budget has no max_positon" in wrong.err) == (2, True)
