"""Flex statements as IB writes them are read, XML and CSV alike; what is none is refused, whatever bytes it has."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ibdesk.statement import CashLine, Statement, StatementError, read_statements
from ibdesk.statement.cells import Moment, figure, time_of

XML = """<?xml version="1.0" encoding="UTF-8"?>
<FlexQueryResponse queryName="daily" type="AF">
<FlexStatements count="1">
<FlexStatement accountId="U7" fromDate="20260701" toDate="20260702" period="" whenGenerated="20260703;041910">
<Trades>
<Order accountId="U7" currency="USD" symbol="AAPL" quantity="100" tradePrice="150.25" levelOfDetail="ORDER" />
<Trade accountId="U7" currency="USD" assetCategory="STK" symbol="AAPL" multiplier="1" dateTime="20260701;103015"
 quantity="100" tradePrice="150.25" taxes="-0.01" ibCommission="-1.0501" ibCommissionCurrency="USD" buySell="BUY"
 transactionID="1" ibExecID="0000e1a.68a1.01.01" levelOfDetail="EXECUTION" someNewColumn="x" />
<Trade accountId="U7" currency="USD" assetCategory="STK" symbol="AAPL" multiplier="1" dateTime="20260701;103015"
 quantity="100" tradePrice="150.20" ibCommission="-1.05" ibCommissionCurrency="USD" buySell="BUY"
 transactionID="2" ibExecID="0000e1a.68a1.01.02" levelOfDetail="EXECUTION" />
<Trade accountId="U7" currency="USD" assetCategory="FUT" symbol="ESU6" multiplier="50" dateTime="20260702;141500"
 quantity="-2" tradePrice="5612.75" ibCommission="-4.30" buySell="SELL" transactionID="3" ibExecID="0000e1b.01.01" />
<Trade accountId="U7" currency="USD" assetCategory="STK" symbol="IBM" multiplier="1" dateTime="20260702;150000"
 quantity="5" tradePrice="200" ibCommission="-1" buySell="BUY" transactionID="4" ibExecID="0000e1c.01.01" />
<Trade accountId="U7" currency="USD" assetCategory="STK" symbol="IBM" multiplier="1" dateTime="20260702;150000"
 quantity="-5" tradePrice="200" ibCommission="1" buySell="BUY (Ca.)" transactionID="5" ibExecID="0000e1c.01.01" />
</Trades>
<CashTransactions>
<CashTransaction accountId="U7" currency="USD" amount="24.00" type="Dividends" dateTime="20260702;202000"
 description="AAPL &amp; others" transactionID="9" levelOfDetail="DETAIL" />
