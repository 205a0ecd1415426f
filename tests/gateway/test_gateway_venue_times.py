"""The duration of orders: times in force, goodAfterTime, closed markets, conditions and algorithms."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import polars as pl
import pytest

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway, Replay
from ibdesk.gateway.market.script import MarketScript
from ibdesk.model import nanoseconds

# Monday, 13 April 2026, 10:00 in New York.
OPENED_AT = dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)


BARS: dict[str, Any] = {
    "symbol": pl.String,
    "opened_at": pl.Datetime("ns", "UTC"),
    **dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64),
}


def at(seconds: int) -> str:
    """Return a time this many seconds after the start, in a client's notation in UTC."""
    return f"{OPENED_AT + dt.timedelta(seconds=seconds):%Y%m%d-%H:%M:%S}"


@pytest.fixture
def market() -> MarketScript:
    return MarketScript(symbols=["MSFT"]).quote("AAPL", 100.00, 100.02, at=0)


# ---- times in force -------------------------------------------------------------------------------------------


async def test_an_order_ends_at_its_good_till_date(trader: Any, gateway: Gateway) -> None:
    trader.place(1, "LMT", lmtPrice=90, tif="GTD", goodTillDate=at(60))

    gateway.advance(59)
    assert await trader.status(1) == "Submitted"
    gateway.advance(1)

    assert await trader.told() == ["status 1 Cancelled", "error 1 202"]


async def test_an_order_waits_for_its_good_after_time(trader: Any, gateway: Gateway) -> None:
    trader.place(1, "MKT", goodAfterTime=at(30))
    assert await trader.told() == ["order 1 PreSubmitted", "status 1 PreSubmitted"]

    gateway.advance(30)

    assert (await trader.told())[0] == "execution 1 BOT 10 @ 100.02"


async def test_day_orders_outlive_the_close_of_a_market_that_never_closes(trader: Any, gateway: Gateway) -> None:
    trader.place(1, "LMT", lmtPrice=90)

    gateway.advance(7 * 3600)

    assert await trader.status(1) == "Submitted"


async def test_outside_hours_is_remarked_to_be_ignored_for_a_market_order(trader: Any) -> None:
    trader.place(1, "MKT", outsideRth=1)

    assert (await trader.told())[:2] == ["error 1 2109", "order 1 PreSubmitted"]


class TestBeforeTheOpen:
    """The gateway starts at 9:29 in New York."""

    @pytest.fixture
    async def gateway(self, market: MarketScript) -> AsyncIterator[Gateway]:
        clock = ManualClock(nanoseconds(OPENED_AT - dt.timedelta(minutes=31)))
        async with Gateway(market=market, clock=clock) as running:
            yield running

    async def test_an_opening_order_trades_at_the_next_open_or_ends(self, trader: Any, gateway: Gateway) -> None:
        trader.place(1, "MKT", tif="OPG")
        trader.place(2, "LMT", tif="OPG", lmtPrice=99)
        await trader.told()
        gateway.advance(59)
        assert await trader.status(1) == "PreSubmitted"

        gateway.advance(1)

        assert await trader.status(1) == "Filled 10"
        assert await trader.status(2) == "Cancelled"


class TestRealHours:
    """The market keeps its exchange's hours."""

    @pytest.fixture
    async def gateway(self, market: MarketScript) -> AsyncIterator[Gateway]:
        clock = ManualClock(nanoseconds(OPENED_AT))
        async with Gateway(market=market, clock=clock, hours="exchange") as running:
            yield running

    async def test_day_orders_end_at_the_close_and_others_stay(self, trader: Any, gateway: Gateway) -> None:
        trader.place(1, "LMT", lmtPrice=90)
        trader.place(2, "LMT", lmtPrice=91, tif="GTC")
        trader.place(3, "LMT", lmtPrice=92, outsideRth=1)
        await trader.told()

        gateway.advance(6 * 3600)

        assert await trader.status(1) == "Cancelled"
        assert await trader.status(2) == "Submitted"
        assert await trader.status(3) == "Submitted"
        # Extended trading ends four hours later.
        gateway.advance(4 * 3600)
        assert await trader.status(3) == "Cancelled"

    async def test_an_order_at_night_waits_for_the_open_and_is_warned(self, trader: Any, gateway: Gateway) -> None:
        gateway.advance(12 * 3600)

        trader.place(1, "LMT", lmtPrice=101)

        assert await trader.told() == ["error 1 399", "order 1 PreSubmitted", "status 1 PreSubmitted"]
        assert trader.texts[0].startswith(
            "Order Message:\nBUY 10 AAPL NASDAQ\nWarning: Your order will not be placed at"
        )
        assert "2026-04-14 09:30:00 US/Eastern" in trader.texts[0]
        gateway.advance(11.5 * 3600)
        assert await trader.status(1) == "Filled 10"


