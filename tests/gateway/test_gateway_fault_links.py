"""Sockets that close, hang or are refused, TWS disconnected from IB, farms and restarts: before, during and after."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ibdesk.gateway import Gateway
from ibdesk.gateway.faults import (
    BreakFarm,
    ClientIdInUse,
    CompeteForData,
    HalfOpen,
    LogOff,
    LoseConnectivity,
    RefuseConnections,
    ResetPort,
    Restart,
    StallReads,
)
from ibdesk.gateway.protocol.framing import frame

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.gateway.conftest import MakeWire, Wire

AAPL = 265598
PLACE, TIME, EXECUTIONS, OPEN_ORDERS, QUOTES, IDS, HISTORY = 3, 49, 7, 5, 1, 8, 20

Told = list[tuple[str, dict[str, str]]]


async def told(wire: Wire) -> Told:
    """Return all messages of the gateway until it answers one more request."""
    wire.send(TIME)
    return (await wire.until("currentTime"))[:-1]


def named(messages: Iterable[tuple[str, dict[str, str]]], name: str) -> list[dict[str, str]]:
    return [texts for each, texts in messages if each == name]


def codes(messages: Told) -> list[int]:
    return [int(texts["errorCode"]) for texts in named(messages, "errMsg")]


def lasts(messages: Told) -> list[float]:
    return [float(texts["price"]) for texts in named(messages, "tickPrice") if texts["tickType"] == "4"]


def buy(wire: Wire, order_id: int, limit: float | None = None, **more: Any) -> None:
    terms: dict[str, Any] = {"orderType": "MKT"} if limit is None else {"orderType": "LMT", "lmtPrice": limit}
    wire.send(PLACE, orderId=order_id, conId=AAPL, action="BUY", totalQuantity=10, transmit=1, **terms, **more)


async def refusal(dial: MakeWire, client_id: int) -> Told:
    """Return the messages to a client with this id that is refused."""
    wire = await dial(client_id=None)
    wire.send_bytes(b"API\0" + frame(b"v157..178"))
    await wire.payload()
    wire.send(71, version=2, clientId=client_id)
    return await wire.until("errMsg")


async def test_a_half_open_socket_is_silent_keeps_its_id_in_use_and_is_closed_at_last(
    dial: MakeWire, gateway: Gateway
) -> None:
    hangs, other = await dial(1), await dial(2)
    await told(hangs)

    gateway.faults.cause(HalfOpen(client=1, for_seconds=3))
    buy(hangs, 1)
    assert codes(await refusal(dial, 1)) == [326]
    gateway.advance(2.9)
    await told(other)
    assert set(gateway.client_ids) == {1, 2}
    # Nothing of the order was read.
    assert gateway.venue.find_order(1, 1) is None

    gateway.advance(0.2)

    assert await hangs.payload() == b""
    assert set(gateway.client_ids) == {2}
    assert (await dial(1)).version == 178


async def test_connections_are_refused_for_a_while_and_those_that_are_there_stay(
    dial: MakeWire, gateway: Gateway
) -> None:
    stays = await dial(1)

    gateway.faults.cause(RefuseConnections(for_seconds=5))
    assert await (await dial(client_id=None)).is_closed()
    gateway.advance(5)

    assert (await dial(2)).version == 178
    await told(stays)
    assert gateway.client_ids == (1, 2)


async def test_stalled_reads_delay_what_a_client_sends_and_not_messages_to_it(dial: MakeWire, gateway: Gateway) -> None:
    stalled, other = await dial(1), await dial(2)
    stalled.send(QUOTES, reqId=7, conId=AAPL)
    await told(stalled)

    gateway.faults.cause(StallReads(client=1, for_seconds=3))
    buy(stalled, 1, 90)
    stalled.send(TIME)
    gateway.advance(1.25)
    await told(other)
    assert gateway.venue.find_order(1, 1) is None
    [bid] = named(await stalled.until("tickPrice"), "tickPrice")
    assert (bid["tickType"], bid["price"]) == ("1", "98.99")

    gateway.advance(2)
    heard = await stalled.until("currentTime")

    assert [texts["status"] for texts in named(heard, "orderStatus")] == ["PreSubmitted", "Submitted"]


async def test_a_client_id_is_in_use_for_a_while_without_such_a_client(dial: MakeWire, gateway: Gateway) -> None:
    gateway.faults.cause(ClientIdInUse(client=4, for_seconds=10))

    assert codes(await refusal(dial, 4)) == [326]
    assert (await dial(5)).version == 178
    gateway.advance(10)

    assert (await dial(4)).version == 178


async def test_a_port_reset_says_so_and_closes_every_socket(dial: MakeWire, gateway: Gateway) -> None:
    wire = await dial(1)
    await told(wire)

    gateway.faults.cause(ResetPort())

    [reset] = named(await wire.until("errMsg"), "errMsg")
    assert (reset["errorCode"], reset["errorMsg"].endswith(f"new port - {gateway.port}")) == ("1300", True)
    assert await wire.is_closed()
    assert (await dial(1)).version == 178


async def test_an_order_taken_while_connectivity_is_lost_shows_in_executions_only(
    dial: MakeWire, gateway: Gateway
) -> None:
    wire = await dial(1)
    await told(wire)

    gateway.faults.cause(LoseConnectivity(for_seconds=20))
    buy(wire, 1)
    assert codes(during := await told(wire)) == [1100]
    assert named(during, "orderStatus") == []
    gateway.advance(20)
    after = await told(wire)
    wire.send(EXECUTIONS, reqId=5)

    assert codes(after) == [1102]
    assert named(after, "execDetails") == []
    assert [texts["orderId"] for texts in named(await wire.until("execDetailsEnd"), "execDetails")] == ["1"]


async def test_1101_costs_the_subscriptions(dial: MakeWire, gateway: Gateway) -> None:
    wire = await dial(1)
    wire.send(QUOTES, reqId=7, conId=AAPL)
    assert lasts(await told(wire)) == [100.0]

    gateway.faults.cause(LoseConnectivity(for_seconds=1, data_kept=False))
    gateway.advance(1.25)
    assert codes(await told(wire)) == [1100, 1101]
    gateway.advance(1.25)

    assert named(await told(wire), "tickPrice") == []


async def test_a_broken_market_farm_sends_no_ticks_while_orders_continue(dial: MakeWire, gateway: Gateway) -> None:
    wire = await dial(1)
    wire.send(QUOTES, reqId=7, conId=AAPL)
    await told(wire)

    gateway.faults.cause(BreakFarm(for_seconds=2))
    gateway.advance(1.25)
    buy(wire, 1)
    during = await told(wire)
    assert codes(during) == [2103]
    assert named(during, "tickPrice") == []
    assert len(named(during, "execDetails")) == 1

    gateway.advance(1.25)
    after = await told(wire)

    assert codes(after) == [2104]
    assert lasts(after) == [102.0]


async def test_a_broken_history_farm_answers_once_it_is_back(dial: MakeWire, gateway: Gateway) -> None:
    wire = await dial(1)
    await told(wire)
    gateway.faults.cause(BreakFarm(farm="history", for_seconds=2))
    wire.send(
        HISTORY,
        reqId=9,
        conId=AAPL,
        barSizeSetting="5 secs",
        durationStr="60 S",
        useRTH=0,
        whatToShow="TRADES",
        formatDate=1,
        keepUpToDate=0,
    )

    assert [name for name, _ in await told(wire)] == ["errMsg"]
    gateway.advance(2)
    after = await wire.until("errMsg")

    assert [name for name, _ in after] == ["historicalData", "errMsg"]
    assert codes(after) == [2106]


async def test_a_competing_session_takes_the_ticks_and_each_subscription_gets_one_error(
    dial: MakeWire, gateway: Gateway
) -> None:
    wire = await dial(1)
    wire.send(QUOTES, reqId=7, conId=AAPL)
    await told(wire)

    gateway.faults.cause(CompeteForData(for_seconds=3))
    gateway.advance(2.5)
    during = await told(wire)
    assert [(texts["id"], texts["errorCode"]) for texts in named(during, "errMsg")] == [("7", "10197")]
    assert named(during, "tickPrice") == []
    gateway.advance(1.25)

    assert lasts(await told(wire)) == [101.0]


@pytest.mark.parametrize(("order_ids", "next_id"), [("go_on", 13), ("roll_back", 3), ("jump", 23)])
async def test_a_restart_ends_sockets_subscriptions_and_day_orders_and_changes_order_ids(
    order_ids: Any, next_id: int, dial: MakeWire, gateway: Gateway
) -> None:
    wire = await dial(1)
    buy(wire, 11, 90, tif="DAY")
    buy(wire, 12, 91, tif="GTC")
    await told(wire)

    gateway.faults.cause(Restart(for_seconds=30, order_ids=order_ids, ids_by=10))
    assert await wire.is_closed()
    assert await (await dial(client_id=None)).is_closed()
    gateway.advance(30)
    again = await dial(1)
    again.send(IDS)
    [announced] = named(await again.until("nextValidId"), "nextValidId")
    again.send(OPEN_ORDERS)
    still_open = named(await again.until("openOrderEnd"), "openOrder")

    assert int(announced["orderId"]) == next_id
    assert [texts["orderId"] for texts in still_open] == ["12"]


async def test_a_log_off_says_1100_and_refuses_connections_until_the_next_login(
    dial: MakeWire, gateway: Gateway
) -> None:
    wire = await dial(1)
    await told(wire)

    gateway.faults.cause(LogOff(for_seconds=600))

    assert codes(await wire.until("errMsg")) == [1100]
    assert await wire.is_closed()
    gateway.advance(599)
    assert await (await dial(client_id=None)).is_closed()
    gateway.advance(1)
    assert (await dial(1)).version == 178


async def test_a_fault_of_one_client_changes_no_byte_for_another(dial: MakeWire, gateway: Gateway) -> None:
    faulty, other = await dial(1), await dial(2)
    for wire in (faulty, other):
        wire.send(QUOTES, reqId=7, conId=AAPL)
        await told(wire)

    gateway.faults.cause(CompeteForData(client=1, for_seconds=2))
    gateway.faults.cause(StallReads(client=1, for_seconds=2))
    gateway.advance(1.25)

    assert lasts(await told(other)) == [99.0]
    sessions = {session.client_id: session for session in gateway.connected()}
    assert sessions[2].tamper is None
    assert sessions[1].tamper is not None
    gateway.advance(1.25)
    await asyncio.sleep(0)
    assert sessions[1].tamper is None


async def test_connectivity_that_is_lost_twice_comes_back_once_with_the_longer_fault(
    dial: MakeWire, gateway: Gateway
) -> None:
    wire = await dial(1)
    await told(wire)

    gateway.faults.cause(LoseConnectivity(for_seconds=10))
    gateway.faults.cause(LoseConnectivity(for_seconds=20))
    gateway.advance(15)
    assert codes(await told(wire)) == [1100, 1100]
    gateway.advance(5)

    assert codes(await told(wire)) == [1102]
