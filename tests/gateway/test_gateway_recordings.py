"""Genuine messages of TWS: the gateway's tables read and write them, and its own messages look the same.

Two things are tested. The layout: every recorded message decodes at its version and is encoded to the same bytes. The
shape: field by field, the gateway's own messages have the classes of values that the recorded ones have: empty, one of
the largest numbers for "not set", `0`, `0.0`, an integer, a decimal, or text.

The recordings are not part of this project. They are searched in the folder `IBDESK_TWS_RECORDINGS`, or in
`../shared/tws/recorded` beside the checkout.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from ibdesk.gateway.protocol.codec import Texts, Value, decode, encode
from ibdesk.gateway.protocol.fields import (
    UNSET_NUMBER_TEXT,
    UNSET_TEXTS,
    Entry,
    Field,
    MessageSpec,
    OneOf,
    Repeat,
    When,
    fields,
)
from ibdesk.gateway.protocol.framing import split
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.gateway.protocol.outgoing import OUTGOING

if TYPE_CHECKING:
    from tests.gateway.conftest import MakeWire, Wire

    from ibdesk.gateway import Gateway

ROOT = Path(__file__).parents[2]
RECORDINGS = Path(os.environ.get("IBDESK_TWS_RECORDINGS", ROOT.parent / "shared" / "tws" / "recorded"))
FRAMES = RECORDINGS / "ibkr-go-frames.tsv"
EXCHANGES = RECORDINGS / "rust-ibapi-interactions.yaml"

pytestmark = pytest.mark.skipif(
    not (FRAMES.exists() and EXCHANGES.exists()),
    reason=f"no recordings of genuine traffic in {RECORDINGS}; set IBDESK_TWS_RECORDINGS",
)

# Messages later than 178, which the gateway therefore never sends: historicalDataEnd, currentTimeInMillis.
NEVER_SENT = frozenset({108, 109})


# ---- what the versions 179 to 200 added, for the recordings of version 200 ----------------------------------------


def _after(name: str, entries: tuple[Entry, ...], *more: Entry) -> tuple[Entry, ...]:
    place = next(index for index, entry in enumerate(entries) if isinstance(entry, Field) and entry.name == name)
    return (*entries[: place + 1], *more, *entries[place + 1 :])


def _preview() -> tuple[Entry, ...]:
    outside = [f"{what}{when}OutsideRTH:f" for when in ("Before", "Change", "After") for what in _MARGINS]
    return (
        *fields(f"marginCurrency:s {' '.join(outside)} suggestedSize:d rejectReason:s"),
        Repeat(
            "allocationsCount",
            "allocations",
            fields("account:s position:d positionDesired:d positionAfter:d desiredAllocQty:d allowedAllocQty:d")
            + fields("isMonetary:b"),
        ),
    )


_MARGINS = ("initMargin", "maintMargin", "equityWithLoan")
_FUND = When(OneOf("secType", ("FUND",)), fields(" ".join(f"fund{number}:s" for number in range(17))))
_OWNER = fields("customerAccount:s professionalCustomer:b")
LATER: dict[int, tuple[Entry, ...]] = {
    4: (*OUTGOING[4].entries[1:], *fields("errorTime:i")),
    5: (
        *_after("commissionCurrency", OUTGOING[5].entries, *_preview()),
        *_OWNER,
        *fields(
            "bondAccruedInterest:s includeOvernight:b extOperator:s manualOrderIndicator:i submitter:s imbalanceOnly:b"
        ),
    ),
    10: (
        *_after("lastTradeDateOrContractMonth", OUTGOING[10].entries, *fields("lastTradeDate:s")),
        _FUND,
        Repeat("ineligibilityCount", "ineligibility", fields("id:s description:s")),
    ),
    11: (*OUTGOING[11].entries, *fields("submitter:s")),
    101: (*OUTGOING[101].entries, *_OWNER, *fields("submitter:s")),
}


def as_at(message: MessageSpec, version: int) -> MessageSpec:
    """Return a message in its layout at a version, also above 178."""
    return message if version <= 178 else MessageSpec(message.id, message.name, LATER.get(message.id, message.entries))


# ---- reading the recordings -----------------------------------------------------------------------------------------


def recorded_frames() -> Iterator[tuple[int, bytes]]:
    """Yield version and payload of every captured frame."""
    for line in FRAMES.read_text().splitlines():
        *_, bar_separated, version = line.split("\t")
        yield int(version), bar_separated.replace("|", "\0").encode()


def recorded_exchanges() -> Iterator[tuple[int, dict[int, MessageSpec], bytes]]:
    """Yield version, table and payload of every message of the captured conversations."""
    recorded = yaml.safe_load(EXCHANGES.read_text())
    version = recorded["header"]["server_version"]
    for exchange in recorded["interactions"]:
        yield version, INCOMING, exchange["request"]["raw"].encode()
        for response in exchange["responses"]:
            yield version, OUTGOING, response["raw"].encode()


def number_of(payload: bytes) -> int:
    return int(payload.split(b"\0")[0])


def genuine() -> Iterator[tuple[str, Texts]]:
    """Yield name and fields of every recorded message of a server."""
    for version, payload in recorded_frames():
        if number_of(payload) not in NEVER_SENT:
            message = as_at(OUTGOING[number_of(payload)], version)
            yield message.name, decode(message, split(payload), version)
    for version, table, payload in recorded_exchanges():
        if table is OUTGOING:
            message = table[number_of(payload)]
            yield message.name, decode(message, split(payload), version)


# ---- the layout -----------------------------------------------------------------------------------------------------


def test_messages_recorded_at_version_173_come_back_byte_for_byte() -> None:
    checked = 0
    for version, table, payload in recorded_exchanges():
        message = table[number_of(payload)]
        texts = decode(message, split(payload), version)

        assert encode(message, texts, version)[4:] == payload
        checked += 1

    assert checked == 14


def test_messages_recorded_at_version_200_come_back_byte_for_byte() -> None:
    checked = 0
    for version, payload in recorded_frames():
        if number_of(payload) in NEVER_SENT:
            continue
        message = as_at(OUTGOING[number_of(payload)], version)
        texts = decode(message, split(payload), version)

        assert encode(message, texts, version)[4:] == payload
        checked += 1

    assert checked == 46


# ---- the shape ------------------------------------------------------------------------------------------------------

# Fields with an amount of the market, the account or the order: whether it is 0, whole or fractional depends on the
# amount, so any number may stand in place of a recorded number.
AMOUNTS = frozenset(
    {"price", "size", "value", "shares", "cumQty", "avgPrice", "position", "avgCost", "pos"}
    | {"marketPrice", "marketValue", "averageCost", "unrealizedPNL", "realizedPNL"}
    | {"commission", "dailyPnL", "unrealizedPnL", "realizedPnL"}
    | {"totalQuantity", "lmtPrice", "auxPrice", "trailStopPrice", "trailStopPrice2", "lmtPriceOffset"}
    | {"filled", "remaining", "avgFillPrice", "lastFillPrice", "filledQuantity"}
    | {"strike", "impliedVol", "delta", "optPrice", "gamma", "vega", "theta", "undPrice", "minTick"}
)
NUMBERS = frozenset({"0", "0.0", "integer", "decimal"})
# Fields that identify a contract, order, account or time.
IDS = frozenset(
    {"reqId", "orderId", "permId", "parentId", "clientId", "conId", "underConId", "tickType", "errorCode", "time"}
    | {"aggGroup", "marketRuleId", "marketDataType", "snapshotPermissions"}
)

# Differences of the gateway, and why they are right.
OTHERWISE: dict[tuple[str, str, str], str] = {
    ("commissionReport", "realizedPNL", UNSET_NUMBER_TEXT): "nothing is realized by a trade that opens (captured)",
    ("newsProviders", "providersCount", "0"): "the account has no news, the recorded one had three providers",
    ("orderStatus", "whyHeld", "text"): "a child waits for its parent; the recorded order waited for nothing",
    ("tickPrice", "attrMask", "integer"): "a bid or ask that can be taken at once; the recorded price is a last one",
    ("openOrder", "rule80A", ""): "the one recorded order for an option was placed by hand in TWS (its id is 0)",
    ("openOrder", "trailStopPrice2", "decimal"): "a limit plus one for shares; the order by hand shows it unset",
}


def class_of(text: str) -> str:
    """Return the class of a field's value, as a reader of the protocol would distinguish them."""
    if text in UNSET_TEXTS or text in ("0", "0.0"):
        return text
    try:
        return "integer" if float(text).is_integer() and "." not in text else "decimal"
    except ValueError:
        return "text"


