"""Joining by hand-made journals and statements: corrections, periods, lives, currencies, and what is not compared."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.statement.conftest import SECOND, TEN, Write, charge, fill

from ibdesk.cli import main
from ibdesk.errors import JournalError
from ibdesk.model import CashCounted, EngineSnapshot, FillSnapshot
from ibdesk.statement import (
    JournaledAccount,
    JournaledExecution,
    Statement,
    StatementExecution,
    join,
    read_account,
    read_statements,
)
from ibdesk.statement.cells import Moment
from ibdesk.statement.discrepancy import Discrepancy


def test_the_last_version_of_a_corrected_execution_counts(
    write: Write, statement: Callable[..., Statement], tmp_path: Path
) -> None:
    write(
        1,
        fill("a.01", 100, 10.0),
        charge("a.01", 1.0),
        fill("a.01/taken-back", -100, 10.0),
        fill("a.02", 100, 9.5),
        charge("a.01", 1.5),
        # One that the venue took back altogether.
        fill("b.01", 5, 20.0),
        fill("b.01/taken-back", -5, 20.0),
    )
    there = statement(
        'ibExecID="a.02" quantity="100" tradePrice="9.5" buySell="BUY" ibCommission="-1.5"',
        'ibExecID="b.01" quantity="5" tradePrice="20" buySell="BUY" transactionID="1"',
        'ibExecID="b.01" quantity="-5" tradePrice="20" buySell="BUY (Ca.)" transactionID="2"',
    )

    report = join(there, read_account([tmp_path / "journals"], "DU1"))

    assert report.differences == []
    assert (report.executions_here, report.executions_there, report.agreed) == (1, 1, 1)
    assert report.cash[0].trades_here == Decimal("-950.0")


def test_executions_of_other_days_and_accounts_are_left_out(
    write: Write, statement: Callable[..., Statement], tmp_path: Path
) -> None:
    # Midnight in New York is 04:00 UTC in July.
    begins_ns = TEN - 10 * 3_600 * SECOND
    write(
        1,
        # A share that trades at 20:00 or later is of the next trade date.
        fill("early.01", 1, 10.0, at_ns=begins_ns - 4 * 3_600 * SECOND - 1),
        fill("first.01", 2, 10.0, at_ns=begins_ns + 60 * SECOND + 1),
        fill("last.01", 3, 10.0, at_ns=begins_ns + 20 * 3_600 * SECOND - 1),
        fill("late.01", 4, 10.0, at_ns=begins_ns + 86_400 * SECOND),
    )
    write(2, fill("other.01", 5, 10.0), account="DU2")

    report = join(statement(), read_account([tmp_path / "journals"], "DU1"))

    assert [(each.kind, each.here) for each in report.differences] == [
        (Discrepancy.MISSING_THERE, "buy 2 AAPL at 10"),
        (Discrepancy.MISSING_THERE, "buy 3 AAPL at 10"),
    ]
    assert report.outside == 2


def test_what_an_earlier_desk_left_stands_for_a_journal_that_is_gone(
    write: Write, statement: Callable[..., Statement], tmp_path: Path
) -> None:
    left = FillSnapshot(fill("a.01", -3, 10.0), "run", 1.0)
    write(2, snapshot=EngineSnapshot(fills=[left], cash={"USD": 500.0}))
    there = statement('ibExecID="a.01" quantity="-3" tradePrice="10" buySell="SELL" ibCommission="-1"')

    report = join(there, read_account([tmp_path / "journals"], "DU1"))

    assert (report.agreed, report.differences) == (1, [])


def test_an_assignment_without_an_execution_is_missing_here(
    write: Write, statement: Callable[..., Statement], tmp_path: Path
) -> None:
    write(1)
    there = statement('transactionType="BookTrade" tradeID="77" quantity="100" tradePrice="50" buySell="BUY"')

    [difference] = join(there, read_account([tmp_path / "journals"], "DU1")).differences

    assert difference.text == ("execution BookTrade/77 is not in the journals; the statement has buy 100 AAPL at 50")


def test_cash_at_the_end_is_what_was_counted_and_moved_since(
    write: Write, statement: Callable[..., Statement], tmp_path: Path
) -> None:
    write(
        1,
        CashCounted({"USD": 1_000.0, "EUR": 50.0}, {}, TEN),
        fill("a.01", 10, 20.0),
        charge("a.01", 1.0),
        fill("b.01", 30, 1.1, currency="EUR.USD", name="EUR.USD"),
        CashCounted({"USD": 770.0}, {"USD": 4.0}, TEN + SECOND),
    )
    more = (
        '<CashTransactions><CashTransaction currency="USD" amount="9" dateTime="20260701;095959" type="Fee" />'
        '<CashTransaction currency="USD" amount="4" dateTime="20260701;100001" type="Dividends" /></CashTransactions>'
        '<CashReport><CashReportCurrency currency="USD" endingCash="770.01" />'
        '<CashReportCurrency currency="EUR" endingCash="80" /></CashReport>'
    )
    there = statement('ibExecID="a.01" quantity="10" tradePrice="20" buySell="BUY" ibCommission="-1"', more=more)
    there.executions["b"] = StatementExecution(
        id="b.01",
        symbol="EUR.USD",
        category="CASH",
        currency="USD",
        quantity=Decimal(30),
        price=Decimal("1.1"),
        multiplier=Decimal(1),
        at=there.executions["a"].at,
        commission=None,
        commission_currency="USD",
    )

    report = join(there, read_account([tmp_path / "journals"], "DU1"))

    figures = {each.currency: each for each in report.cash}
    # 1,000 - 200 - 1 - 33 and 4 that came: the desk counted 770; 50 euros and 30 that were bought.
    assert (figures["USD"].ending_here, figures["EUR"].ending_here) == (Decimal("770.0"), Decimal("80.0"))
    # What went before the first count is not the journals' to explain.
    assert (figures["USD"].other_here, figures["USD"].other_there) == (Decimal("4.0"), Decimal(4))
    assert [each.text for each in report.differences] == [
        "USD: cash at the end is 770.00 in the journals and 770.01 in the statement"
    ]
    assert report.notes == ["the statement has no commission for 1 executions"]


def test_a_section_that_is_left_out_is_not_compared(write: Write, tmp_path: Path) -> None:
    write(1, fill("a.01", 1, 10.0))
    path = tmp_path / "flex.xml"
    path.write_text('<FlexStatement accountId="DU1" fromDate="20260701" toDate="20260701" />')
    [there] = read_statements(path)

    report = join(there, read_account([tmp_path / "journals"], "DU1"))

    assert report.differences == []
    assert [note.partition(":")[0] for note in report.notes] == [
        "the statement has no section Trades",
        "the statement has no section Cash Transactions",
        "the statement has no section Cash Report",
        "no journal has counted the account's cash",
    ]


def test_a_journal_that_cannot_be_read_is_named(write: Write, tmp_path: Path) -> None:
    path = write(1)
    (path.parent / "paper-0.sqlite").write_bytes(b"not a database" * 100)

    record = read_account([path.parent], "DU1")

    assert record.journals == ["paper-1.sqlite"]
    [unread] = record.unread
    assert "paper-0.sqlite is not a journal" in unread
    with pytest.raises(JournalError, match="there is no journal of account DU9"):
        read_account([path.parent], "DU9")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--zone", "Atlantis"), "--zone 'Atlantis' is not a time zone"),
        (("--account", "U9"), "--account U9 is not in "),
    ],
)
def test_options_that_name_nothing_are_refused(
    statement: Callable[..., Statement],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    arguments: tuple[str, str],
    said: str,
) -> None:
    statement()

    assert main(["statement", str(tmp_path / "flex.xml"), *arguments]) == 2
    assert said in capfd.readouterr().err


cents = st.decimals(min_value=1, max_value=10_000, places=4)
trades = st.dictionaries(
    st.text("0123456789abcdef", min_size=1, max_size=6),
    st.tuples(st.sampled_from([-1, 1]), st.integers(1, 10_000), cents, cents),
    min_size=1,
    max_size=8,
)


@given(trades, st.data())
def test_equal_sides_agree_and_any_one_change_is_found(
    found: dict[str, tuple[int, int, Decimal, Decimal]], data: st.DataObject
) -> None:
    at = Moment(dt.datetime.fromtimestamp(TEN // SECOND, dt.UTC), is_day=False)
    there, here = {}, {}
    for base, (sign, quantity, price, commission) in found.items():
        there[base] = StatementExecution(
            id=f"{base}.01",
            symbol="AAPL",
            category="STK",
            currency="USD",
            quantity=Decimal(sign * quantity),
            price=price,
            multiplier=Decimal(1),
            at=at,
            commission=commission,
            commission_currency="USD",
        )
        here[base] = JournaledExecution(
            id=f"{base}.01",
            order_id="",
            instrument="AAPL",
            quantity=Decimal(sign * quantity),
            price=price,
            multiplier=Decimal(1),
            currency="USD",
            at_ns=TEN,
            commission=commission,
            commission_currency="USD",
        )
    statement = Statement(
        account="DU1",
        begins=None,
        ends=None,
        executions=there,
        cash_lines=[],
        cash_reports={},
        has_trades=True,
        has_cash_lines=False,
    )

    def joined() -> list[str]:
        record = JournaledAccount(
            account="DU1", journals=[], unread=[], executions=here, cash=None, external=[], counted_ns=None
        )
        return [each.what for each in join(statement, record).differences]

    assert joined() == []
    chosen = data.draw(st.sampled_from(sorted(here)))
    changes: dict[str, dict[str, object]] = {
        "quantity": {"quantity": here[chosen].quantity * 2},
        "side": {"quantity": -here[chosen].quantity},
        "price": {"price": here[chosen].price + Decimal("0.0001")},
        "commission": {"commission": (here[chosen].commission or 0) + Decimal("0.01")},
        "time": {"at_ns": TEN + 61 * SECOND},
        "": {"quantity": Decimal(0)},
    }
    what = data.draw(st.sampled_from(sorted(changes)))
    here[chosen] = msgspec.structs.replace(here[chosen], **changes[what])
    assert joined() == [what]
