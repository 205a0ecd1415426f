"""No order opens a position on an old price or a late bar, in a halted or crossed market, or over a wide spread."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ibdesk.engine import RiskLimits
from ibdesk.model import (
    Alert,
    Bar,
    ClockRead,
    Forex,
    Future,
    Link,
    LinkChanged,
    MarketHalted,
    Option,
    OrderDenied,
    OrderStatus,
    OrderType,
    PlaceOrder,
    PlaceRequest,
    Quote,
    Side,
    Stalled,
    Stock,
    TimerFired,
    WatchMarket,
)

SECOND = 1_000_000_000


def limits(**rules: Any) -> RiskLimits:
    """Only these rules; the others are off."""
    return dataclasses.replace(RiskLimits.none(), **rules)


def told(actions) -> list[str]:
    return [action.text for action in actions if isinstance(action, Alert)]


def denials(actions) -> list[tuple[str, float, Any]]:
    return [(a.rule, a.limit, pytest.approx(a.asked)) for a in actions if isinstance(a, OrderDenied)]


@pytest.fixture
def desk_story(tell_story):
    """A story that is told what a desk's clock shows, as a desk does it before each bar."""

    def make(rules: RiskLimits, speed: float = 1.0):
        story = tell_story(rules)
        story.tell(ClockRead(story.at_ns, speed))
        return story

    return make


def bar_of(story, *, closed_ago: float, close: float = 10.0, instrument: str = "AAPL") -> Bar:
    """A minute that closed so many seconds before the clock's present."""
    opened_ns = story.at_ns - int((60 + closed_ago) * SECOND)
    return Bar(instrument, opened_ns, 60 * SECOND, close, close, close, close, 100.0)


def take(story, bar: Bar):
    story.tell(ClockRead(story.at_ns))
    return story.tell(bar)


# --- late bars


def test_a_bar_that_came_in_time_decides(desk_story) -> None:
    story = desk_story(limits(max_bar_lateness_seconds=10))
    story.start()

    actions = take(story, bar_of(story, closed_ago=10))

    assert [order.quantity for order in story.placed(actions)] == [10]


def test_a_late_bar_decides_nothing_and_says_so_once(desk_story) -> None:
    story = desk_story(limits(max_bar_lateness_seconds=10))
    story.start()
    told_first = told(take(story, bar_of(story, closed_ago=72.0)))
    second = take(story, bar_of(story, closed_ago=12.0))
    story.at_ns += 50 * SECOND

    in_time = take(story, bar_of(story, closed_ago=2.0))

    assert told_first == [
        "bars are late: that of AAPL which closed at 13:58:48 UTC came 72.0 s after its close, "
        "risk.max_bar_lateness_seconds allows 10: bars as late as that decide nothing"
    ]
    assert second == []
    assert told(in_time) == ["bars are in time again: 2 decisions were left out"]
    assert [order.quantity for order in story.placed(in_time)] == [10]


def test_late_bars_still_reach_the_features(desk_story) -> None:
    """A stall leaves no gap in an average: the bars of a stall count like the history that a run starts from."""
    story = desk_story(limits(max_bar_lateness_seconds=10))
    story.start()
    take(story, bar_of(story, closed_ago=60.0, close=7.0))

    assert story.run().lanes["AAPL"].last_bar.close == 7.0


def test_a_strategy_that_decides_by_itself_is_not_called_on_a_late_bar(desk_story, hands) -> None:
    story = desk_story(limits(max_bar_lateness_seconds=10))
    story.start(hands(bar=lambda me, _: me.buy("AAPL", 1)))

    late = take(story, bar_of(story, closed_ago=61.0))
    in_time = take(story, bar_of(story, closed_ago=1.0))

    assert story.placed(late) == []
    assert len(story.placed(in_time)) == 1
    assert len(story.run().strategy.told("bar")) == 1


def test_where_the_market_runs_fast_lateness_is_in_seconds_of_the_wall(desk_story) -> None:
    story = desk_story(limits(max_bar_lateness_seconds=10), speed=50.0)
    story.start()
    story.tell(ClockRead(story.at_ns, 50.0))

    actions = story.tell(bar_of(story, closed_ago=400.0))

    assert len(story.placed(actions)) == 1


