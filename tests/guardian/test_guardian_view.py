"""What the guardian makes of TWS's messages, of the engine's books, and of its own files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ibdesk.desk import DeskSettings
from ibdesk.errors import ConfigError
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.guardian.command_socket import LONGEST_LINE, Command, CommandSocket, StopFile
from ibdesk.guardian.config import GuardianConfig
from ibdesk.guardian.decisions import OnSilence, Rules
from ibdesk.guardian.engine_connection import BookRow
from ibdesk.guardian.engine_watch import EngineWatch
from ibdesk.guardian.record import Record
from ibdesk.guardian.settings import GuardianSettings
from ibdesk.guardian.shares import RunShares
from ibdesk.guardian.stop import Level, Stop, name_of, words_of
from ibdesk.guardian.view import AccountView

AAPL: dict[str, Any] = {"conId": "265598", "symbol": "AAPL", "secType": "STK", "currency": "USD", "multiplier": ""}
ES: dict[str, Any] = {"conId": "495512563", "symbol": "ES", "secType": "FUT", "currency": "USD", "multiplier": "50"}


def told(view: AccountView, name: str, at_ns: int = 0, **texts: Any) -> None:
    """Let the view take a message of TWS."""
    view.take(name, Fields(name, {key: str(value) for key, value in texts.items()}), at_ns)


@pytest.fixture
def view() -> AccountView:
    """The view of account DU1."""
    made = AccountView()
    made.account = "DU1"
    return made


# ---- messages -----------------------------------------------------------------------------------------------------


def test_rows_of_other_accounts_are_not_ours(view: AccountView) -> None:
    told(view, "position", **AAPL, account="DU2", position=5)
    told(view, "openOrder", **AAPL, account="DU2", permId=1, action="BUY", totalQuantity=5, status="Submitted")
    told(view, "execDetails", **AAPL, acctNumber="DU2", execId="e.01", side="BOT", shares=5, permId=1)

    look = view.look(0)

    assert (look.holdings, look.orders, look.executions) == ({}, (), ())


def test_what_a_round_of_answers_does_not_name_is_gone(view: AccountView) -> None:
    told(view, "position", **AAPL, account="DU1", position=100)
    told(view, "openOrder", **AAPL, account="DU1", permId=1, action="BUY", totalQuantity=5, status="Submitted")
    view.begin_look()
    told(view, "position", **ES, account="DU1", position=2)

    look = view.end_look(0)

    assert (look.holdings, look.orders) == ({495512563: 2.0}, ())


def test_a_round_of_orders_alone_leaves_positions_as_they_are(view: AccountView) -> None:
    told(view, "position", **AAPL, account="DU1", position=100)
    view.begin_look()

    look = view.end_look(0, with_positions=False)

    assert look.holdings == {265598: 100.0}


def test_a_corrected_execution_counts_once(view: AccountView) -> None:
    fill = {**AAPL, "acctNumber": "DU1", "side": "BOT", "permId": 1, "orderRef": "Cross-abc.1"}
    told(view, "execDetails", **fill, execId="0000e0d5.1.01", shares=100)
    told(view, "execDetails", **fill, execId="0000e0d5.1.02", shares=90)

    assert view.look(0).traded(265598) == 90.0


def test_the_status_says_what_remains_and_a_question_is_no_order(view: AccountView) -> None:
    order = {**AAPL, "account": "DU1", "action": "SELL", "totalQuantity": 100, "status": "Submitted"}
    told(view, "openOrder", **order, permId=1, orderId=12, clientId=7)
    told(view, "orderStatus", permId=1, status="Submitted", filled=40, remaining=60)
    told(view, "openOrder", **order, permId=2, orderId=13, clientId=7, whatIf=1)

    [working] = view.look(0).orders

    assert (working.remaining, working.side, working.client_id, working.order_id) == (60.0, -1, 7, 12)
    told(view, "orderStatus", permId=1, status="Cancelled", filled=40, remaining=60)
    assert view.look(0).orders == ()


def test_exposure_adds_longs_and_shorts_by_price_multiplier_and_rate(view: AccountView) -> None:
    """100 at 90 are 9,000; two short futures of 50 at 5,000 are 500,000."""
    told(view, "position", **AAPL, account="DU1", position=100)
    told(view, "position", **ES, account="DU1", position=-2)
    unknown = view.gross_exposure
    told(view, "accountValue", key="ExchangeRate", value="1.00", currency="USD", account="DU1")
    told(view, "portfolioValue", **AAPL, account="DU1", marketPrice=90)
    told(view, "portfolioValue", **ES, account="DU1", marketPrice=5000)

    assert (unknown, view.gross_exposure) == (None, 509_000.0)


def test_a_profit_that_is_unset_is_no_report(view: AccountView) -> None:
    told(view, "pnl", dailyPnL="1.7976931348623157E308")
    before = view.daily_pnl, view.pnl_reports
    told(view, "pnl", dailyPnL="-12.5")

    assert (before, view.daily_pnl, view.pnl_reports) == ((None, 0), -12.5, 1)


# ---- the engine's books -------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> GuardianConfig:
    """A guardian's configuration in the test's folder."""
    return GuardianConfig(
        mode="paper",
        state_folder=tmp_path,
        desk_socket=tmp_path / "desk-paper.sock",
        host="127.0.0.1",
        port=7497,
        client_id=90,
        account="DU1",
        rules=Rules(on_silence_of={"Cross": OnSilence.FLATTEN}),
    )


@pytest.fixture
def record(config: GuardianConfig) -> Iterator[Record]:
    """The guardian's log and memory."""
    made = Record(config.log, config.memory, say=lambda _text: None)
    yield made
    made.close()


