"""A single print far from the last price neither values nor decides until a second one, or time, confirms it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ibdesk.engine import RiskLimits
from ibdesk.model import Alert, Bar, ClockRead, Option, SetTimer, Tick, TimerFired, TradingHalted, WatchMarket

SECOND = 1_000_000_000


def limits(**rules: Any) -> RiskLimits:
    return dataclasses.replace(RiskLimits.none(), **{"max_price_jump": 0.2, "price_jump_seconds": 5} | rules)


def told(actions) -> list[str]:
    return [action.text for action in actions if isinstance(action, Alert)]


@pytest.fixture
def desk_story(tell_story, hands):
    """A desk's run that holds 100 shares bought at 10, and has seen a quote of 9.9 to 10.1."""

    def make(rules: RiskLimits):
        story = tell_story(rules)
        story.tell(ClockRead(story.at_ns))
        story.start(hands())
        story.quote(9.9, 10.1)
        story.hold(100)
        return story

    return make


def tick(story, price: float):
    story.at_ns += SECOND
    return story.tell(Tick("AAPL", story.at_ns, price, 1.0))


def price(story) -> Any:
    return story.engine.price_of("AAPL")


def test_a_single_print_is_held_and_dropped(desk_story) -> None:
    story = desk_story(limits())

    held = tick(story, 5.0)
    during = price(story)
    dropped = tick(story, 10.2)

    assert told(held) == [
        "AAPL: a print at 5 jumps 50.0% from 10; risk.max_price_jump allows 20.0%: it is held until a second print or "
        "5 s confirm it"
    ]
    assert during == 10.0
    assert told(dropped) == ["AAPL: the print at 5 was isolated and is dropped; the price stays near 10"]
    assert price(story) == 10.2


def test_a_print_as_far_as_the_limit_counts_at_once(desk_story) -> None:
    story = desk_story(limits())

    tick(story, 12.0)

    assert price(story) == 12.0


def test_a_second_print_of_another_source_confirms_the_first(desk_story) -> None:
    story = desk_story(limits())
    tick(story, 5.0)

    story.quote(5.9, 6.1)

    assert price(story) == 6.0
    assert story.engine.markets["AAPL"].last == 5.0


def test_a_jump_the_other_way_confirms_nothing(desk_story) -> None:
    story = desk_story(limits())
    tick(story, 5.0)

    tick(story, 20.0)

    assert price(story) == 10.0


def test_a_print_that_nothing_contradicts_counts_after_a_while(desk_story) -> None:
    story = desk_story(limits())
    [timer] = [action for action in tick(story, 5.0) if isinstance(action, SetTimer)]

    story.tell(TimerFired(timer.timer_id, timer.at_ns))

    assert timer.at_ns == story.at_ns + 5 * SECOND
    assert price(story) == 5.0


def test_the_timer_of_a_dropped_print_confirms_no_later_one(desk_story) -> None:
    story = desk_story(limits())
    [timer] = [action for action in tick(story, 5.0) if isinstance(action, SetTimer)]
    tick(story, 10.0)
    tick(story, 4.0)

    story.tell(TimerFired(timer.timer_id, timer.at_ns))

    assert price(story) == 10.0


def test_a_bad_print_halts_no_trading_for_a_loss(desk_story) -> None:
    """At 5 the 100 shares would have lost 500."""
    story = desk_story(limits(max_daily_loss=400))

    actions = [*tick(story, 5.0), *story.fill(story.order("run.1"), quantity=1, price=10.0), *tick(story, 10.0)]

    assert not any(isinstance(action, TradingHalted) for action in actions)


def test_a_confirmed_bar_decides_after_the_print_that_confirms_it_has_come(tell_story, hands) -> None:
    story = tell_story(limits())
    story.tell(ClockRead(story.at_ns))
    story.start(hands(bar=lambda me, bar: me.buy("AAPL", bar.close)))
    story.quote(9.9, 10.1)

    held = story.tell(Bar("AAPL", story.at_ns - 60 * SECOND, 60 * SECOND, 10.0, 14.0, 10.0, 14.0, 1.0))
    confirmed = tick(story, 14.1)

    assert story.placed(held) == []
    assert [order.quantity for order in story.placed(confirmed)] == [14.0]


def test_a_quote_that_jumps_is_not_the_markets_quote_yet(desk_story) -> None:
    story = desk_story(limits())

    story.quote(4.9, 5.1)

    assert story.engine.markets["AAPL"].quote.bid == 9.9


def test_the_price_of_an_option_may_jump(tell_story) -> None:
    option = Option("AAPL", expiry="20261218", strike=250.0)
    story = tell_story(limits())
    story.tell(ClockRead(story.at_ns))
    story.tell(WatchMarket(option, story.at_ns))
    story.quote(0.1, 0.1, instrument=option.id)

    story.quote(0.4, 0.4, instrument=option.id)

    assert story.engine.price_of(option.id) == 0.4


def test_a_flickering_market_is_told_of_once_a_minute(desk_story) -> None:
    story = desk_story(limits())

    words = [text for _ in range(10) for text in (*told(tick(story, 5.0)), *told(tick(story, 10.0)))]

    assert len([text for text in words if "jumps" in text]) == 1


def test_a_backtest_holds_nothing(tell_story) -> None:
    story = tell_story(limits())
    story.start()
    story.bar(10.0)

    story.bar(100.0)

    assert story.engine.price_of("AAPL") == 100.0