def test_a_late_bar_does_not_replace_a_newer_price(desk_story) -> None:
    story = desk_story(limits(max_bar_lateness_seconds=10))
    story.start()
    story.quote(19.9, 20.1)

    take(story, bar_of(story, closed_ago=60.0, close=10.0))

    assert story.engine.price_of("AAPL") == pytest.approx(20.0)


def test_without_a_clock_no_bar_is_late(tell_story) -> None:
    """In a backtest time is what bars carry: the second of two bars may be years after the first."""
    story = tell_story(limits(max_bar_lateness_seconds=10, max_price_age_shares=10))
    story.start()
    story.bar(1.0)
    story.at_ns += 10**18

    assert len(story.placed(story.bar(5.0))) == 1


# --- the age of prices


def test_an_order_on_an_old_price_is_denied(desk_story, hands) -> None:
    story = desk_story(limits(max_price_age_shares=60))
    story.start(hands())
    story.quote(9.9, 10.1)
    story.at_ns += 61 * SECOND

    story.act(lambda me: me.buy("AAPL", 1))

    [order] = story.engine.blotter.orders.values()
    assert order.status is OrderStatus.DENIED
    assert order.reason == (
        "the price is 61.0 s old, max_price_age_shares allows 60 s: wait for a newer price, or raise "
        "risk.max_price_age_shares"
    )


def test_a_price_as_old_as_its_limit_will_do(desk_story, hands) -> None:
    story = desk_story(limits(max_price_age_shares=60))
    story.start(hands())
    story.quote(9.9, 10.1)
    story.at_ns += 60 * SECOND

    order_id = story.act(lambda me: me.buy("AAPL", 1))

    assert story.order(order_id).status is OrderStatus.SENT


def test_the_price_of_a_bar_is_as_old_as_the_bars_close(desk_story, hands) -> None:
    story = desk_story(limits(max_price_age_shares=60))
    story.start(hands())
    take(story, bar_of(story, closed_ago=30.0))
    story.at_ns += 31 * SECOND

    order_id = story.act(lambda me: me.buy("AAPL", 1))

    assert story.order(order_id).status is OrderStatus.DENIED
    assert "61.0 s old" in story.order(order_id).reason


def test_a_venue_whose_clock_is_ahead_makes_no_price_younger_than_we_know_it(desk_story, hands) -> None:
    story = desk_story(limits(max_price_age_shares=60))
    story.start(hands())
    take(story, bar_of(story, closed_ago=-1000.0))
    story.at_ns += 61 * SECOND

    assert story.order(story.act(lambda me: me.buy("AAPL", 1))).status is OrderStatus.DENIED


def test_without_any_price_only_an_order_that_states_one_leaves(desk_story, hands) -> None:
    story = desk_story(limits(max_price_age_shares=60))
    story.start(hands())

    at_market = story.act(lambda me: me.buy("AAPL", 1))
    at_limit = story.act(lambda me: me.buy("AAPL", 1, limit=10.0))

    assert story.order(at_market).reason.startswith("no price is known, max_price_age_shares allows 60 s")
    assert story.order(at_limit).status is OrderStatus.SENT


def test_getting_out_is_allowed_at_any_age(desk_story, hands) -> None:
    story = desk_story(limits(max_price_age_shares=60))
    story.start(hands())
    story.quote(9.9, 10.1)
    story.hold(10)
    story.at_ns += 3600 * SECOND

    out = story.act(lambda me: me.sell("AAPL", 10))
    more = story.act(lambda me: me.sell("AAPL", 1))

    assert story.order(out).status is OrderStatus.SENT
    assert story.order(more).status is OrderStatus.DENIED


@pytest.mark.parametrize(
    ("instrument", "rule"),
    [
        (Stock("AAPL"), "max_price_age_shares"),
        (Future("ES", expiry="202612"), "max_price_age_futures"),
        (Forex("EUR", currency="USD"), "max_price_age_currency"),
        (Option("AAPL", expiry="20261218", strike=250.0), "max_price_age_options"),
    ],
)
def test_each_kind_of_instrument_has_its_own_limit(desk_story, instrument, rule) -> None:
    story = desk_story(limits(**{rule: 5}))
    story.tell(WatchMarket(instrument, story.at_ns))
    story.quote(9.9, 10.1, instrument=instrument.id)
    story.at_ns += 6 * SECOND

    actions = story.tell(
        PlaceRequest(order_id="m1", instrument=instrument, side=Side.BUY, quantity=1, at_ns=story.at_ns)
    )

    assert denials(actions) == [(rule, 5, 6.0)]


