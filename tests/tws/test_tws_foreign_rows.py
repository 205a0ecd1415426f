"""Malformed rows that are not about our orders do not end the service; figures that TWS leaves unset are unknown."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ibdesk.errors import DataError
from ibdesk.model import (
    AccountReport,
    Commission,
    Fill,
    Link,
    LinkChanged,
    Notice,
    OrderReport,
    PositionReport,
    Quote,
    Tick,
)
from ibdesk.tws.figures import figure

UNSET = ["", "2147483647", "9223372036854775807", "1.7976931348623157E308", "-9223372036854775808", "nan", "Infinity"]
# _CLIENT: which field of message 11 names the client.
_CLIENT = 22
ODD = [*UNSET, "?", "1,000", "abc", "0", "-1", "1e400"]


def position_row(account: str, **changes: Any) -> list[object]:
    """Return message 61: two futures of another program, at 1,000 with a multiplier of 50."""
    fields: dict[str, object] = {
        "version": 3,
        "account": account,
        "conId": 4711,
        "symbol": "ES",
        "secType": "FUT",
        "expiry": "202703",
        "strike": "0.0",
        "right": "",
        "multiplier": "50",
        "exchange": "",
        "currency": "USD",
        "localSymbol": "ESH7",
        "tradingClass": "ES",
        "position": "2",
        "avgCost": "50000",
    }
    return [61, *(fields | changes).values()]


@pytest.mark.parametrize("text", UNSET)
def test_what_tws_leaves_unset_is_unknown(text: str) -> None:
    assert math.isnan(figure(text))


def test_a_figure_is_its_number() -> None:
    assert [figure("100"), figure("-0.5"), figure("1E-8"), figure("2147483646")] == [100, -0.5, 1e-8, 2147483646]


@pytest.mark.parametrize(
    "changes",
    [
        {"multiplier": "0"},
        {"multiplier": "1,000"},
        {"multiplier": "?"},
        {"multiplier": "-5"},
        {"secType": "OPT", "right": "", "strike": "5000", "expiry": "20270319"},
        {"secType": "OPT", "right": "?", "strike": "5000", "expiry": "20270319"},
        {"secType": "OPT", "right": "C", "strike": "?", "expiry": "20270319"},
        {"expiry": "?"},
        {"symbol": ""},
        {"secType": ""},
        {"conId": "?"},
        {"position": "?"},
        {"position": ""},
        {"position": "1.7976931348623157E308"},
    ],
    ids=str,
)
async def test_a_position_row_of_another_program_is_set_aside_with_an_alert(
    script: Any, start_tws: Callable[..., Any], words: Any, changes: dict[str, str]
) -> None:
    good = position_row(words.account, conId=265598, symbol="AAPL", secType="STK", multiplier="", position=7, avgCost=9)
    script.answers["61"] = [position_row(words.account, **changes), good]

    running = await start_tws(script.port)

    assert running.service.link is Link.UP
    [told] = [report for report in running.heard.of(PositionReport) if report.instrument == "AAPL"]
    assert (told.quantity, told.average_price) == (7, 9)
    [notice] = running.heard.of(Notice)
    assert "position" in notice.text
    assert "trading continues" in notice.text


async def test_an_unset_average_cost_is_unknown_and_the_quantity_is_not(
    script: Any, start_tws: Callable[..., Any], words: Any
) -> None:
    script.answers["61"] = [position_row(words.account, avgCost="1.7976931348623157E308")]

    running = await start_tws(script.port)

    [told] = running.heard.of(PositionReport)
    assert told.quantity == 2
    assert math.isnan(told.average_price)


async def test_a_row_of_a_held_instrument_that_cannot_be_read_does_not_make_it_flat(
    script: Any, start_tws: Callable[..., Any], words: Any
) -> None:
    apple = {"conId": 265598, "symbol": "AAPL", "secType": "STK", "multiplier": "", "avgCost": 9}
    script.answers["61"] = [position_row(words.account, **apple | {"position": 7})]
    running = await start_tws(script.port)
    script.answers["61"] = [position_row(words.account, **apple | {"position": "?"})]

    script.hang_up()
    await script.got(61, 2)
    await running.heard.count(Notice, 1)

    assert [report.quantity for report in running.heard.of(PositionReport)] == [7]


@pytest.mark.parametrize("text", [*UNSET, "?"])
async def test_a_figure_of_the_account_that_is_unset_is_unknown(
    script: Any, start_tws: Callable[..., Any], words: Any, text: str
) -> None:
    script.answers["6"] = [
        [6, 2, "TotalCashValue", "1000", "USD", words.account],
        [6, 2, "NetLiquidation", text, "USD", words.account],
    ]

    running = await start_tws(script.port)

    account = running.heard.of(AccountReport)[-1].account
    assert account.cash == 1000
    assert math.isnan(account.net_liquidation)
    script.send(6, 2, "NetLiquidation", text, "USD", words.account)
    script.send(6, 2, "TotalCashValue", "2000", "USD", words.account)
    reports = await running.heard.count(AccountReport, 2)
    # The same unknown figure again is not a change.
    assert [report.account.cash for report in reports] == [1000, 2000]


@pytest.mark.parametrize("text", [*UNSET, "?"])
async def test_a_commission_that_is_unset_is_unknown_until_it_is_told(
    scripted: Any, script: Any, words: Any, text: str
) -> None:
    scripted.service.place(words.order())
    number = (await script.got(3))[1]
    script.send(*words.execution(number, "0001.01.01", ref="run-1"))
    script.send(59, 1, "0001.01.01", text, "USD", "1.7976931348623157E308", "", "")
    await scripted.heard.next(Fill)
    script.send(59, 1, "0001.01.01", "1.25", "USD", "", "", "")

    told = await scripted.heard.next(Commission)

    assert told.amount == 1.25
    assert scripted.heard.of(Commission) == [told]
    assert scripted.service.link is Link.UP


@pytest.mark.parametrize("changes", [{"shares": "?"}, {"price": "abc"}, {"price": "1.7976931348623157E308"}], ids=str)
async def test_an_execution_of_another_program_that_cannot_be_read_is_set_aside(
    scripted: Any, script: Any, words: Any, changes: dict[str, Any]
) -> None:
    message = words.execution(5, "0009.01.01", ref="theirs", **changes)
    message[_CLIENT] = 77
    script.send(*message)

    notice = await scripted.heard.next(Notice)

    assert "trading continues" in notice.text
    assert scripted.service.link is Link.UP
    assert scripted.heard.of(Fill) == []


@pytest.mark.parametrize("changes", [{"shares": "?"}, {"price": "1.7976931348623157E308"}], ids=str)
async def test_an_execution_of_ours_that_cannot_be_read_stops_trading(
    scripted: Any, script: Any, words: Any, changes: dict[str, Any]
) -> None:
    scripted.service.place(words.order())
    number = (await script.got(3))[1]

    script.send(*words.execution(number, "0001.01.01", ref="run-1", **changes))

    with pytest.raises(DataError, match="cannot be read"):
        await scripted.life


async def test_an_own_open_order_whose_row_cannot_be_read_is_not_given_up(
    script: Any, start_tws: Callable[..., Any], words: Any
) -> None:
    running = await start_tws(script.port, answer_timeout_seconds=0.1, settle_seconds=0.1)
    await running.service.qualify(words.aapl)
    running.service.place(words.limit())
    number = (await script.got(3))[1]
    shown = words.shown("openOrder", number, "run-1")
    script.send(*shown)
    script.send(*words.status(number, "Submitted"))
    await running.heard.next(OrderReport)
    script.answers["16"] = [[*shown[:14], "?", *shown[15:]]]

    script.hang_up()
    await script.got(16, 2)
    await running.heard.next(LinkChanged, link=Link.SYNCING)
    await running.heard.next(LinkChanged, link=Link.UP)

    assert any("cannot be read" in notice.text for notice in running.heard.of(Notice))
    assert all(report.status.value == "working" for report in running.heard.of(OrderReport))


async def test_prices_that_are_unset_are_no_quotes_and_no_trades(scripted: Any, script: Any, words: Any) -> None:
    scripted.service.subscribe_quotes(words.aapl)
    number = (await script.got(1))[2]
    script.send(1, 6, number, 1, "1.7976931348623157E308", "100", 0)
    script.send(1, 6, number, 4, "1.7976931348623157E308", "100", 0)
    script.send(1, 6, number, 1, "99.5", "9223372036854775807", 0)
    script.send(1, 6, number, 2, "99.7", "3", 0)

    quote = await scripted.heard.next(Quote, ask=99.7)

    assert (quote.bid, quote.bid_size) == (99.5, 0)
    assert scripted.heard.of(Tick) == []
    assert not any(abs(told.bid) > 1e300 for told in scripted.heard.of(Quote))


# A busy machine may need long for forty connections.
PATIENT = {"connect_timeout_seconds": 30.0, "request_timeout_seconds": 30.0}
TEXT = st.one_of(st.sampled_from(ODD), st.text("0123456789.,-+eE?AZÄ \x01", max_size=8))
KINDS = [1, 2, 3, 4, 5, 6, 10, 17, 50, 52, 53, 54, 55, 59, 61, 62, 79, 101, 102]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
async def test_no_message_but_an_execution_of_ours_ends_the_service(
    script: Any, start_tws: Callable[..., Any], words: Any, data: st.DataObject
) -> None:
    """Any fields in any number, of any kind: the service continues, and receives the next valid row."""
    running = await start_tws(script.port, **PATIENT)
    rows = data.draw(
        st.lists(
            st.tuples(st.sampled_from(KINDS), st.lists(TEXT, max_size=40)).filter(lambda row: not _of_the_link(*row)),
            min_size=1,
            max_size=5,
        )
    )
    for kind, fields in rows:
        script.send(kind, *fields)
    script.send(*position_row(words.account, symbol="GOOD", secType="STK", multiplier="", position=5, avgCost=2))

    await running.heard.next(PositionReport, instrument="GOOD", quantity=5)

    assert not running.life.done()
    running.life.cancel()


def _of_the_link(kind: int, fields: list[str]) -> bool:
    """Return whether a row is a valid error message about the connection, which may end it."""
    return kind == 4 and len(fields) > 2 and fields[2].strip() in ("326", "1100", "1101", "1102")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_any_field_of_a_foreign_execution_or_position_may_be_anything(
    script: Any, start_tws: Callable[..., Any], words: Any, data: st.DataObject
) -> None:
    running = await start_tws(script.port, **PATIENT)
    execution = words.execution(5, "0009.01.01", ref="theirs")
    execution[_CLIENT] = 77
    for row, fixed in ((execution, {0, 16, _CLIENT, 26}), (position_row(words.account), {0, 2})):
        for place in data.draw(st.sets(st.sampled_from(sorted(set(range(1, len(row))) - fixed)))):
            row[place] = data.draw(TEXT)
        script.send(*row)
    script.send(
        *position_row(words.account, symbol="GOOD", secType="STK", multiplier="", position=5, avgCost=2, conId=9)
    )

    await running.heard.next(PositionReport, instrument="GOOD", quantity=5)

    assert not running.life.done()
    running.life.cancel()
