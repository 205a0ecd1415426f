"""Statements of several days, their edges, and what is left where a journal is gone."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from tests.statement.conftest import SECOND, TEN, Write, charge, fill

from ibdesk.cli import main
from ibdesk.model import CashCounted, EngineSnapshot, FillSnapshot
from ibdesk.statement import JournaledAccount, Statement, join, read_account, read_statements
from ibdesk.statement.periods import trade_date_of

HOUR = 3_600 * SECOND
DAY = 24 * HOUR
# Midnight in New York is 04:00 UTC in July.
MIDNIGHT = TEN - 10 * HOUR
Read = Callable[..., Statement]


def lines(*money: str) -> str:
    rows = "".join(f'<CashTransaction currency="USD" {each} type="Dividends" />' for each in money)
    return f"<CashTransactions>{rows}</CashTransactions>"


def report_of(*currencies: str) -> str:
    return f"<CashReport>{''.join(f'<CashReportCurrency {each} />' for each in currencies)}</CashReport>"


def record(folder: Path, day: int) -> JournaledAccount:
    return read_account([folder / "journals"], "DU1", until_ns=MIDNIGHT + day * DAY)


@pytest.mark.parametrize("second", [4.0, 5.0])
def test_money_of_an_earlier_day_is_not_compared_with_the_lines_of_this_one(
    write: Write, statement: Read, tmp_path: Path, second: float
) -> None:
    write(
        1,
        CashCounted({"USD": 1_000.0}, {}, TEN),
        CashCounted({"USD": 1_004.0}, {"USD": 4.0}, TEN + SECOND),
        CashCounted({"USD": 1_004.0 + second}, {"USD": second}, TEN + DAY),
    )
    dividends = ('amount="4" dateTime="20260701;100001"', f'amount="{second}" dateTime="20260702;100000"')
    days = [(1, dividends[0], Decimal(4)), (2, dividends[1], Decimal(str(second)))]
    for day, line, came in days:
        there = statement(more=lines(line), day=day)

        report = join(there, record(tmp_path, day))

        [figures] = report.cash
        assert (figures.other_here, figures.other_there) == (came, came)
        assert report.differences == []

    # What was right on the first day does not hide what is wrong on the second.
    lacking = join(statement(more=lines(), day=2), record(tmp_path, 2))
    [difference] = lacking.differences
    assert (difference.what, difference.here, difference.there) == ("cash without a trade", f"{second:.2f}", "0.00")


def test_taxes_and_settlement_of_before_the_first_count_are_not_compared(
    write: Write, statement: Read, tmp_path: Path
) -> None:
    write(1, fill("a.01", 1, 10.0), CashCounted({"USD": 1_000.0}, {}, TEN + SECOND))
    early = 'ibExecID="a.01" quantity="1" tradePrice="10" buySell="BUY" taxes="-0.5"'
    there = statement(early, more=lines() + report_of('currency="EUR" endingCash="7" cashSettlingMtm="7"'))

    report = join(there, read_account([tmp_path / "journals"], "DU1"))

    figures = {each.currency: each for each in report.cash}
    assert (figures["USD"].other_here, figures["USD"].other_there) == (Decimal(0), Decimal(0))
    # A settlement has no time: it may have been before or after the count.
    assert (figures["EUR"].other_here, figures["EUR"].other_there) == (None, None)
    assert any("EUR" in note and "settlement" in note for note in report.notes)


def test_the_commission_of_a_removed_journal_is_in_its_own_currency(
    write: Write, statement: Read, tmp_path: Path
) -> None:
    future = fill("f.01", 2, 5_000.0, currency="", name="ES")
    known = FillSnapshot(future, "run", 4.3, "USD")
    pair = FillSnapshot(fill("c.01", 30, 1.1, currency="EUR.USD", name="EUR.USD"), "run", 2.0, "CHF")
    write(2, snapshot=EngineSnapshot(fills=[known, pair]))

    executions = read_account([tmp_path / "journals"], "DU1").executions

    assert (executions["f"].commission, executions["f"].commission_currency) == (Decimal("4.3"), "USD")
    assert (executions["c"].commission, executions["c"].commission_currency) == (Decimal("2.0"), "CHF")


def test_a_commission_whose_currency_is_not_known_is_in_that_of_the_statement(
    write: Write, statement: Read, tmp_path: Path
) -> None:
    write(2, snapshot=EngineSnapshot(fills=[FillSnapshot(fill("a.01", -3, 10.0), "run", 1.0)]))
    there = statement(
        'ibExecID="a.01" quantity="-3" tradePrice="10" buySell="SELL" ibCommission="-1" ibCommissionCurrency="CHF"'
    )

    report = join(there, read_account([tmp_path / "journals"], "DU1"))

    assert report.differences == []
    figures = {each.currency: each for each in report.cash}
    assert figures.keys() == {"CHF", "USD"}
    assert (figures["CHF"].commissions_here, figures["CHF"].commissions_there) == (Decimal("-1.0"), Decimal(-1))


@pytest.mark.parametrize(
    ("name", "currency", "at_ns", "is_near"),
    [
        ("AAPL", "USD", MIDNIGHT + 30 * SECOND, True),
        ("AAPL", "USD", MIDNIGHT + 61 * SECOND, False),
        ("AAPL", "USD", MIDNIGHT + 20 * HOUR - SECOND, False),
        # Overnight trading of shares.
        ("AAPL", "USD", MIDNIGHT + 20 * HOUR, True),
        # 18:05 in New York: the session of the next day has begun for futures and currencies.
        ("ES", "", MIDNIGHT + 18 * HOUR + 300 * SECOND, True),
        ("EUR.USD", "EUR.USD", MIDNIGHT + 18 * HOUR + 300 * SECOND, True),
        ("AAPL", "USD", MIDNIGHT + 18 * HOUR + 300 * SECOND, False),
        ("ES", "", MIDNIGHT + 16 * HOUR, False),
    ],
)
def test_near_an_edge_of_the_period_an_execution_missing_there_is_a_note(
    write: Write, statement: Read, tmp_path: Path, name: str, currency: str, at_ns: int, is_near: bool
) -> None:
    write(
        1,
        CashCounted({"USD": 1_000.0, "EUR": 0.0}, {}, MIDNIGHT),
        fill("a.01", 10, 2.0, at_ns=at_ns, name=name, currency=currency),
    )
    # What is near the begin of the period was traded before: in the day that the first figure of this one counts.
    ending = 980 if at_ns < MIDNIGHT + HOUR else 1_000
    there = statement(more=lines() + report_of(f'currency="USD" endingCash="{ending}"'))

    report = join(there, read_account([tmp_path / "journals"], "DU1"))

    assert (report.differences == []) is is_near
    assert any(note.startswith("execution a.01") for note in report.notes) is is_near
    assert report.outside == int(is_near)


def test_the_evening_belongs_to_the_next_day_of_one_statement_too(write: Write, tmp_path: Path) -> None:
    """Of two days, the evening before them is of the first one, and that between them is nobody else's."""
    evening = MIDNIGHT + 18 * HOUR + 300 * SECOND
    write(
        1,
        *(
            fill(f"{name}.01", 1, 5_000.0, at_ns=at_ns, currency="", name="ES")
            for name, at_ns in (("before", evening - DAY), ("between", evening), ("after", evening + DAY))
        ),
        fill("days_before.01", 1, 5_000.0, at_ns=evening - 2 * DAY, currency="", name="ES"),
    )
    path = tmp_path / "flex.xml"
    path.write_text(
        '<FlexStatement accountId="DU1" fromDate="20260701" toDate="20260702" whenGenerated="20260702;220000">'
        "<Trades /></FlexStatement>"
    )
    [there] = read_statements(path)

    report = join(there, read_account([tmp_path / "journals"], "DU1"))

    assert [each.subject for each in report.differences] == ["execution before.01", "execution between.01"]
    assert [note.split()[1] for note in report.notes if note.startswith("execution")] == ["after.01"]