def kind_of(name: str, texts: Texts) -> tuple[str, str, str]:
    """Return the common properties of comparable messages: name, security type, and subject.

    The subject is the type of an order, or the tag of an account value.
    """
    about = {"openOrder": "orderType", "completedOrder": "orderType", "accountSummary": "tag"}.get(name, "key")
    return name, str(texts.get("secType", "")), str(texts.get(about, ""))


def shown_by(texts: Texts) -> Iterator[tuple[str, str]]:
    """Yield every field with its text, including repeated groups."""
    for name, value in texts.items():
        if isinstance(value, str):
            yield name, value
        else:
            for group in value:
                yield from shown_by(group)


async def _conversation(wire: Wire, gateway: Gateway) -> list[tuple[str, Texts]]:
    """Return the gateway's messages in situations like those of the recordings."""
    share: dict[str, Value] = {"symbol": "AAPL", "secType": "STK", "exchange": "SMART", "currency": "USD"}
    order: dict[str, Value] = {**share, "totalQuantity": 1, "tif": "DAY", "transmit": 1}
    future: dict[str, Value] = {"symbol": "ES", "secType": "FUT", "exchange": "CME", "currency": "USD"}
    said: list[tuple[str, Texts]] = []

    async def hear(until: str) -> Texts:
        while not said or said[-1][0] != until:
            payload = await wire.payload()
            message = OUTGOING[number_of(payload)]
            said.append((message.name, decode(message, split(payload), wire.version)))
        return said[-1][1]

    wire.send(17)
    wire.send(8, numIds=1)
    wire.send(80)
    wire.send(91, marketRuleId=26)
    wire.send(104, reqId=1)
    wire.send(87, reqId=2, **share, whatToShow="TRADES", formatDate=1)
    wire.send(9, reqId=3, **future)
    # The options of a share, and one of them in detail and with its greeks.
    wire.send(78, reqId=4, underlyingSymbol="AAPL", underlyingSecType="STK", underlyingConId=265598)
    await hear("secDefOptParamsEnd")
    chain = next(texts for name, texts in said if name == "secDefOptParams")
    expirations, strikes = chain["expirations"], chain["strikes"]
    assert isinstance(expirations, list)
    assert isinstance(strikes, list)
    expiry = sorted(str(each["expiration"]) for each in expirations)[-1]
    strike = min((float(str(each["strike"])) for each in strikes), key=lambda each: abs(each - 100))
    option: dict[str, Value] = {
        "symbol": "AAPL", "secType": "OPT", "exchange": "SMART", "currency": "USD", "right": "C",
        "lastTradeDateOrContractMonth": expiry, "strike": strike, "multiplier": "100",
    }  # fmt: skip
    wire.send(9, reqId=5, **option)
    wire.send(1, reqId=6, **option)
    wire.send(1, reqId=7, **share)
    wire.send(1, reqId=8, **share, snapshot=1)
    await hear("tickSnapshotEnd")
    front = next(each for each in gateway.contracts if each.symbol == "ES" and each.sec_type == "FUT")
    gateway.quote(front.id, 5000.0, 5000.25)
    bought: dict[str, Value] = {"conId": front.con_id, "exchange": "CME", "totalQuantity": 1, "transmit": 1}
    wire.send(3, orderId=1, action="BUY", orderType="MKT", **bought)
    # A sale and a purchase that closes half of it; a bracket; orders with conditions; one that trails, cancelled.
    wire.send(3, **{**order, "orderId": 2, "action": "SELL", "orderType": "MKT", "totalQuantity": 100})
    wire.send(3, **{**order, "orderId": 3, "action": "BUY", "orderType": "MKT", "totalQuantity": 50})
    wire.send(
        3,
        **{
            **order,
            "orderId": 4,
            "action": "BUY",
            "orderType": "LMT",
            "lmtPrice": 14.59,
            "transmit": 0,
            "orderRef": "mine",
        },
    )
    wire.send(3, orderId=5, action="SELL", orderType="LMT", lmtPrice=2000.0, parentId=4, orderRef="mine", **order)
    price: dict[str, Value] = {
        "condType": 1, "conjunction": "a", "isMore": 1, "price": 2918.10, "conId": 265598, "exch": "SMART",
        "triggerMethod": 4,
    }  # fmt: skip
    trade: dict[str, Value] = {"condType": 5, "conjunction": "a", "secType": "STK", "exch": "ANY", "symbol": "AAPL"}
    for order_id, condition in ((6, price), (7, trade)):
        wire.send(
            3, orderId=order_id, action="BUY", orderType="LMT", lmtPrice=14.59, orderRef="mine",
            conditions=[condition], conditionsIgnoreRth=1,
            conditionsCancelOrder=0, **order,
        )  # fmt: skip
    wire.send(
        3, orderId=8, action="BUY", orderType="TRAIL LIMIT", trailStopPrice=2000.0, lmtPriceOffset=0.05, auxPrice=1.0,
        **order,
    )  # fmt: skip
    wire.send(4, orderId=8)
    wire.send(
        3, orderId=9, action="SELL", orderType="LMT", lmtPrice=90.0,
        **{**option, "totalQuantity": 1, "tif": "GTC", "transmit": 1},
    )  # fmt: skip
    wire.send(16)
    wire.send(7, reqId=9)
    wire.send(99)
    # The account that now is a hundred less fifty shares short.
    wire.send(61)
    wire.send(62, reqId=10, groupName="All", tags="BuyingPower,NetLiquidation,TotalCashValue,GrossPositionValue")
    wire.send(6, subscribe=1)
    wire.send(74, reqId=11, account=gateway.account)
    wire.send(76, reqId=12, account=gateway.account)
    wire.send(92, reqId=13, account=gateway.account)
    wire.send(85)
    wire.send(49)
    await hear("currentTime")
    return said


