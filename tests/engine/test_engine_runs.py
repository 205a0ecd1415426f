"""A run from start to end: by command, by its own fault, with timers in between."""

from __future__ import annotations

import math

import pytest

from ibdesk.errors import DeskError, StrategyError
from ibdesk.model import (
    Alert,
    CancelOrder,
    HaltTrading,
    Link,
    LinkChanged,
    Notice,
    OrderDenied,
    OrderStatus,
    RunFailed,
    SetTimer,
    Severity,
    Side,
    StopStrategy,
    TimerFired,
    encode_event,
)

SECOND = 1_000_000_000


def fail(*_: object) -> None:
    raise ZeroDivisionError("division by zero")


# --- start


def test_a_run_is_told_of_its_start_before_anything_else(story, hands) -> None:
    story.start(hands())
    story.bar(10.0)

    assert [hook for hook, _ in story.run().strategy._told] == ["start", "bar"]


def test_a_run_id_is_used_once(story) -> None:
    story.start()

    with pytest.raises(DeskError, match="there already is a run run"):
        story.start()


def test_a_start_that_fails_leaves_nothing_behind(story, hands) -> None:
    from ibdesk import Strategy, ema

    class Broken(Strategy):
        def features(self):
            return {"fast": ema("close", 0)}

    with pytest.raises(StrategyError, match=r"Broken: .*an EMA needs a span of at least 1, got 0"):
        story.start(Broken(), cash=5.0)

    assert (story.engine.runs, story.engine.portfolio.books, story.engine.markets) == ({}, {}, {})
    story.start(hands(), cash=7.0)
    assert story.run().cash == 7.0


def test_the_start_command_is_not_changed_by_what_the_strategy_does_with_its_state(story, hands) -> None:
    story.start(hands(start=lambda me, _: me.state["seen"].append(1)), state={"seen": []})
    command = story.events[-1]

    assert story.run().strategy.state == {"seen": [1]}
    assert command.state == {"seen": []}
    assert b"seen\x90" in encode_event(command)


def test_a_run_sees_its_own_figures(story, hands) -> None:
    seen = []
    strategy = hands(
        quote=lambda me, quote: seen.append((me.now.isoformat(), me.symbols, me.cash, me.quote("AAPL").ask))
    )
    story.start(strategy, cash=1_000.0)
    story.quote(9.9, 10.1)

    assert seen == [("2026-03-10T14:00:01+00:00", ("AAPL",), 1_000.0, 10.1)]
    assert story.run().strategy.open_orders("AAPL") == []


def test_a_strategy_that_does_not_run_says_so(hands) -> None:
    with pytest.raises(StrategyError, match=r"Hands is not running: its helpers work only inside its on_... hooks"):
        hands().buy("AAPL", 1)


def test_a_second_run_does_not_bring_back_an_older_price(story, hands) -> None:
    story.start(run_id="one")
    story.bar(10.0)
    story.start(hands(), "two", history=[story.history([3.0])])

    assert story.engine.price_of("AAPL") == 10.0


# --- timers


def test_a_timer_comes_due_after_its_seconds_of_market_time(story, hands) -> None:
    actions = story.start(hands(start=lambda me, _: me.after(2.5, "look")))

    assert actions == [SetTimer("run/look", story.at_ns + 2_500_000_000)]
    story.tell(TimerFired("run/look", actions[0].at_ns))
    assert story.run().strategy.told("timer") == ["look"]


def test_a_timer_reaches_its_own_run_only_while_that_runs(story, hands) -> None:
    story.start(hands(), "one")
    story.start(hands(), "two")
    story.tell(TimerFired("one/a/b", 1))
    story.tell(StopStrategy("one", 2))
    story.tell(TimerFired("one/a/b", 3))
    story.tell(TimerFired("gone/x", 3))

    assert story.run("one").strategy.told("timer") == ["a/b"]
    assert story.run("two").strategy.told("timer") == []


