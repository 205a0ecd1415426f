"""A text that is not a number for TWS is refused although Python would accept it; the session continues."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.errors import DataError
from ibdesk.gateway.protocol.codec import Value, decode, encode
from ibdesk.gateway.protocol.framing import ProtocolError, frame, integer, split
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.gateway.protocol.words import describe_fields
from ibdesk.gateway.proxy.conversation import read_conversation

# str.isdigit() says yes to the first, int() to the last three, which end with Arabic digits; the second passes where
# minus signs are stripped first.
NO_INTEGERS = ["²", "--5", "1_0", " 7 ", "\u0661\u0662"]
FARMS = ("2104", "2106", "2158")


@given(number=st.integers(-(10**10) + 1, 10**10 - 1))
def test_an_integer_of_ten_digits_is_read(number: int) -> None:
    assert integer(str(number)) == number


@given(text=st.text(alphabet="-0123456789²\u0661_+ .e\0", max_size=13))
def test_whatever_is_read_is_plain_digits_behind_one_minus_or_none(text: str) -> None:
    plain = re.fullmatch(r"-?[0-9]{1,10}", text)

    assert (integer(text) is not None) == (plain is not None)


def test_digits_are_counted_without_the_minus() -> None:
    assert [integer(text, 3) for text in ("123", "-123", "1234", "-1234")] == [123, -123, None, None]


@pytest.fixture
async def told(dial: Callable[..., Any]) -> Callable[..., Any]:
    """Return the errors that answer these bytes, as id and code, once the session has answered another request."""

    async def told(data: bytes) -> list[tuple[str, str]]:
        wire = await dial()
        wire.send_bytes(data)
        wire.send(49)
        seen = await wire.until("currentTime")
        return [
            (fields["id"], fields["errorCode"])
            for name, fields in seen
            if name == "errMsg" and fields["errorCode"] not in FARMS
        ]

    return told


def request(number: int, **values: Value) -> bytes:
    """Return the frame of a request."""
    return encode(INCOMING[number], {"version": 1, **values}, 178)


@pytest.mark.parametrize("text", NO_INTEGERS)
async def test_an_invalid_message_number_is_not_supported(told: Callable[..., Any], text: str) -> None:
    assert await told(frame(f"{text}\0001\0".encode())) == [("-1", "321")]


@pytest.mark.parametrize("text", NO_INTEGERS)
async def test_an_invalid_request_id_is_refused_without_an_id(told: Callable[..., Any], text: str) -> None:
    assert await told(request(9, reqId=text, symbol="AAPL", secType="STK")) == [("-1", "320")]


@pytest.mark.parametrize("text", NO_INTEGERS)
async def test_the_id_of_an_unread_request_is_an_integer_too(told: Callable[..., Any], text: str) -> None:
    # Fundamental data: version, id, and what the gateway does not read.
    assert await told(frame(f"52\0002\0{text}\0x\0".encode())) == [("-1", "321")]


@pytest.mark.parametrize("text", NO_INTEGERS)
@pytest.mark.parametrize("field", ["totalQuantity", "lmtPrice"])
async def test_a_quantity_or_price_is_a_plain_number_too(told: Callable[..., Any], field: str, text: str) -> None:
    order: dict[str, Value] = {"conId": 265598, "transmit": 1, "tif": "DAY", "orderType": "LMT", "action": "BUY"}
    order |= {"totalQuantity": 10, "lmtPrice": 99.0, field: text}

    assert await told(request(3, orderId=7, **order)) == [("7", "320")]


@pytest.mark.parametrize("text", NO_INTEGERS)
def test_a_count_of_rows_is_an_integer_too(text: str) -> None:
    # The trading class is the last field before the number of legs.
    texts = split(request(1, reqId=1, secType="BAG", tradingClass="LAST")[4:])
    texts[texts.index("LAST") + 1] = text

    with pytest.raises(ProtocolError, match="comboLegsCount"):
        decode(INCOMING[1], texts, 178)


@pytest.mark.parametrize("text", NO_INTEGERS)
def test_a_line_of_the_log_takes_any_text(text: str) -> None:
    assert describe_fields([text, text], 178, by_client=True) == f"message {text!r}: {text}"


@pytest.mark.parametrize("text", NO_INTEGERS)
def test_a_recording_without_a_server_version_cannot_be_played(tmp_path: Path, text: str) -> None:
    recording = tmp_path / "conversation.jsonl"
    recording.write_text(
        '{"format":"ibdesk conversation","version":1}\n'
        f'{{"at":0.0,"link":1,"by":"tws","fields":["{text}","20260413 10:00:00 EST"]}}\n'
        '{"at":0.1,"link":1,"by":"client","fields":["71","2","9",""]}\n',
        encoding="utf-8",
    )

    with pytest.raises(DataError, match="holds no connection"):
        read_conversation(recording)
