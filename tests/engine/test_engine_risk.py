"""The risk gate: each rule denies, and names itself, its limit and the requested figure."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from typing import Any

import pytest
from pydantic import ValidationError

from ibdesk.engine import RiskLimits
from ibdesk.model import (
    CancelOrder,
    Future,
    HaltTrading,
    Index,
    Link,
    LinkChanged,
    ModifyOrder,
    OrderDenied,
    OrderQueued,
    OrderStatus,
    PlaceOrder,
    ResumeTrading,
    SetTimer,
    Stock,
    TimerFired,
    TradingHalted,
    decode_actions,
    encode_actions,
    nanoseconds,
)

SECOND = 1_000_000_000


def limits(**rules: Any) -> RiskLimits:
    """Only these rules; the others are off."""
    return dataclasses.replace(RiskLimits.none(), **rules)


def denial(actions) -> tuple:
    (denied,) = [action for action in actions if isinstance(action, OrderDenied)]
    assert not any(isinstance(action, PlaceOrder) for action in actions)
    return denied.rule, denied.limit, pytest.approx(denied.asked)


@pytest.fixture
def ask(tell_story, hands):
    """Ask for one order at a quote of 9.9 to 10.1, holding so much at 10, under these limits."""

    def ask(order, rules: RiskLimits, *, held: float = 0.0, before=()):
        story = tell_story(rules)
        story.start(hands(quote=lambda me, quote: order(me) if quote.bid == 9.9 else None))
        if held:
            story.hold(held)
        for event in before:
            story.tell(event(story.at_ns))
        return story, story.quote(9.9, 10.1)

    return ask


def test_the_largest_order(ask) -> None:
    _, actions = ask(lambda me: me.buy("AAPL", 101), limits(max_order_shares=100))

    assert denial(actions) == ("max_order_shares", 100, 101)


def test_the_largest_position_counts_what_is_held(ask) -> None:
    _, actions = ask(lambda me: me.buy("AAPL", 60), limits(max_position_shares=150), held=100)

    assert denial(actions) == ("max_position_shares", 150, 160)


def test_the_largest_position_counts_what_is_open(ask) -> None:
    def two(me) -> None:
        me.sell("AAPL", 100, limit=10.5)
        me.sell("AAPL", 100, limit=10.6)

    _, actions = ask(two, limits(max_position_shares=150))

    assert [type(action) for action in actions] == [PlaceOrder, OrderDenied]
    assert (actions[1].rule, actions[1].asked) == ("max_position_shares", 200)


def test_the_largest_value_is_reckoned_at_the_last_price(ask) -> None:
    _, actions = ask(lambda me: me.buy("AAPL", 101), limits(max_notional=1_000))

    # 101 shares at the middle of 9.9 and 10.1
    assert denial(actions) == ("max_notional", 1_000, 1_010)


def test_the_largest_value_is_reckoned_at_the_limit_when_that_is_worse(ask) -> None:
    _, actions = ask(lambda me: me.sell("AAPL", 100, limit=11.0), limits(max_notional=1_050))

    assert denial(actions) == ("max_notional", 1_050, 1_100)


def test_the_largest_value_counts_the_multiplier(tell_story, hands) -> None:
    story = tell_story(limits(max_notional=100_000))
    story.start(hands(bar=lambda me, bar: me.buy("ES-202612", 1)), on=[Future("ES", expiry="202612")])

    assert denial(story.bar(4500.0, instrument="ES-202612")) == ("max_notional", 100_000, 225_000)


def test_without_any_price_no_value_is_small_enough(tell_story, hands) -> None:
    story = tell_story(limits(max_notional=1e9))

    actions = story.start(hands(start=lambda me, _: me.buy("AAPL", 1)))

    assert denial(actions) == ("max_notional", 1e9, math.inf)


@pytest.mark.parametrize(
    ("order", "asked"),
    [
        (lambda me: me.buy("AAPL", 1, limit=11.11), 0.1),
        (lambda me: me.sell("AAPL", 1, limit=8.91), 0.1),
        (lambda me: me.buy("AAPL", 1, stop=10.5, limit=11.55), 0.1),
    ],
)
def test_a_limit_reaches_no_further_through_the_market_than_the_collar(ask, order, asked: float) -> None:
    _, actions = ask(order, limits(price_collar=0.05))

    assert denial(actions) == ("price_collar", 0.05, asked)


@pytest.mark.parametrize(
    "order",
    [
        lambda me: me.buy("AAPL", 1, limit=10.6),
        lambda me: me.buy("AAPL", 1, limit=5.0),
        lambda me: me.sell("AAPL", 1, limit=9.41),
        lambda me: me.sell("AAPL", 1, limit=50.0),
        lambda me: me.buy("AAPL", 1),
        lambda me: me.sell("AAPL", 1, stop=5.0),
    ],
)
def test_a_price_that_waits_or_reaches_less_passes_the_collar(ask, order) -> None:
    _, actions = ask(order, limits(price_collar=0.05))

    assert [type(action) for action in actions] == [PlaceOrder]


def test_without_a_quote_the_collar_is_measured_from_the_last_price(tell_story, hands) -> None:
    story = tell_story(limits(price_collar=0.05))
    story.start(hands(bar=lambda me, bar: me.buy("AAPL", 1, limit=12.0)))

    assert denial(story.bar(10.0)) == ("price_collar", 0.05, 0.2)


def test_orders_and_changes_in_one_second_are_counted_together(tell_story, hands) -> None:
    story = tell_story(limits(max_orders_per_second=3))

    def three(me, _) -> None:
        for _ in range(2):
            order_id = me.buy("AAPL", 1, limit=10.0)
        me.modify(order_id, limit=10.1)
        me.buy("AAPL", 1)

    story.start(hands(bar=three))

    actions = story.bar(10.0, interval=60)
    assert [type(action) for action in actions] == [PlaceOrder, PlaceOrder, ModifyOrder, OrderQueued, SetTimer]
    assert story.engine.gate.sent_since(story.at_ns - SECOND) == 3


def test_the_loss_of_the_day_halts_trading_when_a_fill_shows_it(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=50))
    story.start(hands(bar=lambda me, bar: me.close("AAPL")))
    story.hold(100, price=10.0)
    (order,) = story.placed(story.bar(10.0))

    (halted,) = story.fill(order, price=9.4)

    assert halted == TradingHalted(
        "the day's loss of 60.00 is beyond risk.max_daily_loss of 50",
        story.at_ns,
        "risk",
        "20260310-140100-1",
        rule="max_daily_loss",
    )


def test_the_loss_of_the_day_halts_before_the_next_order(ask) -> None:
    story, actions = ask(lambda me: me.buy("AAPL", 1), limits(max_daily_loss=50), held=100)
    assert [type(action) for action in actions] == [PlaceOrder]

    halted, cancelled = story.quote(9.0, 9.2)
    actions = story.quote(9.9, 9.0)

    # At 9.1 the 100 shares are 90 below their cost; a crossed quote tells no price.
    assert halted == TradingHalted(
        "the day's loss of 90.00 is beyond risk.max_daily_loss of 50",
        story.at_ns - SECOND,
        "risk",
        "20260310-140002-1",
        rule="max_daily_loss",
    )
    assert cancelled == CancelOrder("run.2")
    assert denial(actions) == ("halt", 0, 1)


def test_a_change_of_an_order_is_denied_once_the_days_loss_has_halted(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=50))
    story.start(
        hands(start=lambda me, _: me.sell("AAPL", 1, limit=20.0), timer=lambda me, _: me.modify("run.1", quantity=200))
    )
    story.hold(100, price=10.0)
    [halted] = story.quote(9.0, 9.2)
    actions = story.tell(TimerFired("run/change", story.at_ns))

    # The sale of one share only reduces, so it stays; one of 200 would not.
    assert type(halted) is TradingHalted
    assert denial(actions) == ("halt", 0, 200)


def test_the_day_begins_at_midnight_with_the_prices_of_the_evening(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=500))
    story.start(hands(bar=lambda me, bar: me.buy("AAPL", 1) if bar.close == 4.0 else None))
    story.at_ns = evening = nanoseconds(dt.datetime(2026, 3, 10, 22, tzinfo=dt.UTC))
    story.hold(100, price=10.0)
    story.bar(10.0)

    # The next day opens far below; nothing is ordered before the loss is there.
    story.bar(9.0, at_ns=evening + 12 * 3600 * SECOND)
    actions = story.bar(4.0)

    assert "the day's loss of 600.00 is beyond" in actions[0].reason
    assert denial(actions[1:]) == ("halt", 0, 1)


def test_a_new_day_forgives_the_loss_of_the_last(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=500))
    story.start(hands(bar=lambda me, bar: me.buy("AAPL", 1) if bar.close == 4.0 else None))
    story.hold(100, price=10.0)
    story.bar(5.5)

    # 450 were lost on the first day, 150 on the second.
    actions = story.bar(4.0, at_ns=story.at_ns + 24 * 3600 * SECOND)

    assert [type(action) for action in actions] == [PlaceOrder]


def test_without_a_link_nothing_leaves(ask) -> None:
    _, actions = ask(
        lambda me: me.buy("AAPL", 5), limits(), held=100, before=[lambda at_ns: LinkChanged(Link.DOWN, at_ns)]
    )

    assert denial(actions) == ("link", 0, 1)


def test_a_halt_denies_what_opens(ask) -> None:
    _, actions = ask(lambda me: me.buy("AAPL", 5), limits(), before=[lambda at_ns: HaltTrading("news", at_ns)])

    assert denial(actions) == ("halt", 0, 5)


def test_a_halt_without_a_reason_halts_too(ask) -> None:
    _, actions = ask(lambda me: me.buy("AAPL", 5), limits(), before=[lambda at_ns: HaltTrading("", at_ns)])

    assert denial(actions) == ("halt", 0, 5)


def test_trading_goes_on_when_a_person_says_so(ask) -> None:
    _, actions = ask(
        lambda me: me.buy("AAPL", 5),
        limits(),
        before=[
            lambda at_ns: HaltTrading("news", at_ns),
            lambda at_ns: ResumeTrading("20260310-140000-1", "read it", at_ns),
        ],
    )

    assert [type(action) for action in actions] == [PlaceOrder]


def test_each_halt_holds_until_it_is_lifted_by_its_own_id(ask) -> None:
    story, actions = ask(
        lambda me: me.buy("AAPL", 5),
        limits(),
        before=[
            lambda at_ns: HaltTrading("news", at_ns, "ann"),
            lambda at_ns: HaltTrading("the feed", at_ns, "bob"),
            lambda at_ns: HaltTrading("the feed", at_ns, "bob"),
            lambda at_ns: ResumeTrading("20260310-140000-1", "read them", at_ns, "ann"),
        ],
    )
    second = story.engine.gate.halts.oldest

    assert denial(actions) == ("halt", 0, 5)
    assert (second.id, second.reason, second.by) == ("20260310-140000-2", "the feed", "bob")
    [alert] = story.tell(ResumeTrading("20260310-140000-1", "again", story.at_ns, "ann"))
    assert alert.text == (
        "nothing is lifted: there is no halt '20260310-140000-1': "
        "trading is halted by id='20260310-140000-2' (the feed, by bob)"
    )
    story.tell(ResumeTrading(second.id, "it is back", story.at_ns, "bob"))
    story.tell(HaltTrading("news", story.at_ns, "ann"))
    # No number comes twice, so that an id that was lifted once lifts nothing ever after.
    assert story.engine.gate.halts.oldest.id.endswith("-3")


TIGHT = limits(max_order_shares=1, max_position_shares=1, max_notional=1, max_daily_loss=1)


@pytest.mark.parametrize("held", [100, -100])
def test_getting_out_is_allowed_under_a_halt_and_above_every_size(tell_story, hands, held: int) -> None:
    story = tell_story()
    story.start(hands(bar=lambda me, bar: me.close("AAPL")))
    story.hold(held)
    story.engine.gate.limits = TIGHT
    story.tell(HaltTrading("news", story.at_ns))

    (order,) = story.placed(story.bar(10.0))

    assert order.signed_remaining == -held


def test_going_through_flat_is_not_getting_out(tell_story, hands) -> None:
    story = tell_story()
    story.start(hands(bar=lambda me, bar: me.sell("AAPL", 101)))
    story.hold(100)
    story.tell(HaltTrading("news", story.at_ns))

    assert denial(story.bar(10.0)) == ("halt", 0, 101)


def test_a_second_exit_beside_an_open_one_is_not_getting_out(tell_story, hands) -> None:
    story = tell_story()
    story.start(hands(bar=lambda me, bar: [me.sell("AAPL", 60), me.sell("AAPL", 60)]))
    story.hold(100)
    story.tell(HaltTrading("news", story.at_ns))

    actions = story.bar(10.0)

    assert [type(action) for action in actions] == [PlaceOrder, OrderDenied]
    assert denial(actions[1:]) == ("halt", 0, 60)


# --- orders that protect, and exits beside them


@pytest.fixture
def under_a_halt(tell_story, hands):
    """A run that holds 100 and has these orders open; then it does something under a halt and limits of one share."""

    def under(what, *, held: float = 100, before=lambda me: None):
        story = tell_story()
        story.start(hands(bar=lambda me, bar: (before if bar.close == 10.0 else what)(me)))
        story.hold(held)
        story.bar(10.0)
        story.engine.gate.limits = TIGHT
        story.tell(HaltTrading("news", story.at_ns))
        return [action for action in story.bar(11.0) if not isinstance(action, SetTimer)]

    return under


STOP = lambda me: me.sell("AAPL", 100, stop=9.0)  # noqa: E731 - an action of a strategy, as the tests below take it
PAIR = lambda me: [me.sell("AAPL", 100, stop=9.0), me.sell("AAPL", 100, limit=12.0)]  # noqa: E731 - as above


@pytest.mark.parametrize("before", [lambda me: None, STOP, PAIR])
def test_an_exit_at_the_market_passes_a_halt_beside_what_protects_the_position(under_a_halt, before) -> None:
    [placed] = under_a_halt(lambda me: me.sell("AAPL", 100), before=before)

    assert placed.order.quantity == 100


@pytest.mark.parametrize("terms", [{"stop": 9.0}, {"limit": 12.0}, {"stop": 9.0, "limit": 8.9}])
def test_an_order_that_protects_the_position_passes_a_halt(under_a_halt, terms) -> None:
    [placed] = under_a_halt(lambda me: me.sell("AAPL", 100, **terms))

    assert isinstance(placed, PlaceOrder)


def test_a_stop_and_a_profit_target_pass_a_halt_and_a_second_stop_does_not(under_a_halt) -> None:
    actions = under_a_halt(lambda me: me.sell("AAPL", 50, stop=8.0), before=PAIR)

    assert denial(actions) == ("halt", 0, 50)


def test_of_three_exits_by_hand_the_second_opens_a_position(under_a_halt) -> None:
    actions = under_a_halt(lambda me: [me.sell("AAPL", 100) for _ in range(3)])

    assert [type(action) for action in actions] == [PlaceOrder, OrderDenied, OrderDenied]


@pytest.mark.parametrize("more", [{"stop": 9.0}, {"limit": 12.0}])
def test_what_would_protect_shares_that_are_being_sold_opens_a_position(under_a_halt, more) -> None:
    actions = under_a_halt(lambda me: me.sell("AAPL", 1, **more), before=lambda me: me.sell("AAPL", 100))

    assert denial(actions) == ("halt", 0, 1)


def test_an_exit_of_a_short_position_passes_a_halt_beside_its_stop(under_a_halt) -> None:
    [placed] = under_a_halt(lambda me: me.buy("AAPL", 60), held=-60, before=lambda me: me.buy("AAPL", 60, stop=11.5))

    assert placed.order.signed_remaining == 60


@pytest.mark.parametrize(
    ("change", "passes"),
    [
        ({"stop": 9.5}, True),
        ({"stop": 8.0}, True),
        ({"quantity": 40}, True),
        ({"quantity": 100}, True),
        ({"quantity": 101}, False),
    ],
)
def test_a_change_of_a_protective_order_under_a_halt(under_a_halt, change, passes: bool) -> None:
    [action] = under_a_halt(lambda me: me.modify("run.2", **change), before=lambda me: me.sell("AAPL", 70, stop=9.0))

    assert isinstance(action, ModifyOrder) is passes
    assert isinstance(action, OrderDenied) is not passes


def test_an_entry_may_be_made_smaller_under_a_halt_and_nothing_else(under_a_halt) -> None:
    entry = lambda me: me.buy("AAPL", 70, limit=9.0)  # noqa: E731 - as above

    [smaller] = under_a_halt(lambda me: me.modify("run.2", quantity=30), before=entry)
    [dearer] = under_a_halt(lambda me: me.modify("run.2", limit=9.5), before=entry)

    assert (type(smaller), type(dearer)) == (ModifyOrder, OrderDenied)


def test_the_largest_position_counts_a_stop_and_a_profit_target_once(tell_story, hands) -> None:
    story = tell_story(limits(max_position_shares=150))
    story.start(hands(bar=lambda me, bar: [PAIR(me), me.sell("AAPL", 60, stop=8.0)]))
    story.hold(100)

    # 100 out by the pair, 60 more by the second stop: 60 short at the worst, not 160.
    assert [type(action) for action in story.bar(10.0)] == [PlaceOrder] * 3


def test_the_largest_position_counts_orders_on_both_sides_each_for_its_own(tell_story, hands) -> None:
    story = tell_story(limits(max_position_shares=150))
    story.start(hands(bar=lambda me, bar: [me.sell("AAPL", 100, limit=12.0), me.buy("AAPL", 60, limit=9.0)]))
    story.hold(100)

    actions = story.bar(10.0)

    # The sale may never come: the worst is 160.
    assert [type(action) for action in actions] == [PlaceOrder, OrderDenied]
    assert denial(actions[1:]) == ("max_position_shares", 150, 160)


def test_the_largest_position_counts_a_change_that_the_venue_has_not_answered(tell_story, hands) -> None:
    story = tell_story(limits(max_position_shares=150))
    story.start(
        hands(
            start=lambda me, _: me.buy("AAPL", 10, limit=9.0),
            bar=lambda me, bar: [me.modify("run.1", quantity=100), me.buy("AAPL", 60, limit=9.0)],
        )
    )

    actions = story.bar(10.0)

    assert [type(action) for action in actions] == [ModifyOrder, OrderDenied]
    assert denial(actions[1:]) == ("max_position_shares", 150, 160)


@pytest.mark.parametrize(
    "before",
    [
        lambda at_ns: HaltTrading("news", at_ns),
        lambda at_ns: LinkChanged(Link.DOWN, at_ns),
    ],
)
def test_a_denial_comes_back_from_the_journal_as_it_was(ask, before) -> None:
    """Whole numbers would be written as another type than the floats that the journal gives back."""
    _, actions = ask(lambda me: me.buy("AAPL", 5), limits(), before=[before])

    data = encode_actions(actions)
    assert encode_actions(decode_actions(data)) == data


def test_a_denied_order_is_kept_with_its_sentence_and_told(tell_story, hands) -> None:
    story = tell_story(limits(max_order_shares=100))
    story.start(hands(bar=lambda me, bar: me.buy("AAPL", 101)))

    story.bar(10.0)

    (told,) = story.run().strategy.told("order")
    assert told == story.order("run.1")
    assert told.status is OrderStatus.DENIED
    assert told.reason == "max_order_shares allows 100 shares, asked 101"


def test_prices_leave_on_the_tick_grid(tell_story, hands) -> None:
    story = tell_story()

    def both(me, _) -> None:
        me.buy("AAPL", 1, stop=10.1234, limit=10.1262)
        me.modify("run.1", limit=10.1279)

    story.start(hands(bar=both), on=[Stock("AAPL", tick_size=0.01)])

    order, change = story.bar(10.0)
    # A buy's limit is rounded down, its stop up.
    assert (order.order.stop_price, order.order.limit_price) == (10.13, 10.12)
    assert (change.stop_price, change.limit_price) == (10.13, 10.12)


def test_an_index_takes_no_orders(tell_story, hands) -> None:
    story = tell_story()
    story.start(hands(bar=lambda me, bar: me.buy("SPX-IND", 1)), on=[Index("SPX")])

    _, alert = story.bar(5000.0, instrument="SPX-IND")

    assert alert.text.endswith("OrderError: order run.1: SPX-IND is an index, which cannot be ordered")


def test_two_runs_together_hold_no_more_than_the_account_may(tell_story, hands) -> None:
    story = tell_story(limits(max_position_shares=150))
    for run_id in ("one", "two"):
        story.start(hands(bar=lambda me, bar: me.buy("AAPL", 100)), run_id)

    placed, denied = story.bar(10.0)

    assert placed.order.owner == "one"
    assert (denied.order_id, *denial([denied])) == ("two.1", "max_position_shares", 150, 200)


@pytest.mark.parametrize("figure", [0.0, -1.0, math.nan])
def test_a_limit_must_be_positive(figure: float) -> None:
    with pytest.raises(ValidationError, match=r"max_notional\n.* must be positive \(inf switches the rule off\)"):
        RiskLimits(max_notional=figure)


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc", "America"])
def test_the_zone_of_the_day_must_be_one(zone: str) -> None:
    with pytest.raises(ValidationError, match=r"day_zone\n.* is not a time zone"):
        RiskLimits(day_zone=zone)
