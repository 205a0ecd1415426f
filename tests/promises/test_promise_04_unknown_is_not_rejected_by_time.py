"""Promise 4: UNKNOWN never becomes REJECTED by time-out.

Times are a tenth of those of a day at IB: an answer is late after half a second, an acknowledgement comes after two and
a half, and TWS may take six to show an order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ibdesk.desk import Desk
from ibdesk.gateway import GatewaySettings, GatewayThread, make_gateway
from ibdesk.gateway.faults import Delay, Drop, LateAcknowledgement, TellNothing
from ibdesk.gateway.faults.fault import Fault
from ibdesk.store import Topic

TENTH = {"tws.answer_timeout_seconds": 0.5, "tws.settle_seconds": 6.0}


@pytest.fixture
def venue() -> Iterator[GatewayThread]:
    """A gateway whose clock runs ten times as fast as ours."""
    with GatewayThread(make_gateway(GatewaySettings(port=0, speed=10.0))) as thread:
        yield thread


@pytest.mark.parametrize(
    "fault",
    [
        LateAcknowledgement(by_seconds=25.0),
        Delay(messages=("placeOrder",), by_seconds=25.0),
        TellNothing(),
    ],
    ids=["late acknowledgement", "late arrival at the venue", "no word of it unless asked"],
)
def test_an_order_without_an_answer_is_unknown_until_there_is_one(
    fault: Fault, venue: GatewayThread, open_paper: Callable[..., Desk], until: Callable[..., None]
) -> None:
    desk = open_paper(**TENTH)
    desk.watch("AAPL")
    price = float(desk.quotes().filter(symbol="AAPL")["bid"].item())
    seen: list[str] = []
    reader, _ = desk.feed.subscribe(lambda: None)
    venue.faults.cause(fault)

    order = desk.place("AAPL", "buy", 10, limit=round(price * 0.8, 2))

    def is_working() -> bool:
        seen.extend(row["status"] for row in reader.drain()[0].get(Topic.ORDERS, []) if row["id"] == order.id)
        return "working" in seen

    until(is_working)
    told = [status for at, status in enumerate(seen) if status not in seen[:at]]
    # TWS may show the order as held before it works it.
    assert [status for status in told if status != "held"] == ["sent", "unknown", "working"]
    records = venue.call(lambda: list(venue.gateway.venue.records.values()))
    assert [record.request.text("orderRef") for record in records] == [order.id]


def test_an_order_that_comparisons_prove_to_be_nowhere_is_rejected_and_says_why(
    venue: GatewayThread, open_paper: Callable[..., Desk], until: Callable[..., None]
) -> None:
    desk = open_paper(**TENTH | {"tws.settle_seconds": 1.0})
    desk.watch("AAPL")
    venue.faults.cause(Drop(messages=("placeOrder",), count=1))

    order = desk.place("AAPL", "buy", 10)

    def row() -> dict[str, Any]:
        return desk.orders().filter(id=order.id).to_dicts()[0]

    until(lambda: row()["status"] == "rejected")
    assert row()["reason"] == "TWS knows it neither among its open nor its completed orders nor its executions"
