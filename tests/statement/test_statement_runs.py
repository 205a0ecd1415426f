"""A real desk trades on a gateway, and both are joined: equal to the cent, and every harm to either side is found."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from tests.stack import eventually

from ibdesk.cli import main
from ibdesk.clock import machine_time
from ibdesk.desk import Desk, DeskSettings
from ibdesk.model import CashCounted, Commission, Fill, decode_event, encode_event
from ibdesk.statement import StatementReport, join, read_account, read_statements
from ibdesk.store import JournalReader
from ibdesk.store.journal_packing import pack
from ibdesk.testing.gateway import RunningGateway

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]


class Traded(NamedTuple):
    """What a session has left: the gateway's statement, and the folder of the desk's journals."""

    statement: Path
    journals: Path

    @property
    def journal(self) -> Path:
        [path] = self.journals.glob("*.sqlite")
        return path

    def report(self) -> StatementReport:
        [statement] = read_statements(self.statement)
        assert statement.ends is not None
        until_ns = int(statement.ends.timestamp()) * 1_000_000_000
        return join(statement, read_account([self.journals], statement.account, until_ns=until_ns))


class MondayMorning:
    """A machine on which it was a Monday, 10:00 in New York, when this was made.

    What is traded in the evening, or at a weekend, belongs to another day's statement.
    """

    def __init__(self) -> None:
        self._ahead_ns = int(dt.datetime(2026, 4, 13, 14, tzinfo=dt.UTC).timestamp()) * 1_000_000_000 - time.time_ns()

    def wall_ns(self) -> int:
        return time.time_ns() + self._ahead_ns

    monotonic_ns = staticmethod(time.perf_counter_ns)
    boot_ns = staticmethod(time.monotonic_ns)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Traded:
    """Two orders in AAPL, one in a currency, one of a person at TWS, a correction, a dividend and its tax."""
    folder = tmp_path_factory.mktemp("session")
    with contextlib.ExitStack() as stack:
        stack.enter_context(machine_time(MondayMorning()))
        venue = stack.enter_context(RunningGateway())
        settings: dict[str, Any] = {
            "port": venue.port,
            "client_id": 33,
            "state_folder": folder,
            "desk.compare_seconds": 5.0,
            "desk.cash_grace_seconds": 1.0,
        }
        desk = stack.enter_context(contextlib.closing(Desk.open(DeskSettings.make("paper", **settings))))
        [journal] = (folder / "journals").glob("*.sqlite")

        def events(*kinds: type) -> list[Any]:
            with JournalReader(journal) as reader:
                return [entry.event for entry in reader.book_entries() if isinstance(entry.event, kinds)]

        eventually(lambda: events(CashCounted), "the desk has counted the account's cash")
        desk.place("AAPL", "buy", 100)
        desk.place("AAPL", "sell", 40)
        desk.place("EUR.USD", "buy", 25_000)
        eventually(lambda: len(events(Fill)) == 3, "all three are filled")
        # The first purchase was at 100.01, not at the ask of 100.02.
        venue.call(lambda: venue.inner.venue.correct_execution(venue.inner.venue.executions[0], price=100.01))
        eventually(lambda: len(events(Fill)) == 5, "the correction is booked")
        venue.call(lambda: venue.inner.move_cash(24.0, "Dividends", description="AAPL 0.40 a share"))
        venue.call(lambda: venue.inner.move_cash(-3.6, "Withholding Tax", description="AAPL 15 %"))
        # TWS tells the account's figures when a position changes, or after three minutes.
        venue.call(lambda: venue.inner.place_by_hand("MSFT", "BUY", 10))
        eventually(lambda: len(events(Fill)) == 6, "the trade of the person is booked")
        eventually(
            lambda: round(sum(each.unexplained.get("USD", 0) for each in events(CashCounted)), 2) == 20.4,
            "the dividend less its tax is counted",
        )
        eventually(lambda: len(events(Commission)) >= 4, "all commissions are known")
        text = venue.call(venue.inner.statement)
    path = folder / "flex.xml"
    path.write_text(text)
    return Traded(path, folder / "journals")


@pytest.fixture
def traded(session: Traded, tmp_path: Path) -> Traded:
    """A copy of the session that a test may harm."""
    shutil.copytree(session.journals, tmp_path / "journals")
    shutil.copy(session.statement, tmp_path / "flex.xml")
    return Traded(tmp_path / "flex.xml", tmp_path / "journals")


def change(journal: Path, kind: type, harm: Callable[[Any], Any]) -> None:
    """Change the first event of a kind in a journal, or drop it where `harm` returns nothing."""
    with contextlib.closing(sqlite3.connect(journal)) as file, file:
        for number, data in file.execute("SELECT number, event FROM events ORDER BY number").fetchall():
            event = decode_event(data)
            if isinstance(event, kind):
                harmed = harm(event)
                if harmed is None:
                    file.execute("DELETE FROM events WHERE number = ?", (number,))
                else:
                    file.execute("UPDATE events SET event = ? WHERE number = ?", (encode_event(harmed), number))
                return
    raise AssertionError(f"the journal has no {kind.__name__}")


def compare(traded: Traded, capfd: pytest.CaptureFixture[str], *more: str) -> tuple[int, str, str]:
    code = main(["statement", str(traded.statement), "--journals", str(traded.journals), *more])
    said = capfd.readouterr()
    return code, said.out, said.err


def test_statement_and_journals_of_a_session_agree_to_the_cent(
    traded: Traded, capfd: pytest.CaptureFixture[str]
) -> None:
    report = traded.report()

    assert report.differences == []
    assert (report.executions_here, report.executions_there, report.agreed, report.outside) == (4, 4, 4, 0)
    figures = {each.currency: each for each in report.cash}
    # 100 AAPL at 100.01 (corrected), 40 back at 100.00, 25,000 EUR at 1.1001, 10 MSFT at 200.02, worked by hand.
    assert figures["USD"].trades_there == Decimal("-35503.70") == figures["USD"].trades_here
    assert figures["EUR"].trades_there == Decimal(25_000) == figures["EUR"].ending_there == figures["EUR"].ending_here
    assert figures["USD"].other_there == Decimal("20.4") == figures["USD"].other_here
    # Three orders of shares at the least of 1.00, one of a currency at the least of 2.00.
    assert figures["USD"].commissions_there == Decimal(-5) == figures["USD"].commissions_here
    assert figures["USD"].ending_there == Decimal("1000000") - Decimal("35503.70") - 5 + Decimal("20.4")
    ending_here = figures["USD"].ending_here
    assert ending_here is not None
    assert abs(ending_here - figures["USD"].ending_there) < Decimal("0.01")

    code, out, err = compare(traded, capfd)

    assert (code, err) == (0, "")
    assert "equal: statement and journals agree" in out
    assert "Dividends: 24.00 USD (1)" in out


def test_packed_journals_are_joined_as_well(traded: Traded, capfd: pytest.CaptureFixture[str]) -> None:
    assert pack(traded.journal)

    code, out, _ = compare(traded, capfd, "--json")

    assert code == 0
    [report] = json.loads(out)["reports"]
    assert report["agreed"] == 4
    assert report["differences"] == []


def test_a_fill_that_the_journal_lost_is_missing_here(traded: Traded, capfd: pytest.CaptureFixture[str]) -> None:
    change(traded.journal, Fill, lambda fill: None)
    # What took the old version of the corrected execution back, and its new version.
    with contextlib.closing(sqlite3.connect(traded.journal)) as file, file:
        for number, data in file.execute("SELECT number, event FROM events").fetchall():
            event = decode_event(data)
            if isinstance(event, Fill) and event.price in (100.01, 100.02):
                file.execute("DELETE FROM events WHERE number = ?", (number,))

    code, out, err = compare(traded, capfd)

    assert code == 1
    assert "is not in the journals; the statement has buy 100 AAPL at 100.01" in out
    assert "differ in 1 thing:" in err


@pytest.mark.parametrize(
    ("kind", "harm", "said"),
    [
        (Fill, {"price": 100.05}, "price is 100.05 in the journals and 100 in the statement"),
        (Fill, {"quantity": 41.0}, "quantity is 41 in the journals and 40 in the statement"),
        (Fill, {"multiplier": 10.0}, "multiplier is 10 in the journals and 1 in the statement"),
        (Fill, {"instrument": "AMZN"}, "instrument is AMZN in the journals and AAPL in the statement"),
        (Fill, {"at_ns": 1_000_000_000}, "time is 1969-12-31 19:00:01 in the journals"),
        (Commission, {"amount": 1.01}, "commission is 1.01 USD in the journals and 1 USD in the statement"),
        (Commission, {"currency": "EUR"}, "commission is 1 EUR in the journals and 1 USD in the statement"),
    ],
)
def test_a_changed_figure_is_told_with_both_sides(
    traded: Traded, capfd: pytest.CaptureFixture[str], kind: type, harm: dict[str, Any], said: str
) -> None:
    def applied(event: Any) -> Any:
        return msgspec.structs.replace(event, **harm)

    if kind is Fill:
        # The second execution, which nothing has corrected.
        with contextlib.closing(sqlite3.connect(traded.journal)) as file, file:
            for number, data in file.execute("SELECT number, event FROM events").fetchall():
                event = decode_event(data)
                if isinstance(event, Fill) and event.quantity == 40.0:
                    file.execute("UPDATE events SET event = ? WHERE number = ?", (encode_event(applied(event)), number))
    else:
        change(traded.journal, kind, applied)

    code, out, _ = compare(traded, capfd)

    assert code == 1
    assert said in " ".join(out.split())


def test_a_trade_that_the_statement_lacks_is_missing_there(traded: Traded, capfd: pytest.CaptureFixture[str]) -> None:
    lines = traded.statement.read_text().splitlines()
    [trade] = [line for line in lines if 'symbol="MSFT"' in line]
    traded.statement.write_text("\n".join(line for line in lines if line != trade))

    code, out, _ = compare(traded, capfd)

    assert code == 1
    assert "is not in the statement; the journals have buy 10 MSFT at 200.02" in out


def test_a_dividend_that_the_statement_lacks_is_told(traded: Traded, capfd: pytest.CaptureFixture[str]) -> None:
    text = traded.statement.read_text().replace('amount="24"', 'amount="23.98"')
    traded.statement.write_text(text)

    code, out, _ = compare(traded, capfd)

    assert code == 1
    assert "USD: cash without a trade is 20.40 in the journals and 20.38 in the statement" in " ".join(out.split())


def test_a_statement_of_another_account_has_no_journal(traded: Traded, capfd: pytest.CaptureFixture[str]) -> None:
    traded.statement.write_text(traded.statement.read_text().replace("DU9000001", "DU7"))

    code, _, err = compare(traded, capfd)

    assert code == 2
    assert "there is no journal of account DU7" in err
