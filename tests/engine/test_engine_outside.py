"""Trades outside the desk: no invented price, no order that takes the account through zero, and a person decides."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ibdesk.engine import EXTERNAL, Engine, RiskLimits, snapshot_of
from ibdesk.errors import DeskError
from ibdesk.model import (
    AcceptExternal,
    Alert,
    CancelOrder,
    Fill,
    Link,
    LinkChanged,
    OrderDenied,
    OrderStatus,
    PositionReport,
    Restore,
    ResumeTrading,
    SetTimer,
    Severity,
    Side,
    StopStrategy,
    TimerFired,
)


def outside(story: Any, side: Side, quantity: float, price: float = 11.0, number: int = 0) -> list[Any]:
    """Tell an execution of somebody else."""
    number = number or len(story.events)
    fill = Fill(
        execution_id=f"theirs{number}",
        order_id="",
        instrument="AAPL",
        side=side,
        quantity=quantity,
        price=price,
        at_ns=story.at_ns,
    )
    actions: list[Any] = story.tell(fill)
    return actions


def sync(story: Any, **held: float) -> list[Any]:
    actions = story.tell(LinkChanged(Link.SYNCING, story.at_ns))
    for instrument, quantity in held.items():
        actions += story.tell(PositionReport(instrument, quantity, 12.0, story.at_ns))
    return list(actions) + list(story.tell(LinkChanged(Link.UP, story.at_ns)))


def external(story: Any) -> Any:
    return story.engine.portfolio.books[EXTERNAL].position("AAPL")


def denied(actions: list[Any]) -> list[OrderDenied]:
    return [action for action in actions if isinstance(action, OrderDenied)]


def lift(story: Any) -> None:
    for halt_id in list(story.engine.gate.halts):
        story.tell(ResumeTrading(halt_id, "I have looked", story.at_ns))


def uncovered(story: Any) -> dict[str, float]:
    missing: dict[str, float] = story.engine.orders.outside.uncovered
    return missing


# --- row: books say 300, the account 0


def test_an_unexplained_difference_carries_no_invented_price_until_there_is_one(story) -> None:
    story.start()
    story.hold(300.0)
    heir = Engine(strategies=lambda start: story.strategies[start.run_id], limits=RiskLimits.none())
    heir.handle(Restore(account="DU1", at_ns=story.at_ns, earlier="x", snapshot=snapshot_of(story.engine, story.at_ns)))

    heir.handle(PositionReport("AAPL", 0.0, 0.0, story.at_ns))
    actions = heir.handle(LinkChanged(Link.UP, story.at_ns))

    texts = [action.text for action in actions if isinstance(action, Alert)]
    assert any("AAPL: the account holds 0 but the books say 300. The difference of -300" in text for text in texts)
    position = heir.portfolio.books[EXTERNAL].position("AAPL")
    assert position.quantity == -300
    assert math.isnan(position.average_price)
    story.engine = heir
    story.quote(230.0, 230.22)
    assert external(story).average_price == 230.11
    assert external(story).unrealized_pnl(230.11) == 0.0


def test_of_an_account_where_nothing_is_ours_the_venue_knows_the_cost(story) -> None:
    sync(story, AAPL=6.0)

    assert (external(story).quantity, external(story).average_price) == (6.0, 12.0)


def test_a_difference_at_a_known_price_counts_from_that_price_on(story) -> None:
    story.start()
    story.hold(4.0)
    story.quote(20.0, 20.5)

    sync(story, AAPL=10.0)

    assert (external(story).quantity, external(story).average_price) == (6.0, 20.25)


# --- row: somebody sells in TWS


def test_a_position_that_is_not_confirmed_is_not_settled_and_a_confirmed_one_is(story) -> None:
    story.start()
    story.hold(100.0)
    sync(story, AAPL=100.0)

    # A late snapshot must not undo a newer fill of ours.
    assert story.tell(PositionReport("AAPL", 0.0, 0.0, story.at_ns)) == []
    assert EXTERNAL not in story.engine.portfolio.books
    story.tell(PositionReport("AAPL", 0.0, 0.0, story.at_ns, confirmed=True))

    assert external(story).quantity == -100
    assert story.engine.portfolio.held("AAPL") == 0


# --- row: a person flattens what a strategy holds


def flattened(story: Any, hands: Any, **hooks: Any) -> None:
    story.start(hands(**hooks))
    story.hold(100.0, price=10.0)
    sync(story, AAPL=100.0)
    outside(story, Side.SELL, 100.0)


def test_the_exit_of_a_run_whose_shares_somebody_sold_does_not_leave(story, hands) -> None:
    flattened(story, hands, bar=lambda s, bar: s.sell("AAPL", 100))

    actions = story.bar(12.0)

    [denial] = denied(actions)
    assert (denial.rule, denial.limit, denial.asked) == ("external_trade", 0.0, 100.0)
    assert story.placed(actions) == []
    assert [order.status for order in story.run().strategy.told("order")][-1] is OrderStatus.DENIED
    assert uncovered(story) == {"AAPL": 100.0}


def test_a_closing_order_that_is_denied_is_tried_again_after_a_pause_and_not_at_once(story, hands) -> None:
    story.start(hands())
    story.hold(100.0)
    sync(story, AAPL=100.0)
    outside(story, Side.SELL, 60.0)

    actions = story.tell(StopStrategy("run", story.at_ns, flatten=True))

    assert [(each.rule, each.asked) for each in denied(actions)] == [("external_trade", 100.0)]
    [timer] = [each for each in actions if isinstance(each, SetTimer)]
    story.tell(AcceptExternal(instrument="AAPL", at_ns=story.at_ns))
    story.at_ns = timer.at_ns
    [closing] = story.placed(story.tell(TimerFired(timer.timer_id, timer.at_ns)))
    assert closing.signed_remaining == -40.0


def test_a_person_is_told_who_holds_what_and_what_to_do(story, hands) -> None:
    story.start(hands())
    story.hold(100.0)
    sync(story, AAPL=100.0)

    [alert] = [each for each in outside(story, Side.SELL, 60.0) if isinstance(each, Alert)]

    assert alert.severity is Severity.ERROR
    assert "AAPL: 60 sold outside this desk; the books say run (100), and the account covers 40." in alert.text
    assert "accept_external('AAPL')" in alert.text


def test_resting_orders_of_the_holders_are_withdrawn(story, hands) -> None:
    story.start(hands())
    story.hold(100.0)
    sync(story, AAPL=100.0)
    resting = story.act(lambda me: me.sell("AAPL", 100.0, stop=8.0))

    assert CancelOrder(resting) in outside(story, Side.SELL, 100.0)


def test_entries_of_the_holders_do_not_leave_either_and_others_go_on(story, hands) -> None:
    flattened(story, hands, bar=lambda s, bar: s.buy("AAPL", 5))
    story.start(hands(bar=lambda s, bar: s.buy("AAPL", 7)), run_id="other")

    actions = story.bar(12.0)

    assert [denial.order_id.partition(".")[0] for denial in denied(actions)] == ["run"]
    assert [order.owner for order in story.placed(actions)] == ["other"]


def test_new_terms_of_an_order_do_not_leave_either(story, hands) -> None:
    story.start(hands())
    story.hold(100.0)
    sync(story, AAPL=100.0)
    resting = story.act(lambda me: me.sell("AAPL", 50.0, limit=20.0))
    outside(story, Side.SELL, 100.0)

    story.run().strategy._on["timer"] = lambda me, _: me.modify(resting, limit=11.0)

    assert denied(story.tell(TimerFired("run/x", story.at_ns)))[0].rule == "external_trade"


def test_what_others_hold_themselves_is_taken_first(story, hands) -> None:
    story.start(hands(bar=lambda s, bar: s.sell("AAPL", 100)))
    story.hold(100.0)
    sync(story, AAPL=150.0)

    outside(story, Side.SELL, 50.0)

    assert uncovered(story) == {}
    assert len(story.placed(story.bar(12.0))) == 1


def test_a_short_position_of_somebody_else_is_theirs(story, hands) -> None:
    sync(story, AAPL=-100.0)
    story.start(hands(bar=lambda s, bar: s.sell("AAPL", 100)))
    story.hold(100.0)
    # The account is flat: 100 of ours, -100 of theirs. They go further short, and back.
    outside(story, Side.SELL, 50.0)
    outside(story, Side.BUY, 150.0)

    assert uncovered(story) == {}
    assert len(story.placed(story.bar(12.0))) == 1


def test_buying_back_outside_covers_the_books_again(story, hands) -> None:
    flattened(story, hands, bar=lambda s, bar: s.sell("AAPL", 100))
    outside(story, Side.BUY, 40.0)
    assert uncovered(story) == {"AAPL": 60.0}

    actions = outside(story, Side.BUY, 60.0)

    assert uncovered(story) == {}
    assert any(isinstance(each, Alert) and "covers the books again" in each.text for each in actions)
    assert len(story.placed(story.bar(12.0))) == 1


def test_a_short_position_bought_back_outside_is_uncovered_too(story, hands) -> None:
    story.start(hands(bar=lambda s, bar: s.buy("AAPL", 100)))
    story.hold(-100.0)
    sync(story, AAPL=-100.0)

    outside(story, Side.BUY, 100.0)

    assert uncovered(story) == {"AAPL": -100.0}
    assert denied(story.bar(12.0))[0].rule == "external_trade"


def test_accepting_books_the_trade_to_the_run_at_its_price(story, hands) -> None:
    flattened(story, hands, bar=lambda s, bar: s.buy("AAPL", 5))

    story.tell(AcceptExternal(instrument="AAPL", at_ns=story.at_ns))

    position = story.run().position("AAPL")
    # Bought at 10, sold by hand at 11.
    assert (position.quantity, position.realized_pnl) == (0.0, 100.0)
    assert external(story).quantity == 0.0
    assert story.engine.portfolio.held("AAPL") == 0.0
    assert uncovered(story) == {}
    # What somebody has closed is not opened again before a person lifts the halt of the run.
    assert [each.rule for each in denied(story.bar(12.0))] == ["halt"]
    lift(story)
    assert len(story.placed(story.bar(12.0))) == 1


def test_accepting_goes_to_the_oldest_holder_first_or_to_the_one_named(story, hands) -> None:
    story.start(hands())
    story.hold(100.0)
    story.start(hands(), run_id="other")
    order_id = story.act(lambda me: me.buy("AAPL", 50.0), "other")
    story.bar(10.0)
    story.fill(story.order(order_id))
    sync(story, AAPL=150.0)
    outside(story, Side.SELL, 120.0)

    story.tell(AcceptExternal(instrument="AAPL", at_ns=story.at_ns, owner="other"))

    assert [story.run(each).position("AAPL").quantity for each in ("run", "other")] == [100.0, 0.0]
    assert uncovered(story) == {"AAPL": 70.0}
    story.tell(AcceptExternal(instrument="AAPL", at_ns=story.at_ns))
    assert story.run().position("AAPL").quantity == 30.0


@pytest.mark.parametrize("command", [{"instrument": "AAPL"}, {"instrument": "AAPL", "owner": "nobody"}])
def test_what_is_covered_cannot_be_accepted(story, hands, command: dict[str, str]) -> None:
    if "owner" in command:
        flattened(story, hands)

    with pytest.raises(DeskError, match="has no position"):
        story.tell(AcceptExternal(at_ns=story.at_ns, **command))


def test_what_is_uncovered_outlives_the_desk(story, hands) -> None:
    flattened(story, hands)
    snapshot = snapshot_of(story.engine, story.at_ns)
    heir = Engine(strategies=lambda start: story.strategies[start.run_id], limits=RiskLimits.none())

    heir.handle(Restore(account="DU1", at_ns=story.at_ns, earlier="x", snapshot=snapshot))

    assert heir.orders.outside.uncovered == {"AAPL": 100.0}
    assert snapshot_of(heir, story.at_ns).uncovered == {"AAPL": 100.0}


def test_a_trade_of_the_time_away_is_seen_at_the_return(story, hands) -> None:
    story.start(hands(bar=lambda s, bar: s.sell("AAPL", 100)))
    story.hold(100.0)
    sync(story, AAPL=100.0)
    story.tell(LinkChanged(Link.DOWN, story.at_ns))

    # TWS tells no execution of another day: only the position has changed.
    sync(story, AAPL=0.0)

    assert uncovered(story) == {"AAPL": 100.0}
    assert denied(story.bar(12.0))[0].rule == "external_trade"


MOVES = st.lists(st.tuples(st.sampled_from(["ours", "theirs"]), st.integers(-5, 5).filter(bool)), max_size=25)


@given(MOVES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whoever_trades_in_which_order_books_add_up_and_no_more_is_uncovered_than_is_held(
    tell_story, hands, moves: list[tuple[str, int]]
) -> None:
    story = tell_story()
    story.start(hands())
    story.bar(10.0)
    account = 0.0
    for who, change in moves:
        side = Side.BUY if change > 0 else Side.SELL
        if who == "theirs":
            outside(story, side, abs(change))
            account += change
            continue
        lift(story)
        order_id = story.act(lambda me, by=change: (me.buy if by > 0 else me.sell)("AAPL", abs(by)))
        story.bar(10.0)
        order = story.order(order_id)
        if order.status is OrderStatus.DENIED:
            assert uncovered(story)
            continue
        story.fill(order)
        account += change
    assert story.engine.portfolio.held("AAPL") == account
    missing, held = uncovered(story).get("AAPL", 0.0), story.run().position("AAPL").quantity
    assert missing * held >= 0
    assert abs(missing) <= abs(held)