# ---- conditions -----------------------------------------------------------------------------------------------


def price(more: int, value: float, joint: str = "a", con_id: int = 265598) -> dict[str, Any]:
    """Return a condition on the last price."""
    return {
        "condType": 1,
        "conjunction": joint,
        "isMore": more,
        "price": value,
        "conId": con_id,
        "exch": "SMART",
        "triggerMethod": 0,
    }


def moment(seconds: int, joint: str = "a") -> dict[str, Any]:
    """Return a condition on the time."""
    return {"condType": 3, "conjunction": joint, "isMore": 1, "time": at(seconds)}


async def test_an_order_waits_for_the_price_of_another_contract(trader: Any, gateway: Gateway) -> None:
    trader.place(1, "MKT", conditions=[price(1, 400.0, con_id=272093)])
    assert await trader.told() == ["order 1 PreSubmitted", "status 1 PreSubmitted"]
    assert trader.shown[0]["conditionsCount"] == "1"

    gateway.quote("MSFT", 399.00, 401.00)
    gateway.trade("MSFT", 399.99)
    assert await trader.told() == []
    gateway.trade("MSFT", 400.00)

    assert (await trader.told())[0] == "execution 1 BOT 10 @ 100.02"


@pytest.mark.parametrize(("joint", "seconds"), [("a", 60), ("o", 0)])
async def test_conditions_are_joined_by_and_or_by_or(trader: Any, gateway: Gateway, joint: str, seconds: int) -> None:
    trader.place(1, "MKT", conditions=[price(1, 101.0, joint), moment(60)])
    await trader.told()

    gateway.trade("AAPL", 101.00)
    if seconds:
        assert await trader.status(1) == "PreSubmitted"
    gateway.advance(seconds)

    assert await trader.status(1) == "Filled 10"


async def test_a_condition_may_cancel_an_order_that_works(trader: Any, gateway: Gateway) -> None:
    trader.place(1, "LMT", lmtPrice=90, conditions=[price(0, 95.0)], conditionsCancelOrder=1)
    assert await trader.status(1) == "Submitted"

    gateway.trade("AAPL", 95.00)

    assert await trader.told() == ["status 1 Cancelled", "error 1 202"]


async def test_an_execution_elsewhere_is_a_condition(trader: Any, gateway: Gateway) -> None:
    gateway.quote("MSFT", 399.00, 401.00)
    condition = {"condType": 5, "conjunction": "a", "secType": "STK", "exch": "SMART", "symbol": "MSFT"}
    trader.place(1, "MKT", conditions=[condition])
    trader.place(2, "MKT", size=1)
    assert await trader.status(1) == "PreSubmitted"

    trader.place(3, "MKT", size=1, conId=272093)

    assert await trader.status(1) == "Filled 10"


async def test_the_volume_of_the_day_is_a_condition(trader: Any, gateway: Gateway) -> None:
    volume = {"condType": 6, "conjunction": "a", "isMore": 1, "volume": 500, "conId": 265598, "exch": "SMART"}
    trader.place(1, "MKT", conditions=[volume])

    gateway.trade("AAPL", 100.00, 499)
    assert await trader.status(1) == "PreSubmitted"
    gateway.trade("AAPL", 100.00, 1)

    assert await trader.status(1) == "Filled 10"


