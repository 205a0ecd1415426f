"""IBKR's own client requests holdings and values of the account."""

from __future__ import annotations

import functools
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.gateway.clients.official.conftest import Call, MakeContract, MakeOrder, Official, Tws

ACCOUNT = "DU9000001"
# One hundred shares at the ask of 100.01.
PAID = 100.01


@pytest.fixture
def holder(client: Official, contract: MakeContract, order: MakeOrder) -> Official:
    """Return a client whose account holds 100 AAPL, bought at 100.01."""
    client.ask(
        lambda: client.api.placeOrder(1, contract("AAPL"), order("BUY", "MKT", 100)),
        "commissionAndFeesReport",
    )
    return client


def _values(calls: list[Call], name: str, key: str) -> dict[str, tuple[str, str]]:
    value = "val" if name == "updateAccountValue" else "value"
    return {call[key]: (call[value], call["currency"]) for call in calls if call.name == name}


def test_a_summary_has_every_requested_tag(holder: Official) -> None:
    tags = (
        "AccountType,NetLiquidation,TotalCashValue,SettledCash,BuyingPower,EquityWithLoanValue,GrossPositionValue,"
        "InitMarginReq,MaintMarginReq,AvailableFunds,ExcessLiquidity,Cushion,FullInitMarginReq,FullMaintMarginReq,"
        "FullAvailableFunds,FullExcessLiquidity,Leverage"
    )
    told = holder.ask(lambda: holder.api.reqAccountSummary(5, "All", tags), "accountSummaryEnd", reqId=5)

    summary = _values(told, "accountSummary", "tag")
    assert set(summary) >= set(tags.split(","))
    # A million less what was paid, and the dollar that a hundred shares cost at IB's least.
    assert float(summary["TotalCashValue"][0]) == pytest.approx(1_000_000 - 100 * PAID - 1.0, abs=0.01)
    assert {call["account"] for call in told if call.name == "accountSummary"} == {ACCOUNT}
    assert holder.all_of(lambda: holder.api.cancelAccountSummary(5)) == []


def test_a_third_summary_is_one_too_many(client: Official) -> None:
    for request_id in (1, 2):
        ask = functools.partial(client.api.reqAccountSummary, request_id, "All", "NetLiquidation")
        client.ask(ask, "accountSummaryEnd")

    code, text = client.error_of(lambda: client.api.reqAccountSummary(3, "All", "NetLiquidation"), request_id=3)

    assert (code, text.split(" : ")[-1]) == (322, "cause - Maximum number of account summary requests exceeded")


def test_account_updates_come_to_an_end_and_again_after_a_trade(
    holder: Official, contract: MakeContract, order: MakeOrder
) -> None:
    told = holder.ask(lambda: holder.api.reqAccountUpdates(True, ACCOUNT), "accountDownloadEnd", accountName=ACCOUNT)

    values = _values(told, "updateAccountValue", "key")
    assert values["AccountCode"][0] == ACCOUNT
    assert {"NetLiquidation", "TotalCashBalance", "BuyingPower"} <= set(values)
    [item] = [call for call in told if call.name == "updatePortfolio"]
    assert (item["contract"].symbol, item["position"], item["accountName"]) == ("AAPL", 100, ACCOUNT)
    assert any(call.name == "updateAccountTime" for call in told)

    sell = order("SELL", "MKT", 40)
    again = holder.ask(
        lambda: holder.api.placeOrder(2, contract("AAPL"), sell), "updatePortfolio", position=Decimal(60)
    )
    assert again[-1]["contract"].conId == 265598
    holder.all_of(lambda: holder.api.reqAccountUpdates(False, ACCOUNT))
    later = holder.place(3, contract("AAPL"), order("SELL", "MKT", 10))
    assert "updatePortfolio" not in {call.name for call in later}


def test_positions_are_sent_and_followed(holder: Official, contract: MakeContract, order: MakeOrder) -> None:
    [position, _] = holder.ask(holder.api.reqPositions, "positionEnd")

    assert (position["account"], position["contract"].symbol, position["position"]) == (ACCOUNT, "AAPL", 100)
    assert position["contract"].exchange == "NASDAQ"
    # The average cost includes the commission (documented), or is only the price.
    assert position["avgCost"] == pytest.approx(PAID, abs=0.02)

    told = holder.place(2, contract("AAPL"), order("SELL", "MKT", 100))
    assert [call["position"] for call in told if call.name == "position"] == [0]
    holder.all_of(holder.api.cancelPositions)
    later = holder.place(3, contract("AAPL"), order("BUY", "MKT", 10))
    assert "position" not in {call.name for call in later}


def test_positions_and_updates_have_multi_forms_with_a_request_id(holder: Official) -> None:
    api = holder.api

    [position, _] = holder.ask(lambda: api.reqPositionsMulti(7, ACCOUNT, ""), "positionMultiEnd", reqId=7)
    assert (position["account"], position["contract"].symbol, position["pos"], position["modelCode"]) == (
        ACCOUNT,
        "AAPL",
        100,
        "",
    )
    told = holder.ask(lambda: api.reqAccountUpdatesMulti(8, ACCOUNT, "", False), "accountUpdateMultiEnd", reqId=8)
    values = _values(told, "accountUpdateMulti", "key")
    assert "NetLiquidation" in values
    assert holder.all_of(lambda: (api.cancelPositionsMulti(7), api.cancelAccountUpdatesMulti(8))) == []


def test_profit_and_loss_are_sent_and_followed(holder: Official, tws: Tws) -> None:
    api = holder.api

    [total, *_] = holder.all_of(lambda: api.reqPnL(9, ACCOUNT, ""))
    [single, *_] = holder.all_of(lambda: api.reqPnLSingle(10, ACCOUNT, "", 265598))
    assert (total.name, total["reqId"], single.name, single["reqId"]) == ("pnl", 9, "pnlSingle", 10)
    assert single["pos"] == 100

    tws.quote(101.00, 101.02)
    tws.trade(101.01, 100)
    told = holder.all_of(lambda: tws.advance(1))
    later = next(call for call in told if call.name == "pnlSingle")
    # Bought at 100.01, marked at 101.01, give or take the half spread and the dollar of commission.
    assert later["unrealizedPnL"] == pytest.approx(100.0, abs=2.1)
    assert later["value"] == pytest.approx(10_101, abs=1.1)
    holder.all_of(lambda: (api.cancelPnL(9), api.cancelPnLSingle(10)))
    assert [call.name for call in holder.all_of(lambda: tws.advance(2)) if call.name.startswith("pnl")] == []


def test_a_strange_account_is_error_321(client: Official) -> None:
    assert client.error_of(lambda: client.api.reqPnL(9, "DU1", ""), request_id=9)[0] == 321
