"""Messages in words: one line with the essentials, for any bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.gateway.protocol.codec import Value, encode
from ibdesk.gateway.protocol.fields import Repeat
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.gateway.protocol.outgoing import OUTGOING, OUTGOING_BY_NAME
from ibdesk.gateway.protocol.words import LINE_LENGTH, describe_payload

VERSION = 178
NUMBERS = {message.name: number for number, message in INCOMING.items()}
AAPL: dict[str, Value] = {"symbol": "AAPL", "secType": "STK", "exchange": "SMART", "currency": "USD", "strike": 0.0}


def asked(name: str, **values: Value) -> str:
    """A request in words."""
    return describe_payload(
        encode(INCOMING[NUMBERS[name]], {"version": 1, **values}, VERSION)[4:], VERSION, by_client=True
    )


def answered(name: str, **values: Value) -> str:
    """An answer in words."""
    return describe_payload(encode(OUTGOING_BY_NAME[name], values, VERSION)[4:], VERSION, by_client=False)


def test_an_order_reads_as_a_trader_says_it() -> None:
    order: dict[str, Value] = {
        **AAPL,
        "orderId": 12,
        "action": "BUY",
        "totalQuantity": 100,
        "tif": "DAY",
        "transmit": 1,
    }

    assert (
        asked("placeOrder", **order, orderType="LMT", lmtPrice=99.5, auxPrice=0.0)
        == "placeOrder 12: BUY 100 AAPL STK SMART LMT 99.5 DAY"
    )
    assert (
        asked("placeOrder", **order, orderType="STP LMT", lmtPrice=98.0, auxPrice=98.5, parentId=11)
        == "placeOrder 12: BUY 100 AAPL STK SMART STP LMT 98 stop 98.5 DAY, parent 11"
    )
    assert (
        asked("placeOrder", **{**order, "transmit": 0}, orderType="TRAIL", trailingPercent=2.5, ocaGroup="one")
        == "placeOrder 12: BUY 100 AAPL STK SMART TRAIL by 2.5 % DAY, group one, held back until its group is complete"
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            answered("orderStatus", orderId=12, status="Submitted", filled=0, remaining=100, avgFillPrice=0.0),
            "orderStatus 12: Submitted, filled 0, remaining 100",
        ),
        (
            answered("orderStatus", orderId=12, status="Filled", filled=100, remaining=0, avgFillPrice=99.5),
            "orderStatus 12: Filled, filled 100, remaining 0, at 99.5 on average",
        ),
        (answered("errMsg", id=12, errorCode=202, errorMsg="Order Canceled"), "errMsg 202 about 12: Order Canceled"),
        (answered("errMsg", id=-1, errorCode=2104, errorMsg="OK"), "errMsg 2104: OK"),
        (answered("tickPrice", reqId=5, tickType=2, price=99.5, size=300, attrMask=1), "tickPrice 5: ask 99.5 x 300"),
        (answered("tickSize", reqId=5, tickType=8, size=12000), "tickSize 5: volume 12000"),
        (answered("nextValidId", orderId=7), "nextValidId 7"),
        (answered("managedAccounts", accounts="DU1,DU2"), "managedAccounts DU1,DU2"),
        (asked("startApi", clientId=3), "startApi as client 3"),
        (asked("cancelOrder", orderId=12), "cancelOrder 12"),
    ],
)
def test_what_is_read_most_has_a_sentence(line: str, words: str) -> None:
    assert line == words


def test_an_execution_message_in_words() -> None:
    line = answered(
        "execDetails", reqId=-1, orderId=12, **AAPL, execId="1.01", side="SLD", shares=40, price=99.5, cumQty=60
    )

    assert line == "execDetails 12: sold 40 AAPL STK SMART at 99.5, 60 in all (1.01)"


def test_any_other_message_is_its_name_and_the_fields_that_are_set() -> None:
    line = asked(
        "reqHistoricalData",
        reqId=5,
        **AAPL,
        barSizeSetting="1 min",
        durationStr="1 D",
        useRTH=1,
        keepUpToDate=0,
        whatToShow="TRADES",
        formatDate=1,
    )

    assert line == (
        "reqHistoricalData reqId=5 symbol=AAPL secType=STK exchange=SMART currency=USD barSizeSetting=1 min "
        "durationStr=1 D useRTH=1 whatToShow=TRADES formatDate=1"
    )
    assert asked("reqPositions") == "reqPositions"
    assert answered("openOrderEnd") == "openOrderEnd"


def test_of_many_rows_the_first_and_the_last_are_shown() -> None:
    rows = [{"lowEdge": float(edge), "increment": 0.01} for edge in range(1200)]

    assert answered("marketRule", marketRuleId=26, increments=rows) == (
        "marketRule marketRuleId=26 increments=1,200, from [lowEdge=0 increment=0.01] to [lowEdge=1199 increment=0.01]"
    )


def test_the_greeting_is_shown() -> None:
    assert describe_payload(b"v157..178 +PACEAPI", 0, by_client=True) == "speaks versions 157..178 +PACEAPI"
    assert (
        describe_payload(b"178\00020260413 10:00:00 EST\0", 178, by_client=False)
        == "server version 178, 20260413 10:00:00 EST"
    )


def test_an_answer_that_looks_like_a_greeting_is_cut_too() -> None:
    assert len(describe_payload(b"178\0" + b"x" * 5000 + b"\0", 178, by_client=False)) == LINE_LENGTH


def test_messages_in_binary_are_shown_by_number_and_length() -> None:
    assert (
        describe_payload((203).to_bytes(4, "big") + b"x" * 1996, 203, by_client=False)
        == "binary message 203, 2,000 bytes"
    )


def test_a_line_is_one_line_and_leaves_the_terminal_as_it_was() -> None:
    line = answered("errMsg", id=-1, errorCode=1, errorMsg="a\nb\x1b[31mc\u2028d\x9b")

    assert line == "errMsg 1: a b [31mc d "


def test_a_long_line_is_cut() -> None:
    assert answered("errMsg", id=-1, errorCode=1, errorMsg="x" * 5000) == "errMsg 1: " + "x" * (LINE_LENGTH - 11) + "…"


def test_every_message_of_the_tables_has_words_with_its_name() -> None:
    for table, by_client in ((INCOMING, True), (OUTGOING, False)):
        for message in table.values():
            empty = encode(message, {}, VERSION)[4:]
            assert describe_payload(empty, VERSION, by_client=by_client).startswith(message.name), message.name
            counts = [entry.count for entry in message.entries if isinstance(entry, Repeat)]
            assert not any(f"{count}=" in describe_payload(empty, VERSION, by_client=by_client) for count in counts)


@given(st.binary(max_size=300), st.sampled_from([0, 157, 170, 178, 203]), st.booleans())
def test_any_bytes_have_words(payload: bytes, version: int, by_client: bool) -> None:
    line = describe_payload(payload, version, by_client=by_client)

    assert line
    assert len(line) <= LINE_LENGTH
    assert not any(ord(letter) < 32 for letter in line)


@given(st.sampled_from(sorted(INCOMING)), st.lists(st.text(max_size=12), max_size=90), st.booleans())
def test_any_fields_have_words(number: int, texts: list[str], by_client: bool) -> None:
    payload = "\0".join([str(number), *(text.replace("\0", "") for text in texts), ""]).encode("utf-8", "replace")

    line = describe_payload(payload, VERSION, by_client=by_client)

    assert len(line) <= LINE_LENGTH
    assert "\n" not in line
