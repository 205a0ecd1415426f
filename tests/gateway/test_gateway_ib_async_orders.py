"""ib_async, unmodified, trades at the gateway: every order type, changes, refusals, and what outlives a session."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import ib_async as ib
import pytest

from ibdesk.gateway import Gateway

if TYPE_CHECKING:
    from tests.gateway.conftest import Connect, Until


def told(client: ib.IB) -> list[tuple[str, str]]:
    """Note the reports about the client's orders, in order: kind of message and status."""
    heard: list[tuple[str, str]] = []
    client.openOrderEvent += lambda trade: heard.append(("order", trade.orderStatus.status))
    client.execDetailsEvent += lambda trade, fill: heard.append(("execution", f"{fill.execution.shares:g}"))
    client.commissionReportEvent += lambda trade, fill, report: heard.append(("commission", f"{report.commission:g}"))
    client.orderStatusEvent += lambda trade: heard.append(("status", trade.orderStatus.status))
    return heard


async def test_a_market_order_trades_at_the_quote(client: ib.IB, aapl: ib.Contract, until: Until) -> None:
    heard = told(client)

    trade = client.placeOrder(aapl, ib.MarketOrder("BUY", 100, orderRef="mine-1"))
    await until(client, lambda: trade.fills and trade.fills[0].commissionReport.commission)

    # The quote is 99.99 to 100.00; a hundred shares cost the minimum of one dollar.
    [fill] = trade.fills
    assert (fill.execution.price, fill.execution.shares, fill.execution.side) == (100.0, 100.0, "BOT")
    assert (fill.execution.orderRef, fill.execution.cumQty, fill.commissionReport.commission) == ("mine-1", 100.0, 1.0)
    assert trade.orderStatus.status == "Filled"
    assert trade.orderStatus.avgFillPrice == 100.0
    assert heard == [
        ("order", "PendingSubmit"),
        ("status", "PreSubmitted"),
        ("execution", "100"),
        ("order", "PreSubmitted"),
        ("status", "Filled"),
        ("commission", "1"),
    ]


async def test_a_sale_trades_at_the_bid_and_realizes_its_profit(
    client: ib.IB, aapl: ib.Contract, gateway: Gateway, until: Until
) -> None:
    bought = client.placeOrder(aapl, ib.MarketOrder("BUY", 100))
    await until(client, bought.isDone)
    gateway.advance(2.5)

    sold = client.placeOrder(aapl, ib.MarketOrder("SELL", 100))
    await until(client, lambda: sold.fills and sold.fills[0].commissionReport.realizedPNL)

    # Bought at 100.00, sold at the bid of 101.99, one dollar each way: 199 - 2.
    assert sold.fills[0].execution.price == 101.99
    assert sold.fills[0].commissionReport.realizedPNL == pytest.approx(197.0)
    await until(client, lambda: client.positions() == [])
    values = {value.tag: value.value for value in client.accountValues()}
    assert values["TotalCashValue"] == "1000197.00"


async def test_a_limit_order_rests_until_its_price_comes(
    client: ib.IB, aapl: ib.Contract, gateway: Gateway, until: Until
) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 99.00))
    await until(client, lambda: trade.orderStatus.status == "Submitted")

    gateway.advance(1.25)
    await until(client, trade.isDone)

    assert [entry.status for entry in trade.log][:3] == ["PendingSubmit", "PreSubmitted", "Submitted"]
    assert trade.fills[0].execution.price == 99.0


async def test_a_limit_order_never_pays_more_than_the_quote(client: ib.IB, aapl: ib.Contract, until: Until) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 150.00))
    await until(client, trade.isDone)

    assert trade.fills[0].execution.price == 100.0


async def test_a_stop_waits_for_its_trigger(client: ib.IB, aapl: ib.Contract, gateway: Gateway, until: Until) -> None:
    trade = client.placeOrder(aapl, ib.StopOrder("SELL", 10, 99.50))
    await until(client, lambda: trade.orderStatus.whyHeld == "trigger")
    assert trade.orderStatus.status == "PreSubmitted"

    gateway.advance(1.25)
    await until(client, trade.isDone)

    assert trade.fills[0].execution.price == 98.99
    assert trade.orderStatus.whyHeld == ""


