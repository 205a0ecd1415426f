"""Whatever a client sends, the gateway does not break, sends no invalid answer, and does not disturb other clients.

A seed is one client: random bytes, or requests made from the message tables with values that are right, wrong or
absurd, some of them cut, joined or changed on the way. `IBDESK_FUZZ_SECONDS` is the time for each kind (an hour by
hand: 3600); `IBDESK_FUZZ_SEED` tries a single seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway, RandomWalk
from ibdesk.gateway.protocol.codec import Value, decode, encode
from ibdesk.gateway.protocol.fields import (
    CONDITION_BODIES,
    AtVersion,
    ConditionBody,
    Entry,
    Field,
    FieldKind,
    Repeat,
    When,
)
from ibdesk.gateway.protocol.framing import FrameReader, frame, split
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.gateway.protocol.outgoing import OUTGOING

if TYPE_CHECKING:
    from tests.gateway.conftest import MakeWire, Wire

pytestmark = pytest.mark.proof

SECONDS = float(os.environ.get("IBDESK_FUZZ_SECONDS", "8"))
ONE_SEED = os.environ.get("IBDESK_FUZZ_SEED")
OPENED_NS = 1_776_088_800_000_000_000  # 2026-04-13 14:00 UTC, a Monday
MESSAGES = 60
WITNESS, WITNESS_ORDER = 7, 1_000_000
GLOBAL_CANCEL = 58
# Usual values of TWS clients for a field of this name.
LIKELY: dict[str, tuple[str, ...]] = {
    "account": ("DU9000001", "", "DU1", "All"),
    "acctCode": ("DU9000001", "", "U1234567"),
    "action": ("BUY", "SELL", "SSHORT", "HOLD"),
    "algoStrategy": ("", "", "Adaptive", "Twap", "Vwap", "Guess"),
    "barSizeSetting": ("5 secs", "1 min", "1 hour", "1 day", "7 mins"),
    "clientId": ("0", "1", "7", "-1", ""),
    "conId": ("265598", "756733", "12087792", "416904", "0", "", "99", "-5"),
    "condType": ("1", "3", "4", "5", "6", "7"),
    "conjunction": ("a", "o", "x"),
    "currency": ("USD", "EUR", ""),
    "durationStr": ("60 S", "1 D", "1 W", "1 Y", "-3 D", "1 Q"),
    "endDateTime": ("", "", "20260413 10:00:00 US/Eastern", "20260413-13:00:00", "20269999 10:00:00"),
    "exchange": ("SMART", "IDEALPRO", "CME", "CBOE", "", "MOON"),
    "genericTickList": ("", "233", "100,101,233", "a,b"),
    "goodTillDate": ("", "20260413 10:00:30 US/Eastern", "20260101 10:00:00 US/Eastern", "soon"),
    "goodAfterTime": ("", "20260413 10:00:10 US/Eastern", "later"),
    "lastTradeDateOrContractMonth": ("", "202606", "20260618", "2026"),
    "lmtPrice": ("", "100", "229.99", "1.08", "-1", "0", "1e300", "99.123456"),
    "auxPrice": ("", "0.5", "230.01", "-7", "0"),
    "marketDataType": ("1", "2", "3", "4", "9"),
    "numberOfTicks": ("0", "10", "1000", "-1"),
    "numRows": ("0", "5", "20", "-1"),
    "ocaGroup": ("", "", "one", "two"),
    "ocaType": ("0", "1", "2", "3", "9"),
    "orderId": ("1", "2", "3", "4", "5", "6", "7", "8", "-3", "0"),
    "orderType": (
        "MKT", "LMT", "STP", "STP LMT", "TRAIL", "TRAIL LIMIT", "MIT", "LIT", "MOC", "LOC", "REL", "MIDPRICE",
        "BOX TOP", "",
    ),
    "parentId": ("0", "0", "1", "2", "3"),
    "reqId": ("1", "2", "3", "4", "5", "-1", "2147483646"),
    "right": ("", "C", "P", "?"),
    "secType": ("STK", "STK", "CASH", "FUT", "CONTFUT", "IND", "OPT", "BAG", "WAR", ""),
    "startDateTime": ("", "20260413 09:00:00 US/Eastern"),
    "strike": ("0", "0.0", "", "230", "-1"),
    "symbol": ("AAPL", "AAPL", "SPY", "EUR", "ES", "SPX", "", "NOSUCH", "A" * 200),
    "tags": ("NetLiquidation", "$LEDGER:ALL", "All", ""),
    "tickType": ("Last", "AllLast", "BidAsk", "MidPoint", "None"),
    "tif": ("DAY", "GTC", "IOC", "FOK", "GTD", "OPG", "", "FOREVER"),
    "timePeriod": ("3 days", "1 week", "x"),
    "totalQuantity": ("100", "1", "0.5", "0", "-100", "", "1e18"),
    "trailingPercent": ("", "1.5", "0", "250"),
    "transmit": ("1", "1", "0"),
    "whatToShow": ("TRADES", "MIDPOINT", "BID", "ASK", "BID_ASK", "SCHEDULE", "ADJUSTED_LAST", "WISHES"),
    "whatIf": ("0", "0", "0", "1"),
}  # fmt: skip
ODD: dict[FieldKind, tuple[str, ...]] = {
    FieldKind.INTEGER: ("0", "1", "2147483647", "-2147483648", "9223372036854775807", ""),
    FieldKind.NUMBER: ("", "0.0", "1.7976931348623157E308", "1e-320", "Infinity", "-0.0"),
    FieldKind.SIZE: ("", "0", "100", "1e9", "-9223372036854775808"),
    FieldKind.FLAG: ("0", "1", ""),
    FieldKind.TEXT: ("", "x", "ü€\\n", "%s%n", "'; DROP TABLE orders;--", "A" * 3000),
}
NONSENSE = (
    "²",
    "--5",
    "",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "0x10",
    "\x7f",
    "999999999999999999999999",
    "true",
    "١٢",
    " 1 ",
)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A walking market, so that every request finds data."""
    async with Gateway(
        market=RandomWalk(seed=3), clock=ManualClock(OPENED_NS), partial=True, hours="exchange"
    ) as running:
        yield running


