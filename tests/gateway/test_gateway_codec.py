"""Messages survive encoding and decoding, and a stream of them survives any splitting."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibdesk.gateway.protocol.codec import (
    Texts,
    Value,
    decode,
    encode,
    historical_frame,
    historical_rows,
    plan_of,
    text_of,
    texts_of,
)
from ibdesk.gateway.protocol.fields import (
    CONDITION_BODIES,
    UNSET_NUMBER,
    ConditionBody,
    Entry,
    Field,
    FieldKind,
    MessageSpec,
    Repeat,
    When,
    content_holds,
)
from ibdesk.gateway.protocol.framing import FrameReader, ProtocolError, frame, split
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.gateway.protocol.outgoing import OUTGOING, OUTGOING_BY_NAME

VERSIONS = range(157, 179)
ALL_MESSAGES = [*OUTGOING.values(), *INCOMING.values()]

plain_text = st.text(st.characters(exclude_characters="\0", categories=("L", "N", "P", "S", "Zs", "Cc")), max_size=12)
unset = st.sampled_from(["", "2147483647", "1.7976931348623157E308"])
VALUES = {
    FieldKind.TEXT: plain_text,
    FieldKind.FLAG: st.sampled_from(["0", "1", ""]),
    FieldKind.INTEGER: st.integers(-(2**31), 2**31).map(str) | unset,
    FieldKind.NUMBER: st.floats(allow_nan=False, allow_infinity=False).map(repr) | unset,
    FieldKind.SIZE: st.integers(0, 10**9).map(str) | st.floats(0, 1e6).map(repr) | unset,
}
# Fields on which others depend have the relevant values more often than chance would give them.
DECISIVE = {
    "orderType": ["LMT", "PEG BENCH", "PEG BEST", "PEG MID"],
    "secType": ["STK", "BAG"],
    "exchange": ["SMART", "IBKRATS"],
    "algoStrategy": ["", "Adaptive"],
    "hedgeType": ["", "D"],
    "deltaNeutralOrderType": ["", "None", "MKT"],
    "tickType": ["1", "2", "3", "4"],
    "competeAgainstBestOffset": ["0.02", "Infinity", "Infinite"],
    "scalePriceIncrement": ["", "0.0", "0.5"],
}


@st.composite
def drawn_texts(draw: st.DrawFn, message: MessageSpec, version: int) -> Texts:
    found: Texts = {}
    _draw_entries(draw, plan_of(message, version), found)
    return found


def _draw_entries(draw: st.DrawFn, entries: tuple[Entry, ...], found: Texts) -> None:
    for entry in entries:
        match entry:
            case Field(name, kind):
                choices = DECISIVE.get(name)
                found[name] = draw(st.sampled_from(choices) if choices else VALUES[kind])
            case When(test, then):
                if content_holds(test, found):
                    _draw_entries(draw, then, found)
            case Repeat(count, rows, each):
                groups: list[Texts] = [{} for _ in range(draw(st.integers(0, 3)))]
                for group in groups:
                    if isinstance(each[-1], ConditionBody):
                        group["condType"] = draw(st.sampled_from(sorted(CONDITION_BODIES)))
                        _draw_entries(draw, CONDITION_BODIES[str(group["condType"])], group)
                    else:
                        _draw_entries(draw, each, group)
                found[count], found[rows] = str(len(groups)), groups


@pytest.mark.parametrize("message", ALL_MESSAGES, ids=lambda message: f"{message.id}-{message.name}")
@settings(max_examples=30)
@given(data=st.data())
def test_decoding_an_encoded_message_gives_it_back_at_every_version(message: MessageSpec, data: st.DataObject) -> None:
    version = data.draw(st.sampled_from(VERSIONS))
    texts = data.draw(drawn_texts(message, version))

    wire = encode(message, texts, version)

    assert decode(message, split(wire[4:]), version) == texts


@given(payloads=st.lists(st.binary(max_size=40), max_size=8), cuts=st.lists(st.integers(1, 17), max_size=60))
def test_frames_come_out_whole_however_the_stream_is_cut(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(frame, payloads))
    reader = FrameReader()
    found: list[bytes] = []

    for cut in cuts:
        found += reader.feed(stream[:cut])
        stream = stream[cut:]
    found += reader.feed(stream)

    assert found == payloads


def test_a_frame_over_the_bound_is_refused_before_it_is_read() -> None:
    reader = FrameReader(max_bytes=10)

    with pytest.raises(ProtocolError, match="11 bytes, the gateway accepts at most 10"):
        list(reader.feed((11).to_bytes(4, "big")))


@given(st.binary(max_size=200))
def test_any_bytes_either_decode_or_are_a_protocol_error(payload: bytes) -> None:
    for message in (INCOMING[3], INCOMING[20], OUTGOING[5]):
        with contextlib.suppress(ProtocolError):
            decode(message, split(payload), 178)


@given(st.lists(st.tuples(st.floats(allow_nan=False), st.floats(0, 1e12)), max_size=5))
def test_the_fast_path_of_history_writes_the_same_bytes_as_the_table(rows: list[tuple[float, float]]) -> None:
    prices, volumes = [row[0] for row in rows], [row[1] for row in rows]
    names = ("open", "high", "low", "close")
    bars: list[dict[str, Value]] = [
        {"date": "20260413", **dict.fromkeys(names, price), "volume": volume, "wap": volume, "count": 4}
        for price, volume in rows
    ]
    message = OUTGOING_BY_NAME["historicalData"]
    by_table = encode(message, {"reqId": 7, "start": "then", "end": "now", "bars": bars}, 178)

    price_texts, volume_texts = texts_of(prices, FieldKind.NUMBER), texts_of(volumes, FieldKind.SIZE)
    columns = [["20260413"] * len(rows), *[price_texts] * 4, *[volume_texts] * 2, ["4"] * len(rows)]

    assert historical_frame(7, "then", "now", len(rows), [historical_rows(columns)]) == by_table


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (None, FieldKind.NUMBER, ""),
        (True, FieldKind.FLAG, "1"),
        (False, FieldKind.FLAG, "0"),
        (100.0, FieldKind.NUMBER, "100.0"),
        (100.0, FieldKind.SIZE, "100"),
        (0.00005, FieldKind.NUMBER, "0.00005"),
        (1e22, FieldKind.NUMBER, "10000000000000000000000"),
        (UNSET_NUMBER, FieldKind.NUMBER, "1.7976931348623157E308"),
        (float("nan"), FieldKind.NUMBER, "1.7976931348623157E308"),
        (float("inf"), FieldKind.NUMBER, "Infinity"),
        (2147483647, FieldKind.INTEGER, "2147483647"),
    ],
)
def test_values_are_written_as_tws_writes_them(value: float | None, kind: FieldKind, text: str) -> None:
    assert text_of(value, kind) == text


def test_a_field_that_is_missing_is_named() -> None:
    with pytest.raises(ProtocolError, match="cancelMktData ends before field reqId"):
        decode(INCOMING[2], ["2", "1"], 178)


def test_a_field_of_the_wrong_kind_is_named() -> None:
    with pytest.raises(ProtocolError, match=r"field reqId .* is 'x', which is not a number"):
        decode(INCOMING[2], ["2", "1", "x"], 178)
