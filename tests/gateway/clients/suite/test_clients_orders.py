"""The life cycle of an order: accepted, shown, changed, filled, cancelled, rejected; and its remains."""

from __future__ import annotations

from typing import Any

import pytest

from ibdesk.gateway import Gateway


def told(client: Any) -> list[tuple[str, str]]:
    """Note the reports about the client's orders, in order: kind of message and status."""
    heard: list[tuple[str, str]] = []
    client.openOrderEvent += lambda trade: heard.append(("order", trade.orderStatus.status))
    client.execDetailsEvent += lambda trade, fill: heard.append(("execution", f"{fill.execution.shares:g}"))
    client.commissionReportEvent += lambda trade, fill, report: heard.append(("commission", f"{report.commission:g}"))
    client.orderStatusEvent += lambda trade: heard.append(("status", trade.orderStatus.status))
    return heard


async def test_a_market_order_is_acknowledged_executed_and_charged_in_that_order(ib, client, aapl, until) -> None:
    heard = told(client)

    trade = client.placeOrder(aapl, ib.MarketOrder("BUY", 100, orderRef="mine"))
    await until(client, lambda: trade.fills and trade.fills[0].commissionReport.commission)

    # The quote is 99.99 to 100.00; a hundred shares cost the minimum of one dollar.
    [fill] = trade.fills
    assert (fill.execution.price, fill.execution.shares, fill.execution.side) == (100.0, 100.0, "BOT")
    assert (fill.execution.orderRef, fill.execution.cumQty, fill.execution.avgPrice) == ("mine", 100.0, 100.0)
    assert (fill.commissionReport.commission, fill.commissionReport.currency) == (1.0, "USD")
    assert (trade.orderStatus.status, trade.orderStatus.filled, trade.orderStatus.remaining) == ("Filled", 100, 0)
    assert trade.orderStatus.avgFillPrice == 100.0
    kinds = [kind for kind, _ in heard]
    assert kinds.index("order") < kinds.index("execution") < kinds.index("commission")
    assert heard[-1] == ("commission", "1")


async def test_a_limit_order_rests_until_its_price_comes(ib, client, aapl, move, until) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 99.00))
    await until(client, lambda: trade.orderStatus.status == "Submitted")
    assert [entry.status for entry in trade.log] == ["PendingSubmit", "PreSubmitted", "Submitted"]

    move(98.90)
    await until(client, trade.isDone)

    # It rested, and so fills at its own price or better.
    assert 98.90 <= trade.fills[0].execution.price <= 99.00


async def test_a_limit_order_never_pays_more_than_the_quote(ib, client, aapl, until) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 150.00))
    await until(client, trade.isDone)

    assert trade.fills[0].execution.price == 100.0


async def test_a_cancel_is_confirmed_with_202(ib, client, aapl, until, errors) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.00, tif="GTC"))
    await until(client, lambda: trade.orderStatus.status == "Submitted")

    client.cancelOrder(trade.order)
    await until(client, lambda: errors[-1][0] == trade.order.orderId)

    assert trade.orderStatus.status == "Cancelled"
    assert errors[-1][1] == 202
    assert errors[-1][2].startswith("Order Canceled - reason:")
    assert client.openOrders() == []


async def test_a_change_of_price_and_size_is_taken(ib, client, aapl, until) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.00))
    await until(client, lambda: trade.orderStatus.status == "Submitted")

    trade.order.lmtPrice, trade.order.totalQuantity = 100.00, 20
    client.placeOrder(aapl, trade.order)
    await until(client, trade.isDone)

    assert (trade.fills[0].execution.price, trade.orderStatus.filled) == (100.0, 20)


async def test_a_limit_order_may_become_a_market_order(ib, client, aapl, until) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.00))
    await until(client, lambda: trade.orderStatus.status == "Submitted")

    trade.order.orderType = "MKT"
    client.placeOrder(aapl, trade.order)
    await until(client, trade.isDone)

    assert (trade.orderStatus.status, trade.orderStatus.filled) == ("Filled", 10)