@pytest.mark.parametrize("seconds", [math.nan, math.inf])
def test_a_timer_without_a_time_stops_the_run(story, hands, seconds: float) -> None:
    _, alert = story.start(hands(start=lambda me, _: me.after(seconds)))

    assert alert.severity is Severity.ERROR


# --- stop


def test_stopping_cancels_open_orders_and_keeps_the_position(story, hands) -> None:
    story.start(hands(start=lambda me, _: me.buy("AAPL", 5, limit=9.0)))
    story.hold(100)

    assert story.tell(StopStrategy("run", 1)) == [CancelOrder("run.1")]
    assert story.run().strategy.told("stop") == [None]
    assert story.run().position("AAPL").quantity == 100
    assert story.bar(50.0) == []
    assert story.run().strategy.told("bar") == []


@pytest.mark.parametrize("held", [100, -100])
def test_stopping_flat_closes_the_position(story, hands, held: int) -> None:
    story.start(hands())
    story.hold(held)

    (action,) = story.tell(StopStrategy("run", 1, flatten=True))

    assert (action.order.signed_remaining, action.order.owner) == (-held, "run")
    story.fill(action.order)
    assert story.run().position("AAPL").quantity == 0


def test_stopping_flat_twice_closes_the_position_once(story, hands) -> None:
    story.start(hands())
    story.hold(100)
    story.tell(StopStrategy("run", 1, flatten=True))

    assert story.tell(StopStrategy("run", 2, flatten=True)) == []


def test_a_closing_order_that_was_rejected_can_be_asked_again(story, hands) -> None:
    story.start(hands())
    story.hold(100)
    (action,) = story.tell(StopStrategy("run", 1, flatten=True))
    story.report(action.order, OrderStatus.REJECTED)

    assert len(story.placed(story.tell(StopStrategy("run", 2, flatten=True)))) == 1


def test_a_stopped_run_is_flattened_later(story, hands) -> None:
    story.start(hands())
    story.hold(100)
    story.tell(StopStrategy("run", 1))

    (order,) = story.placed(story.tell(StopStrategy("run", 2, flatten=True)))

    assert order.signed_remaining == -100


def test_stopping_flat_gets_out_under_a_halt_although_a_stop_order_is_open(story, hands) -> None:
    story.start(hands(fill=lambda me, fill: me.sell("AAPL", 100, stop=9.0)))
    story.hold(100)
    story.tell(HaltTrading("news", 1))

    actions = story.tell(StopStrategy("run", 2, flatten=True))
    assert CancelOrder("run.2") in actions
    assert story.placed(actions) == []

    # Only then: both together could fill, and turn the position round.
    (order,) = story.placed(story.report(story.order("run.2"), OrderStatus.CANCELLED))
    assert order.signed_remaining == -100


def test_a_stopped_run_hears_of_late_fills_in_its_book_only(story, hands) -> None:
    strategy = hands(start=lambda me, _: me.buy("AAPL", 5), fill=lambda me, fill: me.buy("AAPL", 5))
    story.start(strategy)
    story.tell(StopStrategy("run", 1))

    assert story.fill(story.order("run.1")) == []
    assert story.run().position("AAPL").quantity == 5
    assert story.run().strategy.told("fill") == []


def test_stopping_an_unknown_run_names_those_there_are(story) -> None:
    story.start()

    with pytest.raises(DeskError, match="there is no run 'walk': the runs are run"):
        story.tell(StopStrategy("walk", 1))


# --- faults