@pytest.mark.parametrize(
    ("clock", "is_missing"),
    [
        # A currency's session begins at 17:00 or 17:15, a future's at 18:00, and reports are up to a minute late.
        ("17:30", False),
        ("18:00:30", False),
        ("18:02", True),
        ("23:59", True),
    ],
)
def test_an_execution_of_the_evening_that_ib_lacks_is_missing_from_the_statement_of_the_next_day(
    write: Write, statement: Read, tmp_path: Path, clock: str, is_missing: bool
) -> None:
    time = dt.time.fromisoformat(clock)
    at_ns = MIDNIGHT + (time.hour * 3_600 + time.minute * 60 + time.second) * SECOND
    write(1, fill("phantom.01", 1, 5_000.0, at_ns=at_ns, currency="", name="ES"))

    reports = [join(statement(day=day), record(tmp_path, 3)) for day in (1, 2, 3)]

    found = [[each.subject for each in report.differences] for report in reports]
    assert found == [[], ["execution phantom.01"] if is_missing else [], []]
    assert any("phantom.01" in note for note in reports[0].notes)
    assert any("phantom.01" in note for note in reports[1].notes) is not is_missing


def test_the_trade_date_of_a_friday_evening_is_monday(write: Write, tmp_path: Path) -> None:
    friday = MIDNIGHT + 2 * DAY + 20 * HOUR
    write(1, fill("a.01", 1, 10.0, at_ns=friday))

    [execution] = read_account([tmp_path / "journals"], "DU1").executions.values()

    assert trade_date_of(execution) == dt.date(2026, 7, 6)


def test_a_statement_without_times_has_the_trade_date(write: Write, tmp_path: Path) -> None:
    evening = MIDNIGHT + 18 * HOUR + 300 * SECOND
    write(1, fill("evening.01", 1, 5_000.0, at_ns=evening, currency="", name="ES"))
    path = tmp_path / "flex.xml"
    path.write_text(
        '<FlexStatement accountId="DU1" fromDate="20260702" toDate="20260702"><Trades><Trade currency="USD" '
        'assetCategory="FUT" symbol="ESU6" quantity="1" tradePrice="5000" tradeDate="20260702" '
        'ibExecID="evening.01" /></Trades></FlexStatement>'
    )
    [there] = read_statements(path)

    assert join(there, read_account([tmp_path / "journals"], "DU1")).differences == []