async def test_a_stop_limit_rests_at_its_limit_once_triggered(
    client: ib.IB, aapl: ib.Contract, gateway: Gateway, until: Until
) -> None:
    trade = client.placeOrder(aapl, ib.StopLimitOrder("SELL", 10, lmtPrice=99.50, stopPrice=99.20))
    await until(client, lambda: trade.orderStatus.whyHeld == "trigger")

    gateway.advance(1.25)
    await until(client, lambda: trade.orderStatus.status == "Submitted")
    gateway.advance(1.25)
    await until(client, trade.isDone)

    # Triggered at the bid of 98.99, filled when the bid was 101.99.
    assert trade.fills[0].execution.price == 101.99


async def test_an_immediate_order_that_cannot_fill_is_cancelled(client: ib.IB, aapl: ib.Contract, until: Until) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.00, tif="IOC"))
    await until(client, trade.isDone)

    assert trade.orderStatus.status == "Cancelled"
    assert trade.filled() == 0


async def test_a_cancel_is_confirmed(client: ib.IB, aapl: ib.Contract, until: Until) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.00, tif="GTC"))
    await until(client, lambda: trade.orderStatus.status == "Submitted")
    codes: list[int] = []
    client.errorEvent += lambda _id, code, *_rest: codes.append(code)

    client.cancelOrder(trade.order)
    await until(client, lambda: codes)

    assert trade.orderStatus.status == "Cancelled"
    assert codes == [202]
    assert client.openOrders() == []


async def test_a_change_of_price_is_taken(client: ib.IB, aapl: ib.Contract, until: Until) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.00))
    await until(client, lambda: trade.orderStatus.status == "Submitted")

    trade.order.lmtPrice = 100.00
    client.placeOrder(aapl, trade.order)
    await until(client, trade.isDone)

    assert trade.fills[0].execution.price == 100.0


async def test_a_limit_order_may_become_a_market_order(client: ib.IB, aapl: ib.Contract, until: Until) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.00))
    await until(client, lambda: trade.orderStatus.status == "Submitted")

    trade.order.orderType = "MKT"
    client.placeOrder(aapl, trade.order)
    await until(client, trade.isDone)

    assert trade.orderStatus.status == "Filled"
    assert trade.orderStatus.filled == 10


async def test_every_open_order_is_withdrawn_by_a_global_cancel(client: ib.IB, aapl: ib.Contract, until: Until) -> None:
    trades = [client.placeOrder(aapl, ib.LimitOrder("BUY", 10, price)) for price in (90.0, 91.0)]
    await until(client, lambda: all(trade.orderStatus.status == "Submitted" for trade in trades))

    client.reqGlobalCancel()
    await until(client, lambda: all(trade.isDone() for trade in trades))


async def test_a_what_if_order_is_answered_with_margins_and_never_works(client: ib.IB, aapl: ib.Contract) -> None:
    state = await client.whatIfOrderAsync(aapl, ib.MarketOrder("BUY", 100))

    # A hundred shares at the ask of 100.00: half of that to open, a quarter to keep; the commission is a dollar.
    assert (state.initMarginBefore, state.initMarginChange, state.initMarginAfter) == ("0.00", "5000.00", "5000.00")
    assert (state.maintMarginChange, state.equityWithLoanChange) == ("2500.00", "-1.00")
    assert state.commission == 1.0
    assert await client.reqOpenOrdersAsync() == []


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (ib.LimitOrder("BUY", 10, 90.005), 110),
        (ib.LimitOrder("BUY", 0, 90.0), 434),
        (ib.Order(action="BUY", totalQuantity=10, orderType="NONSENSE"), 321),
        (ib.Order(action="BUY", totalQuantity=10, orderType="PEG MKT", auxPrice=1.0), 387),
        (ib.Order(action="HOLD", totalQuantity=10, orderType="MKT"), 321),
        (ib.LimitOrder("BUY", 10, 90.0, parentId=4711), 135),
        (ib.LimitOrder("BUY", 10, 90.0, tif="NEVER"), 321),
        (ib.LimitOrder("BUY", 10, 90.0, account="DU1"), 321),
        (ib.MarketOrder("BUY", 100_000), 201),
    ],
)
async def test_an_order_that_cannot_be_taken_is_refused_with_its_code(
    client: ib.IB, aapl: ib.Contract, tolerated: set[int], order: ib.Order, code: int, until: Until
) -> None:
    tolerated.add(code)
    codes: list[tuple[int, int]] = []
    client.errorEvent += lambda order_id, code, *_rest: codes.append((order_id, code))

    trade = client.placeOrder(aapl, order)
    await until(client, lambda: codes)

    assert codes == [(trade.order.orderId, code)]
    assert await client.reqOpenOrdersAsync() == []
    # ib_async keeps the order object for the next parameter set of this test.
    order.orderId = 0