async def test_the_trigger_of_a_stop_may_be_moved(ib, client, aapl, move, shown, until) -> None:
    trade = client.placeOrder(aapl, ib.StopOrder("SELL", 10, 95.00))
    await until(client, lambda: trade.orderStatus.whyHeld == "trigger")

    trade.order.auxPrice = 99.50
    client.placeOrder(aapl, trade.order)
    await client.reqCurrentTimeAsync()
    [seen] = await shown()
    assert seen.order.auxPrice == 99.50
    move(99.00)
    await until(client, trade.isDone)

    assert trade.fills[0].execution.price == 98.99


async def test_a_change_of_side_is_refused_and_the_order_stays_open(ib, client, aapl, until, announced, errors) -> None:
    announced.add(105)
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.0))
    await until(client, lambda: trade.orderStatus.status == "Submitted")

    client.client.placeOrder(trade.order.orderId, aapl, ib.LimitOrder("SELL", 10, 110.0))
    await until(client, lambda: errors[-1][0] == trade.order.orderId)

    assert errors[-1][1] == 105
    # ib_insync takes the error for the end of the order; the gateway's own answer shows that it still works.
    assert [order.order.permId for order in await client.reqAllOpenOrdersAsync()] == [trade.order.permId]


async def test_a_filled_order_can_neither_be_changed_nor_cancelled(ib, client, aapl, until, announced, errors) -> None:
    announced.update((104, 10148))
    trade = client.placeOrder(aapl, ib.MarketOrder("BUY", 10))
    await until(client, trade.isDone)

    client.client.placeOrder(trade.order.orderId, aapl, trade.order)
    client.client.cancelOrder(trade.order.orderId)
    await until(client, lambda: len([error for error in errors if error[0] == trade.order.orderId]) == 2)

    assert [error[1] for error in errors if error[0] == trade.order.orderId] == [104, 10148]


async def test_an_unknown_order_cannot_be_cancelled(client, until, announced, errors) -> None:
    announced.add(10147)

    client.client.cancelOrder(4711)
    await until(client, lambda: errors[-1][0] == 4711)

    assert errors[-1][1:] == (10147, "OrderId 4711 that needs to be cancelled is not found.")


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"orderType": "LMT", "lmtPrice": 90.005}, 110),
        ({"orderType": "LMT", "lmtPrice": 90.0, "totalQuantity": 0}, 434),
        ({"orderType": "NONSENSE"}, 321),
        ({"orderType": "LMT", "lmtPrice": 90.0, "account": "DU1"}, 321),
        ({"orderType": "LMT", "lmtPrice": 90.0, "parentId": 4711}, 135),
        ({"orderType": "MKT", "totalQuantity": 1_000_000}, 201),
    ],
)
async def test_an_order_that_cannot_be_taken_is_refused_with_its_code(
    ib, client, aapl, until, announced, errors, terms: dict, code: int
) -> None:
    announced.add(code)

    trade = client.placeOrder(aapl, ib.Order(**{"action": "BUY", "totalQuantity": 10, **terms}))
    await until(client, lambda: errors[-1][0] == trade.order.orderId)

    assert errors[-1][1] == code
    assert await client.reqAllOpenOrdersAsync() == []


async def test_an_order_beyond_the_margin_becomes_inactive(ib, client, aapl, until, announced, errors) -> None:
    announced.add(201)

    # A million shares at 100.00: the account holds one of the hundred million.
    trade = client.placeOrder(aapl, ib.MarketOrder("BUY", 1_000_000))
    await until(client, lambda: trade.orderStatus.status == "Inactive")

    assert errors[-1][2].startswith("Order rejected - reason:YOUR ORDER IS NOT ACCEPTED.")
    assert "MUST EXCEED THE INITIAL MARGIN" in errors[-1][2]


async def test_a_what_if_is_answered_with_margins_and_never_works(ib, client, aapl) -> None:
    state = await client.whatIfOrderAsync(aapl, ib.MarketOrder("BUY", 100))

    # A hundred shares at the ask of 100.00: half of it as initial margin, a quarter as maintenance margin.
    assert (state.initMarginBefore, state.initMarginChange, state.initMarginAfter) == ("0.00", "5000.00", "5000.00")
    assert (state.maintMarginChange, state.maintMarginAfter) == ("2500.00", "2500.00")
    assert float(state.equityWithLoanBefore) == 1_000_000.0
    assert state.commission == 1.0
    assert await client.reqOpenOrdersAsync() == []