def test_without_a_period_an_execution_counts_on_its_trade_date(write: Write, tmp_path: Path) -> None:
    evening = MIDNIGHT + 18 * HOUR + 300 * SECOND
    write(
        1,
        fill("noon.01", 1, 5_000.0, at_ns=TEN, currency="", name="ES"),
        fill("evening.01", 1, 5_000.0, at_ns=evening, currency="", name="ES"),
    )
    path = tmp_path / "flex.xml"
    path.write_text(
        '<FlexStatement accountId="DU1"><Trades><Trade currency="USD" assetCategory="FUT" symbol="ESU6" quantity="1" '
        'tradePrice="5000" dateTime="20260701;180500" tradeDate="20260702" ibExecID="evening.01" /></Trades>'
        "</FlexStatement>"
    )
    [there] = read_statements(path)

    report = join(there, read_account([tmp_path / "journals"], "DU1"))

    # The one at noon is of 1 July, and the statement has 2 July.
    assert (report.agreed, report.outside, report.differences) == (1, 1, [])


def test_only_figures_of_its_currency_explain_a_difference_in_sums(
    write: Write, statement: Read, tmp_path: Path
) -> None:
    """A time that differs explains no commission, and a price in euros no dollars."""
    write(
        1,
        fill("a.01", 10, 2.0, at_ns=TEN + 600 * SECOND),
        charge("a.01", 1.0),
        fill("b.01", 10, 2.004, currency="EUR", name="SAP"),
        charge("b.01", 1.0),
        *(each for number in range(3) for each in (fill(f"c{number}.01", 1, 1.0), charge(f"c{number}.01", 1.004))),
    )
    there = statement(
        'ibExecID="a.01" quantity="10" tradePrice="2" buySell="BUY" ibCommission="-1"',
        *(
            f'ibExecID="c{number}.01" quantity="1" tradePrice="1" buySell="BUY" ibCommission="-1"'
            for number in range(3)
        ),
        more='<Trades><Trade currency="EUR" assetCategory="STK" symbol="SAP" dateTime="20260701;100000" '
        'ibExecID="b.01" quantity="10" tradePrice="2" buySell="BUY" ibCommission="-1" ibCommissionCurrency="USD" />'
        "</Trades>",
    )

    report = join(there, read_account([tmp_path / "journals"], "DU1"))

    # Each commission differs by less than half a cent, all of them by 1.2 cents.
    assert [(each.subject, each.what) for each in report.differences] == [
        ("execution a.01 (AAPL)", "time"),
        ("execution b.01 (SAP)", "price"),
        ("USD", "commissions"),
    ]


def test_rows_that_do_not_lead_from_the_first_to_the_last_figure_are_told(
    write: Write, statement: Read, tmp_path: Path
) -> None:
    write(1, fill("a.01", 10, 20.0), charge("a.01", 1.0))
    trade = 'ibExecID="a.01" quantity="10" tradePrice="20" buySell="BUY" ibCommission="-1" taxes="-0.5"'
    money = lines('amount="4" dateTime="20260701;100001"')

    def notes(ending: str) -> list[str]:
        cash = report_of(f'currency="USD" startingCash="1000" endingCash="{ending}" cashSettlingMtm="2"')
        report = join(statement(trade, more=money + cash), read_account([tmp_path / "journals"], "DU1"))
        return [note for note in report.notes if note.startswith("USD")]

    # 1,000 - 200 - 1 - 0.50 + 4 + 2
    assert notes("804.50") == []
    [note] = notes("809.50")
    assert "5.00" in note


def test_an_account_that_cannot_be_checked_is_an_error(
    write: Write, statement: Read, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(1)
    statement()
    path = tmp_path / "flex.xml"
    other = '<FlexStatement accountId="DU8" fromDate="20260701" toDate="20260701"><Trades /></FlexStatement>'
    path.write_text(path.read_text().replace("</FlexQueryResponse>", f"{other}</FlexQueryResponse>"))
    arguments = ["statement", str(path), "--journals", str(tmp_path / "journals")]

    assert main(arguments) == 2
    said = capfd.readouterr()
    assert "account DU1" in said.out
    assert "there is no journal of account DU8" in said.err

    assert main([*arguments, "--json"]) == 2
    told = json.loads(capfd.readouterr().out)
    assert [each["account"] for each in told["reports"]] == ["DU1"]
    [missing] = told["missing"]
    assert "there is no journal of account DU8" in missing


def test_the_zone_of_the_evening_is_that_of_new_york() -> None:
    assert dt.datetime.fromtimestamp(MIDNIGHT // SECOND, dt.UTC) == dt.datetime(2026, 7, 1, 4, tzinfo=dt.UTC)
