"""A run whose code raises ends; its actions of that event are undone, and the other runs are not affected."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, PrivateAttr, field_validator

from ibdesk.engine import Engine, RiskLimits
from ibdesk.errors import StrategyError
from ibdesk.model import (
    Alert,
    Bar,
    CancelOrder,
    ChangeParameters,
    Commission,
    Event,
    Fill,
    HaltTrading,
    Order,
    OrderDenied,
    OrderFound,
    OrderQueued,
    OrderReport,
    OrderStatus,
    OrderType,
    PlaceOrder,
    Quote,
    RunFailed,
    SetTimer,
    Side,
    StartStrategy,
    Stock,
    StopStrategy,
    StrategySource,
    TimerFired,
    encode_actions,
)
from ibdesk.strategy import Strategy, make_strategy

SECOND = 1_000_000_000
TEN = 1_773_151_200 * SECOND


class UnspeakableError(Exception):
    """An error that fails once more when it is read."""

    def __str__(self) -> str:
        raise SystemExit("no words")

    __repr__ = __str__


class Nameless(BaseException):
    pass


def panic() -> None:
    """Have Polars panic: its error is not an Exception."""
    pl.select(pl.lit(pl.Series([1.0, 2.0, 3.0, 4.0])).rolling_sum(3, weights=[0.5, 0.5]))


def recurse() -> None:
    recurse()


def raiser(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


FAULTS: dict[str, Callable[[], None]] = {
    "exit": raiser(SystemExit(3)),
    "interrupt": raiser(KeyboardInterrupt()),
    "generator": raiser(GeneratorExit()),
    "cancelled": raiser(asyncio.CancelledError()),
    "memory": raiser(MemoryError()),
    "stop iteration": raiser(StopIteration()),
    "nameless": raiser(Nameless()),
    "group": raiser(BaseExceptionGroup("two", [SystemExit(1), KeyboardInterrupt()])),
    "unspeakable": raiser(UnspeakableError()),
    "surrogate": raiser(ValueError("\ud800")),
    "recursion": recurse,
    "panic": panic,
}


@pytest.fixture(params=FAULTS)
def fault(request: pytest.FixtureRequest) -> Callable[[], None]:
    return FAULTS[request.param]


# --- whatever it raises


@pytest.mark.parametrize("hook", ["start", "bar", "quote", "fill", "order", "timer", "stop"])
def test_whatever_a_hook_raises_ends_that_run_and_no_other(story, hands, hook: str, fault) -> None:
    def misbehave(me: Any, _: object) -> None:
        me.buy("AAPL", 7, limit=8.0)
        me.cancel("bad.1")
        me.after(1.0)
        me.log("about to fail")
        fault()

    good = hands(**{name: lambda me, _: me.buy("AAPL", 1, limit=9.0) for name in ("bar", "quote")})
    story.start(good, "good")
    actions = story.start(hands(**{"start": lambda me, _: me.buy("AAPL", 5, limit=9.5), hook: misbehave}), "bad")
    if hook != "start":
        actions = []
    actions += story.bar(10.0)
    actions += story.quote(9.9, 10.1)
    if hook in ("fill", "order"):
        actions += story.fill(story.order("bad.1"), 2)
    actions += story.tell(TimerFired("bad/x", story.at_ns))
    actions += story.tell(StopStrategy("bad", story.at_ns))

    assert story.run("bad").state.value == ("failed")
    assert [order.owner for order in story.placed(actions)] == ["good", "good"]
    assert [type(action) for action in actions if type(action) in (RunFailed, SetTimer)] == [RunFailed]
    assert [action.text[:33] for action in actions if isinstance(action, Alert)] == [
        "stopped, because its code failed:"
    ]
    assert len([action for action in actions if isinstance(action, CancelOrder)]) == (hook != "start")
    assert encode_actions(actions)
    assert story.run("good").is_running
    # What was booked before its code was told stays booked.
    assert story.run("bad").position("AAPL").quantity == (2 if hook in ("fill", "order") else 0)
    assert [order.id for order in story.placed(story.bar(11.0))] == ["good.3"]


def test_what_an_event_made_it_do_is_undone_in_all_its_hooks(tell_story, hands) -> None:
    """on_fill buys a stop, on_order raises over the same execution: the stop never leaves."""
    story = tell_story(RiskLimits(max_orders_per_second=3))
    strategy = hands(
        start=lambda me, _: me.buy("AAPL", 10, limit=9.0),
        fill=lambda me, fill: me.sell("AAPL", 10, stop=8.0),
        order=lambda me, order: 1 / 0,
    )
    story.start(strategy)
    run, gate = story.run(), story.engine.gate

    actions = story.fill(story.order("run.1"), 4)

    assert [type(action) for action in actions] == [CancelOrder, RunFailed, Alert]
    assert list(story.engine.blotter.orders) == ["run.1"]
    assert (run.orders.made, run.position("AAPL").quantity, run.lanes["AAPL"].exposure) == (1, 4, 10)
    assert story.engine.blotter.sums("run", "AAPL").exposure(0.0) == 6
    # The order of the start counts, the stop that never left does not.
    assert gate.sent_since(story.at_ns - SECOND) == 1


def test_orders_that_never_left_leave_the_rate_to_the_others(tell_story, hands) -> None:
    story = tell_story(RiskLimits(max_orders_per_second=2))
    story.start(hands(bar=lambda me, _: [me.buy("AAPL", 1), me.buy("AAPL", 1), 1 / 0]), "bad")
    story.start(hands(bar=lambda me, _: [me.buy("AAPL", 1), me.buy("AAPL", 1)]), "good")

    assert [order.id for order in story.placed(story.bar(10.0))] == ["good.1", "good.2"]


def test_a_modification_that_never_left_is_off_the_count(tell_story, hands) -> None:
    story = tell_story(RiskLimits(max_orders_per_second=2))
    bad = hands(
        start=lambda me, _: me.buy("AAPL", 1, limit=9.0), bar=lambda me, _: [me.modify("bad.1", limit=8.0), 1 / 0]
    )
    story.start(bad, "bad")
    story.start(hands(bar=lambda me, _: [me.buy("AAPL", 1), me.buy("AAPL", 1)]), "good")

    assert [order.id for order in story.placed(story.bar(10.0))] == ["good.1", "good.2"]


def test_a_hook_that_swallows_the_failure_of_its_own_on_order_acts_no_more(tell_story, hands) -> None:
    def stubborn(me: Any, _: object) -> None:
        for act in (
            lambda: me.buy("AAPL", 50),
            lambda: me.buy("AAPL", 5),
            lambda: me.after(1.0),
            lambda: me.log("still here"),
            lambda: me.cancel("run.1"),
            lambda: me.modify("run.1", limit=1.0),
        ):
            try:
                act()
            except StrategyError:
                continue
            raise AssertionError("a run that has failed acted")

    story = tell_story(RiskLimits(max_order_shares=10))
    story.start(hands(start=lambda me, _: me.buy("AAPL", 1, limit=9.0), bar=stubborn, order=lambda me, _: 1 / 0))

    actions = story.bar(10.0)

    assert [type(action) for action in actions] == [CancelOrder, RunFailed, Alert]
    assert story.run().note == "ZeroDivisionError: division by zero"


def test_an_on_order_that_orders_again_over_each_denial_ends_the_run(tell_story, hands) -> None:
    story = tell_story(RiskLimits(max_order_shares=10))
    story.start(hands(bar=lambda me, _: me.buy("AAPL", 50), order=lambda me, _: me.buy("AAPL", 50)))

    actions = story.bar(10.0)

    assert [type(action) for action in actions] == [RunFailed, Alert]
    assert "its on_order has ordered again after a denial 20 times in one event" in story.run().note
    assert (story.engine.blotter.orders, story.run().orders.made) == ({}, 0)


@pytest.mark.parametrize("room", range(1, 30))
def test_a_stack_that_is_full_in_the_middle_of_an_order_leaves_nothing_of_it(tell_story, hands, room: int) -> None:
    """An order is made with room for so many more calls, so that the engine fails at another line each time."""

    def deepest(level: int = 0) -> int:
        try:
            return deepest(level + 1)
        except RecursionError:
            return level

    def sink(me: Any, levels: int, quantity: float) -> None:
        if levels:
            sink(me, levels - 1, quantity)
        else:
            me.buy("AAPL", quantity, limit=9.0)

    def dive(me: Any, quantity: float) -> None:
        me.buy("AAPL", 2, limit=8.0)
        sink(me, deepest() - room, quantity)
        raise RecursionError

    for quantity in (1.0, 99.0):
        story = tell_story(RiskLimits(max_order_shares=10, max_orders_per_second=1e9))
        story.start(hands(bar=lambda me, _, quantity=quantity: dive(me, quantity)))

        actions = story.bar(10.0)

        assert [type(action) for action in actions] == [RunFailed, Alert]
        assert story.run().note == "RecursionError: maximum recursion depth exceeded"
        assert (story.engine.blotter.orders, story.engine.blotter.all_open(), story.run().orders.made) == ({}, [], 0)
        assert story.run().lanes["AAPL"].exposure == story.engine.blotter.sums("run", "AAPL").exposure(0.0) == 0


def test_an_order_found_at_the_venue_is_told_although_its_run_fails_over_it(story, hands) -> None:
    story.start(hands(order=lambda me, _: 1 / 0))
    found = Order(
        id="run.9",
        owner="run",
        instrument="AAPL",
        side=Side.BUY,
        quantity=3.0,
        type=OrderType.MARKET,
        status=OrderStatus.UNKNOWN,
        created_ns=story.at_ns,
        updated_ns=story.at_ns,
    )

    actions = story.tell(OrderFound(found, Stock("AAPL"), story.at_ns))

    alerts = [action.text for action in actions if isinstance(action, Alert)]
    assert "is at the venue and was missing here" in alerts[-1]
    assert story.order("run.9").status is OrderStatus.UNKNOWN


# --- at other moments than its hooks


def test_helpers_outside_an_event_leave_nothing_for_the_next_one(story, hands) -> None:
    kept = []
    story.start(hands(start=lambda me, _: kept.append(me)))

    with pytest.raises(StrategyError, match=r"run: the helpers of a strategy work only inside its on_... hooks"):
        kept[0].buy("AAPL", 100)

    assert story.bar(10.0) == []
    assert story.engine.blotter.orders == {}


def test_a_command_that_fails_half_way_leaves_nothing_for_the_next_event(tell_story, hands) -> None:
    story = tell_story(strict=True)
    story.start(hands(bar=lambda me, _: [me.buy("AAPL", 1), 1 / 0]))
    with pytest.raises(ZeroDivisionError):
        story.bar(10.0)

    assert story.quote(9.9, 10.1) == []


@pytest.mark.parametrize(
    "state",
    [{"x": 2**70}, {1: "x"}, {"x": "\ud800"}, {"x": object()}, {"x": raiser}],
    ids=["big", "key", "surrogate", "object", "function"],
)
def test_a_state_that_the_journal_cannot_hold_ends_the_run(story, hands, state: dict[Any, Any]) -> None:
    story.start(hands(bar=lambda me, _: [me.buy("AAPL", 1), me.state.update(state)]))

    actions = story.bar(10.0)

    assert [type(action) for action in actions] == [RunFailed, Alert]
    assert story.engine.blotter.orders == {}


def test_a_state_whose_own_code_raises_ends_the_run(story) -> None:
    class Sly(Strategy):
        def on_bar(self, bar: Bar) -> None:
            self.state["odd"] = Odd()

    class Odd(dict):
        def items(self):
            raise SystemExit(1)

        __iter__ = keys = values = items

    story.start(Sly())
    story.bar(10.0)
    story.bar(10.0)

    assert story.run().state.value in ("failed", "running")


@pytest.mark.parametrize("act", ["timer", "text", "name", "order id"])
def test_what_the_journal_could_not_hold_is_made_plain(story, hands, act: str) -> None:
    class Text(str):
        pass

    acts = {
        "timer": lambda me, _: me.after(1e300),
        "text": lambda me, _: me.log("\ud800" + "x" * 10_000_000),
        "name": lambda me, _: me.after(1.0, "\udfff" * 1_000),
        "order id": lambda me, _: [me.buy("AAPL", 1, limit=9.0), me.cancel(Text("run.1"))],
    }
    actions = story.start(hands(start=acts[act]))

    assert len(encode_actions(actions)) < 40_000


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (ValueError("x" * 10_000_000), f"ValueError: {'x' * 488}..."),
        (UnspeakableError(), "UnspeakableError: its text cannot be shown: __str__ raises SystemExit"),
        (ValueError("a\ud800b"), "ValueError: a?b"),
        (SystemExit(), "SystemExit"),
        (KeyError(object()), "KeyError: <object object>"),
    ],
    ids=["long", "unspeakable", "surrogate", "empty", "address"],
)
def test_the_words_of_an_error_are_bounded_and_can_be_recorded(story, hands, error: BaseException, note: str) -> None:
    story.start(hands(bar=lambda me, _: raiser(error)()))

    actions = story.bar(10.0)

    assert story.run().note == note
    assert encode_actions(actions)


# --- features and parameters


class Weighted(Strategy):
    """Sums the last closes by weights; as many are needed as `n` says."""

    n: int = 2
    fault: str = ""

    @field_validator("fault")
    @classmethod
    def _validated(cls, fault: str) -> str:
        if fault in FAULTS:
            FAULTS[fault]()
        return fault

    def features(self) -> dict[str, pl.Expr]:
        if self.fault == "in features":
            raise SystemExit(4)
        return {"sum": pl.col("close").rolling_sum(self.n, weights=[0.5, 0.5])}

    def target(self) -> pl.Expr:
        return pl.col("sum")


@pytest.fixture
def engine() -> Engine:
    return Engine(strategies=lambda start: make_strategy(Weighted, start.parameters), limits=RiskLimits.none())


def start_of(run_id: str = "run", **parameters: Any) -> StartStrategy:
    return StartStrategy(
        run_id=run_id,
        source=StrategySource("Weighted"),
        parameters=parameters,
        instruments=[Stock("AAPL")],
        interval_ns=60 * SECOND,
        at_ns=TEN,
    )


def bar_at(minute: int, close: float = 10.0) -> Bar:
    return Bar("AAPL", TEN + minute * 60 * SECOND, 60 * SECOND, close, close, close, close, 1.0)


def test_a_panic_of_polars_in_a_bar_ends_that_run(engine: Engine) -> None:
    engine.handle(start_of("bad", n=3))
    engine.handle(start_of("good"))
    actions = [action for minute in range(6) for action in engine.handle(bar_at(minute))]

    assert [run.state.value for run in engine.runs.values()] == ["failed", "running"]
    assert [action.order.owner for action in actions if isinstance(action, PlaceOrder)] == ["good"]


@pytest.mark.parametrize("parameters", [{"n": 3}, {"fault": "in features"}, *({"fault": name} for name in FAULTS)])
def test_parameters_with_which_its_code_fails_are_refused_and_the_old_ones_stay(
    engine: Engine, parameters: dict[str, Any]
) -> None:
    engine.handle(start_of())
    for minute in range(6):
        engine.handle(bar_at(minute))

    with pytest.raises(StrategyError) as caught:
        engine.handle(ChangeParameters(run_id="run", parameters={"n": 2, "fault": ""} | parameters, at_ns=TEN))

    assert len(str(caught.value)) < 1_000
    run = engine.runs["run"]
    assert (run.is_running, run.start.parameters, run.strategy.model_dump()) == (True, {}, {"n": 2, "fault": ""})
    # 0.5 * 10 + 0.5 * 30 is wanted, 10 is held.
    assert [a.order.quantity for a in engine.handle(bar_at(6, 30.0)) if isinstance(a, PlaceOrder)] == [10]


@pytest.mark.parametrize("name", FAULTS)
def test_a_start_whose_validators_fail_is_refused(engine: Engine, name: str) -> None:
    with pytest.raises(StrategyError, match="Weighted cannot "):
        engine.handle(start_of(fault=name))

    assert (engine.runs, engine.portfolio.books) == ({}, {})


def test_what_a_strategy_cached_from_old_parameters_is_computed_anew(story) -> None:
    import functools

    class Cached(Strategy):
        size: int = 1

        @functools.cached_property
        def doubled(self) -> int:
            return 2 * self.size

        def on_bar(self, bar: Bar) -> None:
            self.buy("AAPL", self.doubled)

    story.start(Cached())
    story.bar(10.0)
    story.strategies["run"] = Cached(size=5)
    story.tell(ChangeParameters(run_id="run", parameters={"size": 5}, at_ns=story.at_ns))

    assert [order.quantity for order in story.placed(story.bar(10.0))] == [10]


# --- Ctrl-C and SIGTERM are a person's, wherever they meet the program

_SPIN = """
import signal, sys, threading
from ibdesk.engine import Engine
from ibdesk.model import Bar, StartStrategy, Stock, StrategySource
from ibdesk.strategy import Strategy

