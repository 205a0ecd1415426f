"""Every order type and time in force, from the order a client sends to the price it trades at."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from ibdesk.gateway import Gateway

# CLOSE and OPEN: New York's, in seconds after the gateway's market opened at 10:00 on Monday 13 April 2026.
CLOSE = 6 * 3600
NEXT_OPEN = 23.5 * 3600


async def submitted(client, trade, until) -> None:
    await until(client, lambda: trade.orderStatus.status == "Submitted")


async def held(client, trade, until) -> None:
    await until(client, lambda: trade.orderStatus.status == "PreSubmitted")


def price(trade: Any) -> Any:
    """Return the price of the one execution."""
    [fill] = trade.fills
    return fill.execution.price


# ---- triggered by a price ---------------------------------------------------------------------------------------


async def test_stp_waits_for_its_trigger_and_trades_at_the_market(ib, client, aapl, move, until) -> None:
    trade = client.placeOrder(aapl, ib.StopOrder("SELL", 10, 99.50))
    await until(client, lambda: trade.orderStatus.whyHeld == "trigger")
    assert trade.orderStatus.status == "PreSubmitted"

    move(99.00)
    await until(client, trade.isDone)

    assert price(trade) == 98.99
    assert trade.orderStatus.whyHeld == ""


async def test_stp_lmt_rests_at_its_limit_once_triggered(ib, client, aapl, move, until) -> None:
    trade = client.placeOrder(aapl, ib.StopLimitOrder("SELL", 10, lmtPrice=99.50, stopPrice=99.20))
    await until(client, lambda: trade.orderStatus.whyHeld == "trigger")

    move(99.00)
    await submitted(client, trade, until)
    move(101.00)
    await until(client, trade.isDone)

    assert 99.50 <= price(trade) <= 100.99


async def test_trail_follows_the_market_up_and_sells_when_it_turns(ib, client, aapl, move, until) -> None:
    trade = client.placeOrder(
        aapl, ib.Order(action="SELL", totalQuantity=10, orderType="TRAIL", auxPrice=1.0, trailStopPrice=98.0)
    )
    await until(client, lambda: trade.orderStatus.whyHeld == "trigger")

    # The stop follows to 109; 109.50 is above it, 108.50 is not.
    move(110.00)
    move(109.50)
    await client.reqCurrentTimeAsync()
    assert not trade.fills
    move(108.50)
    await until(client, trade.isDone)

    assert price(trade) == 108.49


async def test_trail_by_percent_follows_the_market_down_and_buys_when_it_turns(ib, client, aapl, move, until) -> None:
    trade = client.placeOrder(
        aapl, ib.Order(action="BUY", totalQuantity=10, orderType="TRAIL", trailingPercent=10.0, trailStopPrice=120.0)
    )
    await until(client, lambda: trade.orderStatus.whyHeld == "trigger")

    # Ten percent above 80 is 88.
    move(80.00)
    move(87.00)
    await client.reqCurrentTimeAsync()
    assert not trade.fills
    move(89.00)
    await until(client, trade.isDone)

    assert price(trade) == 89.00


async def test_trail_limit_rests_its_offset_from_the_stop(ib, client, aapl, move, until) -> None:
    trade = client.placeOrder(
        aapl,
        ib.Order(
            action="SELL",
            totalQuantity=10,
            orderType="TRAIL LIMIT",
            auxPrice=1.0,
            trailStopPrice=98.0,
            lmtPriceOffset=0.50,
        ),
    )
    await until(client, lambda: trade.orderStatus.whyHeld == "trigger")

    # The stop follows to about 109, so the limit is about 108.50: 108 is too low for it, 108.80 is not.
    move(110.00)
    move(108.00)
    await submitted(client, trade, until)
    move(108.80)
    await until(client, trade.isDone)

    assert price(trade) == pytest.approx(108.65, abs=0.16)


async def test_mit_buys_at_the_market_once_the_price_is_low_enough(ib, client, aapl, move, until) -> None:
    trade = client.placeOrder(aapl, ib.Order(action="BUY", totalQuantity=10, orderType="MIT", auxPrice=99.00))
    await held(client, trade, until)

    move(99.50)
    await client.reqCurrentTimeAsync()
    assert not trade.fills
    move(98.90)
    await until(client, trade.isDone)

    assert price(trade) == 98.90


async def test_lit_rests_at_its_limit_once_touched(ib, client, aapl, move, until) -> None:
    trade = client.placeOrder(
        aapl, ib.Order(action="BUY", totalQuantity=10, orderType="LIT", auxPrice=99.00, lmtPrice=98.50)
    )
    await held(client, trade, until)

    move(98.90)
    await submitted(client, trade, until)
    assert not trade.fills
    move(98.40)
    await until(client, trade.isDone)

    assert 98.40 <= price(trade) <= 98.50


# ---- auctions ---------------------------------------------------------------------------------------------------


async def test_moc_trades_at_the_close(ib, client, aapl, gateway: Gateway, move, until) -> None:
    trade = client.placeOrder(aapl, ib.Order(action="BUY", totalQuantity=10, orderType="MOC"))
    await until(client, lambda: trade.orderStatus.status in ("PreSubmitted", "Submitted"))
    move(101.00)
    gateway.advance(CLOSE - 1)
    await client.reqCurrentTimeAsync()
    assert not trade.fills

    gateway.advance(1)
    await until(client, trade.isDone)

    assert price(trade) == 101.00
    assert trade.fills[0].execution.time == dt.datetime(2026, 4, 13, 20, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(("limit", "status"), [(102.0, "Filled"), (99.0, "Cancelled")])
async def test_loc_trades_at_the_close_or_not_at_all(
    ib, client, aapl, gateway: Gateway, move, until, limit: float, status: str
) -> None:
    trade = client.placeOrder(aapl, ib.Order(action="BUY", totalQuantity=10, orderType="LOC", lmtPrice=limit))
    await until(client, lambda: trade.orderStatus.status in ("PreSubmitted", "Submitted"))
    move(101.00)

    gateway.advance(CLOSE)
    await until(client, trade.isDone)

    assert trade.orderStatus.status == status
    assert [fill.execution.price for fill in trade.fills] == ([101.00] if status == "Filled" else [])


@pytest.mark.parametrize(
    ("terms", "status"),
    [
        ({"orderType": "MKT"}, "Filled"),
        ({"orderType": "LMT", "lmtPrice": 102.0}, "Filled"),
        ({"orderType": "LMT", "lmtPrice": 99.0}, "Cancelled"),
    ],
)
async def test_opg_trades_at_the_next_open_or_not_at_all(
    ib, client, aapl, gateway: Gateway, move, until, terms: dict, status: str
) -> None:
    trade = client.placeOrder(aapl, ib.Order(action="BUY", totalQuantity=10, tif="OPG", **terms))
    await until(client, lambda: trade.orderStatus.status in ("PreSubmitted", "Submitted"))
    move(101.00)
    gateway.advance(NEXT_OPEN - 1)
    await client.reqCurrentTimeAsync()
    assert not trade.fills

    gateway.advance(1)
    await until(client, trade.isDone)

    assert trade.orderStatus.status == status
    assert [fill.execution.price for fill in trade.fills] == ([101.00] if status == "Filled" else [])


# ---- pegged to the quote ----------------------------------------------------------------------------------------


async def test_rel_stands_its_offset_above_the_bid(ib, client, aapl, gateway: Gateway, until) -> None:
    gateway.quote("AAPL", 99.90, 100.10)
    trade = client.placeOrder(
        aapl, ib.Order(action="BUY", totalQuantity=10, orderType="REL", auxPrice=0.02, lmtPrice=101.0)
    )
    await submitted(client, trade, until)

    gateway.quote("AAPL", 99.95, 100.10)
    await client.reqCurrentTimeAsync()
    assert not trade.fills
    # Two cents above the bid of 99.95.
    gateway.quote("AAPL", 99.95, 99.97)
    await until(client, trade.isDone)

    assert price(trade) == pytest.approx(99.97)


async def test_rel_does_not_follow_beyond_its_cap(ib, client, aapl, gateway: Gateway, until) -> None:
    gateway.quote("AAPL", 99.90, 100.10)
    trade = client.placeOrder(
        aapl, ib.Order(action="BUY", totalQuantity=10, orderType="REL", auxPrice=0.02, lmtPrice=100.0)
    )
    await submitted(client, trade, until)

    gateway.quote("AAPL", 102.00, 102.02)
    await client.reqCurrentTimeAsync()
    assert not trade.fills
    gateway.quote("AAPL", 99.80, 99.82)
    await until(client, trade.isDone)

    assert price(trade) <= 100.0


async def test_midprice_trades_at_the_middle_or_better(ib, client, aapl, gateway: Gateway, until) -> None:
    gateway.quote("AAPL", 99.90, 100.10)
    trade = client.placeOrder(aapl, ib.Order(action="BUY", totalQuantity=10, orderType="MIDPRICE", lmtPrice=101.0))
    await until(client, lambda: trade.orderStatus.status in ("Submitted", "Filled"))

    gateway.quote("AAPL", 99.90, 99.92)
    await until(client, trade.isDone)

    assert price(trade) <= 100.0


# ---- shown as they came -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "terms",
    [
        {"orderType": "LMT", "lmtPrice": 90.0, "tif": "GTC", "orderRef": "a reference", "account": "DU9000001"},
        {"orderType": "LMT", "lmtPrice": 90.0, "tif": "GTD", "goodTillDate": "20260413 15:00:00 US/Eastern"},
        {"orderType": "LMT", "lmtPrice": 90.0, "ocaGroup": "a group", "ocaType": 2},
        {"orderType": "LMT", "lmtPrice": 90.0, "tif": "OPG"},
        {"orderType": "STP", "auxPrice": 110.0},
        {"orderType": "STP LMT", "auxPrice": 110.0, "lmtPrice": 111.0},
        {"orderType": "TRAIL", "auxPrice": 5.0, "trailStopPrice": 110.0},
        {"orderType": "TRAIL", "trailingPercent": 5.0, "trailStopPrice": 110.0},
        {"orderType": "TRAIL LIMIT", "auxPrice": 5.0, "trailStopPrice": 104.0, "lmtPriceOffset": 0.5},
        {"orderType": "MIT", "auxPrice": 90.0},
        {"orderType": "LIT", "auxPrice": 90.0, "lmtPrice": 89.0},
        {"orderType": "MOC"},
        {"orderType": "LOC", "lmtPrice": 90.0},
        {"orderType": "REL", "auxPrice": 0.0, "lmtPrice": 90.0},
        {"orderType": "MIDPRICE", "lmtPrice": 90.0},
    ],
    ids=lambda terms: " ".join([terms["orderType"], *(tag for tag in terms if tag != "orderType")]),
)
async def test_an_open_order_shows_the_terms_it_came_with(ib, client, aapl, shown, until, terms: dict) -> None:
    trade = client.placeOrder(aapl, ib.Order(action="BUY", totalQuantity=10, **terms))
    await until(client, lambda: trade.orderStatus.permId)

    [seen] = await shown()

    order = seen.order
    assert (order.action, order.totalQuantity, order.permId) == ("BUY", 10, trade.order.permId)
    assert {tag: getattr(order, tag) for tag in terms} == terms


# ---- how long ---------------------------------------------------------------------------------------------------


async def test_gtd_ends_at_its_date(ib, client, aapl, gateway: Gateway, until, errors) -> None:
    trade = client.placeOrder(
        aapl, ib.LimitOrder("BUY", 10, 90.0, tif="GTD", goodTillDate="20260413 10:00:30 US/Eastern")
    )
    await submitted(client, trade, until)

    gateway.advance(29)
    await client.reqCurrentTimeAsync()
    assert not trade.isDone()
    gateway.advance(2)
    await until(client, trade.isDone)

    assert trade.orderStatus.status == "Cancelled"


async def test_ioc_is_cancelled_when_it_cannot_trade(ib, client, aapl, until) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.0, tif="IOC"))
    await until(client, trade.isDone)

    assert (trade.orderStatus.status, trade.filled()) == ("Cancelled", 0)


async def test_ioc_trades_when_it_can(ib, client, aapl, until) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 100.0, tif="IOC"))
    await until(client, trade.isDone)

    assert (trade.orderStatus.status, price(trade)) == ("Filled", 100.0)


async def test_fok_trades_in_full(ib, client, aapl, until) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 100.0, tif="FOK"))
    await until(client, trade.isDone)

    assert (trade.orderStatus.status, trade.filled()) == ("Filled", 10)


async def test_fok_becomes_inactive_when_it_cannot_trade(ib, client, aapl, until) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.0, tif="FOK"))
    # TWS reports it as Inactive, not as Cancelled (captured).
    await until(client, lambda: trade.orderStatus.status == "Inactive")

    assert trade.filled() == 0
    assert await client.reqAllOpenOrdersAsync() == []


async def test_an_order_outside_the_regular_hours_keeps_its_flag(ib, client, aapl, shown, until) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.0, outsideRth=True))
    await submitted(client, trade, until)

    [seen] = await shown()
    assert seen.order.outsideRth


async def test_a_market_order_ignores_outside_rth_with_a_warning(ib, client, aapl, until, announced, errors) -> None:
    announced.add(2109)

    trade = client.placeOrder(aapl, ib.MarketOrder("BUY", 10, outsideRth=True))
    await until(client, lambda: trade.orderStatus.status == "Filled")

    [warning] = [error for error in errors if error[1] == 2109]
    assert warning[0] == trade.order.orderId
    assert "Attribute 'Outside Regular Trading Hours' is ignored" in warning[2]


# ---- on conditions ----------------------------------------------------------------------------------------------


async def test_an_order_waits_for_the_price_of_another_share(ib, client, aapl, move, until) -> None:
    order = ib.MarketOrder("BUY", 10)
    order.conditions = [ib.PriceCondition(isMore=True, price=210.0, conId=272093, exch="SMART")]
    trade = client.placeOrder(aapl, order)
    await held(client, trade, until)

    move(205.00, symbol="MSFT")
    await client.reqCurrentTimeAsync()
    assert not trade.fills
    move(211.00, symbol="MSFT")
    await until(client, trade.isDone)

    assert price(trade) == 100.0


async def test_an_order_waits_for_its_time(ib, client, aapl, gateway: Gateway, until) -> None:
    order = ib.MarketOrder("BUY", 10)
    order.conditions = [ib.TimeCondition(isMore=True, time="20260413 10:00:30 US/Eastern")]
    trade = client.placeOrder(aapl, order)
    await held(client, trade, until)

    gateway.advance(29)
    await client.reqCurrentTimeAsync()
    assert not trade.fills
    gateway.advance(2)
    await until(client, trade.isDone)

    assert price(trade) == 100.0


async def test_a_condition_may_cancel_an_order(ib, client, aapl, move, until) -> None:
    order = ib.LimitOrder("BUY", 10, 90.0, conditionsCancelOrder=True)
    order.conditions = [ib.PriceCondition(isMore=True, price=105.0, conId=265598, exch="SMART")]
    trade = client.placeOrder(aapl, order)
    await submitted(client, trade, until)

    move(106.00)
    await until(client, trade.isDone)

    assert trade.orderStatus.status == "Cancelled"


async def test_an_open_order_shows_its_conditions(ib, client, aapl, shown, until) -> None:
    order = ib.LimitOrder("BUY", 10, 90.0)
    order.conditions = [
        ib.PriceCondition(isMore=True, price=210.0, conId=272093, exch="SMART", conjunction="o"),
        ib.TimeCondition(isMore=True, time="20260413 10:00:30 US/Eastern"),
    ]
    trade = client.placeOrder(aapl, order)
    await held(client, trade, until)

    [seen] = await shown()
    by_price, by_time = seen.order.conditions
    assert (by_price.price, by_price.conId, by_price.isMore, by_price.conjunction) == (210.0, 272093, True, "o")
    assert by_time.time == "20260413 10:00:30 US/Eastern"


# ---- IB's algorithms --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "parameters"),
    [
        ("Adaptive", {"adaptivePriority": "Normal"}),
        (
            "Twap",
            {
                "strategyType": "Marketable",
                "startTime": "10:00:00 US/Eastern",
                "endTime": "10:05:00 US/Eastern",
                "allowPastEndTime": "1",
            },
        ),
        (
            "Vwap",
            {
                "maxPctVol": "0.1",
                "startTime": "10:00:00 US/Eastern",
                "endTime": "10:05:00 US/Eastern",
                "allowPastEndTime": "1",
                "noTakeLiq": "0",
            },
        ),
    ],
)
async def test_an_algorithm_is_accepted_shown_and_worked(
    ib, client, aapl, gateway: Gateway, shown, until, strategy: str, parameters: dict
) -> None:
    order = ib.LimitOrder("BUY", 100, 99.0, algoStrategy=strategy)
    order.algoParams = [ib.TagValue(tag, value) for tag, value in parameters.items()]
    trade = client.placeOrder(aapl, order)
    await until(client, lambda: trade.orderStatus.status in ("PreSubmitted", "Submitted"))
    [seen] = await shown()
    assert seen.order.algoStrategy == strategy
    assert {each.tag: each.value for each in seen.order.algoParams} == parameters

    gateway.quote("AAPL", 98.90, 98.95, bid_size=1000, ask_size=1000)
    await client.reqCurrentTimeAsync()
    # The limit is met: Adaptive trades like any order, the others spread it over their five minutes.
    assert (trade.filled() == 100) is (strategy == "Adaptive")
    for _ in range(72):
        gateway.trade("AAPL", 98.95, 1000)
        gateway.advance(5)
    await until(client, trade.isDone)

    assert (trade.orderStatus.status, trade.filled()) == ("Filled", 100)
    assert trade.orderStatus.avgFillPrice == pytest.approx(98.95, abs=0.05)