async def test_an_order_beyond_the_margin_becomes_inactive(
    client: ib.IB, aapl: ib.Contract, tolerated: set[int], until: Until
) -> None:
    tolerated.add(201)

    # 100,000 shares at 100.00 need five million of margin; the account holds one.
    trade = client.placeOrder(aapl, ib.MarketOrder("BUY", 100_000))
    await until(client, lambda: trade.orderStatus.status == "Inactive")

    assert "MUST EXCEED THE INITIAL MARGIN [5000000.00 USD]" in trade.log[-2].message + trade.log[-1].message


async def test_a_filled_order_cannot_be_changed_or_cancelled(
    client: ib.IB, aapl: ib.Contract, tolerated: set[int], until: Until
) -> None:
    tolerated.update((104, 10148))
    trade = client.placeOrder(aapl, ib.MarketOrder("BUY", 10))
    await until(client, trade.isDone)
    codes: list[int] = []
    client.errorEvent += lambda _id, code, *_rest: codes.append(code)

    client.client.placeOrder(trade.order.orderId, aapl, trade.order)
    client.client.cancelOrder(trade.order.orderId)
    await until(client, lambda: len(codes) == 2)

    assert codes == [104, 10148]


async def test_a_change_to_another_side_or_an_unknown_order_is_refused(
    client: ib.IB, aapl: ib.Contract, tolerated: set[int], until: Until
) -> None:
    tolerated.update((103, 105, 10147))
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.0))
    await until(client, lambda: trade.orderStatus.status == "Submitted")
    codes: list[int] = []
    client.errorEvent += lambda _id, code, *_rest: codes.append(code)

    client.client.placeOrder(trade.order.orderId, aapl, ib.LimitOrder("SELL", 10, 110.0))
    client.client.placeOrder(trade.order.orderId - 1, aapl, ib.LimitOrder("BUY", 10, 90.0))
    client.client.cancelOrder(4711)
    await until(client, lambda: len(codes) == 3)

    assert codes == [105, 103, 10147]


async def test_positions_and_account_follow_a_fill(
    client: ib.IB, aapl: ib.Contract, gateway: Gateway, until: Until
) -> None:
    trade = client.placeOrder(aapl, ib.MarketOrder("BUY", 100))
    await until(client, lambda: client.positions() and client.portfolio())

    assert trade.isDone()
    [position] = client.positions()
    # Average cost includes the commission: 100.00 + 1/100.
    assert (position.contract.conId, position.position) == (265598, 100.0)
    assert position.avgCost == pytest.approx(100.01)
    [item] = client.portfolio()
    assert (item.marketPrice, item.marketValue) == (100.0, 10_000.0)
    assert item.unrealizedPNL == pytest.approx(-1.0)
    values = {value.tag: value.value for value in client.accountValues() if not value.modelCode}
    assert values["TotalCashValue"] == "989999.00"
    assert values["NetLiquidation"] == "999999.00"
    assert (values["InitMarginReq"], values["MaintMarginReq"]) == ("5000.00", "2500.00")
    assert values["BuyingPower"] == "1989998.00"


