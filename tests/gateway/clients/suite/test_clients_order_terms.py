"""Further terms of an order: duration, conditions, algorithms."""

from __future__ import annotations

import pytest

from ibdesk.gateway import Gateway

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


async def test_gtd_ends_at_its_date(ib, client, aapl, gateway: Gateway, reached, until, errors) -> None:
    trade = client.placeOrder(
        aapl, ib.LimitOrder("BUY", 10, 90.0, tif="GTD", goodTillDate="20260413 10:00:30 US/Eastern")
    )
    await reached(trade, "Submitted")

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

    assert (trade.orderStatus.status, trade.fills[0].execution.price) == ("Filled", 100.0)


async def test_fok_trades_in_full(ib, client, aapl, until) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 100.0, tif="FOK"))
    await until(client, trade.isDone)

    assert (trade.orderStatus.status, trade.filled()) == ("Filled", 10)


async def test_fok_becomes_inactive_when_it_cannot_trade(ib, client, aapl, reached) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.0, tif="FOK"))
    # TWS reports it as Inactive, not as Cancelled (captured).
    await reached(trade, "Inactive")

    assert trade.filled() == 0
    assert await client.reqAllOpenOrdersAsync() == []


async def test_an_order_outside_the_regular_hours_keeps_its_flag(ib, client, aapl, shown, reached) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.0, outsideRth=True))
    await reached(trade, "Submitted")

    [seen] = await shown()
    assert seen.order.outsideRth


async def test_a_market_order_ignores_outside_rth_with_a_warning(ib, client, aapl, reached, announced, errors) -> None:
    announced.add(2109)

    trade = client.placeOrder(aapl, ib.MarketOrder("BUY", 10, outsideRth=True))
    await reached(trade, "Filled")

    [warning] = [error for error in errors if error[1] == 2109]
    assert warning[0] == trade.order.orderId
    assert "Attribute 'Outside Regular Trading Hours' is ignored" in warning[2]


# ---- on conditions ----------------------------------------------------------------------------------------------


async def test_an_order_waits_for_the_price_of_another_share(ib, client, aapl, move, reached, until) -> None:
    order = ib.MarketOrder("BUY", 10)
    order.conditions = [ib.PriceCondition(isMore=True, price=210.0, conId=272093, exch="SMART")]
    trade = client.placeOrder(aapl, order)
    await reached(trade, "PreSubmitted")

    move(205.00, symbol="MSFT")
    await client.reqCurrentTimeAsync()
    assert not trade.fills
    move(211.00, symbol="MSFT")
    await until(client, trade.isDone)

    assert trade.fills[0].execution.price == 100.0


async def test_an_order_waits_for_its_time(ib, client, aapl, gateway: Gateway, reached, until) -> None:
    order = ib.MarketOrder("BUY", 10)
    order.conditions = [ib.TimeCondition(isMore=True, time="20260413 10:00:30 US/Eastern")]
    trade = client.placeOrder(aapl, order)
    await reached(trade, "PreSubmitted")

    gateway.advance(29)
    await client.reqCurrentTimeAsync()
    assert not trade.fills
    gateway.advance(2)
    await until(client, trade.isDone)

    assert trade.fills[0].execution.price == 100.0


async def test_a_condition_may_cancel_an_order(ib, client, aapl, move, reached, until) -> None:
    order = ib.LimitOrder("BUY", 10, 90.0, conditionsCancelOrder=True)
    order.conditions = [ib.PriceCondition(isMore=True, price=105.0, conId=265598, exch="SMART")]
    trade = client.placeOrder(aapl, order)
    await reached(trade, "Submitted")

    move(106.00)
    await until(client, trade.isDone)

    assert trade.orderStatus.status == "Cancelled"


async def test_an_open_order_shows_its_conditions(ib, client, aapl, shown, reached) -> None:
    order = ib.LimitOrder("BUY", 10, 90.0)
    order.conditions = [
        ib.PriceCondition(isMore=True, price=210.0, conId=272093, exch="SMART", conjunction="o"),
        ib.TimeCondition(isMore=True, time="20260413 10:00:30 US/Eastern"),
    ]
    trade = client.placeOrder(aapl, order)
    await reached(trade, "PreSubmitted")

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
    ib, client, aapl, gateway: Gateway, shown, reached, until, strategy: str, parameters: dict
) -> None:
    order = ib.LimitOrder("BUY", 100, 99.0, algoStrategy=strategy)
    order.algoParams = [ib.TagValue(tag, value) for tag, value in parameters.items()]
    trade = client.placeOrder(aapl, order)
    await reached(trade, "PreSubmitted", "Submitted")
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
