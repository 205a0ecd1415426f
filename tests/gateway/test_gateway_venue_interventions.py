"""Interventions of the person who runs the gateway, and the rules for changing and cancelling orders."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway
from ibdesk.gateway.market.script import MarketScript
from ibdesk.gateway.venue.records import OrderRecord


@pytest.fixture
def market() -> MarketScript:
    return MarketScript().quote("AAPL", 100.00, 100.02, at=0)


async def resting(trader: Any, gateway: Gateway, **more: Any) -> OrderRecord:
    """Place a purchase of ten at 90 and return it."""
    trader.place(1, "LMT", lmtPrice=90, **more)
    await trader.told()
    record = gateway.venue.find_order(1, 1)
    assert record is not None
    return record


async def test_an_order_is_filled_on_request_in_part_and_then_cancelled(trader: Any, gateway: Gateway) -> None:
    record = await resting(trader, gateway)

    gateway.venue.fill_order(record, 4, 89.50)
    assert await trader.told() == [
        "execution 1 BOT 4 @ 89.5",
        "order 1 Submitted",
        "status 1 Submitted",
        "commission",
    ]
    gateway.venue.cancel_order(record, "the exchange has closed")

    assert await trader.told() == ["status 1 Cancelled", "error 1 202"]
    assert trader.texts == ["Order Canceled - reason:the exchange has closed"]
    assert (trader.statuses[-1]["filled"], trader.statuses[-1]["remaining"]) == ("4", "6")


async def test_what_is_left_after_a_fill_on_request_still_works(trader: Any, gateway: Gateway) -> None:
    gateway.venue.fill_order(await resting(trader, gateway), 4)

    gateway.quote("AAPL", 89.98, 90.00)

    assert await trader.status(1) == "Filled 10"
    # Four at the ask of 100.02, six at 90.00.
    assert float(trader.statuses[-1]["avgFillPrice"]) == pytest.approx((4 * 100.02 + 6 * 90) / 10)


async def test_an_accepted_order_is_rejected(trader: Any, gateway: Gateway) -> None:
    record = await resting(trader, gateway)

    gateway.venue.reject_open_order(record, "no")

    assert await trader.told() == ["error 1 201", "order 1 Inactive", "status 1 Inactive"]
    gateway.quote("AAPL", 80.00, 80.02)
    assert await trader.told() == []


async def test_a_corrected_execution_is_reported_again_and_the_account_put_right(trader: Any, gateway: Gateway) -> None:
    trader.place(1, "MKT")
    await trader.told()
    [execution] = gateway.venue.executions

    gateway.venue.correct_execution(execution, price=99.00, quantity=8)

    assert await trader.told() == ["execution 1 BOT 8 @ 99", "commission"]
    first, second = (execution["execId"] for execution in trader.executions)
    assert (first[-3:], second) == (".01", first[:-2] + "02")
    ledger = gateway.accounts.main
    # Eight at 99.00 and the dollar that ten had cost.
    assert ledger.cash["USD"] == pytest.approx(1_000_000 - 8 * 99 - 1)
    assert ledger.holdings["AAPL"].position.quantity == 8
    assert ledger.holdings["AAPL"].position.average_price == pytest.approx(99 + 1 / 8)
    trader.wire.send(7, version=3, reqId=9)
    assert await trader.told() == ["execution 1 BOT 8 @ 99", "commission"]


async def test_a_listener_may_be_replaced_by_a_silent_one(trader: Any, gateway: Gateway) -> None:
    told = gateway.venue.listener
    gateway.venue.listener = msgspec.structs.replace(told, order=lambda record: None, status=lambda record: None)
    trader.place(1, "LMT", lmtPrice=90)
    assert await trader.told() == []

    gateway.venue.listener = told
    trader.cancel(1)

    assert await trader.told() == ["status 1 Cancelled", "error 1 202"]


async def test_a_change_the_account_cannot_bear_is_error_201_and_the_order_stays(trader: Any, gateway: Gateway) -> None:
    await resting(trader, gateway)

    trader.place(1, "LMT", size=10_000_000, lmtPrice=90)

    assert await trader.told() == ["error 1 201"]
    assert await trader.status(1) == "Submitted"
    gateway.quote("AAPL", 89.98, 90.00)
    assert await trader.status(1) == "Filled 10"


async def test_a_change_off_the_price_grid_leaves_the_order_as_it_was(trader: Any, gateway: Gateway) -> None:
    record = await resting(trader, gateway)

    trader.place(1, "LMT", lmtPrice=90.005)

    assert await trader.told() == ["error 1 110"]
    assert (record.status, record.order.limit_price) == ("Submitted", 90)


async def test_an_algorithm_cannot_be_changed(trader: Any, gateway: Gateway) -> None:
    await resting(trader, gateway)

    trader.place(1, "LMT", lmtPrice=90, algoStrategy="Adaptive")

    assert await trader.told() == ["error 1 440"]


async def test_only_client_0_may_bind_orders_placed_by_hand(trader: Any) -> None:
    trader.wire.send(15, bAutoBind=1)
    trader.wire.send(49)

    codes = [texts["errorCode"] for name, texts in await trader.wire.until("currentTime") if name == "errMsg"]
    # The first three are about the data farms.
    assert codes[3:] == ["327"]


class TestNewerTws:
    """A TWS that warns about an order without a time in force."""

    @pytest.fixture
    async def gateway(self, market: MarketScript) -> AsyncIterator[Gateway]:
        async with Gateway(market=market, clock=ManualClock(0), tells_preset=True) as running:
            yield running

    async def test_an_empty_time_in_force_is_warned_about_and_the_order_works(self, trader: Any) -> None:
        trader.place(1, "LMT", lmtPrice=90, tif="")

        assert (await trader.told())[:2] == ["error 1 10349", "order 1 PreSubmitted"]
        assert trader.shown[-1]["tif"] == "DAY"
        assert trader.statuses[-1]["status"] == "Submitted"