async def test_account_summary_and_profit_are_answered(client: ib.IB, aapl: ib.Contract, until: Until) -> None:
    await client.reqAccountSummaryAsync()
    tags = {value.tag for value in client.wrapper.acctSummary.values()}
    assert {"NetLiquidation", "FullAvailableFunds", "FullInitMarginReq", "Cushion"} <= tags

    trade = client.placeOrder(aapl, ib.MarketOrder("BUY", 100))
    await until(client, trade.isDone)
    profit = client.reqPnL("DU9000001")
    single = client.reqPnLSingle("DU9000001", "", 265598)
    await until(client, lambda: single.position)

    assert profit.dailyPnL == pytest.approx(-1.0)
    assert (single.position, single.value) == (100, 10_000.0)


async def test_executions_are_found_by_filter(client: ib.IB, aapl: ib.Contract, until: Until) -> None:
    trade = client.placeOrder(aapl, ib.MarketOrder("BUY", 10))
    await until(client, trade.isDone)

    found = await client.reqExecutionsAsync(ib.ExecutionFilter(symbol="AAPL", side="BUY"))
    other = await client.reqExecutionsAsync(ib.ExecutionFilter(symbol="MSFT"))

    assert [fill.execution.execId for fill in found] == [trade.fills[0].execution.execId]
    assert other == []


async def test_orders_and_executions_outlive_the_session(
    connect: Connect, client: ib.IB, aapl: ib.Contract, gateway: Gateway, until: Until
) -> None:
    resting = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 99.0, orderRef="rests"))
    filled = client.placeOrder(aapl, ib.MarketOrder("BUY", 10, orderRef="filled"))
    await until(client, lambda: filled.isDone() and resting.orderStatus.status == "Submitted")
    client.disconnect()
    gateway.advance(1.25)

    again = await connect(1)

    assert [(fill.execution.orderRef, fill.execution.price) for fill in again.fills()] == [
        ("filled", 100.0),
        ("rests", 99.0),
    ]
    assert again.openOrders() == []
    completed = await again.reqCompletedOrdersAsync(False)
    assert {trade.order.orderRef for trade in completed} == {"rests", "filled"}
    assert again.client.getReqId() > filled.order.orderId


async def test_an_open_order_is_shown_to_its_client_when_it_comes_back(
    connect: Connect, client: ib.IB, aapl: ib.Contract, until: Until
) -> None:
    resting = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.0, orderRef="rests", tif="GTC"))
    await until(client, lambda: resting.orderStatus.status == "Submitted")
    permanent_id = resting.order.permId
    client.disconnect()

    again = await connect(1)

    [order] = again.openOrders()
    assert (order.orderRef, order.permId, order.lmtPrice, order.tif) == ("rests", permanent_id, 90.0, "GTC")


async def test_two_clients_have_their_own_orders_and_one_account(
    connect: Connect, client: ib.IB, aapl: ib.Contract, until: Until
) -> None:
    other = await connect(2)
    mine = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.0))
    theirs = other.placeOrder(aapl, ib.MarketOrder("BUY", 10))
    await until(other, lambda: theirs.isDone() and other.positions())
    await until(client, lambda: mine.orderStatus.status == "Submitted" and client.positions())

    assert len(await client.reqOpenOrdersAsync()) == 1
    assert len(await other.reqOpenOrdersAsync()) == 0
    assert len(await other.reqAllOpenOrdersAsync()) == 1
    assert client.positions()[0].position == 10


async def test_a_client_id_in_use_is_error_326_and_disturbs_no_other_client(
    client: ib.IB, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    second = ib.IB()
    codes: list[int] = []
    second.errorEvent += lambda _id, code, *_rest: codes.append(code)

    with pytest.raises(asyncio.TimeoutError):
        await second.connectAsync("127.0.0.1", gateway.port, clientId=1, timeout=0.3)

    assert codes == [326]
    assert client.isConnected()
    assert gateway.client_ids == (1,)
    caplog.clear()