@pytest.fixture
async def broken() -> list[str]:
    """The traceback of every exception in a callback of the loop."""
    raised: list[str] = []

    def note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        raised.append("".join(traceback.format_exception(error)) if error else context["message"])

    asyncio.get_running_loop().set_exception_handler(note)
    return raised


class Forger:
    """Makes requests that look valid at first sight."""

    def __init__(self, chance: random.Random, version: int) -> None:
        self._chance = chance
        self._version = version

    def request(self) -> bytes:
        """Return the frame of one request, sometimes damaged."""
        chance = self._chance
        message = INCOMING[chance.choice([number for number in INCOMING if number != GLOBAL_CANCEL])]
        data = encode(message, self._values(message.entries), self._version)
        texts = split(data[4:])
        for _ in range(chance.choice((0, 0, 0, 1, 2))):
            self._damage(texts)
        if texts[0] == str(GLOBAL_CANCEL):
            # Which would rightly end the witness's order.
            texts[0] = "0"
        return frame("".join(f"{text}\0" for text in texts).encode("utf-8", "surrogateescape"))

    def _damage(self, texts: list[str]) -> None:
        place = self._chance.randrange(len(texts))
        match self._chance.randrange(5):
            case 0:
                del texts[place:]
            case 1:
                texts.insert(place, self._chance.choice(NONSENSE))
            case 2:
                texts[place] = self._chance.choice(NONSENSE)
            case 3:
                texts[place] = str(self._chance.randrange(-5, 2000))
            case _:
                texts += texts[place:]
        if not texts:
            texts.append("")

    def _values(self, entries: tuple[Entry, ...]) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for entry in entries:
            match entry:
                case Field(name, kind, _):
                    values[name] = self._text(name, kind)
                case AtVersion(_, then) | When(_, then):
                    values.update(self._values(then))
                case Repeat(_, rows, each):
                    values[rows] = [self._values(each) for _ in range(self._chance.choice((0, 0, 1, 2, 5)))]
                case ConditionBody():
                    for body in CONDITION_BODIES.values():
                        values.update(self._values(body))
        return values

    def _text(self, name: str, kind: FieldKind) -> str:
        # A condition's type determines its fields, so the table has no form for a wrong type; damage creates those.
        if name in LIKELY and (name == "condType" or self._chance.random() < 0.95):
            return self._chance.choice(LIKELY[name])
        # Fields that most programs do not set are mostly not set, so that requests pass the first check.
        return "" if self._chance.random() < 0.7 else self._chance.choice(ODD[kind])


def seeds() -> Iterator[int]:
    """Yield seeds until the time is up."""
    if ONE_SEED is not None:
        yield int(ONE_SEED)
        return
    ends, seed = time.monotonic() + SECONDS, 0
    while time.monotonic() < ends:
        yield seed
        seed += 1


