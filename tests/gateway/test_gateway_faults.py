"""Every fault has its effect, and foreign clients see it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import ib_async as ib
import pytest

from ibdesk.gateway import Gateway

if TYPE_CHECKING:
    from tests.gateway.conftest import Connect, MakeWire, Until


def codes_of(client: ib.IB) -> list[int]:
    """Note the codes of errors that belong to no order or request."""
    codes: list[int] = []
    client.errorEvent += lambda request_id, code, *_rest: codes.append(code) if request_id == -1 else None
    return codes


async def test_one_client_is_hung_up_on_and_the_other_stays(dial: MakeWire, connect: Connect, gateway: Gateway) -> None:
    stays, goes = await connect(1), await dial(2)

    gateway.faults.hang_up(2)

    assert await goes.is_closed()
    assert stays.isConnected()
    assert gateway.client_ids == (1,)


async def test_connections_are_refused_until_they_are_not(dial: MakeWire, gateway: Gateway) -> None:
    gateway.faults.refuse()
    refused = await dial(client_id=None)
    assert await refused.is_closed()

    gateway.faults.refuse(False)

    assert (await dial(3)).version == 178


async def test_nothing_is_reported_between_1100_and_1102(
    client: ib.IB, aapl: ib.Contract, gateway: Gateway, tolerated: set[int], until: Until
) -> None:
    tolerated.update((1100, 1102))
    codes, ticker = codes_of(client), client.reqMktData(aapl)
    await until(client, lambda: ticker.last == 100.0)
    gateway.faults.lose_connectivity()
    await until(client, lambda: codes == [1100])
    trade = client.placeOrder(aapl, ib.MarketOrder("BUY", 10))
    gateway.advance(1.25)
    await client.reqCurrentTimeAsync()
    assert (ticker.last, trade.orderStatus.status) == (100.0, "PendingSubmit")

    gateway.faults.restore(data_kept=True)
    await until(client, lambda: codes == [1100, 1102])
    gateway.advance(1.25)
    await until(client, lambda: ticker.last == 102.0)

    # The fill in the gap is only found by asking for executions.
    assert [fill.execution.shares for fill in await client.reqExecutionsAsync()] == [10]


async def test_after_1101_market_data_must_be_requested_again(
    client: ib.IB, aapl: ib.Contract, gateway: Gateway, tolerated: set[int], until: Until
) -> None:
    tolerated.update((1100, 1101))
    codes, bars = codes_of(client), client.reqRealTimeBars(aapl, 5, "TRADES", False)
    await client.reqCurrentTimeAsync()
    gateway.faults.lose_connectivity()
    gateway.faults.restore(data_kept=False)
    await until(client, lambda: codes == [1100, 1101])
    gateway.advance(5)
    await client.reqCurrentTimeAsync()
    assert list(bars) == []

    again = client.reqRealTimeBars(aapl, 5, "TRADES", False)
    await client.reqCurrentTimeAsync()
    gateway.advance(5)
    await until(client, lambda: again)

    assert again[0].close == 102.5


async def test_the_next_order_is_rejected_and_the_one_after_is_not(
    client: ib.IB, aapl: ib.Contract, gateway: Gateway, tolerated: set[int], until: Until
) -> None:
    tolerated.add(201)
    gateway.faults.reject_next_order("no luck today")

    rejected = client.placeOrder(aapl, ib.MarketOrder("BUY", 10))
    await until(client, lambda: rejected.orderStatus.status == "Inactive")
    taken = client.placeOrder(aapl, ib.MarketOrder("BUY", 10))
    await until(client, taken.isDone)

    assert any("reason:no luck today" in entry.message for entry in rejected.log)
    assert taken.orderStatus.status == "Filled"


async def test_executions_can_come_twice(dial: MakeWire, gateway: Gateway, until: Until) -> None:
    wire = await dial()
    gateway.faults.duplicate_executions()

    wire.send(3, orderId=1, conId=265598, action="SELL", totalQuantity=1, orderType="MKT", transmit=1)
    wire.send(49)
    told = await wire.until("currentTime")

    ids = [texts["execId"] for name, texts in told if name == "execDetails"]
    assert len(ids) == 2
    assert ids[0] == ids[1]


async def test_the_next_order_id_can_be_rolled_back(
    connect: Connect, client: ib.IB, aapl: ib.Contract, gateway: Gateway, until: Until
) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.0))
    await until(client, lambda: trade.orderStatus.status == "Submitted")
    gateway.faults.roll_back_next_valid_id(to=1)
    client.disconnect()
    heard: list[int] = []

    wire = ib.IB()
    wire.client.apiStart += lambda: heard.append(wire.client._reqIdSeq)
    await wire.connectAsync("127.0.0.1", gateway.port, clientId=1, timeout=5)
    wire.disconnect()

    assert heard == [1]


async def test_faults_may_be_caused_from_another_thread(
    client: ib.IB, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.gather(
        asyncio.to_thread(gateway.faults.hang_up),
        asyncio.wait_for(client.disconnectedEvent, 5),
    )

    assert gateway.client_ids == ()
    caplog.clear()
