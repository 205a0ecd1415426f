"""IBKR's own client places, changes, cancels and follows orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ibapi.const import UNSET_DOUBLE, UNSET_INTEGER
from ibapi.execution import ExecutionFilter
from ibapi.order_cancel import OrderCancel

if TYPE_CHECKING:
    from tests.gateway.clients.official.conftest import Dial, MakeContract, MakeOrder, Official, Tws

ACCOUNT = "DU9000001"


def test_a_market_order_is_reported_in_the_order_of_paper_accounts(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    told = client.ask(
        lambda: client.api.placeOrder(1, contract("AAPL"), order("BUY", "MKT", 100, orderRef="mine")),
        "commissionAndFeesReport",
    )

    names = [call.name for call in told if call.name != "error"]
    assert names.index("execDetails") < names.index("commissionAndFeesReport")
    assert names[:2] == ["openOrder", "orderStatus"]
    assert client.statuses(1)[-1] == "Filled"
    assert client.fills(1) == [(100, 100.01)]
    execution = client.named("execDetails")[0]["execution"]
    assert (execution.side, execution.acctNumber, execution.orderRef, execution.cumQty, execution.avgPrice) == (
        "BOT",
        ACCOUNT,
        "mine",
        100,
        100.01,
    )
    report = told[-1]["commissionAndFeesReport"]
    # IB's fixed schedule: half a cent a share, a dollar at the least; nothing was realized by opening.
    assert (report.execId, report.commissionAndFees, report.currency, report.realizedPNL) == (
        execution.execId,
        1.0,
        "USD",
        UNSET_DOUBLE,
    )


def test_a_limit_order_rests_changes_and_is_cancelled(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    client.place(1, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=90))
    assert client.statuses(1) == ["PreSubmitted", "Submitted"]
    shown = client.named("openOrder", orderId=1)[-1]
    assert (shown["contract"].strike, shown["contract"].right) == (0, "?")
    assert (shown["order"].lmtPrice, shown["order"].auxPrice, shown["order"].account) == (90, 0, ACCOUNT)
    assert shown["orderState"].status == "Submitted"
    # Fields that the client did not set come back unset.
    assert (shown["order"].minQty, shown["order"].displaySize) == (UNSET_INTEGER, UNSET_INTEGER)
    assert (shown["order"].percentOffset, shown["order"].triggerPrice) == (UNSET_DOUBLE, UNSET_DOUBLE)
    assert float(shown["orderState"].initMarginBefore) == UNSET_DOUBLE

    told = client.place(1, contract("AAPL"), order("BUY", "LMT", 120, lmtPrice=91))
    changed = [call for call in told if call.name == "openOrder"][-1]
    assert (changed["order"].lmtPrice, changed["order"].totalQuantity) == (91, 120)

    told = client.all_of(lambda: client.api.cancelOrder(1, OrderCancel()))
    assert [(call.name, call.values.get("status"), call.values.get("errorCode")) for call in told] == [
        ("orderStatus", "Cancelled", None),
        ("error", None, 202),
    ]
    assert told[-1]["errorString"] == "Order Canceled - reason:"


def test_a_limit_order_is_filled_when_the_market_comes(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws
) -> None:
    client.place(1, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=99.50))

    client.all_of(lambda: tws.quote(99.38, 99.40))

    [(size, price)] = client.fills(1)
    assert size == 100
    assert price <= 99.50
    assert client.statuses(1)[-1] == "Filled"


def test_a_limit_order_may_become_a_market_order(client: Official, contract: MakeContract, order: MakeOrder) -> None:
    client.place(1, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=90))

    client.place(1, contract("AAPL"), order("BUY", "MKT", 100))

    assert client.fills(1) == [(100, 100.01)]


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"order_type": "FEELINGS"}, 321),
        ({"order_type": "LMT", "lmtPrice": 90.001}, 110),
        ({"order_type": "LMT", "lmtPrice": 90, "account": "DU1"}, 321),
        ({"order_type": "LMT", "lmtPrice": 90, "parentId": 4711}, 135),
        ({"order_type": "LMT", "lmtPrice": 90, "quantity": 0}, 434),
    ],
)
def test_an_invalid_order_is_refused_under_its_id(
    client: Official, contract: MakeContract, order: MakeOrder, terms: dict, code: int
) -> None:
    wrong = order("BUY", **terms)

    assert client.error_of(lambda: client.api.placeOrder(5, contract("AAPL"), wrong), request_id=5)[0] == code
    assert [call.name for call in client.all_of(client.api.reqOpenOrders)] == ["openOrderEnd"]


def test_an_order_beyond_the_accounts_means_is_rejected_and_shown_inactive(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    told = client.place(1, contract("AAPL"), order("BUY", "LMT", 1_000_000, lmtPrice=100))

    refusal = told[0]
    assert (refusal.name, refusal["errorCode"]) == ("error", 201)
    assert "MUST EXCEED THE INITIAL MARGIN" in refusal["errorString"]
    assert client.statuses(1) == ["Inactive"]


def test_an_order_id_is_good_for_one_order(client: Official, contract: MakeContract, order: MakeOrder) -> None:
    client.place(5, contract("AAPL"), order("BUY", "MKT", 100))

    assert client.error_of(
        lambda: client.api.placeOrder(3, contract("AAPL"), order("BUY", "MKT", 100)), request_id=3
    ) == (103, "Duplicate order ID.")
    code, _ = client.error_of(
        lambda: client.api.placeOrder(5, contract("AAPL"), order("BUY", "MKT", 100)), request_id=5
    )
    assert code == 104


def test_cancelling_a_finished_or_unknown_order_is_an_error(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    client.place(1, contract("AAPL"), order("BUY", "MKT", 100))

    assert client.error_of(lambda: client.api.cancelOrder(77, OrderCancel()), request_id=77) == (
        10147,
        "OrderId 77 that needs to be cancelled is not found.",
    )
    code, text = client.error_of(lambda: client.api.cancelOrder(1, OrderCancel()), request_id=1)
    assert code in (10148, 161)
    assert "state: Filled" in text or code == 161


def test_a_what_if_order_is_answered_with_its_margin_and_not_placed(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    [told] = client.ask(
        lambda: client.api.placeOrder(1, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=100, whatIf=True)),
        "openOrder",
        orderId=1,
    )

    state = told["orderState"]
    assert state.status == "PreSubmitted"
    assert float(state.initMarginBefore) == 0
    # A share bought needs at most its price, at least a quarter of it.
    assert 2_500 <= float(state.initMarginAfter) <= 10_000
    assert float(state.initMarginChange) == float(state.initMarginAfter)
    assert float(state.equityWithLoanAfter) == pytest.approx(1_000_000, abs=2)
    assert state.commissionAndFeesCurrency == "USD"
    assert [call.name for call in client.all_of(client.api.reqOpenOrders)] == ["openOrderEnd"]


def test_open_orders_are_ones_own_and_all_open_orders_everybodys(
    dial: Dial, contract: MakeContract, order: MakeOrder
) -> None:
    first, second = dial(1), dial(2)
    first.place(1, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=90))
    second.place(1, contract("MSFT"), order("BUY", "LMT", 100, lmtPrice=190))

    own = first.ask(first.api.reqOpenOrders, "openOrderEnd")
    everybodys = first.ask(first.api.reqAllOpenOrders, "openOrderEnd")

    assert [call["contract"].symbol for call in own if call.name == "openOrder"] == ["AAPL"]
    assert {(call["contract"].symbol, call["order"].clientId) for call in everybodys if call.name == "openOrder"} == {
        ("AAPL", 1),
        ("MSFT", 2),
    }


def test_a_global_cancel_ends_the_orders_of_all_clients(dial: Dial, contract: MakeContract, order: MakeOrder) -> None:
    first, second = dial(1), dial(2)
    first.place(1, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=90))
    second.place(1, contract("MSFT"), order("BUY", "LMT", 100, lmtPrice=190))

    first.all_of(lambda: first.api.reqGlobalCancel(OrderCancel()))

    assert first.statuses(1)[-1] == "Cancelled"
    second.wait_for("orderStatus", orderId=1, status="Cancelled")
    assert [call.name for call in first.ask(first.api.reqAllOpenOrders, "openOrderEnd")] == ["openOrderEnd"]


def test_completed_orders_tell_how_each_ended(client: Official, contract: MakeContract, order: MakeOrder) -> None:
    client.place(1, contract("AAPL"), order("BUY", "MKT", 100))
    client.place(2, contract("AAPL"), order("BUY", "LMT", 50, lmtPrice=90))
    client.all_of(lambda: client.api.cancelOrder(2, OrderCancel()))

    *told, _ = client.ask(lambda: client.api.reqCompletedOrders(False), "completedOrdersEnd")

    ends = {call["orderState"].completedStatus: call for call in told}
    assert set(ends) == {"Filled Size: 100", "Cancelled by Trader"}
    filled = ends["Filled Size: 100"]
    assert (filled["orderState"].status, filled["order"].filledQuantity) == ("Filled", 100)
    assert filled["orderState"].completedTime == "20260413 10:00:00 US/Eastern"


def test_executions_of_the_day_are_reported_with_their_commissions_through_a_filter(
    dial: Dial, contract: MakeContract, order: MakeOrder
) -> None:
    first, second = dial(1), dial(2)
    first.place(1, contract("AAPL"), order("BUY", "MKT", 100))
    second.place(1, contract("MSFT"), order("BUY", "MKT", 10))

    everything = second.ask(lambda: second.api.reqExecutions(4, ExecutionFilter()), "execDetailsEnd", reqId=4)
    mine = ExecutionFilter()
    mine.clientId, mine.symbol, mine.side = 1, "AAPL", "BUY"
    filtered = second.ask(lambda: second.api.reqExecutions(5, mine), "execDetailsEnd", reqId=5)

    assert [call.name for call in everything] == ["execDetails", "commissionAndFeesReport"] * 2 + ["execDetailsEnd"]
    assert {call["contract"].symbol for call in everything if call.name == "execDetails"} == {"AAPL", "MSFT"}
    assert [call["execution"].clientId for call in filtered if call.name == "execDetails"] == [1]


def test_orders_outlive_their_client(dial: Dial, contract: MakeContract, order: MakeOrder) -> None:
    first = dial(1)
    first.place(1, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=90))
    first.end()

    again = dial(1)

    assert again.wait_for("nextValidId")["orderId"] == 2
    told = again.ask(again.api.reqOpenOrders, "openOrderEnd")
    assert [call["orderId"] for call in told if call.name == "openOrder"] == [1]


def test_client_zero_may_bind_orders_and_others_may_not(dial: Dial) -> None:
    manual, other = dial(0), dial(3)

    assert [call.name for call in manual.all_of(lambda: manual.api.reqAutoOpenOrders(True))] == []
    assert other.error_of(lambda: other.api.reqAutoOpenOrders(True), request_id=-1)[0] == 327