async def answers_are_sound(wire: Wire) -> None:
    """Read the gateway's messages so far and check that each one is in its tables."""
    wire.send(49)
    while True:
        payload = await wire.payload()
        if not payload:
            return
        texts = split(payload)
        decode(OUTGOING[int(texts[0])], texts, wire.version)
        if texts[0] == "49":
            return


@contextlib.contextmanager
def naming(seed: int) -> Iterator[None]:
    """Add the seed to a failure inside the block."""
    try:
        yield
    except AssertionError as error:
        error.add_note(f"with IBDESK_FUZZ_SEED={seed}")
        raise


async def witness_is_well(witness: Wire) -> None:
    """The resting order of another client is unchanged, and that client received only its own answers."""
    witness.send(49)
    heard = await witness.until("currentTime")
    assert [name for name, _ in heard] == ["currentTime"], heard
    witness.send(5)
    shown = await witness.until("openOrderEnd")
    assert [(name, texts.get("status")) for name, texts in shown] == [
        ("openOrder", "Submitted"),
        ("orderStatus", "Submitted"),
        ("openOrderEnd", None),
    ]


@pytest.fixture
async def witness(dial: MakeWire) -> Wire:
    """A client with an order that rests far from the market."""
    wire = await dial(WITNESS)
    contract: dict[str, Value] = {
        "conId": 13977,
        "symbol": "XOM",
        "secType": "STK",
        "exchange": "SMART",
        "currency": "USD",
    }
    terms: dict[str, Value] = {
        "action": "BUY",
        "totalQuantity": 1,
        "orderType": "LMT",
        "lmtPrice": 1,
        "tif": "GTC",
        "transmit": 1,
    }
    wire.send(3, orderId=WITNESS_ORDER, **contract, **terms)
    shown = await wire.until("orderStatus")
    if shown[-1][1]["status"] == "PreSubmitted":
        await wire.until("orderStatus")
    return wire


@pytest.mark.timeout(60 + 2 * SECONDS)
async def test_forged_requests_get_valid_answers_and_disturb_no_other_client(
    gateway: Gateway, dial: MakeWire, witness: Wire, broken: list[str]
) -> None:
    for seed in seeds():
        chance = random.Random(seed)
        client_id, version = chance.choice((0, 1, 2, 3)), chance.choice((157, 163, 170, 176, 177, 178))
        wire = await dial(client_id, versions=f"v157..{version}")
        forger = Forger(chance, version)
        for _ in range(MESSAGES):
            wire.send_bytes(forger.request())
            if chance.random() < 0.1:
                await answers_are_sound(wire)
                gateway.advance(chance.choice((0.25, 1.0, 7.0)))
        await answers_are_sound(wire)
        with naming(seed):
            await witness_is_well(witness)
        assert not broken, f"with IBDESK_FUZZ_SEED={seed}:\n{broken[0]}"
        wire.close()
        await wire.writer.wait_closed()
        await gone(gateway, client_id)


@pytest.mark.timeout(60 + 2 * SECONDS)
async def test_random_bytes_end_their_own_session_at_most(
    gateway: Gateway, dial: MakeWire, witness: Wire, broken: list[str]
) -> None:
    for seed in seeds():
        chance = random.Random(seed)
        client_id = chance.choice((None, 1, 2))
        wire = await dial(client_id)
        for _ in range(chance.randrange(1, 20)):
            data = chance.randbytes(chance.choice((1, 3, 4, 20, 500, 5000)))
            head = chance.choice((b"", b"", b"API\0", len(data).to_bytes(4, "big"), b"\0\0\0\0", b"\xff\xff\xff\xff"))
            wire.send_bytes(head + data)
        wire.writer.write_eof()
        await drained(wire)
        with naming(seed):
            await witness_is_well(witness)
        assert not broken, f"with IBDESK_FUZZ_SEED={seed}:\n{broken[0]}"
        wire.close()
        if client_id is not None:
            await gone(gateway, client_id)


async def drained(wire: Wire) -> None:
    """Read until the gateway closes its side; every message until then is complete."""
    reader = FrameReader(16 << 20)
    async with asyncio.timeout(10):
        while True:
            try:
                data = await wire.reader.read(65536)
            except ConnectionError:
                return
            if not data:
                return
            for _ in reader.feed(data):
                pass


async def gone(gateway: Gateway, client_id: int) -> None:
    """Wait until the gateway has noticed that a client left."""
    async with asyncio.timeout(10):
        while client_id in gateway.client_ids:  # noqa: ASYNC110 - no event tells of one client's leaving
            await asyncio.sleep(0)
