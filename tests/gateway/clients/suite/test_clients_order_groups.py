"""Orders that belong together: brackets, one-cancels-all groups, combos; and partial fills, which move groups."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway, MarketSource


@pytest.fixture
def bracket(ib, client, aapl, until):
    """Place a bracket around a buy of 10 at 99.50: take profit at 101.00, stop at 98.00; return its three trades."""

    async def place() -> list[Any]:
        orders = client.bracketOrder("BUY", 10, limitPrice=99.50, takeProfitPrice=101.00, stopLossPrice=98.00)
        assert [order.transmit for order in orders] == [False, False, True]
        trades = [client.placeOrder(aapl, order) for order in orders]
        await until(client, lambda: trades[0].orderStatus.status == "Submitted")
        await until(client, lambda: all(trade.orderStatus.status == "PreSubmitted" for trade in trades[1:]))
        return trades

    return place


async def test_the_children_of_a_bracket_wait_for_their_parent(bracket) -> None:
    parent, profit, stop = await bracket()

    assert {child.orderStatus.parentId for child in (profit, stop)} == {parent.order.orderId}
    assert profit.orderStatus.whyHeld == "child"
    assert stop.orderStatus.whyHeld == "child,trigger"


async def test_a_brackets_profit_cancels_its_stop(client, bracket, move, until) -> None:
    parent, profit, stop = await bracket()

    move(99.40)
    await until(client, lambda: parent.isDone() and profit.orderStatus.status == "Submitted")
    await until(client, lambda: stop.orderStatus.whyHeld == "trigger")
    move(101.50)
    await until(client, lambda: profit.isDone() and stop.isDone())

    assert (parent.orderStatus.status, profit.orderStatus.status, stop.orderStatus.status) == (
        "Filled",
        "Filled",
        "Cancelled",
    )
    assert 101.00 <= profit.fills[0].execution.price <= 101.49
    await until(client, lambda: client.positions() == [])


async def test_a_brackets_stop_cancels_its_profit(client, bracket, move, until) -> None:
    parent, profit, stop = await bracket()

    move(99.40)
    await until(client, lambda: parent.isDone() and profit.orderStatus.status == "Submitted")
    move(97.00)
    await until(client, lambda: profit.isDone() and stop.isDone())

    assert (profit.orderStatus.status, stop.orderStatus.status) == ("Cancelled", "Filled")
    assert stop.fills[0].execution.price == 96.99


async def test_cancelling_the_parent_cancels_the_children(client, bracket, until) -> None:
    trades = await bracket()

    client.cancelOrder(trades[0].order)
    await until(client, lambda: all(trade.isDone() for trade in trades))

    assert {trade.orderStatus.status for trade in trades} == {"Cancelled"}


async def test_a_group_is_held_until_its_last_order(ib, client, aapl, until) -> None:
    first, *rest = client.bracketOrder("BUY", 10, limitPrice=150.0, takeProfitPrice=160.0, stopLossPrice=90.0)
    parent = client.placeOrder(aapl, first)
    await client.reqCurrentTimeAsync()
    # Its price is far above the ask, but it still waits.
    assert not parent.fills

    for order in rest:
        client.placeOrder(aapl, order)
    await until(client, parent.isDone)

    assert parent.fills[0].execution.price == 100.0


async def test_of_an_oca_group_the_first_fill_cancels_the_others(ib, client, aapl, move, until) -> None:
    orders = ib.IB.oneCancelsAll([ib.LimitOrder("BUY", 10, limit) for limit in (99.0, 98.0, 97.0)], "one", 1)
    trades = [client.placeOrder(aapl, order) for order in orders]
    await until(client, lambda: all(trade.orderStatus.status == "Submitted" for trade in trades))

    move(98.90)
    await until(client, lambda: all(trade.isDone() for trade in trades))

    assert [trade.orderStatus.status for trade in trades] == ["Filled", "Cancelled", "Cancelled"]


class TestPartialFills:
    """A gateway whose executions take at most the displayed size."""

    @pytest.fixture
    async def gateway(self, market: MarketSource, clock: ManualClock) -> AsyncIterator[Gateway]:
        async with Gateway(market=market, clock=clock, partial=True) as running:
            yield running

    async def test_an_order_is_filled_in_parts_of_the_displayed_size(
        self, ib, client, aapl, gateway: Gateway, until
    ) -> None:
        trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 100, 99.0))
        await until(client, lambda: trade.orderStatus.status == "Submitted")

        gateway.quote("AAPL", 98.90, 98.95, ask_size=40)
        await until(client, lambda: trade.orderStatus.filled == 40)
        assert (trade.orderStatus.status, trade.orderStatus.remaining) == ("Submitted", 60)
        gateway.quote("AAPL", 98.90, 98.96, ask_size=500)
        await until(client, trade.isDone)

        assert [(fill.execution.shares, fill.execution.cumQty) for fill in trade.fills] == [(40, 40), (60, 100)]
        assert trade.orderStatus.avgFillPrice == pytest.approx(
            sum(fill.execution.price * fill.execution.shares for fill in trade.fills) / 100
        )

    async def test_a_partial_fill_cancels_the_rest_of_an_oca_group_of_type_1(
        self, ib, client, aapl, gateway: Gateway, until
    ) -> None:
        orders = ib.IB.oneCancelsAll([ib.LimitOrder("BUY", 100, limit) for limit in (99.0, 98.0)], "one", 1)
        first, second = (client.placeOrder(aapl, order) for order in orders)
        await until(client, lambda: {first.orderStatus.status, second.orderStatus.status} == {"Submitted"})

        gateway.quote("AAPL", 98.90, 98.95, ask_size=40)
        await until(client, second.isDone)

        assert second.orderStatus.status == "Cancelled"
        assert (first.orderStatus.status, first.orderStatus.filled) == ("Submitted", 40)

    @pytest.mark.parametrize("kind", [2, 3])
    async def test_a_partial_fill_reduces_the_rest_of_its_oca_group(
        self, ib, client, aapl, gateway: Gateway, until, kind: int
    ) -> None:
        orders = ib.IB.oneCancelsAll([ib.LimitOrder("BUY", 100, limit) for limit in (99.0, 98.0)], "both", kind)
        first, second = (client.placeOrder(aapl, order) for order in orders)
        await until(client, lambda: {first.orderStatus.status, second.orderStatus.status} == {"Submitted"})

        gateway.quote("AAPL", 98.90, 98.95, ask_size=40)
        await until(client, lambda: first.orderStatus.filled == 40)
        await until(client, lambda: second.orderStatus.remaining == 60)
        gateway.quote("AAPL", 98.90, 98.96, ask_size=500)
        await until(client, lambda: first.isDone() and second.isDone())

        assert [first.orderStatus.status, second.orderStatus.status] == ["Filled", "Cancelled"]

    async def test_a_fill_or_kill_larger_than_the_displayed_size_is_killed(self, ib, client, aapl, until) -> None:
        # A thousand are shown at 100.00.
        trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 1001, 100.0, tif="FOK"))
        await until(client, lambda: trade.orderStatus.status == "Inactive")

        assert trade.filled() == 0

    async def test_an_immediate_order_takes_the_displayed_size_and_ends(self, ib, client, aapl, until) -> None:
        trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 1001, 100.0, tif="IOC"))
        await until(client, trade.isDone)

        assert (trade.orderStatus.status, trade.filled()) == ("Cancelled", 1000)


@pytest.fixture
def spread(ib) -> Any:
    """Return the combo that buys one AAPL and sells one MSFT."""
    return ib.Contract(
        secType="BAG",
        symbol="AAPL,MSFT",
        exchange="SMART",
        currency="USD",
        comboLegs=[
            ib.ComboLeg(conId=265598, ratio=1, action="BUY", exchange="SMART"),
            ib.ComboLeg(conId=272093, ratio=1, action="SELL", exchange="SMART"),
        ],
    )


async def test_a_combo_trades_at_the_net_price_of_its_legs(ib, client, spread, until) -> None:
    trade = client.placeOrder(spread, ib.MarketOrder("BUY", 10))
    await until(client, trade.isDone)

    # AAPL at the ask of 100.00, MSFT at the bid of 200.00: the net price is -100.00.
    assert trade.orderStatus.avgFillPrice == pytest.approx(-100.0)
    await until(client, lambda: len(client.positions()) == 2)
    assert {position.contract.symbol: position.position for position in client.positions()} == {
        "AAPL": 10,
        "MSFT": -10,
    }


async def test_a_combo_with_a_limit_waits_for_its_net_price(ib, client, spread, gateway: Gateway, shown, until) -> None:
    trade = client.placeOrder(spread, ib.LimitOrder("BUY", 10, -101.0))
    await until(client, lambda: trade.orderStatus.status == "Submitted")
    [seen] = await shown()
    assert [(leg.conId, leg.ratio, leg.action) for leg in seen.contract.comboLegs] == [
        (265598, 1, "BUY"),
        (272093, 1, "SELL"),
    ]

    # AAPL at 99.00 less MSFT at 200.00.
    gateway.quote("AAPL", 98.99, 99.00)
    await until(client, trade.isDone)

    assert trade.orderStatus.avgFillPrice == pytest.approx(-101.0)
