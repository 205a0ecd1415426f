"""Orders that a person places at TWS itself, and client 0 that binds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway
from ibdesk.gateway.market.script import MarketScript
from ibdesk.gateway.refusal import RefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.gateway.conftest import MakeWire, Wire

OPEN_ORDERS, AUTO_BIND, ALL_OPEN_ORDERS, TIME, CANCEL = 5, 15, 16, 49, 4
Told = list[tuple[str, dict[str, str]]]


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    market = MarketScript().quote("AAPL", 100.00, 100.02, at=0)
    async with Gateway(market=market, clock=ManualClock(0)) as running:
        yield running


async def told(wire: Wire) -> Told:
    """Return the messages since the last call, without those about data farms."""
    wire.send(TIME)
    messages = (await wire.until("currentTime"))[:-1]
    return [each for each in messages if not each[1].get("errorCode", "").startswith("21")]


def orders(messages: Told) -> list[tuple[str, str, str]]:
    """Return order id, client id and status of every order that was shown."""
    return [(texts["orderId"], texts["clientId"], texts["status"]) for name, texts in messages if name == "openOrder"]


async def test_client_0_binds_orders_placed_by_hand_when_it_asks_for_its_open_orders(
    dial: MakeWire, gateway: Gateway
) -> None:
    zero, other = await dial(0), await dial(1)
    permanent = gateway.place_by_hand("AAPL", "BUY", 10, "LMT", lmtPrice=90)
    assert await told(zero) == await told(other) == []

    other.send(ALL_OPEN_ORDERS)
    assert orders(await told(other)) == [("0", "0", "Submitted")]
    other.send(OPEN_ORDERS)
    assert orders(await told(other)) == []
    zero.send(OPEN_ORDERS)
    messages = await told(zero)

    assert messages[0][0] == "orderBound"
    bound = messages[0][1]
    assert (bound["permId"], bound["clientId"], bound["orderId"]) == (str(permanent), "0", "-1")
    assert orders(messages) == [("-1", "0", "Submitted")]


async def test_client_0_has_orders_bound_from_the_start_once_it_asked_for_that(
    dial: MakeWire, gateway: Gateway
) -> None:
    zero = await dial(0)
    zero.send(AUTO_BIND, bAutoBind=1)
    await told(zero)

    gateway.place_by_hand("AAPL", "BUY", 10)
    gateway.place_by_hand("AAPL", "SELL", 10, "LMT", lmtPrice=110)

    messages = await told(zero)
    assert [texts["orderId"] for name, texts in messages if name == "orderBound"] == ["-1", "-2"]
    assert messages[0][0] == "orderBound"
    assert [texts["orderId"] for name, texts in messages if name == "execDetails"] == ["-1"]
    assert orders(messages)[-1] == ("-2", "0", "Submitted")


async def test_client_0_cancels_orders_that_it_bound_and_no_other_client_may(dial: MakeWire, gateway: Gateway) -> None:
    zero, other = await dial(0), await dial(1)
    gateway.place_by_hand("AAPL", "BUY", 10, "LMT", lmtPrice=90)
    other.send(CANCEL, orderId=-1)
    assert [texts["errorCode"] for name, texts in await told(other) if name == "errMsg"] == ["10147"]
    zero.send(OPEN_ORDERS)
    await told(zero)

    zero.send(CANCEL, orderId=-1)

    statuses = [texts["status"] for name, texts in await told(zero) if name == "orderStatus"]
    assert statuses == ["Cancelled"]


async def test_a_client_0_that_has_left_binds_nothing(dial: MakeWire, gateway: Gateway) -> None:
    zero, other = await dial(0), await dial(1)
    zero.send(AUTO_BIND, bAutoBind=1)
    await told(zero)
    gateway.hang_up(0)

    gateway.place_by_hand("AAPL", "BUY", 10, "LMT", lmtPrice=90)

    other.send(ALL_OPEN_ORDERS)
    assert orders(await told(other)) == [("0", "0", "Submitted")]


def test_an_order_that_makes_no_sense_is_refused() -> None:
    gateway = Gateway(market=MarketScript().quote("AAPL", 100.00, 100.02, at=0), clock=ManualClock(0))

    with pytest.raises(RefusedError, match="434"):
        gateway.place_by_hand("AAPL", "BUY", 0)