class TestBeforeRegularHours:
    """It is half past eight in New York, an hour before the opening; AAPL was at 100.00 the last time."""

    @pytest.fixture
    async def gateway(self) -> AsyncIterator[Gateway]:
        # The second row is played from now on, so the first one was played half an hour ago.
        moments = (OPENED_AT, OPENED_AT + dt.timedelta(minutes=30))
        rows = [("AAPL", moment, 100.0, 100.0, 100.0, 100.0, 1000.0) for moment in moments]
        bars = pl.DataFrame(rows, schema=BARS, orient="row")
        clock = ManualClock(nanoseconds(OPENED_AT - dt.timedelta(hours=1, minutes=30)))
        async with Gateway(market=Replay(bars, start=1), clock=clock, hours="exchange") as running:
            yield running

    async def test_a_change_in_per_cent_is_a_condition(self, trader: Any, gateway: Gateway) -> None:
        gateway.quote("AAPL", 99.99, 100.01)
        change = {
            "condType": 7,
            "conjunction": "a",
            "isMore": 1,
            "changePercent": 5.0,
            "conId": 265598,
            "exch": "SMART",
        }
        trader.place(1, "LMT", lmtPrice=200, outsideRth=1, conditions=[change], conditionsIgnoreRth=1)

        gateway.trade("AAPL", 104.99)
        gateway.quote("AAPL", 104.97, 104.99)
        assert await trader.status(1) == "PreSubmitted"
        gateway.quote("AAPL", 105.00, 105.02)
        gateway.trade("AAPL", 105.01)

        assert await trader.status(1) == "Filled 10"

    @pytest.mark.parametrize(("ignores", "status"), [(1, "Filled 10"), (0, "PreSubmitted")])
    async def test_outside_regular_hours_a_condition_is_looked_at_only_on_request(
        self, trader: Any, gateway: Gateway, ignores: int, status: str
    ) -> None:
        gateway.quote("AAPL", 99.99, 100.01)
        trader.place(1, "LMT", lmtPrice=200, outsideRth=1, conditions=[price(1, 101.0)], conditionsIgnoreRth=ignores)

        gateway.trade("AAPL", 101.00)

        assert await trader.status(1) == status


async def test_a_condition_on_margin_is_refused(trader: Any) -> None:
    trader.place(1, "MKT", conditions=[{"condType": 4, "conjunction": "a", "isMore": 1, "percent": 30}])

    assert await trader.told() == ["error 1 321"]


# ---- algorithms -----------------------------------------------------------------------------------------------


async def test_an_adaptive_order_trades_as_its_own_type(trader: Any) -> None:
    trader.place(1, "MKT", algoStrategy="Adaptive", algoParams=[{"tag": "adaptivePriority", "value": "Urgent"}])

    assert await trader.status(1) == "Filled 10"
    assert trader.shown[0]["algoStrategy"] == "Adaptive"


@pytest.mark.parametrize(("name", "parts"), [("Twap", [10, 10, 10]), ("Vwap", [16, 11, 9])])
async def test_an_algorithm_trades_part_by_part(trader: Any, gateway: Gateway, name: str, parts: list[int]) -> None:
    times = [{"tag": "startTime", "value": at(0)}, {"tag": "endTime", "value": at(1000)}]
    trader.place(1, "MKT", size=100, algoStrategy=name, algoParams=times)

    # Ten parts, one each hundred seconds; the sizes of a Vwap begin with 16, 11 and 9 of a hundred.
    assert await trader.status(1) == f"Submitted {parts[0]}"
    gateway.advance(99)
    assert await trader.status(1) == f"Submitted {parts[0]}"
    gateway.advance(101)
    assert await trader.status(1) == f"Submitted {sum(parts)}"
    gateway.advance(700)

    assert await trader.status(1) == "Filled 100"
    assert [float(execution["shares"]) for execution in trader.executions[:3]] == parts


@pytest.mark.parametrize(
    ("name", "tag", "value", "code"),
    [("Guess", "", "", 439), ("Twap", "speed", "1", 443), ("Twap", "startTime", "soon", 441)],
)
async def test_an_unknown_algorithm_or_attribute_is_refused(
    trader: Any, name: str, tag: str, value: str, code: int
) -> None:
    trader.place(1, "MKT", algoStrategy=name, algoParams=[{"tag": tag, "value": value}])

    assert await trader.told() == [f"error 1 {code}"]


@pytest.mark.parametrize(
    ("start", "end"), [("10:00:00 US/Eastern", "10:16:40 US/Eastern"), ("14:00:00 UTC", "14:16:40 UTC")]
)
async def test_times_of_an_algorithm_may_leave_out_the_day(trader: Any, gateway: Gateway, start: str, end: str) -> None:
    times = [{"tag": "startTime", "value": start}, {"tag": "endTime", "value": end}]
    trader.place(1, "MKT", size=100, algoStrategy="Twap", algoParams=times)

    # A thousand seconds from now, in ten parts.
    assert await trader.status(1) == "Submitted 10"
    gateway.advance(100)
    assert await trader.status(1) == "Submitted 20"