class Spin(Strategy):
    def on_bar(self, bar):
        print("spinning", flush=True)
        SPIN

# A shell's background job, such as a test run, inherits an ignored SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)
SETUP
engine = Engine(strategies=lambda start: Spin())
engine.handle(
    StartStrategy(
        run_id="run", source=StrategySource("Spin"), parameters={}, instruments=[Stock("AAPL")], interval_ns=1, at_ns=0
    )
)
try:
    engine.handle(Bar("AAPL", 0, 1, 1.0, 1.0, 1.0, 1.0, 1.0))
except BaseException as error:
    print("ended by", type(error).__name__, engine.runs["run"].state.value, flush=True)
else:
    print("went on", engine.runs["run"].state.value, engine.runs["run"].note, flush=True)
"""
_LOOP = "while True: pass"
_DEEP = "max(map(lambda n: n, iter(int, 1)))"
_ENDING = "from ibdesk.cli.interrupt import interrupt\nsignal.signal(signal.SIGTERM, lambda *_: interrupt())"
_EXITING = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))"


@pytest.mark.process
@pytest.mark.parametrize(
    ("setup", "spin", "number", "said"),
    [
        ("", _LOOP, signal.SIGINT, "ended by KeyboardInterrupt running"),
        ("", _DEEP, signal.SIGINT, "ended by KeyboardInterrupt running"),
        (_ENDING, _LOOP, signal.SIGTERM, "ended by KeyboardInterrupt running"),
        (_EXITING, _LOOP, signal.SIGTERM, "ended by SystemExit running"),
        ("", "raise KeyboardInterrupt", None, "went on failed KeyboardInterrupt"),
        (_EXITING, "sys.exit(3)", None, "went on failed SystemExit: 3"),
    ],
)
def test_a_signal_ends_the_program_and_what_a_strategy_raises_does_not(
    setup: str, spin: str, number: signal.Signals | None, said: str
) -> None:
    code = _SPIN.replace("SETUP", setup).replace("SPIN", spin)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "spinning\n"
        while number is not None and process.poll() is None:
            # Python 3.11 can miss a signal that comes while another thread asks for the interpreter.
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
        assert process.stdout.readline().strip() == said
    finally:
        process.kill()
        process.communicate()


# --- the law


class Chaotic(Strategy):
    """Does what the numbers say, and fails where they say so."""

    plan: list[tuple[int, int]] = Field(default_factory=list)
    only_in_the_end: bool = False

    _step: int = PrivateAttr(0)

    def _act(self) -> None:
        what, fault = self.plan[self._step % len(self.plan)] if self.plan else (0, -1)
        self._step += 1
        if fault < 0 and self.only_in_the_end:
            return
        symbol = self.symbols[what % len(self.symbols)]
        acts: list[Callable[[], object]] = [
            lambda: self.buy(symbol, 1 + what % 50, limit=90.0 + what % 20),
            lambda: self.sell(symbol, 1 + what % 30),
            lambda: list(map(self.cancel, [order.id for order in self.open_orders(symbol)])),
            lambda: self.after(1.0 + what % 5, "again"),
            lambda: self.state.update({str(what): self.position(symbol).quantity}),
            lambda: self.buy(symbol, 5_000),
            lambda: list(map(self._enlarge, self.open_orders(symbol))),
        ]
        acts[what % len(acts)]()
        self.log(f"{what}")
        if fault >= 0:
            list(FAULTS.values())[fault]()

    def _enlarge(self, order: Order) -> None:
        self.modify(order.id, quantity=order.quantity + 1)

    def on_start(self) -> None:
        self._act()

    def on_bar(self, bar: Bar) -> None:
        self._act()

    def on_quote(self, quote: Quote) -> None:
        self._act()

    def on_fill(self, fill: Fill) -> None:
        self._act()

    def on_order(self, order: Order) -> None:
        self._act()

    def on_timer(self, name: str) -> None:
        self._act()

    def on_stop(self) -> None:
        self._act()


def world(draws: list[tuple[int, int]]) -> list[Event]:
    """Bars, quotes, reports, executions and timers of two runs, a fifth of a second apart."""
    events: list[Event] = []
    for number, (what, figure) in enumerate(draws):
        at_ns, owner, symbol = TEN + number * SECOND // 5, ("good", "bad")[figure % 2], ("AAPL", "IBM")[figure // 2 % 2]
        order_id, price = f"{owner}.{1 + figure % 7}", 100.0 + figure % 9
        made: list[Event] = [
            Bar(symbol, at_ns - SECOND, SECOND, price, price, price, price, 1.0),
            Quote(symbol, at_ns, price - 0.01, price + 0.01, 1.0, 1.0),
            OrderReport(order_id=order_id, status=list(OrderStatus)[2 + figure % 8], at_ns=at_ns),
            Fill(
                execution_id=f"e{number}",
                order_id=order_id,
                instrument=symbol,
                side=Side.BUY,
                quantity=1.0 + figure % 4,
                price=price,
                at_ns=at_ns,
            ),
            Commission(execution_id=f"e{number - 1}", amount=0.5, at_ns=at_ns),
            TimerFired(f"{owner}/again", at_ns),
            StopStrategy("bad", at_ns) if figure % 5 == 0 else HaltTrading("news", at_ns),
        ]
        events.append(made[what % len(made)])
    return events


def fed(events: list[Event], limits: RiskLimits, plans: dict[str, dict[str, Any]]) -> tuple[Engine, list[list[Any]]]:
    """An engine that was told all this, and what it did at each event."""
    engine = Engine(strategies=lambda start: make_strategy(Chaotic, copy.deepcopy(plans[start.run_id])), limits=limits)
    told: list[Event] = [
        StartStrategy(
            run_id=name,
            source=StrategySource("Chaotic"),
            parameters={},
            instruments=[Stock("AAPL"), Stock("IBM")],
            interval_ns=SECOND,
            at_ns=TEN,
        )
        for name in plans
    ]
    # Nobody can be stopped who never started.
    told += [event for event in events if "bad" in plans or not isinstance(event, StopStrategy)]
    return engine, [list(engine.handle(event)) for event in told]


def of_good(actions: list[list[Any]]) -> list[bytes]:
    """What concerns all but the misbehaving run, in order."""
    return [encode_actions([action]) for step in actions for action in step if b"bad" not in encode_actions([action])]


plans = st.lists(st.tuples(st.integers(0, 400), st.just(-1)), min_size=1, max_size=20)
# All but the last two, which take long.
faults = st.integers(0, len(FAULTS) - 3)
bad_plans = st.lists(
    st.tuples(st.integers(0, 400), st.one_of(st.just(-1), st.just(-1), st.just(-1), faults)), min_size=1, max_size=20
)
worlds = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 400)), max_size=60).map(world)


@pytest.mark.slow
@pytest.mark.parametrize("limited", [False, True], ids=["no limits", "tight limits"])
@settings(max_examples=150, deadline=None)
@given(events=worlds, plan=plans, bad_plan=bad_plans)
def test_a_run_beside_one_that_misbehaves_trades_as_if_it_were_alone(
    limited: bool, events: list[Event], plan: list[tuple[int, int]], bad_plan: list[tuple[int, int]]
) -> None:
    """With limits that all runs share, the other one acts only in the hook that fails: nothing of it may count."""
    limits = RiskLimits(max_order_shares=60, max_orders_per_second=4) if limited else RiskLimits.none()
    good = {"good": {"plan": plan}}
    both = good | {"bad": {"plan": bad_plan, "only_in_the_end": limited}}

    beside, seen = fed(events, limits, both)
    alone, expected = fed(events, limits, good)

    assert of_good(seen) == of_good(expected)
    assert _left_of(beside, "good") == _left_of(alone, "good")
    # A fresh engine that is told the same does the same, byte for byte.
    _, again = fed(events, limits, both)
    assert [encode_actions(step) for step in seen] == [encode_actions(step) for step in again]
    # Orders that are in the blotter were placed, queued or denied on the record, and none else.
    recorded = {action.order.id for step in seen for action in step if isinstance(action, PlaceOrder | OrderQueued)}
    recorded |= {action.order_id for step in seen for action in step if isinstance(action, OrderDenied)}
    assert set(beside.blotter.orders) == recorded


def _left_of(engine: Engine, owner: str) -> tuple[Any, ...]:
    run, book = engine.runs[owner], engine.portfolio.books[owner]
    return (
        run.state,
        run.orders.made,
        run.saved_state,
        [lane.exposure for lane in run.lanes.values()],
        {order.id: order for order in engine.blotter.orders.values() if order.owner == owner},
        book.cash,
        book.positions,
    )
