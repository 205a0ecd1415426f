"""Orders of IBKR's own client with conditions, algorithms, and for combinations of contracts.

AAPL stands at 99.99 to 100.01 when an order is placed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ibapi.contract import ComboLeg
from ibapi.order_condition import Create, OrderCondition
from ibapi.tag_value import TagValue

if TYPE_CHECKING:
    from tests.gateway.clients.official.conftest import Dial, MakeContract, MakeOrder, Official, Tws


# New York closes at 20:00 UTC, six hours after the market of the script opens.
CLOSE = 6 * 3600


def test_an_order_on_a_price_condition_waits_for_that_price(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws
) -> None:
    condition = Create(OrderCondition.Price)
    condition.conId, condition.exchange, condition.isMore, condition.price = 272093, "SMART", True, 210.0
    condition.triggerMethod = 0
    # Apple's shares, as soon as Microsoft's are above 210.
    told = client.place(1, contract("AAPL"), order("BUY", "MKT", 100, conditions=[condition]))
    [shown] = next(call["order"].conditions for call in told if call.name == "openOrder")
    assert (shown.type(), shown.conId, shown.price, shown.isMore) == (OrderCondition.Price, 272093, 210.0, True)

    client.all_of(lambda: tws.quote(205.00, 205.02, symbol="MSFT"))
    assert client.fills(1) == []
    client.all_of(lambda: tws.quote(210.10, 210.12, symbol="MSFT"))
    client.all_of(lambda: tws.trade(210.11, symbol="MSFT"))

    assert client.fills(1) == [(100, 100.01)]


def test_an_order_on_a_time_condition_waits_for_that_time(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws
) -> None:
    condition = Create(OrderCondition.Time)
    condition.isMore, condition.time = True, "20260413 10:05:00 US/Eastern"
    client.place(1, contract("AAPL"), order("BUY", "MKT", 100, conditions=[condition]))

    client.all_of(lambda: tws.advance(4 * 60))
    assert client.fills(1) == []
    client.all_of(lambda: tws.advance(2 * 60))

    assert client.fills(1) == [(100, 100.01)]


@pytest.mark.parametrize(
    ("name", "wishes"),
    [
        ("Adaptive", {"adaptivePriority": "Normal"}),
        ("Twap", {"strategyType": "Marketable", "allowPastEndTime": "1"}),
        ("Vwap", {"maxPctVol": "0.1", "noTakeLiq": "0"}),
    ],
)
def test_an_algorithm_is_taken_shown_and_worked_to_the_end(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws, name: str, wishes: dict[str, str]
) -> None:
    params = [TagValue(tag, value) for tag, value in wishes.items()]
    told = client.place(
        1, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=101, algoStrategy=name, algoParams=params)
    )
    shown = next(call["order"] for call in told if call.name == "openOrder")
    assert (shown.algoStrategy, {each.tag: each.value for each in shown.algoParams}) == (name, wishes)

    # By the close of the day every one of them is done.
    client.all_of(lambda: tws.advance(CLOSE))

    assert sum(size for size, _ in client.fills(1)) == 100
    assert client.statuses(1)[-1] == "Filled"


def test_an_algorithm_that_does_not_exist_is_refused(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    wrong = order("BUY", "MKT", 100, algoStrategy="Crystal Ball", algoParams=[])

    code, _ = client.error_of(lambda: client.api.placeOrder(1, contract("AAPL"), wrong), request_id=1)
    assert code == 439
    assert client.fills(1) == []


def test_a_combination_of_two_shares_is_taken_shown_with_its_legs_and_filled(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    legs = []
    for con_id, action in ((272093, "BUY"), (265598, "SELL")):
        leg = ComboLeg()
        leg.conId, leg.ratio, leg.action, leg.exchange = con_id, 1, action, "SMART"
        legs.append(leg)
    spread = contract("MSFT,AAPL", "BAG", comboLegs=legs)

    # Microsoft's shares cost about 100 more than Apple's.
    told = client.place(1, spread, order("BUY", "LMT", 10, lmtPrice=110))

    shown = next(call["contract"] for call in told if call.name == "openOrder")
    assert shown.secType == "BAG"
    assert [(leg.conId, leg.ratio, leg.action) for leg in shown.comboLegs] == [
        (272093, 1, "BUY"),
        (265598, 1, "SELL"),
    ]
    assert client.statuses(1)[-1] == "Filled"


def test_orders_of_two_clients_do_not_mix(dial: Dial, contract: MakeContract, order: MakeOrder) -> None:
    first, second = dial(1), dial(2)

    first.place(1, contract("AAPL"), order("BUY", "MKT", 100, orderRef="first"))
    second.place(1, contract("AAPL"), order("SELL", "MKT", 50, orderRef="second"))

    assert first.fills(1) == [(100, 100.01)]
    assert second.fills(1) == [(50, 99.99)]
    assert {call["execution"].orderRef for call in first.named("execDetails")} == {"first"}
