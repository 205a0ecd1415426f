"""Late or incomplete answers: delayed acknowledgements, outdated positions, answers without an end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway
from ibdesk.gateway.faults import LateAcknowledgement, LateSnapshot, MissingPositionEnd
from ibdesk.gateway.market.script import MarketScript

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.gateway.conftest import MakeWire, Wire

TIME, ALL_OPEN_ORDERS, POSITIONS, PLACE = 49, 16, 61, 3


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    market = MarketScript().quote("AAPL", 100.00, 100.02, at=0)
    async with Gateway(market=market, clock=ManualClock(0)) as running:
        yield running


async def told(wire: Wire, *names: str) -> list[tuple[str, dict[str, str]]]:
    """Return the messages of these names since the last call."""
    wire.send(TIME)
    return [each for each in (await wire.until("currentTime")) if each[0] in names]


async def test_an_order_is_not_reported_until_its_time_not_even_on_request(dial: MakeWire, gateway: Gateway) -> None:
    wire = await dial(1)
    gateway.faults.cause(LateAcknowledgement(by_seconds=25.0))
    wire.send(
        PLACE, orderId=1, symbol="AAPL", secType="STK", exchange="SMART", currency="USD", action="BUY",
        totalQuantity=10, orderType="LMT", lmtPrice=90, tif="DAY", transmit=1,
    )  # fmt: skip

    wire.send(ALL_OPEN_ORDERS)
    assert await told(wire, "openOrder", "orderStatus", "openOrderEnd") == [("openOrderEnd", {"version": "1"})]
    gateway.advance(24.9)
    assert await told(wire, "openOrder", "orderStatus") == []
    gateway.advance(0.2)

    late = [name for name, _ in await told(wire, "openOrder", "orderStatus")]
    assert late[:2] == ["openOrder", "orderStatus"]


async def test_positions_are_answered_as_they_were_until_the_fault_is_over(dial: MakeWire, gateway: Gateway) -> None:
    wire = await dial(1)
    gateway.place_by_hand("AAPL", "BUY", 10)
    wire.send(POSITIONS)
    await told(wire)
    gateway.faults.cause(LateSnapshot(by_seconds=5.0))
    gateway.place_by_hand("AAPL", "SELL", 10)

    wire.send(POSITIONS)
    rows = await told(wire, "position", "positionEnd")
    gateway.advance(6)
    wire.send(POSITIONS)
    after = await told(wire, "position", "positionEnd")

    assert [(name, fields.get("position")) for name, fields in rows] == [("position", "10"), ("positionEnd", None)]
    assert [name for name, _ in after] == ["positionEnd"]


async def test_one_answer_has_no_end(dial: MakeWire, gateway: Gateway) -> None:
    wire = await dial(1)
    gateway.faults.cause(MissingPositionEnd())

    answers: list[Any] = []
    for _ in range(2):
        wire.send(POSITIONS)
        answers.append([name for name, _ in await told(wire, "positionEnd")])

    assert answers == [[], ["positionEnd"]]
