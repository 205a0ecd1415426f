"""TWS's limits on a client's requests, each counted on the gateway's clock and each with a switch."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway, GatewaySettings, Pacing, Replay, make_gateway
from ibdesk.gateway.protocol.codec import Value
from ibdesk.model import nanoseconds

if TYPE_CHECKING:
    from tests.gateway.conftest import MakeBars, MakeWire, Wire

OPENED_AT = dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)
AAPL: dict[str, Value] = {"symbol": "AAPL", "secType": "STK", "exchange": "SMART", "currency": "USD"}
MSFT: dict[str, Value] = {**AAPL, "symbol": "MSFT"}
PACING_VIOLATION = "Historical Market Data Service error message:Historical data request pacing violation"
Start = Callable[[Pacing], Awaitable[Gateway]]


@pytest.fixture
async def paced(make_bars: MakeBars) -> AsyncIterator[Start]:
    """Starts gateways with limits on a market of AAPL and MSFT that lasts an hour."""
    running: list[Gateway] = []

    async def start(pacing: Pacing) -> Gateway:
        rows = dict.fromkeys(("AAPL", "MSFT"), [(100.0, 101.0, 99.0, 100.0, 1000.0)] * 60)
        market = Replay(make_bars(rows, step=dt.timedelta(minutes=1)), start=30)
        gateway = Gateway(market=market, clock=ManualClock(nanoseconds(OPENED_AT)), pacing=pacing)
        await gateway.start()
        running.append(gateway)
        return gateway

    yield start
    for gateway in running:
        await gateway.stop()


async def enter(dial: MakeWire, gateway: Gateway, client_id: int = 9, versions: str = "v157..178") -> Wire:
    """Return a client that has read its first messages, in a second of the gateway without messages."""
    wire = await dial(client_id, versions, port=gateway.port)
    await next_second(wire, gateway)
    gateway.advance(1)
    return wire


async def next_second(wire: Wire, gateway: Gateway) -> list[tuple[str, dict[str, str]]]:
    """Return all messages up to the next second."""
    gateway.advance(1)
    return await told(wire)


async def told(wire: Wire) -> list[tuple[str, dict[str, str]]]:
    """Return all messages so far."""
    wire.send(49)
    return (await wire.until("currentTime"))[:-1]


def codes(rows: list[tuple[str, dict[str, str]]]) -> list[str]:
    return [texts["errorCode"] for name, texts in rows if name == "errMsg"]


def flood(wire: Wire, count: int) -> None:
    """Request the next order id this many times at once."""
    for _ in range(count):
        wire.send(8, numIds=1)


# ---- messages -------------------------------------------------------------------------------------------------------


async def test_what_exceeds_fifty_messages_a_second_is_refused_with_one_error(paced: Start, dial: MakeWire) -> None:
    gateway = await paced(Pacing())
    wire = await enter(dial, gateway)

    flood(wire, 138)
    rows = await wire.until("errMsg")

    # Fifty answers and one error for the rest; the next second starts a new count.
    assert [name for name, _ in rows] == ["nextValidId"] * 50 + ["errMsg"]
    [error] = [texts for name, texts in rows if name == "errMsg"]
    assert (error["id"], error["errorCode"]) == ("-1", "100")
    assert error["errorMsg"] == "Max rate of messages per second has been exceeded:max=50 rec=51 (1)"
    assert await next_second(wire, gateway) == []


async def test_fifty_messages_every_second_are_answered(paced: Start, dial: MakeWire) -> None:
    gateway = await paced(Pacing())
    wire = await enter(dial, gateway)

    for _ in range(3):
        flood(wire, 49)
        rows = await told(wire)
        assert [name for name, _ in rows] == ["nextValidId"] * 49
        gateway.advance(1)


async def test_the_third_second_of_too_many_closes_the_socket(paced: Start, dial: MakeWire) -> None:
    gateway = await paced(Pacing())
    wire, other = await enter(dial, gateway), await enter(dial, gateway, 8)

    for violation in (1, 2, 3):
        flood(wire, 60)
        rows = await wire.until("errMsg")
        assert rows[-1][1]["errorMsg"].endswith(f"rec=51 ({violation})")
        gateway.advance(1)

    assert await wire.is_closed()
    assert await told(other) == []


async def test_orders_count_like_every_other_message(paced: Start, dial: MakeWire) -> None:
    gateway = await paced(Pacing())
    wire = await enter(dial, gateway)

    flood(wire, 50)
    wire.send(3, orderId=1, action="BUY", totalQuantity=1, orderType="MKT", transmit=1, **AAPL)
    await wire.until("errMsg")
    await next_second(wire, gateway)
    wire.send(5)

    assert await wire.until("openOrderEnd") == [("openOrderEnd", {"version": "1"})]
    assert gateway.accounts.main.holdings == {}


async def test_a_client_that_asks_to_be_paced_waits_for_the_next_second(paced: Start, dial: MakeWire) -> None:
    gateway = await paced(Pacing())
    wire = await enter(dial, gateway, versions="v157..178 +PACEAPI")

    flood(wire, 120)
    wire.send(49)
    received = [await wire.until("nextValidId") for _ in range(50)]
    gateway.advance(1)
    received += [await wire.until("nextValidId") for _ in range(50)]
    gateway.advance(1)
    last = await wire.until("currentTime")

    assert [name for [(name, _)] in received] == ["nextValidId"] * 100
    assert [name for name, _ in last] == ["nextValidId"] * 20 + ["currentTime"]


async def test_nothing_more_is_read_from_a_client_whose_messages_wait(paced: Start, dial: MakeWire) -> None:
    gateway = await paced(Pacing())
    wire, other = await enter(dial, gateway, versions="v157..178 +PACEAPI"), await enter(dial, gateway, 8)
    flood(wire, 51)
    for _ in range(50):
        await wire.until("nextValidId")

    # More than the buffers of two sockets hold: the rest stays with the client, and is not collected in the gateway.
    wire.send_bytes((b"\0\0\0\2" + b"8\0") * (3 << 20))
    await told(other)
    assert wire.writer.transport.get_write_buffer_size() > 1 << 20


async def test_a_client_may_leave_while_its_messages_wait(paced: Start, dial: MakeWire) -> None:
    gateway = await paced(Pacing())
    wire = await enter(dial, gateway, versions="v157..178 +PACEAPI")
    flood(wire, 70)
    for _ in range(50):
        await wire.until("nextValidId")

    gateway.hang_up(9)
    gateway.advance(1)

    assert await wire.is_closed()
    assert gateway.client_ids == ()


# ---- history --------------------------------------------------------------------------------------------------------


async def ask(wire: Wire, request_id: int, what: dict[str, Value] = AAPL, **terms: Value) -> str:
    """Request an hour of minute bars, or other terms; return the text of the error, empty if bars came."""
    usual: dict[str, Value] = {"durationStr": "3600 S", "barSizeSetting": "1 min", "whatToShow": "TRADES", "useRTH": 0}
    wire.send(20, reqId=request_id, **{**what, **usual, **terms})
    while True:
        number, *fields = (await wire.payload()).decode().split("\0")
        # 4 is an error: version, id, code, text; 17 has the bars.
        if number == "4":
            assert fields[1:3] == [str(request_id), "162"]
            return fields[3]
        if number == "17":
            return ""


async def test_the_same_history_twice_in_fifteen_seconds_is_refused(paced: Start, dial: MakeWire) -> None:
    gateway = await paced(Pacing())
    wire, other = await enter(dial, gateway), await enter(dial, gateway, 8)

    assert await ask(wire, 1) == ""
    gateway.advance(14.9)
    assert await ask(wire, 2) == PACING_VIOLATION
    # Another span is another request, and all clients count as one user.
    assert await ask(wire, 3, durationStr="1800 S") == ""
    assert await ask(other, 4) == PACING_VIOLATION
    gateway.advance(0.1)
    assert await ask(other, 5) == ""


async def test_six_short_bar_requests_for_one_contract_in_two_seconds_are_refused(paced: Start, dial: MakeWire) -> None:
    gateway = await paced(Pacing())
    wire = await enter(dial, gateway)
    spans = [f"{seconds} S" for seconds in range(60, 120, 10)]

    told_codes = [
        await ask(wire, index, durationStr=span, barSizeSetting="30 secs") for index, span in enumerate(spans)
    ]

    # The sixth is refused; another contract, longer bars and a later request are not.
    assert told_codes == ["", "", "", "", "", PACING_VIOLATION]
    assert await ask(wire, 10, MSFT, durationStr="110 S", barSizeSetting="30 secs") == ""
    assert await ask(wire, 11, durationStr="110 S", barSizeSetting="1 min") == ""
    gateway.advance(2)
    assert await ask(wire, 12, durationStr="110 S", barSizeSetting="30 secs") == ""


async def test_a_history_of_bid_and_ask_counts_twice(paced: Start, dial: MakeWire) -> None:
    gateway = await paced(Pacing())
    wire = await enter(dial, gateway)

    told_codes = [
        await ask(wire, index, durationStr=f"{60 + index} S", barSizeSetting="5 secs", whatToShow="BID_ASK")
        for index in range(3)
    ]

    # Two make four, the third would make six.
    assert told_codes == ["", "", PACING_VIOLATION]


async def test_sixty_histories_in_ten_minutes_are_all(paced: Start, dial: MakeWire) -> None:
    gateway = await paced(Pacing())
    wire = await enter(dial, gateway)

    for index in range(60):
        assert await ask(wire, index, durationStr=f"{3600 + index} S") == ""
        gateway.advance(2)

    assert await ask(wire, 60, durationStr="60 S") == PACING_VIOLATION
    # 120 s have passed; the first request is forgotten 480 s later.
    gateway.advance(479)
    assert await ask(wire, 61, durationStr="60 S") == PACING_VIOLATION
    gateway.advance(1)
    assert await ask(wire, 62, durationStr="60 S") == ""


# ---- lines ----------------------------------------------------------------------------------------------------------


async def test_the_line_above_the_limit_is_refused_until_one_is_cancelled(paced: Start, dial: MakeWire) -> None:
    gateway = await paced(Pacing(market_data_lines=3))
    wire = await enter(dial, gateway)
    for request_id in range(1, 4):
        wire.send(1, reqId=request_id, **AAPL)
    assert codes(await told(wire)) == []

    wire.send(1, reqId=4, **AAPL)
    [error] = [texts for name, texts in await told(wire) if name == "errMsg"]
    assert (error["id"], error["errorCode"], error["errorMsg"]) == (
        "4",
        "101",
        "Max number of tickers has been reached.",
    )

    wire.send(2, reqId=1)
    wire.send(1, reqId=4, **AAPL)
    assert codes(await told(wire)) == []


async def test_a_hundred_lines_are_tws_own_limit(paced: Start, dial: MakeWire) -> None:
    gateway = await paced(Pacing(messages_per_second=None))
    wire = await enter(dial, gateway)

    for request_id in range(1, 102):
        wire.send(1, reqId=request_id, **AAPL)

    [error] = [texts for name, texts in await told(wire) if name == "errMsg"]
    assert (error["id"], error["errorCode"]) == ("101", "101")


async def test_ticks_of_one_contract_may_be_requested_every_fifteen_seconds(paced: Start, dial: MakeWire) -> None:
    gateway = await paced(Pacing())
    wire = await enter(dial, gateway)

    async def ask_ticks(request_id: int, contract: dict[str, Value]) -> list[str]:
        wire.send(97, reqId=request_id, tickType="Last", **contract)
        return codes(await told(wire))

    assert await ask_ticks(1, AAPL) == []
    assert await ask_ticks(2, AAPL) == ["10190"]
    assert await ask_ticks(3, MSFT) == []
    gateway.advance(15)
    assert await ask_ticks(4, AAPL) == []
    # Three are subscribed, which is all.
    gateway.advance(15)
    assert await ask_ticks(5, MSFT) == ["10190"]


async def test_the_third_account_summary_is_refused(paced: Start, dial: MakeWire) -> None:
    gateway = await paced(Pacing())
    wire = await enter(dial, gateway)

    for request_id in (1, 2, 3):
        wire.send(62, reqId=request_id, groupName="All", tags="NetLiquidation")

    [error] = [texts for name, texts in await told(wire) if name == "errMsg"]
    assert (error["id"], error["errorCode"]) == ("3", "322")
    assert error["errorMsg"].endswith("Maximum number of account summary requests exceeded")


# ---- switches -------------------------------------------------------------------------------------------------------


async def test_each_limit_can_be_switched_off(paced: Start, dial: MakeWire) -> None:
    nothing = Pacing(**dict.fromkeys(Pacing.__struct_fields__))
    gateway = await paced(nothing)
    wire = await enter(dial, gateway)

    flood(wire, 200)
    for request_id in range(150):
        wire.send(1, reqId=request_id, **AAPL)
        wire.send(97, reqId=request_id, tickType="Last", **AAPL)
        wire.send(62, reqId=request_id, groupName="All", tags="NetLiquidation")
    rows = await told(wire)
    assert codes(rows) == []
    for request_id in range(70):
        assert await ask(wire, request_id, barSizeSetting="30 secs", whatToShow="BID_ASK") == ""


@pytest.mark.parametrize(("pacing", "limit"), [(True, 50), (False, None)])
async def test_a_gateway_is_paced_when_its_settings_say_so(dial: MakeWire, pacing: bool, limit: int | None) -> None:
    settings = GatewaySettings(port=0, symbols=("AAPL",), pacing=pacing)
    async with make_gateway(settings) as gateway:
        wire = await dial(port=gateway.port)

        flood(wire, 200)
        rows = await told(wire) if limit is None else await wire.until("errMsg")
        while limit is not None and codes(rows)[-1] != "100":
            rows += await wire.until("errMsg")

        assert [name for name, _ in rows].count("nextValidId") == (200 if limit is None else limit)
