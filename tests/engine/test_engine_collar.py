"""A market order that opens a position leaves as a limit order through the market, no farther than its collar."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.backtest import backtest
from ibdesk.engine import RiskLimits
from ibdesk.engine.market import Market
from ibdesk.engine.terms import collared
from ibdesk.exchange import TickSlippage
from ibdesk.model import Future, Order, OrderType, Quote, Side, Stock, TimeInForce
from ibdesk.strategy import Strategy


def limits(**rules: Any) -> RiskLimits:
    return dataclasses.replace(RiskLimits.none(), **rules)


def terms(order: Order) -> tuple[OrderType, float | None, TimeInForce]:
    return order.type, order.limit_price, order.time_in_force


@pytest.fixture
def collared_story(tell_story, hands):
    story = tell_story(limits(collar_market_orders=0.02))
    story.start(hands())
    story.quote(99.98, 100.03)
    return story


def test_a_buy_reaches_two_percent_beyond_the_ask(collared_story) -> None:
    """100.03 and 2 % of it are 102.0306; a buy is rounded down to the cent."""
    order = collared_story.order(collared_story.act(lambda me: me.buy("AAPL", 1)))

    assert terms(order) == (OrderType.LIMIT, 102.03, TimeInForce.IOC)


def test_a_sale_reaches_two_percent_below_the_bid(collared_story) -> None:
    """99.98 less 2 % are 97.9804; a sale is rounded up."""
    order = collared_story.order(collared_story.act(lambda me: me.sell("AAPL", 1)))

    assert terms(order) == (OrderType.LIMIT, 97.99, TimeInForce.IOC)


def test_what_gets_out_leaves_at_the_market(collared_story) -> None:
    collared_story.hold(5)

    order = collared_story.order(collared_story.act(lambda me: me.close("AAPL")))

    assert terms(order) == (OrderType.MARKET, None, TimeInForce.DAY)


def test_a_collared_order_counts_like_the_market_order_it_is(tell_story) -> None:
    """A target that is on its way as an IOC order is not ordered a second time."""
    story = tell_story(limits(collar_market_orders=0.02))
    story.start()
    [first] = story.placed(story.bar(10.0))

    again = story.bar(10.0)

    assert first.type is OrderType.LIMIT
    assert story.placed(again) == []


def test_a_collared_order_through_zero_is_waited_for(tell_story) -> None:
    """From 10 long to 10 short: 20 are sold, and until they fill the same target orders and cancels nothing."""
    story = tell_story(limits(collar_market_orders=0.02))
    story.start()
    [bought] = story.placed(story.bar(10.0))
    story.fill(bought)
    [sold] = story.placed(story.bar(-10.0))

    again = story.bar(-10.0)

    assert (sold.quantity, sold.time_in_force) == (20, TimeInForce.IOC)
    assert again == []


def test_without_a_collar_a_market_order_stays_one(story, hands) -> None:
    story.start(hands())
    story.quote(99.98, 100.03)

    assert story.order(story.act(lambda me: me.buy("AAPL", 1))).type is OrderType.MARKET


@given(
    bid=st.integers(1, 10**7),
    width=st.integers(0, 100),
    fraction=st.floats(1e-9, 0.5),
    side=st.sampled_from(Side),
    instrument=st.sampled_from([Stock("AAPL"), Future("ES", expiry="202612")]),
)
def test_a_collar_is_on_the_grid_never_beyond_its_reach_and_never_short_of_the_market(
    bid: int, width: int, fraction: float, side: Side, instrument
) -> None:
    tick = instrument.tick_at(1.0)
    market = Market(instrument)
    market.quote = Quote(
        instrument.id, 0, instrument.round_price(bid * tick), instrument.round_price((bid + width) * tick)
    )
    order = Order(id="a.1", owner="a", instrument=instrument.id, side=side, quantity=1)

    limit = collared(order, market, fraction).limit_price

    assert limit is not None
    assert instrument.round_price(limit) == limit
    if side is Side.BUY:
        assert market.quote.ask <= limit <= market.quote.ask * (1 + fraction) * (1 + 1e-12)
    else:
        assert market.quote.bid >= limit >= market.quote.bid * (1 - fraction) * (1 - 1e-12)


class BuyOnce(Strategy):
    def on_bar(self, bar) -> None:
        if not self.state.get("done"):
            self.state["done"] = True
            self.buy(bar.instrument, 1)


@pytest.mark.parametrize(("collar", "prices"), [(0.02, [101.0]), (0.005, [])])
def test_a_backtest_fills_a_collared_order_within_its_collar_or_not_at_all(collar: float, prices: list[float]) -> None:
    """Ordered at a close of 100, it meets an open of 101; that the bar falls to 100 later is too late for it."""
    days = [dt.datetime(2026, 3, day, tzinfo=dt.UTC) for day in (10, 11, 12)]
    bars = pl.DataFrame(
        {
            "symbol": ["AAPL"] * 3,
            "opened_at": days,
            "open": [100.0, 101.0, 101.0],
            "high": [100.0, 101.0, 101.0],
            "low": [100.0, 100.0, 101.0],
            "close": [100.0, 101.0, 101.0],
            "volume": [1e6] * 3,
        },
        schema_overrides={"opened_at": pl.Datetime("ns", "UTC")},
    )

    result = backtest(BuyOnce(), bars, limits=limits(collar_market_orders=collar), slippage=TickSlippage(0.0))

    assert result.fills["price"].to_list() == prices
