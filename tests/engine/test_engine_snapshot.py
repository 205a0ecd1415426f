"""A snapshot restores books, orders, runs, states, the day's loss and a halt."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ibdesk.engine import EXTERNAL, MANUAL, Engine, RiskLimits, RunState, snapshot_of
from ibdesk.errors import DeskError
from ibdesk.model import (
    Alert,
    CancelOrder,
    ChangeLimits,
    ChangeParameters,
    DayBegan,
    Halt,
    HaltTrading,
    Link,
    LinkChanged,
    ModifyOrder,
    ModifyRequest,
    OrderReport,
    OrderStatus,
    PlaceOrder,
    PlaceRequest,
    PositionReport,
    Restore,
    ResumeTrading,
    RunFailed,
    Side,
    StateChanged,
    Stock,
    StopStrategy,
    WatchMarket,
    encode_actions,
    encode_event,
)
from ibdesk.strategy import Strategy

DAY_NS = 86_400 * 1_000_000_000


def next_life(engine: Engine, at_ns: int, limits: RiskLimits | None = None) -> tuple[Engine, list[Any]]:
    """An engine that took over what another one leaves, and what it did about it."""
    heir = Engine(strategies=lambda _: Strategy(), limits=limits or RiskLimits.none())
    snapshot = snapshot_of(engine, at_ns)
    return heir, list(heir.handle(Restore(account="DU1", at_ns=at_ns, earlier="before", snapshot=snapshot)))


def count(me, _bar) -> None:
    me.state["bars"] = me.state.get("bars", 0) + 1


# --- states


def test_a_state_is_put_on_the_record_with_the_event_that_changed_it(story, hands) -> None:
    story.start(hands(bar=count))

    assert story.bar(10.0)[-1] == StateChanged("run", [["set", ["bars"], 1]])
    assert story.quote(9.0, 11.0) == []
    assert story.bar(10.0)[-1] == StateChanged("run", [["set", ["bars"], 2]])


def test_a_state_of_thousands_of_numbers_is_recorded_by_what_has_come(story, hands) -> None:
    def keep_window(me, bar) -> None:
        closes = me.state.setdefault("closes", [float(number) for number in range(6_000)])
        closes.append(bar.close)
        del closes[0]

    story.start(hands(bar=keep_window))
    story.bar(10.0)
    kept = story.bar(11.5)[-1]

    assert kept == StateChanged("run", [["splice", ["closes"], 0, 1, []], ["splice", ["closes"], 5_999, 0, [11.5]]])
    # The whole state takes 54 kB.
    assert len(encode_actions([kept])) < 150
    assert story.run().saved_state["closes"][-2:] == [10.0, 11.5]


def test_a_state_comes_after_the_orders_of_its_event(story, hands) -> None:
    def trade(me, bar) -> None:
        count(me, bar)
        me.buy("AAPL", 1)

    story.start(hands(bar=trade))

    assert [type(action) for action in story.bar(10.0)] == [PlaceOrder, StateChanged]


def test_a_strategy_that_raises_keeps_its_last_good_state(story, hands) -> None:
    def fail_at_the_second(me, bar) -> None:
        count(me, bar)
        me.state["half done"] = True
        if me.state["bars"] == 2:
            raise ZeroDivisionError
        del me.state["half done"]

    story.start(hands(bar=fail_at_the_second))
    story.bar(10.0)
    actions = story.bar(10.0)

    assert [type(action) for action in actions] == [RunFailed, Alert]
    assert story.run().saved_state == {"bars": 1}


def test_a_state_that_is_not_plain_data_stops_the_run_and_is_named(story, hands) -> None:
    story.start(hands(bar=lambda me, _: me.state.update(run=me)))

    _, alert = story.bar(10.0)

    assert "run: self.state holds only numbers, text, lists and dicts" in alert.text
    assert story.run().saved_state == {}


def test_a_state_is_given_back_when_the_run_goes_on(story, hands) -> None:
    story.start(hands(bar=count))
    story.bar(10.0)
    story.tell(StopStrategy("run", story.at_ns))

    story.start(hands(bar=count), state=story.run().saved_state)

    assert story.bar(10.0)[-1] == StateChanged("run", [["set", ["bars"], 2]])


# --- going on


def test_a_run_goes_on_with_its_book_and_counts_its_orders_on(story, hands) -> None:
    story.start(cash=1000)
    story.bar(7.0)
    story.fill(story.order("run.1"), price=10.0)
    engine, _ = next_life(story.engine, story.at_ns)
    story.engine = engine
    engine._strategies = lambda start: story.strategies[start.run_id]

    story.start(cash=5)
    nothing, (place,) = story.bar(7.0), story.placed(story.bar(9.0))

    # It holds the seven: another two are missing, ordered under the next number; the cash is what the fill left.
    assert nothing == []
    assert (place.id, place.quantity) == ("run.2", 2.0)
    assert story.run().cash == 1000 - 70


def test_an_order_that_waited_for_its_answer_is_unknown_and_keeps_its_place_in_the_exposure(story) -> None:
    story.start()
    story.bar(7.0)
    story.engine, _ = next_life(story.engine, story.at_ns)
    story.engine._strategies = lambda start: story.strategies[start.run_id]

    story.start()

    assert story.order("run.1").status is OrderStatus.UNKNOWN
    assert story.bar(7.0) == []


def test_a_run_that_is_not_started_again_is_orphaned_and_keeps_its_orders(story) -> None:
    story.start()
    story.bar(7.0)
    story.report(story.order("run.1"), OrderStatus.WORKING)

    heir, (alert,) = next_life(story.engine, story.at_ns)

    assert [run.state for run in heir.runs.values()] == [RunState.ORPHANED]
    assert "holds nothing and has 1 open orders" in alert.text
    assert heir.handle(StopStrategy("run", story.at_ns)) == [CancelOrder("run.1")]
    assert heir.runs["run"].state is RunState.STOPPED


def test_the_cancels_of_a_stopped_run_are_asked_for_again(story) -> None:
    story.start()
    story.bar(7.0)
    story.tell(StopStrategy("run", story.at_ns))

    heir, actions = next_life(story.engine, story.at_ns)

    assert actions == [CancelOrder("run.1")]
    assert heir.runs["run"].state is RunState.STOPPED


def test_a_run_goes_on_only_where_it_was(story) -> None:
    story.start(on=[Stock("AAPL"), Stock("IBM")])
    story.tell(StopStrategy("run", story.at_ns))

    with pytest.raises(DeskError, match="to continue run, start it on IBM too"):
        story.start(on=[Stock("AAPL")])


def test_what_others_hold_is_not_told_again_after_a_restart(story) -> None:
    story.start()
    story.tell(PositionReport("AAPL", 4.0, 9.0, story.at_ns))
    assert len(story.tell(LinkChanged(Link.UP, story.at_ns))) == 1

    heir, _ = next_life(story.engine, story.at_ns)
    heir.handle(PositionReport("AAPL", 4.0, 9.0, story.at_ns))

    assert heir.handle(LinkChanged(Link.UP, story.at_ns)) == ()
    assert heir.portfolio.books[EXTERNAL].position("AAPL").quantity == 4.0


# --- the halt and the day


def test_a_halt_is_taken_over_and_told_with_who_why_and_when(story) -> None:
    story.tell(HaltTrading("the news", story.at_ns, "guardian"))

    heir, (alert,) = next_life(story.engine, story.at_ns + DAY_NS)

    assert heir.gate.halts.oldest == Halt("the news", "guardian", story.at_ns, "20260310-140000-1")
    assert alert.text.startswith(
        "trading has been halted since 2026-03-10 14:00:00 UTC by guardian (the news): only orders that reduce"
    )
    heir.handle(ResumeTrading("20260310-140000-1", "all is well", story.at_ns + DAY_NS))
    assert heir.gate.halts.oldest is None


def test_a_restart_forgives_no_loss_of_the_day(tell_story) -> None:
    limits = RiskLimits(max_daily_loss=100)
    story = tell_story(limits)
    story.start()
    story.bar(10.0)
    day = story.engine.losses.marks(story.at_ns)
    heir, _ = next_life(story.engine, story.at_ns, limits)

    assert day.ends_ns > story.at_ns
    assert heir.losses.marks(story.at_ns) == day
    heir.handle(DayBegan(-50.0, day.ends_ns + DAY_NS, story.at_ns))
    assert heir.losses.marks(story.at_ns) == DayBegan(
        -50.0, day.ends_ns + DAY_NS, story.at_ns, -50.0, valuation=day.valuation
    )


def test_a_book_that_is_flat_and_long_untouched_is_left_behind_and_looks_like_no_loss(tell_story) -> None:
    limits = RiskLimits(max_daily_loss=1000)
    story = tell_story(limits)
    story.start()
    story.bar(7.0)
    story.fill(story.order("run.1"), price=10.0)
    story.bar(0.0)
    story.fill(story.order("run.2"), price=40.0)
    story.tell(StopStrategy("run", story.at_ns))
    later_ns = story.at_ns + 9 * DAY_NS
    story.tell(DayBegan(210.0, later_ns + DAY_NS, later_ns))

    heir, _ = next_life(story.engine, later_ns, limits)

    # Seven bought at 10 and sold at 40 earned 210, with which the day began: nothing was lost or earned since.
    assert (heir.portfolio.books, heir.runs) == ({}, {})
    assert heir.losses.loss == 0.0


# --- a denied modification


def test_a_denied_modification_is_told_to_the_strategy_and_the_order_lives_on(tell_story, hands) -> None:
    story = tell_story(RiskLimits(max_order_shares=10, max_daily_loss=float("inf")))
    me = hands(bar=lambda me, _: me.buy("AAPL", 5, limit=9.0), quote=lambda me, _: me.modify("run.1", quantity=50))
    story.start(me)
    story.bar(10.0)
    story.report(story.order("run.1"), OrderStatus.WORKING)

    story.quote(9.0, 11.0)

    heard = story.run().strategy.told("order")[-1]
    assert (heard.status, heard.quantity) == (OrderStatus.WORKING, 5.0)
    assert heard.reason == "max_order_shares allows 10 shares, asked 50"
    assert story.order("run.1").reason == ""


# --- by hand


def by_hand(number: int, at_ns: int, symbol: str = "IBM", key: int = 0) -> PlaceRequest:
    return PlaceRequest(
        order_id=f"m{number}",
        instrument=Stock(symbol, tick_size=0.05),
        side=Side.BUY,
        quantity=5.0,
        at_ns=at_ns,
        client_key=str(key) if key > 0 else "",
        by="alice",
    )


def test_what_was_traded_by_hand_goes_on_with_its_instrument_and_its_keys(story) -> None:
    story.tell(by_hand(1, story.at_ns, "IBM", key=1))
    story.fill(story.order("m1"))
    story.tell(by_hand(2, story.at_ns, "GOOG", key=2))
    story.tell(WatchMarket(Stock("MSFT"), story.at_ns))

    heir, _ = next_life(story.engine, story.at_ns)

    assert heir.portfolio.books[MANUAL].position("IBM").quantity == 5.0
    assert list(heir.markets) == ["IBM", "GOOG"]
    assert heir.markets["GOOG"].instrument.tick_size == 0.05
    assert heir.handle(by_hand(3, story.at_ns, "IBM", key=1)) == ()
    assert heir.handle(by_hand(3, story.at_ns, "GOOG", key=2)) == ()
    assert heir.handle(ModifyRequest(order_id="m2", at_ns=story.at_ns, quantity=7.0)) == [
        ModifyOrder(order_id="m2", quantity=7.0, limit_price=None, stop_price=None)
    ]


def test_a_key_that_was_denied_is_not_placed_by_the_next_desk(tell_story) -> None:
    story = tell_story(RiskLimits(max_order_shares=1, max_daily_loss=float("inf"), max_notional=float("inf")))
    story.tell(by_hand(1, story.at_ns, key=1))
    story.tell(by_hand(2, story.at_ns))

    heir, _ = next_life(story.engine, story.at_ns)

    assert heir.handle(by_hand(3, story.at_ns, key=1)) == ()
    assert [order.id for order in heir.blotter.orders.values()] == ["m1"]


# --- the law


def move(story, what: str, number: int) -> None:
    """Make one move of a history: its kind and a figure."""
    at_ns = story.at_ns
    first = next(iter(story.engine.blotter.all_open()), None)
    match what:
        case "bar":
            story.bar(float(number))
        case "fill" if first is not None:
            story.fill(first, quantity=first.remaining / (1 + abs(number) % 2), price=10.0 + number)
        case "commission":
            story.charge(f"e{abs(number)}", 1.0 + number)
        case "position":
            story.tell(PositionReport("AAPL", float(number), 10.0, at_ns))
        case "report" if first is not None:
            story.tell(OrderReport(order_id=first.id, status=OrderStatus.WORKING, at_ns=at_ns))
        case "link":
            story.tell(LinkChanged(Link.DOWN if number < 0 else Link.UP, at_ns))
        case _:
            command(story, what, number)


def command(story, what: str, number: int) -> None:
    """Have a person do something."""
    at_ns = story.at_ns
    first = next(iter(story.engine.blotter.all_open()), None)
    match what:
        case "halt":
            held = story.engine.gate.halts.oldest
            story.tell(HaltTrading("x", at_ns) if held is None or number > 0 else ResumeTrading(held.id, "y", at_ns))
        case "place":
            story.tell(by_hand(len(story.events), at_ns, ("AAPL", "IBM", "GOOG")[number % 3], number))
        case "modify" if first is not None:
            story.tell(ModifyRequest(order_id=first.id, at_ns=at_ns, quantity=10.0 + number))
        case "watch":
            story.tell(WatchMarket(Stock("MSFT"), at_ns))
        case "limits":
            changed = LAW.by_name | {"max_order_shares": 15.0 + number, "max_daily_loss": 10.0 + number or 1.0}
            story.tell(ChangeLimits(limits=changed, at_ns=at_ns))
        case "parameters":
            story.tell(ChangeParameters(run_id="run", parameters={"number": number}, at_ns=at_ns))


MOVES = ("bar", "fill", "commission", "position", "report", "link")
COMMANDS = ("halt", "place", "modify", "watch", "limits", "parameters")
LAW = RiskLimits(max_order_shares=12, max_daily_loss=float("inf"), max_notional=float("inf"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(st.tuples(st.sampled_from(MOVES + COMMANDS), st.integers(-9, 9)), max_size=25))
def test_an_engine_that_restores_a_snapshot_leaves_the_same(moves, tell_story) -> None:
    story = tell_story(LAW)
    story.start(cash=100)
    for what, number in moves:
        move(story, what, number)
    snapshot = snapshot_of(story.engine, story.at_ns)

    heir, _ = next_life(story.engine, story.at_ns, LAW)

    left = Restore(account="", at_ns=1, snapshot=snapshot_of(heir, story.at_ns))
    assert encode_event(left) == encode_event(Restore(account="", at_ns=1, snapshot=snapshot))