# --- the state of the market


def test_nothing_opens_in_a_halted_market(desk_story, hands) -> None:
    story = desk_story(limits())
    story.start(hands())
    story.quote(9.9, 10.1)
    words = told(story.tell(MarketHalted("AAPL", story.at_ns)))
    halted = story.act(lambda me: me.buy("AAPL", 1))
    story.tell(MarketHalted("AAPL", story.at_ns, is_halted=False))

    after = story.act(lambda me: me.buy("AAPL", 1))

    assert words == ["AAPL halted by the venue: no order opens a position"]
    assert story.order(halted).status is OrderStatus.DENIED
    assert story.order(after).status is OrderStatus.SENT


def test_nothing_opens_in_a_crossed_market(desk_story, hands) -> None:
    story = desk_story(limits())
    story.start(hands())
    story.quote(10.1, 9.9)
    crossed = story.act(lambda me: me.buy("AAPL", 1))
    story.quote(10.0, 10.0)

    locked = story.act(lambda me: me.buy("AAPL", 1))

    assert story.order(crossed).status is OrderStatus.DENIED
    assert "bid 10.1 above ask 9.9" in story.order(crossed).reason
    assert story.order(locked).status is OrderStatus.SENT


def test_a_wide_spread_denies_what_would_take_the_other_side_and_nothing_else(desk_story, hands) -> None:
    """9 to 11 is 2 around 10: a fifth."""
    story = desk_story(limits(max_spread=0.19))
    story.start(hands())
    story.quote(9.0, 11.0)

    at_market = story.act(lambda me: me.buy("AAPL", 1))
    through = story.act(lambda me: me.buy("AAPL", 1, limit=11.0))
    inside = story.act(lambda me: me.buy("AAPL", 1, limit=10.9))

    assert [story.order(each).status for each in (at_market, through, inside)] == [
        OrderStatus.DENIED,
        OrderStatus.DENIED,
        OrderStatus.SENT,
    ]
    assert story.order(at_market).reason == (
        "the spread is 0.2 of the price, max_spread allows 0.19: set a limit price inside the spread, or raise "
        "risk.max_spread"
    )


def test_a_target_that_was_denied_for_the_markets_state_is_asked_again(desk_story) -> None:
    story = desk_story(limits())
    story.start()
    story.tell(MarketHalted("AAPL", story.at_ns))
    denied = take(story, bar_of(story, closed_ago=0.0))
    story.tell(MarketHalted("AAPL", story.at_ns, is_halted=False))
    story.at_ns += 60 * SECOND

    actions = take(story, bar_of(story, closed_ago=0.0))

    assert [rule for rule, *_ in denials(denied)] == ["halted_market"]
    assert [order.quantity for order in story.placed(actions)] == [10]


# --- a stall