async def test_open_orders_of_one_and_of_all_clients(ib, client, connect, aapl, until) -> None:
    other = await connect(2)
    mine = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.0, orderRef="mine", tif="GTC"))
    theirs = other.placeOrder(aapl, ib.StopOrder("SELL", 10, 80.0, orderRef="theirs"))
    await until(client, lambda: mine.orderStatus.status == "Submitted")
    await until(other, lambda: theirs.orderStatus.status == "PreSubmitted")

    [own] = await client.reqOpenOrdersAsync()
    every = await client.reqAllOpenOrdersAsync()

    assert (own.order.orderRef, own.order.tif, own.order.lmtPrice, own.orderStatus.status) == (
        "mine",
        "GTC",
        90.0,
        "Submitted",
    )
    assert {(trade.order.orderRef, trade.order.clientId) for trade in every} == {("mine", 1), ("theirs", 2)}


async def test_completed_orders_tell_how_they_ended(ib, client, aapl, until) -> None:
    filled = client.placeOrder(aapl, ib.MarketOrder("BUY", 10, orderRef="filled"))
    cancelled = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.0, orderRef="cancelled"))
    await until(client, lambda: filled.isDone() and cancelled.orderStatus.status == "Submitted")
    client.cancelOrder(cancelled.order)
    await until(client, cancelled.isDone)

    completed = await client.reqCompletedOrdersAsync(False)

    ends = {trade.order.orderRef: (trade.orderStatus.status, trade.order.filledQuantity) for trade in completed}
    assert ends == {"filled": ("Filled", 10.0), "cancelled": ("Cancelled", 0.0)}


async def test_executions_are_found_by_filter_each_with_its_commission(ib, client, connect, aapl, until) -> None:
    trade = client.placeOrder(aapl, ib.MarketOrder("BUY", 10))
    await until(client, trade.isDone)

    found = await client.reqExecutionsAsync(ib.ExecutionFilter(symbol="AAPL", side="BUY"))
    other = await client.reqExecutionsAsync(ib.ExecutionFilter(symbol="MSFT"))

    assert [fill.execution.execId for fill in found] == [trade.fills[0].execution.execId]
    assert other == []
    # The libraries keep the commission with the execution that they received first: here that of a client's start-up.
    late = await connect(2)
    assert [fill.commissionReport.commission for fill in late.fills()] == [1.0]


async def test_a_sale_realizes_its_profit(ib, client, aapl, move, until) -> None:
    bought = client.placeOrder(aapl, ib.MarketOrder("BUY", 100))
    await until(client, bought.isDone)
    move(102.00)

    sold = client.placeOrder(aapl, ib.MarketOrder("SELL", 100))
    await until(client, lambda: sold.fills and sold.fills[0].commissionReport.realizedPNL)

    # Bought at 100.00, sold at the bid of 101.99, one dollar each way: 199 - 2.
    assert sold.fills[0].execution.price == 101.99
    assert sold.fills[0].commissionReport.realizedPNL == pytest.approx(197.0)


async def test_a_global_cancel_withdraws_every_order(ib, client, connect, aapl, until) -> None:
    other = await connect(2)
    trades = [client.placeOrder(aapl, ib.LimitOrder("BUY", 10, price)) for price in (90.0, 91.0)]
    theirs = other.placeOrder(aapl, ib.LimitOrder("BUY", 10, 92.0))
    await until(client, lambda: all(trade.orderStatus.status == "Submitted" for trade in trades))
    await until(other, lambda: theirs.orderStatus.status == "Submitted")

    client.reqGlobalCancel()
    await until(client, lambda: all(trade.isDone() for trade in trades))
    await until(other, theirs.isDone)

    assert {trade.orderStatus.status for trade in [*trades, theirs]} == {"Cancelled"}


@pytest.mark.parametrize("kind", ["MKT", "LMT"])
async def test_a_currency_is_traded_too(ib, client, gateway: Gateway, until, kind: str) -> None:
    [pair] = await client.qualifyContractsAsync(ib.Forex("EURUSD"))

    trade = client.placeOrder(pair, ib.Order(action="BUY", totalQuantity=20_000, orderType=kind, lmtPrice=1.2))
    await until(client, trade.isDone)

    assert trade.fills[0].execution.price == pytest.approx(1.1001)