# The farms at the start, and the confirmation of a cancel.
_NEWS = {"2104", "2106", "2158", "202"}
# Recorded messages that have no cause at the gateway: fund shares are not traded here.
NOT_SAID = {("contractDetails", "FUND", "")}


async def test_the_gateways_own_messages_show_the_same_kinds_of_values(dial: MakeWire, gateway: Gateway) -> None:
    wire = await dial(client_id=None)
    wire.send_bytes(b"API\0\0\0\0\x09v157..178")
    await wire.payload()
    wire.version = 178
    wire.send(71, version=2, clientId=1)
    recorded: dict[tuple[str, str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for name, texts in genuine():
        for field, text in shown_by(texts):
            recorded[kind_of(name, texts)][field].add(class_of(text))

    said = await _conversation(wire, gateway)
    refused = [texts["errorMsg"] for name, texts in said if name == "errMsg" and texts["errorCode"] not in _NEWS]
    assert refused == []

    strange = {
        (*kind_of(name, texts), field, text)
        for name, texts in said
        for field, text in shown_by(texts)
        if kind_of(name, texts) in recorded
        and field in recorded[kind_of(name, texts)]
        and not _alike(field, class_of(text), recorded[kind_of(name, texts)][field])
        and (name, field, class_of(text)) not in OTHERWISE
    }
    assert sorted(strange) == []
    assert set(recorded) - {kind_of(name, texts) for name, texts in said} == NOT_SAID


def _alike(field: str, shown: str, recorded: set[str]) -> bool:
    if shown in recorded:
        return True
    return field in AMOUNTS | IDS and shown in NUMBERS and bool(recorded & NUMBERS)