<CashTransaction accountId="U7" currency="USD" amount="24.00" type="Dividends" levelOfDetail="SUMMARY" />
<CashTransaction accountId="U7" currency="EUR" amount="-1,000.50" type="Deposits/Withdrawals" reportDate="20260702" />
</CashTransactions>
<CashReport>
<CashReportCurrency accountId="U7" currency="BASE_SUMMARY" startingCash="9" endingCash="9" />
<CashReportCurrency accountId="U7" currency="USD" startingCash="50000" cashSettlingMtm="12.5" endingCash="34998.94" />
</CashReport>
</FlexStatement>
</FlexStatements>
</FlexQueryResponse>
"""
CSV = """\
"BOF","U7","daily","3","20260701","20260702","20260703;041910","100","100"
"BOA","U7"
"BOS","TRNT","Trades; trade date basis"
{trades}"ClientAccountID","CurrencyPrimary","AssetClass","Symbol","Multiplier","DateTime","Quantity","TradePrice","Taxes",\
"IBCommission","IBCommissionCurrency","Buy/Sell","TransactionID","IBExecID","LevelOfDetail"
{row}"U7","USD","STK","AAPL","1","","100","150.25","0","0","USD","BUY","0","","ORDER"
{row}"U7","USD","STK","AAPL","1","20260701;103015","100","150.25","-0.01","-1.0501","USD","BUY","1","0000e1a.68a1.01.01",\
"EXECUTION"
{row}"U7","USD","STK","AAPL","1","20260701;103015","100","150.20","0","-1.05","USD","BUY","2","0000e1a.68a1.01.02",\
"EXECUTION"
{row}"U7","USD","FUT","ESU6","50","20260702;141500","-2","5612.75","0","-4.30","USD","SELL","3","0000e1b.01.01","EXECUTION"
{row}"U7","USD","STK","IBM","1","20260702;150000","5","200","0","-1","USD","BUY","4","0000e1c.01.01","EXECUTION"
{row}"U7","USD","STK","IBM","1","20260702;150000","-5","200","0","1","USD","BUY (Ca.)","5","0000e1c.01.01","EXECUTION"
"EOS","TRNT","6","0"
"BOS","CTRN","Cash Transactions"
{lines}"ClientAccountID","CurrencyPrimary","Date/Time","ReportDate","Amount","Type","Description","LevelOfDetail"
{line}"U7","USD","20260702;202000","20260702","24.00","Dividends","AAPL & others","DETAIL"
{line}"U7","EUR","","20260702","-1,000.50","Deposits/Withdrawals","","DETAIL"
"EOS","CTRN","2","0"
"BOS","CRTT","Cash Report; trade date basis"
{reports}"ClientAccountID","CurrencyPrimary","StartingCash","CashSettlingMTM","EndingCash"
{report}"U7","BASE_SUMMARY","9","0","9"
{report}"U7","USD","50000","12.5","34998.94"
"EOS","CRTT","2","0"
"EOA","U7"
"EOF"
"""
PLAIN = dict.fromkeys(("trades", "row", "lines", "line", "reports", "report"), "")
MARKED = {
    name: f'"{mark}","{code}",'
    for mark, code, name in (
        ("HEADER", "TRNT", "trades"),
        ("DATA", "TRNT", "row"),
        ("HEADER", "CTRN", "lines"),
        ("DATA", "CTRN", "line"),
        ("HEADER", "CRTT", "reports"),
        ("DATA", "CRTT", "report"),
    )
}
FORMS = {"xml": XML, "csv": CSV.format(**PLAIN), "csv with section codes": CSV.format(**MARKED)}
NEW_YORK = ZoneInfo("America/New_York")


def read(tmp_path: Path, text: str | bytes) -> Statement:
    path = tmp_path / "statement"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    [statement] = read_statements(path)
    return statement


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_say_the_same(tmp_path: Path, form: str) -> None:
    statement = read(tmp_path, FORMS[form])

    assert statement.account == "U7"
    assert statement.begins == dt.datetime(2026, 7, 1, tzinfo=NEW_YORK)
    assert statement.ends == dt.datetime(2026, 7, 3, tzinfo=NEW_YORK)
    assert sorted(statement.executions) == ["0000e1a.68a1.01", "0000e1b.01", "0000e1c.01"]
    corrected = statement.executions["0000e1a.68a1.01"]
    assert (corrected.id, corrected.price, corrected.quantity) == (
        "0000e1a.68a1.01.02",
        Decimal("150.20"),
        Decimal(100),
    )
    assert (corrected.commission, corrected.commission_currency) == (Decimal("1.05"), "USD")
    # 10:30:15 in New York in July is 14:30:15 UTC.
    assert corrected.at is not None
    assert corrected.at.ns == int(dt.datetime(2026, 7, 1, 14, 30, 15, tzinfo=dt.UTC).timestamp()) * 10**9
    assert corrected.cash == {"USD": Decimal("-15020.00")}
    future = statement.executions["0000e1b.01"]
    assert [future.quantity, future.multiplier] == [-2, 50]
    assert future.cash == {}
    assert statement.executions["0000e1c.01"].quantity == 0
    day = Moment(dt.datetime(2026, 7, 2, tzinfo=NEW_YORK), is_day=True)
    paid = Moment(dt.datetime(2026, 7, 2, 20, 20, tzinfo=NEW_YORK), is_day=False)
    assert statement.cash_lines == [
        CashLine(currency="USD", amount=Decimal(24), kind="Dividends", description="AAPL & others", at=paid),
        CashLine(currency="EUR", amount=Decimal("-1000.50"), kind="Deposits/Withdrawals", description="", at=day),
    ]
    assert list(statement.cash_reports) == ["USD"]
    report = statement.cash_reports["USD"]
    assert (report.starting, report.settled, report.ending) == (Decimal(50_000), Decimal("12.5"), Decimal("34998.94"))


def test_a_trade_confirmation_is_read(tmp_path: Path) -> None:
    statement = read(
        tmp_path,
        """<FlexQueryResponse queryName="c" type="TCF"><FlexStatements><FlexStatement accountId="U7"
        fromDate="2026-07-01" toDate="2026-07-01" whenGenerated="2026-07-01;12:00:00"><TradeConfirms>
        <TradeConfirm accountId="U7" currency="EUR" assetCategory="STK" symbol="SAP" execID="0001.01.01" quantity="3"
        price="200.5" commission="-1.25" commissionCurrency="EUR" buySell="SELL" dateTime="2026-07-01 10:00:00"
        levelOfDetail="EXECUTION"/></TradeConfirms></FlexStatement></FlexStatements></FlexQueryResponse>""",
    )

    [execution] = statement.executions.values()
    # A sale's quantity is negative, however the section writes it.
    assert (execution.quantity, execution.price, execution.commission) == (
        Decimal(-3),
        Decimal("200.5"),
        Decimal("1.25"),
    )
    # What was traded after it was written is not of its period.
    assert statement.ends == dt.datetime(2026, 7, 1, 12, tzinfo=NEW_YORK)
    assert not statement.has_cash_lines


def test_times_have_the_zone_that_they_name(tmp_path: Path) -> None:
    del tmp_path
    summer = time_of("20260701;103015", ZoneInfo("Europe/Berlin"))
    assert summer is not None
    assert summer.time.astimezone(dt.UTC).hour == 8
    for text in ("20261231;233000 EST", "2026-12-31T23:30:00-05:00", "2026-12-31 23:30:00 -0500"):
        named = time_of(text, ZoneInfo("UTC"))
        assert named is not None
        assert named.time.astimezone(dt.UTC) == dt.datetime(2027, 1, 1, 4, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e400", "1" * 40, "0x10", "1_000", "--5", "1.2.3"])
def test_what_is_not_a_figure_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a figure"):
        figure(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '<!DOCTYPE f [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><FlexStatement accountId="&b;"/>',
            "declares a document type",
        ),
        (
            '<!DOCTYPE f SYSTEM "file:///etc/passwd"><FlexQueryResponse/>',
            "declares a document type",
        ),
        ("<a>" * 17 + "</a>" * 17, "nests elements more than 16 deep"),
        ("<FlexQueryResponse><FlexStatements>", "is not well-formed XML"),
        ("<html><body>Log in</body></html>", "has no element FlexStatement"),
        ("time,open,high,low,close\n1,2,3,4,5\n", "is not a Flex statement: it is neither XML nor"),
        ("", "is not a Flex statement"),
        ('<FlexStatement><Trade quantity="1"/></FlexStatement>', "names no account"),
        (XML.replace('quantity="100"', 'quantity="many"'), "row 2 .trade of U7.*'many' is not a figure"),
        (XML.replace("20260702;141500", "yesterday"), "'yesterday' is not a time like 20261130;153000"),
        (XML.replace("20260702;141500", "20261340;141500"), "row 4"),
        (CSV.format(**PLAIN).replace('"U7","USD","STK","AAPL","1","20260701', '"U7,"USD'), "is not CSV|is not a"),
    ],
)
def test_what_is_not_a_flex_statement_is_refused_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(StatementError, match=said) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_trades_as_summaries_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StatementError, match="include Executions in the query"):
        read(
            tmp_path,
            '<FlexStatement accountId="U7"><Trade quantity="1" tradePrice="2" levelOfDetail="ORDER" /></FlexStatement>',
        )


def _mutated(form: str) -> st.SearchStrategy[bytes]:
    """Return statements with some bytes of theirs replaced, cut out, or repeated."""
    text = FORMS[form].encode()
    places = st.integers(0, len(text))

    def apply(edits: list[tuple[int, int, bytes]]) -> bytes:
        changed = text
        for place, length, new in edits:
            changed = changed[:place] + new + changed[place + length :]
        return changed

    edit = st.tuples(
        places, st.integers(0, 40), st.binary(max_size=12) | st.sampled_from([b'"', b"<", b"&", b"\x00", b"-9e99"])
    )
    return st.lists(edit, min_size=1, max_size=6).map(apply)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.one_of(st.binary(max_size=300), *map(_mutated, FORMS)))
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "statement"
    path.write_bytes(data)

    try:
        statements = read_statements(path)
    except StatementError:
        return

    for statement in statements:
        assert all(each.quantity.is_finite() and each.price.is_finite() for each in statement.executions.values())
        assert all(line.amount.is_finite() for line in statement.cash_lines)
