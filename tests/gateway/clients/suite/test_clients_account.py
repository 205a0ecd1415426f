"""The account: summaries, updates, positions, profit and loss, in their plain, multi and single forms."""

from __future__ import annotations

from typing import Any

import pytest

ACCOUNT = "DU9000001"


@pytest.fixture
async def bought(ib, client, aapl, until) -> Any:
    """Return the trade that bought 100 AAPL at 100.00 for a dollar of commission: 100.01 a share."""
    trade = client.placeOrder(aapl, ib.MarketOrder("BUY", 100))
    await until(client, lambda: trade.isDone() and client.portfolio() and trade.fills[0].commissionReport.commission)
    return trade


async def test_the_summary_has_every_tag(client, bought) -> None:
    await client.reqAccountSummaryAsync()

    summary = {value.tag: (value.value, value.currency) for value in await client.accountSummaryAsync()}
    # 10,000 for the shares and one dollar of commission.
    assert summary["TotalCashValue"] == ("989999.00", "USD")
    assert summary["NetLiquidation"] == ("999999.00", "USD")
    assert summary["GrossPositionValue"] == ("10000.00", "USD")
    assert {"AccountType", "BuyingPower", "Cushion", "FullInitMarginReq", "FullMaintMarginReq"} <= set(summary)
    assert {"FullAvailableFunds", "FullExcessLiquidity", "LookAheadAvailableFunds", "Leverage"} <= set(summary)


async def test_account_values_and_portfolio_follow_a_fill(client, bought, move, until) -> None:
    values = {(value.tag, value.currency): value.value for value in client.accountValues(ACCOUNT)}
    assert values["TotalCashValue", "USD"] == "989999.00"
    assert values["NetLiquidation", "USD"] == "999999.00"
    [item] = client.portfolio()
    assert (item.contract.conId, item.position, item.marketPrice, item.marketValue) == (265598, 100, 100.0, 10_000.0)
    assert (item.averageCost, item.unrealizedPNL) == (pytest.approx(100.01), pytest.approx(-1.0))


async def test_positions_follow_a_fill(client, bought, until) -> None:
    await until(client, client.positions)

    [position] = client.positions(ACCOUNT)
    assert (position.account, position.contract.symbol, position.position) == (ACCOUNT, "AAPL", 100.0)
    assert position.avgCost == pytest.approx(100.01)
    # A second request gets the same answer.
    assert [(each.contract.conId, each.position) for each in await client.reqPositionsAsync()] == [(265598, 100.0)]


async def test_a_closed_position_is_reported_once_more_as_zero(ib, client, aapl, bought, until) -> None:
    sold = client.placeOrder(aapl, ib.MarketOrder("SELL", 100))

    await until(client, lambda: sold.isDone() and client.positions() == [] and client.portfolio() == [])
    values = {(value.tag, value.currency): value.value for value in client.accountValues(ACCOUNT)}
    # Bought at 100.00, sold at the bid of 99.99, a dollar of commission each way.
    await until(client, lambda: sold.fills[0].commissionReport.realizedPNL)
    assert sold.fills[0].commissionReport.realizedPNL == pytest.approx(-3.0)
    assert values["TotalCashValue", "USD"] == "999997.00"


async def test_profit_of_the_account_is_sent_every_second(client, bought, gateway, move, until) -> None:
    profit = client.reqPnL(ACCOUNT)
    await until(client, lambda: profit.dailyPnL == pytest.approx(-1.0))
    assert profit.unrealizedPnL == pytest.approx(-1.0)

    move(101.00)
    gateway.advance(1)
    await until(client, lambda: profit.dailyPnL == pytest.approx(99.0))

    assert profit.realizedPnL == pytest.approx(0.0)
    client.cancelPnL(ACCOUNT)


async def test_profit_of_one_position_is_sent_every_second(client, bought, gateway, move, until) -> None:
    single = client.reqPnLSingle(ACCOUNT, "", 265598)
    await until(client, lambda: single.position == 100)
    assert (single.value, single.unrealizedPnL) == (10_000.0, pytest.approx(-1.0))

    move(101.00)
    gateway.advance(1)
    await until(client, lambda: single.value == 10_100.0)

    assert single.unrealizedPnL == pytest.approx(99.0)
    client.cancelPnLSingle(ACCOUNT, "", 265598)


async def test_the_multi_form_of_account_updates_ends(client, raw, bought) -> None:
    heard = raw(client, 73)

    await client.reqAccountUpdatesMultiAsync(ACCOUNT)

    # version, request id, account, model, key, value, currency
    values = {fields[4]: fields[5] for fields in heard if fields[2] == ACCOUNT}
    assert values["TotalCashValue"] == "989999.00"


async def test_the_multi_form_of_positions_ends(client, raw, bought, until) -> None:
    heard, ended = raw(client, 71), raw(client, 72)

    client.client.reqPositionsMulti(4711, ACCOUNT, "")
    await until(client, lambda: ended)
    client.client.cancelPositionsMulti(4711)
    await client.reqCurrentTimeAsync()

    [fields] = heard
    # version, request id, account, contract id, symbol; then the position after eleven fields of the contract.
    assert fields[1:5] == ["4711", ACCOUNT, "265598", "AAPL"]
    assert float(fields[14]) == 100
    assert float(fields[15]) == pytest.approx(100.01)
    assert [fields[1] for fields in ended] == ["4711"]


async def test_an_account_that_is_not_there_is_refused(client, announced, errors, until) -> None:
    announced.add(321)

    client.client.reqPnL(4711, "DU1", "")
    await until(client, lambda: errors and errors[-1][0] == 4711)

    assert errors[-1][1] == 321
