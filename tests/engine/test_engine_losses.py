"""Losses are checked at each price: a broken limit acts in the event of the price that breaks it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ibdesk.engine import Engine, RiskLimits, snapshot_of
from ibdesk.model import (
    NO_BUDGET,
    CancelOrder,
    Forex,
    Future,
    HaltTrading,
    OrderDenied,
    OrderStatus,
    PlaceRequest,
    Restore,
    ResumeTrading,
    RunBudget,
    Side,
    Stock,
    TradingHalted,
    TradingState,
)
from ibdesk.strategy import Strategy


def limits(**rules: Any) -> RiskLimits:
    """Only these rules; the others are off."""
    return dataclasses.replace(RiskLimits.none(), **rules)


def halts_in(actions) -> list[TradingHalted]:
    return [action for action in actions if isinstance(action, TradingHalted)]


def test_a_loss_beyond_the_limit_halts_at_the_price_that_shows_it(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=25_000))
    story.start(hands())
    story.hold(10_000, price=100.0)
    story.quote(99.9, 100.1)

    # 10,000 shares that lose 2.50 each are 25,000: the limit, and not beyond it.
    assert halts_in(story.quote(97.4, 97.6)) == []
    [halted] = halts_in(story.quote(97.39, 97.59))

    assert halted.reason == "the day's loss of 25100.00 is beyond risk.max_daily_loss of 25000"
    assert (halted.by, halted.scope, halted.state) == ("risk", "desk", TradingState.HALTED)
    # No fill has come since, and the loss goes on growing without another halt.
    assert halts_in(story.quote(74.9, 75.1)) == []


def test_the_price_that_breaks_the_limit_is_not_ordered_on(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=100))
    story.start(hands(quote=lambda me, quote: me.buy("AAPL", 1) if quote.bid < 9 else None))
    story.hold(100, price=10.0)
    story.quote(9.9, 10.1)

    actions = story.quote(8.9, 8.9)

    assert [type(action) for action in actions] == [TradingHalted, OrderDenied]


def test_a_short_loses_when_the_price_rises(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=100))
    story.start(hands())
    story.hold(-100, price=10.0)

    assert story.quote(11.0, 11.0) == []
    assert len(halts_in(story.quote(11.01, 11.01))) == 1


def test_a_multiplier_counts(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=500))
    es = Future("ES", expiry="202612")
    story.start(hands(), on=[es])
    story.tell(PlaceRequest(order_id="m1", instrument=es, side=Side.BUY, quantity=1, at_ns=story.at_ns))
    story.fill(story.order("m1"), price=5000.0, multiplier=50.0)

    assert story.quote(4990.0, 4990.0, instrument="ES-202612") == []
    [halted] = story.quote(4989.75, 4989.75, instrument="ES-202612")

    assert "loss of 512.50" in halted.reason


def test_money_in_another_currency_counts_at_its_rate(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=1_000))
    sony = Stock("6758", exchange="TSEJ", currency="JPY")
    story.start(hands(), on=[sony, Forex("USD", currency="JPY")])
    story.quote(150.0, 150.0, instrument="USD.JPY")
    story.tell(PlaceRequest(order_id="m1", instrument=sony, side=Side.BUY, quantity=1000, at_ns=story.at_ns))
    story.fill(story.order("m1"), price=3000.0)

    # 150 yen a share on 1,000 shares are 150,000 yen, at 150 a dollar 1,000 dollars.
    assert halts_in(story.quote(2850.0, 2850.0, instrument=sony.id)) == []
    [halted] = halts_in(story.quote(2847.0, 2847.0, instrument=sony.id))
    assert "loss of 1020.00" in halted.reason


def test_a_rate_that_moves_moves_the_loss(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=1_000))
    sony = Stock("6758", exchange="TSEJ", currency="JPY")
    story.start(hands(), on=[sony, Forex("USD", currency="JPY")])
    story.quote(150.0, 150.0, instrument="USD.JPY")
    story.tell(PlaceRequest(order_id="m1", instrument=sony, side=Side.BUY, quantity=1000, at_ns=story.at_ns))
    story.fill(story.order("m1"), price=3000.0)
    assert halts_in(story.quote(2850.0, 2850.0, instrument=sony.id)) == []

    # The same 150,000 yen are 1,500 dollars at 100.
    assert len(halts_in(story.quote(100.0, 100.0, instrument="USD.JPY"))) == 1


@pytest.mark.parametrize(
    ("rule", "state", "closes"),
    [
        ("reduce", TradingState.REDUCING, False),
        ("halt", TradingState.HALTED, False),
        ("flatten", TradingState.HALTED, True),
    ],
)
def test_what_a_loss_does_in_the_same_event(tell_story, hands, rule: str, state: TradingState, closes: bool) -> None:
    story = tell_story(limits(max_daily_loss=100, on_daily_loss=rule))
    story.start(hands())
    story.hold(100, price=10.0)
    entry = story.act(lambda me: me.buy("AAPL", 10, limit=8.0))
    stop = story.act(lambda me: me.sell("AAPL", 100, stop=7.0))

    actions = story.quote(8.5, 8.5)

    [halted] = halts_in(actions)
    assert halted.state is state
    cancelled = [action.order_id for action in actions if isinstance(action, CancelOrder)]
    assert cancelled == ([entry, stop] if closes else [entry])
    # The exit waits until the venue has withdrawn what stands in its way: nothing goes through zero.
    assert story.placed(actions) == []
    for order_id in cancelled:
        actions = story.report(story.order(order_id), OrderStatus.CANCELLED)
    assert [order.signed_remaining for order in story.placed(actions)] == ([-100] if closes else [])


def test_a_drawdown_is_measured_from_the_highest_profit_of_the_day(tell_story, hands) -> None:
    story = tell_story(limits(max_drawdown=100))
    story.start(hands())
    story.hold(100, price=10.0)
    story.quote(12.0, 12.0)

    assert story.quote(11.0, 11.0) == []
    [halted] = story.quote(10.9, 10.9)

    # 200 were earned, and 90 are left.
    assert halted.reason == "the drawdown of 110.00 is beyond risk.max_drawdown of 100"


def test_a_restart_keeps_the_peak_that_a_drawdown_is_measured_from(tell_story, hands) -> None:
    story = tell_story(limits(max_drawdown=100))
    story.start(hands(), budget=RunBudget(max_drawdown=80))
    story.hold(100, price=10.0)
    story.quote(12.0, 12.0)
    heir = Engine(strategies=lambda _: Strategy(), limits=story.engine.gate.limits)
    snapshot = snapshot_of(story.engine, story.at_ns)
    heir.handle(Restore(account="DU1", at_ns=story.at_ns, snapshot=snapshot))
    story.engine = heir

    # Of the 200 that were earned before the restart, 120 are left, and then 119.
    assert halts_in(story.quote(11.2, 11.2)) == []
    [of_run] = halts_in(story.quote(11.19, 11.19))
    # And then 90, which is too little for the account as well.
    [of_account] = halts_in(story.quote(10.9, 10.9))

    assert (of_run.scope, of_run.reason) == (
        "run:run",
        "the drawdown of 81.00 is beyond its budget's max_drawdown of 80",
    )
    assert of_account.reason == "the drawdown of 110.00 is beyond risk.max_drawdown of 100"


def test_a_run_is_halted_by_its_own_budget_and_others_go_on(tell_story, hands) -> None:
    story = tell_story()
    story.start(hands(), "one", budget=RunBudget(max_daily_loss=50))
    story.start(hands(), "two")
    for run_id in ("one", "two"):
        story.fill(story.order(story.act(lambda me: me.buy("AAPL", 100), run_id)), price=10.0)

    [halted] = story.quote(9.4, 9.4)

    assert (halted.scope, halted.reason) == (
        "run:one",
        "the day's loss of 60.00 is beyond its budget's max_daily_loss of 50",
    )
    denied = story.order(story.act(lambda me: me.buy("AAPL", 1), "one"))
    passed = story.order(story.act(lambda me: me.buy("AAPL", 1), "two"))
    assert (denied.status, passed.status) == (OrderStatus.DENIED, OrderStatus.SENT)


def test_a_halt_for_a_loss_that_is_lifted_comes_again_while_the_loss_stands(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=100))
    story.start(hands())
    story.hold(100, price=10.0)
    [first] = halts_in(story.quote(8.0, 8.0))

    actions = story.tell(ResumeTrading(first.id, "a new day", story.at_ns))

    [second] = halts_in(actions)
    assert second.id != first.id
    assert actions[-1].text == f"halt {first.id} lifted: a new day; trading stays halted by {second.id}"
    story.at_ns += 24 * 3600 * 1_000_000_000
    story.quote(8.0, 8.0)
    # Of a new day nothing is lost yet.
    assert halts_in(story.tell(ResumeTrading(second.id, "a new day", story.at_ns))) == []


def test_a_commission_may_break_the_limit(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=100))
    story.start(hands())
    story.hold(100, price=10.0)
    story.quote(9.1, 9.1)

    [halted] = story.charge("e1", 11.0)

    assert "loss of 101.00" in halted.reason


def test_sums_that_have_drifted_do_not_trip_the_limit(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=100))
    story.start(hands())
    story.hold(100, price=10.0)
    story.quote(9.5, 9.5)
    story.engine.orders.exposures.account.pnl = -1_000.0

    assert story.quote(9.6, 9.6) == []
    assert story.engine.orders.exposures.account.pnl == pytest.approx(-40.0)


def test_a_halt_whose_reason_only_names_the_rule_is_not_taken_for_the_one_that_it_makes(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=100, on_daily_loss="flatten"))
    story.start(hands())
    story.hold(100, price=10.0)
    story.tell(HaltTrading("max_daily_loss is looked at", story.at_ns, "risk"))

    actions = story.quote(8.5, 8.5)

    assert len(halts_in(actions)) == 1
    assert [order.signed_remaining for order in story.placed(actions)] == [-100]


@pytest.mark.parametrize("budget", [False, True])
def test_a_halt_for_a_loss_that_was_kept_without_its_rule_is_known_by_its_reason(
    tell_story, hands, budget: bool
) -> None:
    story = tell_story() if budget else tell_story(limits(max_daily_loss=100, on_daily_loss="flatten"))
    story.start(hands(), budget=RunBudget(max_daily_loss=100) if budget else NO_BUDGET)
    story.hold(100, price=10.0)
    whose, scope = ("its budget's ", "run:run") if budget else ("risk.", "desk")
    reason = f"the day's loss of 150.00 is beyond {whose}max_daily_loss of 100"
    story.tell(HaltTrading(reason, story.at_ns, "risk", scope=scope, id="20260310-140000-1"))

    assert halts_in(story.quote(8.4, 8.4)) == []


def test_the_halt_of_a_rule_is_known_after_a_restart_and_from_another_desk(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=100))
    story.start(hands())
    story.hold(100, price=10.0)
    [halted] = halts_in(story.quote(8.5, 8.5))
    heir = Engine(strategies=lambda _: Strategy(), limits=story.engine.gate.limits)
    heir.handle(Restore(account="DU1", at_ns=story.at_ns, snapshot=snapshot_of(story.engine, story.at_ns)))
    story.engine = heir

    assert halted.rule == heir.gate.halts[halted.id].rule == "max_daily_loss"
    assert halts_in(story.quote(8.4, 8.4)) == []

    other = tell_story(limits(max_daily_loss=100))
    other.start(hands())
    other.tell(HaltTrading(halted.reason, other.at_ns, halted.by, id=halted.id, rule=halted.rule))
    other.hold(100, price=10.0)
    assert halts_in(other.quote(8.5, 8.5)) == []
