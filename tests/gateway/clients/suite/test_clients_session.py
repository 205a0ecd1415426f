"""Connecting: the whole start-up, several clients at once, a client id in use, and reconnecting."""

from __future__ import annotations

import datetime as dt

import pytest

from ibdesk.gateway import Gateway

ACCOUNT = "DU9000001"


async def test_the_start_up_ends_without_a_time_out(ib, connect) -> None:
    client = await connect(1)

    assert client.isConnected()
    assert client.client.serverVersion() == min(178, client.client.MaxClientVersion)
    assert client.managedAccounts() == [ACCOUNT]
    assert (client.positions(), client.portfolio(), client.fills()) == ([], [], [])
    assert (client.trades(), client.openOrders()) == ([], [])
    values = {(value.tag, value.currency): value.value for value in client.accountValues(ACCOUNT)}
    assert values["NetLiquidation", "USD"] == values["TotalCashValue", "USD"] == "1000000.00"


async def test_the_start_up_brings_orders_executions_and_positions(ib, client, aapl, connect, until) -> None:
    bought = client.placeOrder(aapl, ib.MarketOrder("BUY", 100, orderRef="bought"))
    resting = client.placeOrder(aapl, ib.LimitOrder("SELL", 100, 150.0, orderRef="rests"))
    await until(client, lambda: bought.isDone() and resting.orderStatus.status == "Submitted")
    client.disconnect()

    again = await connect(1)

    # The quote is 99.99 to 100.00; the order cost the minimum of one dollar, and IB's average cost includes it.
    [fill] = again.fills()
    assert (fill.execution.price, fill.execution.shares, fill.execution.orderRef) == (100.0, 100.0, "bought")
    assert fill.commissionReport.commission == 1.0
    [position] = again.positions()
    assert (position.contract.conId, position.position) == (265598, 100.0)
    assert position.avgCost == pytest.approx(100.01)
    [item] = again.portfolio()
    assert (item.marketPrice, item.marketValue) == (100.0, 10_000.0)
    [order] = again.openOrders()
    assert (order.orderRef, order.permId, order.lmtPrice) == ("rests", resting.order.permId, 150.0)
    assert again.client.getReqId() > resting.order.orderId


async def test_client_zero_binds_orders_placed_by_hand_without_an_error(connect) -> None:
    assert (await connect(0)).isConnected()


async def test_the_gateway_sends_its_own_time(client) -> None:
    assert await client.reqCurrentTimeAsync() == dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)


async def test_a_client_id_in_use_is_error_326_and_disturbs_no_other_client(
    connect, client, gateway: Gateway, announced, excused, errors
) -> None:
    announced.add(326)
    excused += ["API connection failed", "Peer closed connection"]

    # Both libraries then wait for their whole time-out, as they do at TWS.
    with pytest.raises((TimeoutError, ConnectionError)):
        await connect(1, seconds=0.3)

    assert [error[1] for error in errors if error[0] == -1 and error[1] < 2000] == [326]
    assert client.isConnected()
    assert await client.reqCurrentTimeAsync()
    assert gateway.client_ids == (1,)


async def test_two_clients_have_their_own_orders_and_one_account(ib, connect, client, aapl, until) -> None:
    other = await connect(2)
    mine = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.0))
    theirs = other.placeOrder(aapl, ib.MarketOrder("BUY", 10))
    await until(other, lambda: theirs.isDone() and other.positions())
    await until(client, lambda: mine.orderStatus.status == "Submitted" and client.positions())

    assert [trade.order.orderId for trade in await client.reqOpenOrdersAsync()] == [mine.order.orderId]
    assert await other.reqOpenOrdersAsync() == []
    assert [trade.order.permId for trade in await other.reqAllOpenOrdersAsync()] == [mine.order.permId]
    assert client.positions()[0].position == 10


async def test_a_client_that_saw_all_orders_cancels_anothers(ib, connect, client, aapl, raw, until, excused) -> None:
    # The canceller's confirmation carries its own client id (captured), under which the libraries know no order.
    excused.append("orderStatus: No order found")
    other = await connect(2)
    mine = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.0))
    await until(client, lambda: mine.orderStatus.status == "Submitted")
    owner_heard, canceller_heard = raw(client, 3), raw(other, 3)

    [seen] = await other.reqAllOpenOrdersAsync()
    other.cancelOrder(seen.order)

    await until(client, mine.isDone)
    assert mine.orderStatus.status == "Cancelled"
    assert await other.reqAllOpenOrdersAsync() == []
    # order id, status, filled, remaining, average price, permanent id, parent id, last price, client id
    assert [owner_heard[-1][index] for index in (1, 8)] == ["Cancelled", "1"]
    assert [canceller_heard[-1][index] for index in (1, 8)] == ["Cancelled", "2"]


async def test_a_client_comes_back_to_the_orders_that_worked_meanwhile(ib, connect, client, aapl, until, move) -> None:
    filled = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 99.0, orderRef="fills"))
    resting = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.0, orderRef="rests", tif="GTC"))
    await until(client, lambda: {filled.orderStatus.status, resting.orderStatus.status} == {"Submitted"})
    client.disconnect()
    move(98.90)

    again = await connect(1)

    assert [fill.execution.orderRef for fill in again.fills()] == ["fills"]
    assert [(order.orderRef, order.tif) for order in again.openOrders()] == [("rests", "GTC")]
    [trade] = again.openTrades()
    again.cancelOrder(trade.order)
    await until(again, trade.isDone)