def test_the_sum_of_all_books_is_compared_with_the_account(
    config: GuardianConfig, record: Record, view: AccountView
) -> None:
    """Two runs hold 100 and -40, somebody else 5: the account must have 65."""
    engine = EngineWatch(config, record)
    engine.connection.books = tuple(
        BookRow(owner, "AAPL", 265598, quantity) for owner, quantity in (("a", 100.0), ("b", -40.0), ("external", 5.0))
    )
    engine.connection.books_ns = 1_000_000_000
    told(view, "position", **AAPL, account="DU1", position=65)
    agree = engine.differences(view, 2_000_000_000)
    told(view, "position", **AAPL, account="DU1", position=60)

    differ = engine.differences(view, 2_000_000_000)
    stale = engine.differences(view, 7_000_000_000)

    assert (agree, differ, stale) == ({}, {"265598": "AAPL: books 65, account 60"}, {})


def test_the_share_of_a_run_is_its_book_and_what_it_has_traded_since(
    config: GuardianConfig, record: Record, view: AccountView
) -> None:
    """The engine had booked the first execution; the second came after it fell silent; the third is another run's."""
    engine = EngineWatch(config, record)
    engine.connection.books = (BookRow("Cross-abc", "AAPL", 265598, 100.0), BookRow("Other-x", "AAPL", 265598, 7.0))
    engine.connection.books_ns = 100_000_000_000
    engine.connection.booked = frozenset({"e1.01"})
    fill: dict[str, Any] = {**AAPL, "acctNumber": "DU1", "side": "SLD"}
    told(view, "execDetails", 99_000_000_000, **fill, execId="e1.01", shares=10, permId=1, orderRef="Cross-abc.1")
    told(view, "execDetails", 101_000_000_000, **fill, execId="e2.01", shares=30, permId=2, orderRef="Cross-abc.2")
    told(view, "execDetails", 101_000_000_000, **fill, execId="e3.01", shares=5, permId=3, orderRef="Other-x.1")

    basis = engine.shares(("Cross-abc",), view)
    assert basis is not None
    shares = RunShares(basis, runs=["Cross-abc"], closing=[])
    shares.take(view.look(0).executions)
    assert shares.of(265598) == 70.0


def test_without_books_the_share_of_a_run_is_unknown(config: GuardianConfig, record: Record, view: AccountView) -> None:
    assert EngineWatch(config, record).shares(("Cross-abc",), view) is None


def test_what_the_guardian_has_traded_is_in_no_book_of_a_run(
    config: GuardianConfig, record: Record, view: AccountView
) -> None:
    """The engine has booked the guardian's sale, under ``external``: it reduces the share all the same."""
    engine = EngineWatch(config, record)
    engine.connection.books = (BookRow("Cross-abc", "AAPL", 265598, 100.0),)
    engine.connection.books_ns = 100_000_000_000
    engine.connection.booked = frozenset({"e1.01"})
    fill: dict[str, Any] = {**AAPL, "acctNumber": "DU1", "side": "SLD", "orderRef": "guardian-h-1-5.1"}
    told(view, "execDetails", 99_000_000_000, **fill, execId="e1.01", shares=40, permId=1)
    basis = engine.shares(("Cross-abc",), view)
    assert basis is not None

    shares = RunShares(basis, runs=["Cross-abc"], closing=["guardian-h-1-"])
    shares.take(view.look(0).executions)

    assert shares.of(265598) == 60.0


def test_an_order_has_a_higher_number_than_all_that_tws_has_named(view: AccountView) -> None:
    told(view, "openOrder", **AAPL, account="DU1", orderId=700, clientId=3, permId=1, action="BUY", totalQuantity=1)

    assert view.highest_order_id == 700


# ---- files and words ----------------------------------------------------------------------------------------------


def test_what_it_is_told_at_its_start_survives_the_pipe(config: GuardianConfig) -> None:
    assert GuardianConfig.decode(config.encode()) == config


def test_a_stop_outlives_its_process_and_a_torn_file_is_kept_aside(
    config: GuardianConfig,
) -> None:
    said: list[str] = []
    stop = Stop(id="h-1", level=Level.FLATTEN, cause="person", reason="fire", by="alice", at_ns=1)
    first = Record(config.log, config.memory, say=said.append)
    first.keep(stops=(stop,))
    first.close()
    second = Record(config.log, config.memory, say=said.append)
    kept = second.memory.stops
    second.close()
    config.memory.write_bytes(config.memory.read_bytes()[:-9])

    third = Record(config.log, config.memory, say=said.append)

    assert kept == (stop,)
    assert third.memory.stops == ()
    assert "cannot be read" in said[0]
    assert config.memory.with_suffix(".unreadable").exists()
    third.close()


