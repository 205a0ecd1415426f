"""IBKR's own client at a gateway with several accounts, delayed data only, presets, or limits of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ibdesk.gateway.pacing import Pacing

if TYPE_CHECKING:
    from tests.gateway.clients.official.conftest import MakeContract, MakeOrder, Official, Tws

FIRST, SECOND = "DU9000001", "DU9000002"
TWO_ACCOUNTS = pytest.mark.parametrize("settings", [{"accounts": (FIRST, SECOND)}])
DELAYED = pytest.mark.parametrize("settings", [{"data": "delayed"}])
PACED = pytest.mark.parametrize("settings", [{"pacing": Pacing(market_data_lines=2)}])


@TWO_ACCOUNTS
def test_of_two_accounts_each_has_its_own_orders_and_positions(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    assert client.wait_for("managedAccounts")["accountsList"].split(",") == [FIRST, SECOND]

    client.place(1, contract("AAPL"), order("BUY", "MKT", 100, account=FIRST))
    client.place(2, contract("AAPL"), order("BUY", "MKT", 30, account=SECOND))

    accounts = {call["order"].account for call in client.named("openOrder", orderId=2)}
    assert accounts == {SECOND}
    held = client.ask(client.api.reqPositions, "positionEnd")
    assert {call["account"]: call["position"] for call in held if call.name == "position"} == {FIRST: 100, SECOND: 30}
    own = client.ask(lambda: client.api.reqPositionsMulti(7, SECOND, ""), "positionMultiEnd", reqId=7)
    assert [(call["account"], call["pos"]) for call in own if call.name == "positionMulti"] == [(SECOND, 30)]


@TWO_ACCOUNTS
def test_of_two_accounts_an_order_must_name_one(client: Official, contract: MakeContract, order: MakeOrder) -> None:
    code, _ = client.error_of(
        lambda: client.api.placeOrder(1, contract("AAPL"), order("BUY", "MKT", 100)), request_id=1
    )

    assert code in (321, 435)
    assert client.fills(1) == []


@DELAYED
def test_delayed_data_is_announced_and_has_types_of_its_own(client: Official, contract: MakeContract, tws: Tws) -> None:
    tws.advance(0)
    api = client.api
    assert client.all_of(lambda: api.reqMarketDataType(3)) == []

    told = client.all_of(lambda: api.reqMktData(1, contract("AAPL"), "", False, False, []))

    assert (told[0].name, told[0]["errorCode"]) == ("error", 10167)
    assert told[0]["errorString"].endswith("Displaying delayed market data.")
    assert [call["marketDataType"] for call in told if call.name == "marketDataType"] == [3]
    # Bid, ask and last as live data has them under 1, 2 and 4.
    prices = {call["tickType"]: call["price"] for call in told if call.name == "tickPrice"}
    assert (prices[66], prices[67], prices[68]) == (99.99, 100.01, 100.0)
    assert prices.keys().isdisjoint({1, 2, 4})


@DELAYED
def test_who_has_delayed_data_only_and_does_not_ask_for_it_gets_none(client: Official, contract: MakeContract) -> None:
    code, _ = client.error_of(lambda: client.api.reqMktData(1, contract("AAPL"), "", False, False, []), request_id=1)

    assert code in (354, 10089, 10168)


@pytest.mark.parametrize("settings", [{"tells_preset": True}])
def test_the_remark_on_a_preset_does_no_harm_to_the_order(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    client.place(1, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=90, tif=""))

    [remark] = client.named("error", reqId=1)
    assert (remark["errorCode"], remark["errorString"]) == (10349, "Order TIF was set to DAY based on order preset.")
    assert client.statuses(1)[-1] == "Submitted"
    assert client.named("openOrder", orderId=1)[-1]["order"].tif == "DAY"


@PACED
def test_more_than_fifty_messages_in_a_second_are_error_100(client: Official, tws: Tws) -> None:
    # The second does not pass, because the test moves the clock.
    def ask_much() -> None:
        for _ in range(60):
            client.api.reqCurrentTime()

    refusal = client.ask(ask_much, "error", errorCode=100)[-1]
    assert refusal["errorString"].startswith("Max rate of messages per second has been exceeded:max=50 rec=")

    # The session continues, and the next second starts a new count.
    tws.advance(2)
    assert client.all_of(lambda: None) == []


@PACED
def test_a_market_data_line_too_many_is_error_101(client: Official, contract: MakeContract) -> None:
    for request_id, symbol in ((1, "AAPL"), (2, "MSFT")):
        client.api.reqMktData(request_id, contract(symbol), "", False, False, [])

    error = client.error_of(
        lambda: client.api.reqMktData(3, contract("EUR", "CASH", "IDEALPRO"), "", False, False, []), request_id=3
    )
    assert error == (101, "Max number of tickers has been reached.")

    client.all_of(lambda: client.api.cancelMktData(1))
    told = client.all_of(lambda: client.api.reqMktData(3, contract("EUR", "CASH", "IDEALPRO"), "", False, False, []))
    assert told[0].name == "tickReqParams"
