"""A desk that stops its own account: it is done once no order can open a position, and not before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ibdesk.desk import Desk
from ibdesk.desk.answers import ExposureInfo
from ibdesk.desk.stopping import may_grow
from ibdesk.engine import OpenOrders
from ibdesk.gateway.faults import Delay
from ibdesk.store import Topic

OpenDesk = Callable[..., Desk]
Watch = Callable[[Desk], Any]


def test_a_halt_is_done_once_what_is_ordered_together_cannot_open_a_position(open_desk: OpenDesk, watch: Watch) -> None:
    """Each of two sales of 60 beside 100 only reduces, and both together sell 20 short."""
    desk = open_desk(gateway={"port": 0})
    watcher = watch(desk)
    desk.place("IBM", "buy", 100)
    watcher.wait_for(Topic.POSITIONS, symbol="IBM", quantity=100.0)
    limit = round(float(desk.quotes().filter(symbol="IBM")["ask"].item()) * 1.2, 2)
    first, second = (desk.place("IBM", "sell", 60, limit=limit) for _ in range(2))
    for order in (first, second):
        watcher.wait_for(Topic.ORDERS, id=order.id, status="working")
    desk.faults.cause(Delay(messages=("cancelOrder",), by_seconds=1.0))

    outcome = desk.stop_account("halt", reason="a look")

    assert (outcome.done, outcome.failure, outcome.open_orders) == (True, "", 1)
    assert desk.orders().filter(id=first.id)["status"].item() == "working"
    assert desk.orders().filter(id=second.id)["status"].item() == "cancelled"


@pytest.mark.parametrize(
    ("held", "sold", "is_opening"), [(0.3, (0.1, 0.2), False), (0.3, (0.1, 0.21), True), (0.0, (1e-8,), True)]
)
def test_what_binary_fractions_leave_over_opens_nothing(held: float, sold: tuple[float, ...], is_opening: bool) -> None:
    sums = OpenOrders(sells=(0.0, sum(sold), 0.0))
    highest, lowest = sums.worst(held)
    exposure = ExposureInfo(
        owner="manual",
        symbol="ETH",
        held=held,
        pending=0.0,
        exposure=held,
        highest=highest,
        lowest=lowest,
        last_price=None,
        mark_price=None,
        value=None,
    )

    assert may_grow(exposure) is is_opening