def test_a_full_disk_keeps_it_from_nothing(config: GuardianConfig) -> None:
    """The log is on a device that is always full, the memory in a folder that is none."""
    said: list[str] = []
    config.log.symlink_to("/dev/full")
    record = Record(config.log, config.log / "nowhere" / "memory", say=said.append)

    record.alert("first")
    record.keep(account="DU1")
    record.alert("second")
    record.close()

    assert record.memory.account == "DU1"
    assert [text for text in said if text in ("first", "second")] == ["first", "second"]
    assert sum("No space left" in text for text in said) == 1


def test_a_log_that_cannot_be_opened_is_opened_once_it_can(config: GuardianConfig) -> None:
    said: list[str] = []
    config.log.mkdir()
    record = Record(config.log, config.memory, say=said.append)
    record.write("first")
    config.log.rmdir()

    record.write("second")
    record.close()

    assert [json.loads(line)["event"] for line in config.log.read_text().splitlines()] == ["second"]
    assert len(said) == 1


@given(st.text(max_size=2000), st.text(max_size=2000))
@example("\x00" * 5000, "\x00" * 5000)
def test_what_a_person_gives_as_a_reason_fits_into_a_command(reason: str, by: str) -> None:
    """Also 500 characters that JSON writes with six bytes each, and halves of surrogate pairs."""
    command = Command(do="flatten", reason=words_of("\ud800" + reason), by=name_of(by), account="U" * 32, kill=True)

    assert len(msgspec.json.encode(command)) < LONGEST_LINE


def test_its_files_are_for_their_owner(config: GuardianConfig) -> None:
    said: list[str] = []
    record = Record(config.log, config.memory, say=said.append)
    record.keep(account="DU1")
    record.write("begun", text="a\nb")
    record.close()

    assert {path.stat().st_mode & 0o777 for path in (config.log, config.memory)} == {0o600}
    [line] = config.log.read_text().splitlines()
    assert json.loads(line)["text"] == "a\nb"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", (Level.HALT, False)),
        ("flatten\n", (Level.FLATTEN, False)),
        ("  Cancel ", (Level.CANCEL, False)),
        ("kill", (Level.HALT, True)),
        ("nonsense", (Level.HALT, False)),
        ("x" * 100_000, (Level.HALT, False)),
    ],
)
def test_a_stop_file_is_seen_once_for_each_time_that_it_is_written(
    tmp_path: Path, content: str, expected: tuple[Level, bool]
) -> None:
    file = StopFile(tmp_path / "STOP", ())
    absent = file.look()
    (tmp_path / "STOP").write_text(content)

    seen, again = file.look(), file.look()

    assert (absent, seen, again) == (None, expected, None)
    assert StopFile(tmp_path / "STOP", file.seen).look() is None


def test_a_stop_file_that_grows_within_one_tick_of_the_clock_is_seen_again(tmp_path: Path) -> None:
    """Touched, seen, and then written, with the same inode and the same time."""
    path = tmp_path / "STOP"
    path.touch()
    os.utime(path, ns=(1, 1))
    file = StopFile(path, ())
    first = file.look()
    path.write_text("flatten")
    os.utime(path, ns=(1, 1))

    assert (first, file.look()) == ((Level.HALT, False), (Level.FLATTEN, False))


def test_a_stop_file_that_is_a_link_or_a_folder_halts(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("flatten")
    (tmp_path / "STOP").symlink_to(tmp_path / "word")
    link = StopFile(tmp_path / "STOP", ()).look()
    (tmp_path / "STOP").unlink()
    (tmp_path / "STOP").mkdir()

    assert (link, StopFile(tmp_path / "STOP", ()).look()) == ((Level.HALT, False), (Level.HALT, False))


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_line_whatever_is_answered(line: bytes) -> None:
    seen: list[Command] = []

    def take(command: Command) -> dict[str, object]:
        seen.append(command)
        return {"ok": True}

    answer = CommandSocket(Path("nowhere"), take)._answered(line)

    assert answer["ok"] is bool(seen)


# ---- settings -----------------------------------------------------------------------------------------------------


def test_an_unset_limit_is_twice_the_engines_and_none_where_that_has_none() -> None:
    assert GuardianSettings().rules(max_daily_loss=25_000.0).max_daily_loss == 50_000.0
    assert GuardianSettings().rules(max_daily_loss=float("inf")).max_daily_loss is None
    assert GuardianSettings(max_daily_loss=9.0).rules(max_daily_loss=25_000.0).max_daily_loss == 9.0


def test_two_connections_under_one_client_id_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"guardian\.client_id and tws\.client_id are both 90"):
        DeskSettings.make("paper", client_id=90)
