"""Orders of IBKR's own client that belong together: brackets, and groups of which one cancels the others.

AAPL stands at 99.99 to 100.01 when an order is placed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ibapi.order_cancel import OrderCancel

if TYPE_CHECKING:
    from tests.gateway.clients.official.conftest import MakeContract, MakeOrder, Official, Tws


def _bracket(client: Official, contract: MakeContract, order: MakeOrder) -> None:
    """Buy at 99.50; take the profit at 103.00, or the loss at 97.00."""
    place = client.api.placeOrder
    place(1, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=99.50, transmit=False))
    place(2, contract("AAPL"), order("SELL", "LMT", 100, lmtPrice=103.00, parentId=1, transmit=False))
    place(3, contract("AAPL"), order("SELL", "STP", 100, auxPrice=97.00, parentId=1, transmit=True))


def test_an_order_that_is_not_transmitted_waits_in_silence(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    staged = order("BUY", "LMT", 100, lmtPrice=100.50, transmit=False)

    assert client.place(1, contract("AAPL"), staged) == []

    staged.transmit = True
    client.place(1, contract("AAPL"), staged)
    assert client.fills(1) == [(100, 100.01)]


def test_the_children_of_a_bracket_wait_for_their_parent(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws
) -> None:
    client.all_of(lambda: _bracket(client, contract, order))
    held = {call["orderId"]: (call["status"], call["whyHeld"]) for call in client.named("orderStatus")}
    assert held == {1: ("Submitted", ""), 2: ("PreSubmitted", "child"), 3: ("PreSubmitted", "child,trigger")}
    assert {call["parentId"] for call in client.named("orderStatus") if call["orderId"] != 1} == {1}
    groups = {call["order"].ocaGroup for call in client.named("openOrder") if call["orderId"] != 1}
    # Children of one parent are one group, which TWS names with digits.
    assert len(groups) == 1
    assert groups.pop().isdigit()

    # The children are not at the market: it passes the target's price and they stay.
    client.all_of(lambda: tws.quote(103.10, 103.12))
    assert client.fills(2) == []


def test_when_one_child_of_a_bracket_fills_the_other_is_cancelled(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws
) -> None:
    client.all_of(lambda: _bracket(client, contract, order))

    client.all_of(lambda: tws.quote(99.40, 99.45))
    assert client.statuses(1)[-1] == "Filled"
    assert client.statuses(2)[-1] == "Submitted"
    assert client.statuses(3)[-1] == "PreSubmitted"
    client.all_of(lambda: tws.quote(103.10, 103.12))

    [(size, price)] = client.fills(2)
    assert size == 100
    assert price >= 103.00
    assert client.statuses(3)[-1] == "Cancelled"
    assert client.named("error", reqId=3)[-1]["errorCode"] == 202


def test_when_a_parent_is_cancelled_its_children_are_too(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    client.all_of(lambda: _bracket(client, contract, order))

    client.all_of(lambda: client.api.cancelOrder(1, OrderCancel()))

    assert {number: client.statuses(number)[-1] for number in (1, 2, 3)} == dict.fromkeys((1, 2, 3), "Cancelled")


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_when_an_order_of_a_group_is_filled_the_others_are_cancelled(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws, kind: int
) -> None:
    for number, price in ((1, 99.50), (2, 99.00)):
        client.place(
            number, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=price, ocaGroup="either", ocaType=kind)
        )

    client.all_of(lambda: tws.quote(99.40, 99.45))

    assert (client.statuses(1)[-1], client.statuses(2)[-1]) == ("Filled", "Cancelled")
    assert client.named("error", reqId=2)[-1]["errorCode"] == 202


@pytest.mark.parametrize("settings", [{"partial": True}])
@pytest.mark.parametrize(("kind", "left"), [(1, None), (2, 60), (3, 60)])
def test_a_part_filled_in_a_group_cancels_or_reduces_the_others(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws, kind: int, left: int | None
) -> None:
    for number, price in ((1, 99.50), (2, 99.00)):
        client.place(
            number, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=price, ocaGroup="either", ocaType=kind)
        )

    client.all_of(lambda: tws.quote(99.30, 99.45, size=40))

    assert [size for size, _ in client.fills(1)] == [40]
    if left is None:
        assert client.statuses(2)[-1] == "Cancelled"
    else:
        assert client.named("orderStatus", orderId=2)[-1]["remaining"] == left
