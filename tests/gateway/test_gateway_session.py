"""A session: greeting, versions, wire format; one client's nonsense does not disturb others."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from typing import TYPE_CHECKING

import ib_async as ib
import pytest

from ibdesk.gateway import Gateway, GatewayThread
from ibdesk.gateway.bursts import LOST_BURST
from ibdesk.gateway.protocol.codec import Value
from ibdesk.gateway.protocol.framing import frame, split
from ibdesk.gateway.protocol.incoming import INCOMING

if TYPE_CHECKING:
    from tests.gateway.conftest import Connect, MakeWire

AAPL: dict[str, Value] = {"conId": 265598, "symbol": "AAPL", "secType": "STK", "exchange": "SMART", "currency": "USD"}
MARKET_BUY: dict[str, Value] = {**AAPL, "action": "BUY", "totalQuantity": 100, "orderType": "MKT", "transmit": 1}


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [("v157..178", 178), ("v157..176", 176), ("v100..226", 178), ("v100..157", 157), ("v170..300 +PACEAPI", 178)],
)
async def test_the_highest_version_both_speak_is_agreed(dial: MakeWire, offered: str, agreed: int) -> None:
    wire = await dial(versions=offered)

    assert wire.version == agreed


@pytest.mark.parametrize("offered", ["v200..226", "v90..150", "hello", "v1..2..3", ""])
async def test_a_client_without_a_common_version_is_refused(
    dial: MakeWire, caplog: pytest.LogCaptureFixture, offered: str
) -> None:
    wire = await dial(client_id=None)

    wire.send_bytes(b"API\0" + frame(offered.encode()))

    assert await wire.is_closed()
    assert "is disconnected: it" in caplog.text


async def test_a_greeting_that_is_not_tws_is_refused(dial: MakeWire) -> None:
    wire = await dial(client_id=None)

    wire.send_bytes(b"GET / HTTP/1.1\r\n\r\n")

    assert await wire.is_closed()


async def test_the_greeting_may_come_byte_by_byte(dial: MakeWire) -> None:
    wire = await dial(client_id=None)
    greeting = b"API\0" + frame(b"v157..178")

    for index in range(len(greeting)):
        wire.send_bytes(greeting[index : index + 1])
        await wire.writer.drain()

    version, time = split(await wire.payload())
    assert (version, time) == ("178", "20260413 10:00:00 EDT")


async def test_a_request_before_start_api_ends_the_session(dial: MakeWire) -> None:
    wire = await dial(client_id=None)

    wire.send_bytes(b"API\0" + frame(b"v157..178") + frame(b"49\0001\0"))

    assert await wire.is_closed()


async def test_a_market_order_is_reported_in_the_order_of_paper_accounts(dial: MakeWire) -> None:
    wire = await dial()

    wire.send(3, orderId=1, orderRef="mine", **MARKET_BUY)
    told = await wire.until("commissionReport")

    orders = [(name, texts.get("status", texts.get("side", ""))) for name, texts in told if name != "errMsg"]
    assert orders == [
        ("openOrder", "PreSubmitted"),
        ("orderStatus", "PreSubmitted"),
        ("execDetails", "BOT"),
        ("openOrder", "Filled"),
        ("orderStatus", "Filled"),
        ("commissionReport", ""),
    ]
    [execution] = [texts for name, texts in told if name == "execDetails"]
    assert (execution["reqId"], execution["orderRef"], execution["time"]) == (
        "-1",
        "mine",
        "20260413 10:00:00 US/Eastern",
    )
    assert told[-1][1]["realizedPNL"] == "1.7976931348623157E308"


async def test_a_resting_limit_and_a_stop_are_each_shown_twice(dial: MakeWire) -> None:
    wire = await dial()

    wire.send(3, orderId=1, **{**MARKET_BUY, "orderType": "LMT", "lmtPrice": 90.0})
    wire.send(3, orderId=2, **{**MARKET_BUY, "orderType": "STP", "auxPrice": 110.0})
    wire.send(49)
    told = await wire.until("currentTime")

    shown = [
        (texts["orderId"], name, texts["status"], texts.get("whyHeld", ""))
        for name, texts in told
        if name in ("openOrder", "orderStatus")
    ]
    assert shown == [
        ("1", "openOrder", "PreSubmitted", ""),
        ("1", "orderStatus", "PreSubmitted", ""),
        ("1", "openOrder", "Submitted", ""),
        ("1", "orderStatus", "Submitted", ""),
        ("2", "openOrder", "PreSubmitted", ""),
        ("2", "orderStatus", "PreSubmitted", "trigger"),
        ("2", "openOrder", "PreSubmitted", ""),
        ("2", "orderStatus", "PreSubmitted", "trigger"),
    ]


async def test_a_cancel_is_the_status_and_then_error_202(dial: MakeWire) -> None:
    wire = await dial()
    wire.send(3, orderId=1, **{**MARKET_BUY, "orderType": "LMT", "lmtPrice": 90.0})
    wire.send(49)
    await wire.until("currentTime")

    wire.send(4, orderId=1)
    told = await wire.until("errMsg")

    assert [(name, texts.get("status"), texts.get("errorCode")) for name, texts in told] == [
        ("orderStatus", "Cancelled", None),
        ("errMsg", None, "202"),
    ]


async def test_unset_fields_look_as_paper_accounts_show_it(dial: MakeWire) -> None:
    wire = await dial()

    wire.send(3, orderId=1, **{**MARKET_BUY, "orderType": "LMT", "lmtPrice": 90.0})
    order = (await wire.until("openOrder"))[-1][1]

    looks = {
        "strike": "0", "right": "?", "lmtPrice": "90.0", "auxPrice": "0.0", "openClose": "",
        "displaySize": "2147483647", "minQty": "",
        "ocaType": "3", "deltaNeutralOrderType": "None", "deltaNeutralOpenClose": "?",
        "adjustedOrderType": "None", "trailStopPrice2": "91.0", "clearingIntent": "IB", "dontUseAutoPriceForHedge": "1",
        "initMarginBefore": "1.7976931348623157E308", "tif": "DAY", "exemptCode": "-1", "cashQty": "0",
    }  # fmt: skip
    assert {name: order[name] for name in looks} == looks
    assert order["sharesAllocation"] == f"{order['permId']}.0/DU9000001/100"


@pytest.mark.parametrize("version", range(157, 179))
async def test_an_order_is_understood_and_shown_at_every_version(dial: MakeWire, version: int) -> None:
    wire = await dial(versions=f"v157..{version}")

    wire.send(3, orderId=1, **MARKET_BUY)
    wire.send(7, reqId=5, clientId=0)
    wire.send(99, apiOnly=0)
    told = await wire.until("completedOrdersEnd")

    assert [name for name, _ in told if name in ("execDetails", "completedOrder")] == ["execDetails"] * 2 + [
        "completedOrder"
    ]


async def test_a_malformed_request_is_error_320_with_its_id(dial: MakeWire) -> None:
    wire = await dial()

    wire.send_bytes(frame(b"1\00011\00055\0notanumber\0"))
    wire.send_bytes(frame(b"25\0001\00056\0left\0over\0"))
    wire.send_bytes(frame(b"without end"))
    wire.send_bytes(frame(b"98765\0001\0"))
    wire.send(49)
    told = await wire.until("currentTime")

    answers = [(texts["id"], texts["errorCode"]) for name, texts in told if name == "errMsg"]
    assert answers[-4:] == [("55", "320"), ("56", "320"), ("-1", "320"), ("-1", "321")]


async def test_nonsense_from_one_client_leaves_the_others_alone(
    dial: MakeWire, connect: Connect, gateway: Gateway
) -> None:
    client, chance = await connect(1), random.Random(7)
    wire = await dial()

    for _ in range(400):
        number = chance.choice([*INCOMING, 0, 999])
        if number == 58:
            continue
        words = [str(number), *(chance.choice(_WORDS) for _ in range(chance.randrange(30)))]
        wire.send_bytes(frame(("\0".join(words) + "\0").encode()))
    for number in INCOMING:
        plausible = {
            name: chance.choice(_WORDS) for name in ("reqId", "symbol", "durationStr", "whatToShow", "account")
        }
        wire.send(number, **{**AAPL, **plausible, "barSizeSetting": "1 min", "formatDate": 1, "orderType": "LMT"})
    wire.send(49)
    await wire.until("currentTime")
    wire.send_bytes(chance.randbytes(4000))
    assert await wire.is_closed()

    assert client.isConnected()
    assert len(await client.reqContractDetailsAsync(ib.Stock("AAPL", "SMART", "USD"))) == 1
    assert gateway.client_ids == (1,)


_WORDS = [
    "",
    "0",
    "1",
    "-1",
    "7",
    "x",
    "1e308",
    "nan",
    "2147483647",
    "99999999999",
    "AAPL",
    "STK",
    "1 D",
    "\x01",
    "é",
    "Infinity",
]


async def test_a_frame_that_announces_too_much_ends_that_session(dial: MakeWire) -> None:
    wire = await dial()

    wire.send_bytes(b"\x7f\xff\xff\xff")

    assert await wire.is_closed()


async def test_no_burst_ends_on_the_length_that_the_official_client_loses(dial: MakeWire, gateway: Gateway) -> None:
    wire = await dial()
    wire.send(49)
    await wire.until("currentTime")

    head = len(frame(b"4\0002\000-1\0002100\000\000\000"))
    gateway.tell_all(2100, "x" * (LOST_BURST - head))
    first, second = await wire.payload(), await wire.payload()

    assert len(first) + 4 == LOST_BURST
    assert split(second)[:3] == ["8", "1", "10:00"]


async def test_a_client_that_does_not_read_is_cut_off_and_the_others_are_not(
    dial: MakeWire, caplog: pytest.LogCaptureFixture
) -> None:
    async with Gateway(max_unsent_bytes=1 << 16) as gateway:
        reads, stuck = await dial(1, port=gateway.port), await dial(2, port=gateway.port)

        # Each answer has some forty messages; the sockets' own buffers hold a few megabytes before anything waits.
        async with asyncio.timeout(10):
            for request_id in itertools.count(1):
                stuck.send(76, reqId=request_id)
                reads.send(49)
                await reads.until("currentTime")
                if gateway.client_ids == (1,):
                    break

    assert "client 2 does not read" in caplog.text


async def test_many_sessions_leave_nothing_behind(dial: MakeWire, gateway: Gateway) -> None:
    for client_id in range(300):
        wire = await dial(client_id)
        wire.send(1, version=11, reqId=1, **AAPL)
        wire.send(92, reqId=2)
        wire.send(49)
        await wire.until("currentTime")
        wire.close()
        await wire.writer.wait_closed()
    last = await dial(0)
    last.send(49)
    await last.until("currentTime")

    assert gateway.client_ids == (0,)
    assert gateway.tape.watching("AAPL") == 0


async def test_the_gateway_runs_on_a_thread_of_its_own() -> None:
    with GatewayThread(Gateway()) as thread:
        client = ib.IB()
        await client.connectAsync("127.0.0.1", thread.port, clientId=3)
        assert await asyncio.to_thread(thread.call, lambda: thread.gateway.client_ids) == (3,)

        await asyncio.gather(asyncio.to_thread(thread.faults.hang_up, 3), asyncio.wait_for(client.disconnectedEvent, 5))


def test_the_gateway_runs_on_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not made for this platform")

    async def connect() -> int:
        async with Gateway() as gateway:
            client = await ib.IB().connectAsync("127.0.0.1", gateway.port, clientId=1)
            version: int = client.client.serverVersion()
            client.disconnect()
            return version

    assert uvloop.run(connect()) == 178


async def test_messages_are_logged_without_their_contents(dial: MakeWire, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ibdesk.gateway")

    wire = await dial(4)
    wire.close()

    assert "client 4 connected at server version 178" in caplog.text