@pytest.mark.parametrize("hook", ["bar", "quote", "fill", "order", "timer", "start"])
def test_a_run_whose_code_raises_is_stopped_and_the_others_go_on(story, hands, hook: str) -> None:
    story.start(hands(start=lambda me, _: me.buy("AAPL", 5)), "good")
    broken = hands(**{"start": lambda me, _: me.buy("AAPL", 5), hook: fail})
    actions = story.start(broken, "bad")
    if hook == "start":
        story.start(hands(), "third")
    actions += story.quote(9.9, 10.1)
    actions += story.tell(TimerFired("bad/x", story.at_ns))
    actions += story.bar(10.0)
    if hook in ("fill", "order"):
        actions += story.fill(story.order("bad.1"), 2)

    (alert,) = [action for action in actions if isinstance(action, Alert)]
    assert alert.text == "stopped, because its code failed: ZeroDivisionError: division by zero"
    assert (alert.origin, alert.severity) == ("bad", Severity.ERROR)
    assert (CancelOrder("bad.1") in actions) is (hook != "start")
    assert story.run("bad").state.value == "failed"
    assert story.run("bad").note == "ZeroDivisionError: division by zero"
    heard = len(story.run("good").strategy.told("bar"))
    story.bar(10.0)
    assert len(story.run("good").strategy.told("bar")) == heard + 1
    assert len(story.run("bad").strategy.told("bar")) == (hook in ("bar", "fill", "order"))


def test_an_error_while_it_stops_is_told_and_its_orders_are_cancelled_once(story, hands) -> None:
    story.start(hands(start=lambda me, _: me.buy("AAPL", 5), stop=fail))

    actions = story.tell(StopStrategy("run", 1))

    assert [type(action) for action in actions] == [CancelOrder, RunFailed, Alert]
    assert story.run().state.value == "failed"


def test_a_run_that_failed_inside_its_own_order_orders_no_more(tell_story, hands) -> None:
    from ibdesk.engine import RiskLimits

    story = tell_story(RiskLimits(max_order_shares=10))
    story.start(hands(bar=lambda me, bar: [me.buy("AAPL", 50), me.buy("AAPL", 5)], order=fail))

    actions = story.bar(10.0)

    # The denial went with the order: all that the event made it do was taken back.
    assert [type(action) for action in actions] == [RunFailed, Alert]


def test_a_strict_engine_lets_the_error_through(tell_story, hands) -> None:
    story = tell_story(strict=True)
    story.start(hands(bar=fail))

    with pytest.raises(ZeroDivisionError):
        story.bar(10.0)


def test_an_error_is_told_without_the_place_of_an_object_in_memory(story, hands) -> None:
    def point(me, _) -> None:
        raise KeyError(object())

    _, alert = story.start(hands(start=point))

    assert alert.text == "stopped, because its code failed: KeyError: <object object>"


# --- what else is told


def test_what_a_strategy_logs_is_an_alert(story, hands) -> None:
    (alert,) = story.start(hands(start=lambda me, _: me.log("hello", severity=Severity.WARNING)))

    assert alert == Alert(origin="run", text="hello", at_ns=story.at_ns, severity=Severity.WARNING)


def test_a_warning_of_the_link_is_an_alert_and_news_are_not(story) -> None:
    assert story.tell(Notice("farm is back", 1)) == []
    (alert,) = story.tell(Notice("no market data", 2, Severity.WARNING))

    assert (alert.origin, alert.text) == ("link", "no market data")


def test_bars_of_an_instrument_that_nobody_watches_change_nothing(story) -> None:
    story.start()

    assert story.bar(10.0, instrument="GOOG") == []
    assert story.quote(1.0, 2.0, instrument="GOOG") == []
    assert story.engine.price_of("GOOG") is None


def test_a_run_on_two_instruments_decides_for_each(story) -> None:
    from ibdesk.model import Stock

    story.start(on=[Stock("AAPL"), Stock("GOOG")])

    (apple,) = story.placed(story.bar(4.0))
    (google,) = story.placed(story.bar(-3.0, instrument="GOOG"))

    assert (apple.instrument, google.instrument, google.side) == ("AAPL", "GOOG", Side.SELL)


def test_no_order_leaves_before_the_link_is_up_again(story) -> None:
    story.start()
    story.tell(LinkChanged(Link.SYNCING, 1))

    assert [type(action) for action in story.bar(4.0)] == [OrderDenied]
