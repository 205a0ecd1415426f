"""Faults of orders at the venue and of their executions; the account follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ib_async as ib
import pytest

from ibdesk.gateway import Gateway
from ibdesk.gateway.faults import (
    At,
    CancelOpenOrder,
    CorrectExecution,
    FaultScript,
    FillAndCancel,
    OnMessage,
    OnOrder,
    RejectNextOrder,
    RejectOpenOrder,
    SetNextOrderId,
    WarnOfOrder,
)

if TYPE_CHECKING:
    from tests.gateway.conftest import Connect, MakeWire, Until, Wire

AAPL = 265598
PLACE, TIME, EXECUTIONS, OPEN_ORDERS, POSITIONS, IDS = 3, 49, 7, 5, 61, 8

Told = list[tuple[str, dict[str, str]]]


async def told(wire: Wire) -> Told:
    wire.send(TIME)
    return (await wire.until("currentTime"))[:-1]


def column(messages: Told, name: str, *fields: str) -> list[tuple[str, ...]]:
    return [tuple(texts[field] for field in fields) for each, texts in messages if each == name]


def buy(wire: Wire, order_id: int, limit: float | None = None, **more: Any) -> None:
    terms: dict[str, Any] = {"orderType": "MKT"} if limit is None else {"orderType": "LMT", "lmtPrice": limit}
    terms = {"totalQuantity": 10, **terms, **more}
    wire.send(PLACE, orderId=order_id, conId=AAPL, action="BUY", transmit=1, **terms)


async def position(wire: Wire) -> tuple[float, float]:
    """Return the number of AAPL shares and their average cost."""
    wire.send(POSITIONS)
    [(quantity, cost)] = column(await wire.until("positionEnd"), "position", "position", "avgCost")
    return float(quantity), float(cost)


async def test_an_order_that_was_accepted_can_be_rejected_and_others_are_not(dial: MakeWire, gateway: Gateway) -> None:
    wire = await dial(1)
    gateway.faults.play(FaultScript((OnOrder(2, RejectOpenOrder(reason="margin")),)))

    buy(wire, 1, 90)
    buy(wire, 2, 91)
    buy(wire, 3, 92)
    messages = await told(wire)
    wire.send(OPEN_ORDERS)
    still_open = column(await wire.until("openOrderEnd"), "openOrder", "orderId")

    assert column(messages, "orderStatus", "orderId", "status")[2:5] == [
        ("2", "PreSubmitted"),
        ("2", "Submitted"),
        ("2", "Inactive"),
    ]
    assert ("2", "201", "Order rejected - reason:margin") in column(messages, "errMsg", "id", "errorCode", "errorMsg")
    assert still_open == [("1",), ("3",)]
    # What is rejected does not fill any more: at 1.25 s the ask is 99.00, at 11.25 s it would reach none of them.
    gateway.advance(1.25)
    assert column(await told(wire), "execDetails", "orderId") == []


async def test_a_rejection_that_no_order_has_met_ends_when_the_faults_are_stopped(
    dial: MakeWire, gateway: Gateway
) -> None:
    wire = await dial(1)
    gateway.faults.reject_next_order()

    gateway.faults.stop()
    buy(wire, 1)

    assert ("1", "201") not in column(await told(wire), "errMsg", "id", "errorCode")
    assert gateway.venue.records[1, 1].status == "Filled"


async def test_a_script_rejects_the_third_order_at_once(dial: MakeWire, gateway: Gateway) -> None:
    wire = await dial(1)
    gateway.faults.play(FaultScript((OnOrder(3, RejectNextOrder(reason="no")),)))

    for order_id in (1, 2, 3, 4):
        buy(wire, order_id)

    assert column(await told(wire), "errMsg", "id", "errorCode")[-1:] == [("3", "201")]
    assert [gateway.venue.records[1, order_id].status for order_id in (1, 2, 3, 4)] == [
        "Filled",
        "Filled",
        "Inactive",
        "Filled",
    ]


async def test_an_order_is_cancelled_without_a_request(dial: MakeWire, gateway: Gateway) -> None:
    wire, other = await dial(1), await dial(2)
    buy(wire, 1, 90)
    buy(other, 1, 90)
    await told(wire), await told(other)

    gateway.faults.cause(CancelOpenOrder(client=1, reason="price bands"))

    messages = await told(wire)
    assert column(messages, "orderStatus", "status") == [("Cancelled",)]
    assert column(messages, "errMsg", "errorCode", "errorMsg") == [("202", "Order Canceled - reason:price bands")]
    assert await told(other) == []


async def test_a_part_is_filled_and_the_rest_cancelled(dial: MakeWire, gateway: Gateway) -> None:
    wire = await dial(1)
    await told(wire)
    gateway.faults.play(FaultScript((OnOrder(1, FillAndCancel(share=0.3)),)))

    buy(wire, 1, 90)
    messages = await told(wire)

    assert column(messages, "orderStatus", "status", "filled", "remaining")[-2:] == [
        ("Submitted", "3", "7"),
        ("Cancelled", "3", "7"),
    ]
    assert column(messages, "execDetails", "shares") == [("3",)]
    assert column(messages, "errMsg", "errorCode") == [("202",)]
    assert (await position(wire))[0] == 3


@pytest.mark.parametrize("code", [399, 404, 2109, 10349])
async def test_a_warning_comes_with_the_id_of_an_order_that_continues_to_work(
    code: Any, dial: MakeWire, gateway: Gateway
) -> None:
    wire = await dial(1)
    buy(wire, 1, 99)
    await told(wire)

    gateway.faults.cause(WarnOfOrder(code=code))
    assert column(await told(wire), "errMsg", "id", "errorCode") == [("1", str(code))]
    gateway.advance(1.25)

    assert column(await told(wire), "orderStatus", "status") == [("Filled",)]


async def test_a_fault_of_open_orders_is_logged_when_no_order_is_open(dial: MakeWire, gateway: Gateway) -> None:
    wire = await dial(1)

    gateway.faults.cause(RejectOpenOrder(client=1))
    gateway.faults.cause(CorrectExecution())

    assert [words for _, words in gateway.faults.fired] == [
        "reject_open_order client=1: no such order is open",
        "correct_execution: no such execution",
    ]
    await told(wire)


async def test_a_corrected_execution_comes_again_as_02_and_the_account_follows(
    dial: MakeWire, gateway: Gateway
) -> None:
    wire = await dial(1)
    await told(wire)
    buy(wire, 1)
    [(first, *_)] = column(await told(wire), "execDetails", "execId")
    # Bought at 100.00; IB's smallest commission of a dollar is a tenth of it for each of ten shares.
    assert await position(wire) == (10, 100.1)
    cash = gateway.accounts.main.cash["USD"]

    gateway.faults.cause(CorrectExecution(price_by=-0.5, quantity_by=-2))

    messages = await told(wire)
    assert column(messages, "execDetails", "execId", "shares", "price") == [(first[:-2] + "02", "8", "99.5")]
    assert column(messages, "commissionReport", "execId") == [(first[:-2] + "02",)]
    # The commission of a dollar is an eighth of it for each of eight shares.
    assert await position(wire) == (8, 99.625)
    # 10 x 100.00 came back, 8 x 99.50 went.
    assert gateway.accounts.main.cash["USD"] - cash == pytest.approx(1000 - 796)
    wire.send(EXECUTIONS, reqId=5)
    assert column(await wire.until("execDetailsEnd"), "execDetails", "execId") == [(first[:-2] + "02",)]


async def test_order_ids_can_jump(dial: MakeWire, gateway: Gateway) -> None:
    wire, other = await dial(1), await dial(2)

    gateway.faults.cause(SetNextOrderId(to=500, client=1))

    for each, expected in ((wire, "500"), (other, "1")):
        each.send(IDS)
        assert column(await each.until("nextValidId"), "nextValidId", "orderId") == [(expected,)]


async def test_an_order_fault_strikes_on_a_message_for_the_order_the_message_is_about(
    dial: MakeWire, gateway: Gateway
) -> None:
    wire = await dial(1)
    buy(wire, 1, 90)
    await told(wire)
    gateway.faults.play(FaultScript((OnMessage("openOrder", nth=2, then=CancelOpenOrder()), At(9, CancelOpenOrder()))))

    buy(wire, 2, 91)
    await told(wire)
    assert [gateway.venue.records[1, order_id].status for order_id in (1, 2)] == ["Submitted", "Cancelled"]
    gateway.advance(9)

    assert gateway.venue.records[1, 1].status == "Cancelled"


async def test_ib_async_takes_an_order_for_cancelled_that_still_works(
    connect: Connect, gateway: Gateway, until: Until, tolerated: set[int]
) -> None:
    """Pitfall 2 of ib_async 2.1: a code it does not know as harmless ends its own copy of the order."""
    tolerated.add(10349)
    client = await connect(1)
    contract = ib.Stock("AAPL", "SMART", "USD", conId=AAPL)
    trade = client.placeOrder(contract, ib.LimitOrder("BUY", 10, 99.0))
    await until(client, lambda: trade.orderStatus.status == "Submitted")

    gateway.faults.cause(WarnOfOrder(code=10349))
    await until(client, lambda: trade.orderStatus.status == "Cancelled")
    assert gateway.venue.records[1, trade.order.orderId].status == "Submitted"
    gateway.advance(1.25)
    await until(client, lambda: trade.orderStatus.status == "Filled")

    assert trade.filled() == 10


async def test_ib_async_counts_a_correction_as_a_further_fill(connect: Connect, gateway: Gateway, until: Until) -> None:
    """Pitfall 16 of ib_async 2.1: executions are identified by the whole id, including the correction number."""
    client = await connect(1)
    contract = ib.Stock("AAPL", "SMART", "USD", conId=AAPL)
    trade = client.placeOrder(contract, ib.MarketOrder("BUY", 10))
    await until(client, lambda: trade.isDone() and trade.fills)

    gateway.faults.cause(CorrectExecution(price_by=0.01))
    await until(client, lambda: len(trade.fills) == 2)

    assert trade.filled() == 20
    [held] = [holding for holding in gateway.accounts.main.held() if holding.contract.symbol == "AAPL"]
    assert held.position.quantity == 10