def test_after_a_stall_nothing_is_decided_until_the_link_is_up_again(desk_story, hands) -> None:
    story = desk_story(limits(max_bar_lateness_seconds=10))
    story.start(hands(bar=lambda me, _: me.buy("AAPL", 1), quote=lambda me, _: me.buy("AAPL", 2)))
    story.at_ns += 60 * SECOND
    [word] = told(story.tell(Stalled(60.0, story.at_ns)))
    story.tell(LinkChanged(Link.SYNCING, story.at_ns))

    quoted = story.quote(9.9, 10.1)
    late = take(story, bar_of(story, closed_ago=59.0))
    fresh = take(story, bar_of(story, closed_ago=0.5))
    after = story.tell(LinkChanged(Link.UP, story.at_ns))

    assert word.startswith("this process stood still for 60.0 s")
    # Nothing was ordered, so nothing was denied either.
    assert not any(isinstance(action, PlaceOrder | OrderDenied) for action in [*quoted, *late, *fresh])
    # The last bar of the stall is fresh, so it decides once the books agree.
    assert [order.quantity for order in story.placed(after)] == [1]
    assert [bar.at_ns for bar in story.run().strategy.told("bar")] == [story.at_ns - SECOND // 2]


def test_the_last_bar_of_a_stall_decides_nothing_when_it_is_late(desk_story) -> None:
    story = desk_story(limits(max_bar_lateness_seconds=10))
    story.start()
    story.tell(Stalled(60.0, story.at_ns))
    take(story, bar_of(story, closed_ago=20.0))

    after = story.tell(LinkChanged(Link.UP, story.at_ns))

    assert story.placed(after) == []


def test_what_was_on_its_way_over_a_stall_goes_on_once_the_books_agree(desk_story, hands) -> None:
    """From 10 long to 5 short, past a stop: its cancel is answered while the books are compared, then 15 are sold."""
    story = desk_story(limits())
    story.start(hands())
    story.quote(9.9, 10.1)
    story.hold(10)
    stop = story.order(story.act(lambda me: me.sell("AAPL", 10, stop=9.0)))
    story.report(stop, OrderStatus.WORKING)
    story.act(lambda me: me.order_target("AAPL", -5))
    story.tell(Stalled(60.0, story.at_ns))
    story.tell(LinkChanged(Link.SYNCING, story.at_ns))
    story.report(stop, OrderStatus.CANCELLED)
    story.quote(9.9, 10.1)

    actions = story.tell(LinkChanged(Link.UP, story.at_ns))

    assert [(order.side, order.quantity) for order in story.placed(actions)] == [(Side.SELL, 15)]


def test_while_the_desk_catches_up_an_order_by_hand_may_only_reduce(desk_story) -> None:
    story = desk_story(limits())
    story.tell(WatchMarket(Stock("AAPL"), story.at_ns))
    story.quote(9.9, 10.1)
    story.tell(Stalled(60.0, story.at_ns))

    actions = story.tell(
        PlaceRequest(order_id="m1", instrument=Stock("AAPL"), side=Side.BUY, quantity=1, at_ns=story.at_ns)
    )

    assert [rule for rule, *_ in denials(actions)] == ["catching_up"]


# --- rates


def test_bars_that_are_caught_up_with_let_no_burst_leave(desk_story, hands) -> None:
    """Six bars of a minute each arrive at once: by their own times they are minutes apart, by ours they are not."""
    story = desk_story(limits(max_orders_per_second=2))
    story.start(hands(bar=lambda me, _: me.buy("AAPL", 1)))
    story.tell(ClockRead(story.at_ns))

    actions = [
        action for ago in (300, 240, 180, 120, 60, 0) for action in story.tell(bar_of(story, closed_ago=float(ago)))
    ]

    assert len(story.placed(actions)) == 2


def test_a_timer_that_is_late_counts_at_the_time_it_fires(desk_story, hands) -> None:
    story = desk_story(limits(max_orders_per_second=1))
    story.start(hands(quote=lambda me, _: me.buy("AAPL", 1), timer=lambda me, _: me.buy("AAPL", 1)))
    due_ns = story.at_ns
    story.at_ns += 60 * SECOND
    first = story.tell(Quote("AAPL", story.at_ns, 9.9, 10.1))
    story.tell(ClockRead(story.at_ns))

    second = story.tell(TimerFired("run/out", due_ns))

    assert len(story.placed(first)) == 1
    assert not any(isinstance(action, PlaceOrder) for action in second)


def test_a_timer_that_is_late_sees_prices_as_old_as_they_are(desk_story, hands) -> None:
    """Due 59 s after the last price, and fired 61 s after it."""
    story = desk_story(limits(max_price_age_shares=60))
    story.start(hands(timer=lambda me, _: me.buy("AAPL", 1)))
    story.quote(9.9, 10.1)
    due_ns = story.at_ns + 59 * SECOND
    story.tell(ClockRead(story.at_ns + 61 * SECOND))

    actions = story.tell(TimerFired("run/out", due_ns))

    assert denials(actions) == [("max_price_age_shares", 60, 61.0)]


def test_a_limit_order_that_waits_is_denied_on_an_old_price_too(desk_story, hands) -> None:
    story = desk_story(limits(max_price_age_shares=5))
    story.start(hands())
    story.quote(9.9, 10.1)
    story.at_ns += 6 * SECOND

    order_id = story.act(lambda me: me.buy("AAPL", 1, limit=9.0))

    assert story.order(order_id).type is OrderType.LIMIT
    assert story.order(order_id).status is OrderStatus.DENIED
