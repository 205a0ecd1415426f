"""Every supported server version: agreed on a socket, used completely, and with invalid requests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from ibdesk.gateway.protocol.codec import Texts, Value, decode, encode, plan_of
from ibdesk.gateway.protocol.fields import (
    CONDITION_BODIES,
    ConditionBody,
    Entry,
    Field,
    FieldKind,
    MessageSpec,
    Repeat,
    When,
    content_holds,
)
from ibdesk.gateway.protocol.framing import frame, split
from ibdesk.gateway.protocol.incoming import INCOMING, REQUEST_ID_AT
from ibdesk.gateway.protocol.outgoing import OUTGOING

if TYPE_CHECKING:
    from tests.gateway.conftest import MakeWire

VERSIONS = range(157, 179)
AAPL: dict[str, Value] = {"conId": 265598, "symbol": "AAPL", "secType": "STK", "exchange": "SMART", "currency": "USD"}

# The changes of each version on the wire, from the protocol's list of versions (documented).
CHANGES: dict[int, set[str]] = {
    158: {"placeOrder", "openOrder"},
    160: {"placeOrder", "openOrder"},
    162: {"placeOrder", "openOrder"},
    163: {"contractDetails"},
    164: {"contractDetails"},
    166: {"errMsg", "placeOrder"},
    169: {"placeOrder", "cancelOrder"},
    170: {"placeOrder", "openOrder", "completedOrder"},
    176: {"reqContractDetails", "symbolSamples"},
    177: {"placeOrder", "openOrder", "completedOrder"},
    178: {"execDetails"},
}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_changes_the_messages_that_the_list_of_versions_names_and_no_other(version: int) -> None:
    messages = [*OUTGOING.values(), *INCOMING.values()]

    changed = {each.name for each in messages if plan_of(each, version) != plan_of(each, max(version - 1, 157))}

    assert changed == CHANGES.get(version, set())


@pytest.mark.parametrize("highest", [*VERSIONS, 179, 200, 226])
async def test_the_lower_of_the_clients_highest_version_and_178_is_agreed(dial: MakeWire, highest: int) -> None:
    wire = await dial(client_id=None)

    wire.send_bytes(b"API\0" + frame(f"v100..{highest}".encode()))
    version, _ = split(await wire.payload())

    assert int(version) == min(highest, 178)


# The values of the longest possible message: every dependent part is present.
FULLEST = {
    "secType": "BAG",
    "exchange": "IBKRATS",
    "algoStrategy": "Adaptive",
    "hedgeType": "D",
    "deltaNeutralOrderType": "MKT",
    "deltaNeutralContractPresent": "1",
    "scalePriceIncrement": "0.5",
    "competeAgainstBestOffset": "Infinity",
}


def _fill(entries: tuple[Entry, ...], found: Texts, numbers: Iterator[int]) -> None:
    """Give every field a different text, every list two rows, and the conditions of an order one of each type."""
    for entry in entries:
        match entry:
            case Field(name, kind):
                number = next(numbers)
                texts = {FieldKind.FLAG: "1", FieldKind.INTEGER: f"{number}", FieldKind.TEXT: f"text {number}"}
                found.setdefault(name, FULLEST.get(name, texts.get(kind, f"{number}.5")))
            case When(test, then):
                if content_holds(test, found):
                    _fill(then, found, numbers)
            case Repeat(count, rows, each):
                kinds = CONDITION_BODIES if isinstance(each[-1], ConditionBody) else {}
                groups: list[Texts] = [{"condType": kind} for kind in kinds] or [{}, {}]
                for group in groups:
                    _fill(each, group, numbers)
                found[count], found[rows] = str(len(groups)), groups
            case ConditionBody():
                _fill(CONDITION_BODIES[str(found["condType"])], found, numbers)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "decisive", [{"orderType": "PEG BENCH"}, {"orderType": "PEG BEST"}, *({"tickType": kind} for kind in "1234")]
)
def test_every_message_in_its_fullest_form_comes_back_at_every_version(version: int, decisive: Texts) -> None:
    for message in (*OUTGOING.values(), *INCOMING.values()):
        texts: Texts = {name: text for name, text in decisive.items() if _has(message.entries, name)}
        _fill(plan_of(message, version), texts, itertools.count(1))

        wire = encode(message, texts, version)

        assert decode(message, split(wire[4:]), version) == texts


def _has(entries: tuple[Entry, ...], name: str) -> bool:
    return any(isinstance(entry, Field) and entry.name == name for entry in entries)


# Requests whose answers contain everything that the gateway reports of contracts, market, history and account.
QUESTIONS: tuple[tuple[int, dict[str, Value]], ...] = (
    (9, {"reqId": 1, **AAPL}),
    (81, {"reqId": 2, "pattern": "AA"}),
    (78, {"reqId": 3, "underlyingSymbol": "AAPL", "underlyingSecType": "STK", "underlyingConId": 265598}),
    (91, {"marketRuleId": 26}),
    (82, {}),
    (83, {"reqId": 4, "bboExchange": "9c0001"}),
    (85, {}),
    (80, {}),
    (24, {}),
    (104, {"reqId": 5}),
    (1, {"reqId": 6, **AAPL, "snapshot": 1}),
    (87, {"reqId": 7, **AAPL, "whatToShow": "TRADES", "formatDate": 1}),
    (88, {"reqId": 8, **AAPL, "timePeriod": "1 day"}),
    (20, {"reqId": 9, **AAPL, "barSizeSetting": "5 secs", "durationStr": "60 S", "whatToShow": "TRADES",
          "formatDate": 1}),
    (96, {"reqId": 10, **AAPL, "startDateTime": "20260413 09:00:00 US/Eastern", "numberOfTicks": 5,
          "whatToShow": "TRADES"}),
    (3, {"orderId": 1, **AAPL, "action": "BUY", "totalQuantity": 100, "orderType": "MKT", "transmit": 1}),
    (3, {"orderId": 2, **AAPL, "action": "BUY", "totalQuantity": 100, "orderType": "LMT", "lmtPrice": 90.0,
         "transmit": 1}),
    (5, {}),
    (16, {}),
    (4, {"orderId": 2}),
    (99, {"apiOnly": 0}),
    (7, {"reqId": 11, "clientId": 0}),
    (61, {}),
    (62, {"reqId": 12, "groupName": "All", "tags": "NetLiquidation,BuyingPower"}),
    (6, {"subscribe": 1}),
    (74, {"reqId": 13}),
    (76, {"reqId": 14}),
    (92, {"reqId": 15}),
    (94, {"reqId": 16, "conId": 265598}),
)  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_answers_to_every_kind_of_question_are_laid_out_for_the_version(dial: MakeWire, version: int) -> None:
    wire = await dial(versions=f"v157..{version}")

    for number, values in QUESTIONS:
        wire.send(number, **values)
    wire.send(49)
    # `until` refuses a message that has a field too few or too many at this version.
    told = {name for name, _ in await wire.until("currentTime")}
    # Long answers are computed beside the others and may arrive after them.
    for late in ("contractDetailsEnd", "secDefOptParamsEnd", "historicalData"):
        if late not in told:
            told |= {name for name, _ in await wire.until(late)}

    assert told >= {
        "contractDetails", "contractDetailsEnd", "symbolSamples", "secDefOptParamsEnd", "marketRule", "familyCodes",
        "tickSnapshotEnd", "headTimestamp", "histogramData", "historicalData", "historicalTicksLast",
        "openOrder", "orderStatus", "openOrderEnd", "execDetails", "execDetailsEnd", "commissionReport",
        "completedOrder", "completedOrdersEnd", "position", "positionEnd", "accountSummary", "accountSummaryEnd",
        "accountValue", "portfolioValue", "accountDownloadEnd", "positionMulti", "positionMultiEnd",
        "accountUpdateMulti", "accountUpdateMultiEnd", "pnl", "pnlSingle",
    }  # fmt: skip


@pytest.mark.parametrize(("version", "text"), [(173, "20260413  09:59:55"), (174, "20260413 09:59:55 US/Eastern")])
async def test_times_name_their_zone_from_version_174_on(dial: MakeWire, version: int, text: str) -> None:
    wire = await dial(versions=f"v157..{version}")

    wire.send(20, reqId=1, **AAPL, barSizeSetting="5 secs", durationStr="60 S", whatToShow="TRADES", formatDate=1)
    payload = await wire.payload()
    while split(payload)[0] != "17":
        payload = await wire.payload()

    # Number, request, start, end, count; then the first bar, which is the market's one past row.
    assert split(payload)[5] == text


# ---- wrong requests -----------------------------------------------------------------------------------------------


def _id_place(message: MessageSpec) -> int | None:
    """Return the index of the field with the request's id; the message's number is field 0."""
    names = [entry.name for entry in plan_of(message, 178) if isinstance(entry, Field)]
    return next((names.index(name) + 1 for name in ("reqId", "orderId") if name in names[:2]), None)


WITH_ID = [message for message in INCOMING.values() if _id_place(message) is not None]


@pytest.mark.parametrize("message", WITH_ID, ids=lambda message: message.name)
async def test_a_request_with_a_field_too_many_is_error_320_under_its_id(dial: MakeWire, message: MessageSpec) -> None:
    wire = await dial()
    id_name = "orderId" if message.name in ("placeOrder", "cancelOrder") else "reqId"
    whole = encode(message, {"version": 1, id_name: 4711}, wire.version)[4:]

    wire.send_bytes(frame(whole + b"beyond the end\0"))
    wire.send(49)
    told = await wire.until("currentTime")

    errors = [(texts["id"], texts["errorCode"]) for name, texts in told if name == "errMsg" and texts["id"] != "-1"]
    assert errors == [("4711", "320")]


@pytest.mark.parametrize("message", WITH_ID, ids=lambda message: message.name)
async def test_a_request_that_breaks_off_is_error_320_under_its_id_where_that_has_come(
    dial: MakeWire, message: MessageSpec
) -> None:
    wire = await dial()
    id_place = _id_place(message)
    assert id_place is not None
    id_name = "orderId" if message.name in ("placeOrder", "cancelOrder") else "reqId"
    texts = split(encode(message, {"version": 1, id_name: 4711}, wire.version)[4:])

    for length in range(1, len(texts)):
        wire.send_bytes(frame(("\0".join(texts[:length]) + "\0").encode()))
    wire.send(49)
    told = await wire.until("currentTime")

    errors = [(found["id"], found["errorCode"]) for name, found in told if name == "errMsg"]
    farms = [("-1", code) for code in ("2104", "2106", "2158")]
    cut = [("4711" if length > id_place else "-1", "320") for length in range(1, len(texts))]
    assert [error for error in errors if error not in farms] == cut


# Requests whose fields the gateway does not read, because the services they are for are empty or not allowed here.
@pytest.mark.parametrize("number", sorted(REQUEST_ID_AT))
async def test_a_request_that_is_known_by_its_id_alone_is_answered_under_that_id_or_not_at_all(
    dial: MakeWire, number: int
) -> None:
    wire = await dial()
    texts = [str(number), *["1"] * 20]
    texts[REQUEST_ID_AT[number]] = "4711"

    wire.send_bytes(frame(("\0".join(texts) + "\0").encode()))
    wire.send(49)
    told = await wire.until("currentTime")

    farms = ["2104", "2106", "2158"]
    addressed = [found["id"] for name, found in told if name == "errMsg" and found["errorCode"] not in farms]
    assert addressed in (["4711"], [])


@pytest.mark.parametrize("field", ["1e400", "nan", "12x", "99999999999999999999999"])
async def test_an_invalid_number_is_an_error_and_the_session_continues(dial: MakeWire, field: str) -> None:
    wire = await dial()

    wire.send(3, orderId=8, **AAPL, action="BUY", orderType="LMT", totalQuantity=field, lmtPrice=field, transmit=1)
    wire.send(49)
    told = await wire.until("currentTime")

    [(request_id, code)] = [
        (texts["id"], texts["errorCode"]) for name, texts in told if name == "errMsg" and texts["id"] != "-1"
    ]
    assert (request_id, code) in {("8", "320"), ("8", "321"), ("8", "201")}


async def test_only_the_session_that_breaks_the_protocol_is_closed(dial: MakeWire) -> None:
    good, announces_too_much, greets_wrongly = await dial(1), await dial(2), await dial(client_id=None)

    announces_too_much.send_bytes((1 << 31).to_bytes(4, "big"))
    greets_wrongly.send_bytes(b"API\0" + frame(b"v157..178") + frame(b"3\0001\0"))

    assert await announces_too_much.is_closed()
    assert await greets_wrongly.is_closed()
    good.send(49)
    assert [name for name, _ in await good.until("currentTime") if name != "errMsg"] == ["currentTime"]
