"""While the guardian cancels orders or closes positions, no order of a strategy leaves: only the guardian trades."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ibdesk.engine import Engine, RiskLimits, snapshot_of
from ibdesk.engine.loss_watch import LOSS_TIMER
from ibdesk.model import (
    AcceptExternal,
    CancelOrder,
    Halt,
    HaltTrading,
    Link,
    LinkChanged,
    ModifyOrder,
    ModifyRequest,
    OrderStatus,
    OrderType,
    PlaceOrder,
    PlaceRequest,
    PositionReport,
    Restore,
    ResumeTrading,
    Side,
    Stock,
    StopStrategy,
    TimerFired,
    TradingHours,
    TradingState,
    WatchMarket,
    WhenClosed,
)

SECOND = 1_000_000_000
HALT = "20260310-140000-guardian-1"


def fence(story: Any) -> list[Any]:
    """Have the guardian halt the account for a stop that cancels or flattens."""
    return list(story.tell(HaltTrading("the loss is too large", story.at_ns, "guardian", id=HALT)))


def lift(story: Any) -> list[Any]:
    return list(story.tell(ResumeTrading(HALT, "I have looked", story.at_ns)))


def leaving(actions: list[Any]) -> list[Any]:
    """Return what of the actions makes or changes an order at the venue."""
    return [each for each in actions if isinstance(each, PlaceOrder | ModifyOrder)]


@pytest.mark.parametrize(
    ("state", "status"), [(TradingState.HALTED, OrderStatus.DENIED), (TradingState.REDUCING, OrderStatus.SENT)]
)
def test_what_reduces_by_stale_books_is_denied_while_the_guardian_closes(
    tell_story, hands, state: TradingState, status: OrderStatus
) -> None:
    """By its books the run holds 100, which the guardian may have sold by now; under its level halt it sells none."""
    story = tell_story(dataclasses.replace(RiskLimits.none(), halt_keeps_protection=True))
    story.start(hands())
    story.hold(100)
    story.tell(HaltTrading("fire", story.at_ns, "guardian", state=state, id=HALT))

    exit_id = story.act(lambda me: me.sell("AAPL", 100))

    assert story.order(exit_id).status is status


def test_the_same_halt_by_a_person_lets_reducing_orders_pass(tell_story, hands) -> None:
    story = tell_story()
    story.start(hands())
    story.hold(100)
    story.tell(HaltTrading("fire", story.at_ns, "operator", id=HALT))

    assert story.order(story.act(lambda me: me.sell("AAPL", 100))).status is OrderStatus.SENT


def test_what_waits_for_its_turn_never_leaves(tell_story, hands) -> None:
    """One order a second: the second exit waits in the queue when the guardian begins."""
    story = tell_story(dataclasses.replace(RiskLimits.none(), max_orders_per_second=1.0))
    story.start(hands())
    story.hold(100)
    story.act(lambda me: me.sell("AAPL", 50, stop=8.0))
    waiting = story.act(lambda me: me.sell("AAPL", 50))
    assert story.order(waiting).status is OrderStatus.CREATED

    actions = fence(story)
    story.at_ns += 5 * SECOND
    actions += story.tell(TimerFired("/queue", story.at_ns))

    assert leaving(actions) == []
    assert story.order(waiting).status is OrderStatus.CANCELLED


def test_what_waits_for_the_open_never_leaves(tell_story, hands) -> None:
    story = tell_story()
    story.start(hands())
    story.hold(100)
    opens_ns = story.at_ns + 3600 * SECOND
    until_ns = opens_ns + 7200 * SECOND
    story.tell(TradingHours("AAPL", [(opens_ns, until_ns)], [(opens_ns, until_ns)], until_ns, story.at_ns))
    held = story.act(lambda me: me.sell("AAPL", 100, when_closed=WhenClosed.HOLD))
    assert story.order(held).status is OrderStatus.CREATED

    actions = fence(story)
    story.at_ns = opens_ns
    actions += story.tell(TimerFired("/open/AAPL", story.at_ns))
    actions += story.quote(10.0, 10.0)

    assert leaving(actions) == []
    assert story.order(held).status is OrderStatus.CANCELLED


def test_a_stop_at_the_venue_is_cancelled_and_not_changed(tell_story, hands) -> None:
    story = tell_story()
    story.start(hands())
    story.hold(100)
    stop = story.act(lambda me: me.sell("AAPL", 100, stop=8.0))
    story.report(story.order(stop), OrderStatus.HELD)

    actions = fence(story)
    story.act(lambda me: me.modify(stop, quantity=50))

    assert CancelOrder(stop) in actions
    assert leaving(story.engine.handle(TimerFired("run/act", story.at_ns))) == []


def test_a_flatten_of_the_desk_waits_until_the_halt_is_lifted(tell_story, hands) -> None:
    story = tell_story()
    story.start(hands())
    story.hold(100)
    fence(story)

    stopped = story.tell(StopStrategy("run", story.at_ns, flatten=True))
    again = [*story.tell(LinkChanged(Link.DOWN, story.at_ns)), *story.tell(LinkChanged(Link.UP, story.at_ns))]

    assert leaving([*stopped, *again]) == []
    [order] = story.placed(lift(story))
    assert order.signed_remaining == -100


def test_a_flatten_that_the_guardian_cancelled_waits_as_well(tell_story, hands) -> None:
    story = tell_story()
    story.start(hands())
    story.hold(100)
    story.tell(HaltTrading("news", story.at_ns, "ann"))
    [order] = story.placed(story.tell(StopStrategy("run", story.at_ns, flatten=True)))

    assert CancelOrder(order.id) in fence(story)
    assert leaving(story.report(order, OrderStatus.CANCELLED)) == []

    [again] = story.placed(lift(story))
    assert again.signed_remaining == -100


def test_what_the_guardian_has_closed_is_not_closed_again_after_the_lift(tell_story, hands) -> None:
    """The link goes down for the comparison, which finds a flat account; then the books are stale no more."""
    story = tell_story()
    story.start(hands())
    story.hold(100)
    story.tell(PositionReport("AAPL", 100.0, 10.0, story.at_ns))
    story.quote(10.0, 10.0)
    fence(story)
    actions = story.tell(StopStrategy("run", story.at_ns, flatten=True))

    actions += story.tell(LinkChanged(Link.SYNCING, story.at_ns))
    actions += lift(story)
    actions += story.tell(PositionReport("AAPL", 0.0, 0.0, story.at_ns))
    actions += story.tell(LinkChanged(Link.UP, story.at_ns))
    actions += story.tell(AcceptExternal(instrument="AAPL", at_ns=story.at_ns))

    assert leaving(actions) == []
    assert story.run().position("AAPL").quantity == 0


def test_a_halt_from_the_accounts_file_holds_from_the_first_event_of_an_engine(tell_story, hands) -> None:
    """The desk takes over a run that was on its way out, and finds the guardian's halt in the file of the account."""
    story = tell_story()
    story.start(hands())
    story.hold(100)
    story.tell(HaltTrading("fire", story.at_ns, "operator", id="20260310-140000-7"))
    story.tell(LinkChanged(Link.DOWN, story.at_ns))
    story.tell(StopStrategy("run", story.at_ns, flatten=True))
    snapshot = snapshot_of(story.engine, story.at_ns)
    halts = [*snapshot.halts, Halt("fire", "guardian", story.at_ns, HALT)]
    heir = Engine(strategies=lambda start: story.strategies[start.run_id], limits=RiskLimits.none())

    actions = list(
        heir.handle(Restore(account="", at_ns=story.at_ns, snapshot=msgspec.structs.replace(snapshot, halts=halts)))
    )
    actions += heir.handle(LinkChanged(Link.UP, story.at_ns))
    actions += heir.handle(TimerFired("/aim/run/AAPL", story.at_ns))

    assert leaving(actions) == []
    assert [action for action in heir.handle(ResumeTrading(HALT, "", story.at_ns)) if isinstance(action, PlaceOrder)]


def test_what_a_limit_closes_of_the_orders_by_hand_waits_as_well(tell_story) -> None:
    """100 by hand have lost 200 where 50 are allowed; the limit flattens while the guardian closes."""
    limits = dataclasses.replace(RiskLimits.none(), max_daily_loss=50.0, on_daily_loss="flatten")
    story = tell_story(limits)
    story.tell(WatchMarket(Stock("AAPL"), story.at_ns))
    story.quote(10.0, 10.0)
    story.tell(request(story, Side.BUY, "manual-1"))
    story.fill(story.order("manual-1"))
    fence(story)

    fallen = story.quote(8.0, 8.0)

    assert leaving(fallen) == []
    assert list(story.engine.orders.manual_exits.aims) == ["AAPL"]
    [order] = story.placed(lift(story))
    assert (order.owner, order.signed_remaining) == ("manual", -100)


@pytest.mark.parametrize(("account", "status"), [(100.0, OrderStatus.SENT), (0.0, OrderStatus.DENIED)])
def test_an_order_by_hand_passes_if_it_reduces_what_the_account_holds(
    tell_story, hands, account: float, status: OrderStatus
) -> None:
    """The book `manual` holds 100; the account as well, or nothing where a run is 100 short."""
    story = tell_story()
    story.tell(WatchMarket(Stock("AAPL"), story.at_ns))
    story.start(hands())
    story.quote(10.0, 10.0)
    story.tell(request(story, Side.BUY, "manual-1"))
    story.fill(story.order("manual-1"))
    if account == 0:
        story.hold(-100)
    fence(story)

    story.tell(request(story, Side.SELL, "manual-2"))

    assert story.order("manual-2").status is status
    # Another one for the same shares would turn the account round.
    story.tell(request(story, Side.SELL, "manual-3"))
    assert story.order("manual-3").status is OrderStatus.DENIED


def test_the_terms_of_an_order_by_hand_stay(tell_story) -> None:
    story = tell_story()
    story.tell(WatchMarket(Stock("AAPL"), story.at_ns))
    story.quote(10.0, 10.0)
    story.tell(request(story, Side.BUY, "manual-1"))
    story.fill(story.order("manual-1"))
    fence(story)
    story.tell(request(story, Side.SELL, "manual-2", limit_price=11.0, order_type=OrderType.LIMIT))
    story.report(story.order("manual-2"), OrderStatus.WORKING)

    actions = story.tell(ModifyRequest(order_id="manual-2", at_ns=story.at_ns, quantity=50.0))

    assert leaving(actions) == []


def request(story: Any, side: Side, order_id: str, **terms: Any) -> PlaceRequest:
    fields: dict[str, Any] = {"order_type": OrderType.MARKET, "instrument": Stock("AAPL"), "quantity": 100.0} | terms
    return PlaceRequest(order_id=order_id, side=side, at_ns=story.at_ns, by="ann", **fields)


STEPS = (
    "buy", "sell", "limit", "stop", "target", "close", "cancel", "modify", "fill", "reject", "price", "bar", "break",
    "timer", "stop run", "halt",
)  # fmt: skip
steps = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 9)), max_size=14)


def step(story: Any, what: str, size: int) -> list[Any]:
    """Have the run, the market, the venue or a person do something; return what the engine wants done."""
    acts: dict[str, Any] = {
        "buy": lambda me: me.buy("AAPL", 10 * size),
        "sell": lambda me: me.sell("AAPL", 10 * size),
        "limit": lambda me: (me.buy if size % 2 else me.sell)("AAPL", 10 * size, limit=10.0),
        "stop": lambda me: (me.buy if size % 2 else me.sell)("AAPL", 10 * size, stop=10.0),
        "target": lambda me: me.order_target("AAPL", 20 * size - 100),
        "close": lambda me: me.close("AAPL"),
        "cancel": lambda me: [me.cancel(order.id) for order in me.open_orders("AAPL")[:size]],
        "modify": lambda me: [me.modify(order.id, quantity=float(size)) for order in me.open_orders("AAPL")],
    }
    orders = story.engine.blotter.all_open()
    told: list[Any] = []
    if what in acts and story.run().is_running:
        story.run().strategy._on["timer"] = lambda me, _: acts[what](me)
        told += story.tell(TimerFired("run/act", story.at_ns))
    elif what in ("fill", "reject") and orders:
        order = orders[size % len(orders)]
        part = min(order.remaining, 10.0 * size)
        told += story.fill(order, part) if what == "fill" else story.report(order, OrderStatus.REJECTED)
    elif what == "break":
        told += story.tell(LinkChanged(Link.DOWN, story.at_ns))
        told += story.tell(LinkChanged(Link.UP, story.at_ns))
    else:
        told += other_step(story, what, size)
    for order in story.engine.blotter.all_open():
        if story.engine.blotter.is_withdrawn(order.id):
            told += story.report(order, OrderStatus.CANCELLED)
    return told


def other_step(story: Any, what: str, size: int) -> list[Any]:
    """Have the market, the clock or a person do something."""
    if what == "price":
        return list(story.quote(5.0 + size, 5.0 + size))
    if what == "bar":
        return list(story.bar(5.0 + size))
    if what == "timer":
        story.at_ns += size * SECOND
        return list(story.tell(TimerFired(("/queue", "/aim/run/AAPL", LOSS_TIMER)[size % 3], story.at_ns)))
    if what == "stop run" and size > 6 and story.run().is_running:
        return list(story.tell(StopStrategy("run", story.at_ns, flatten=size > 7)))
    if what == "halt":
        return list(story.tell(HaltTrading("news", story.at_ns, "ann", state=TradingState.REDUCING)))
    return []


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(before=steps, after=steps, keeps=st.booleans(), rate=st.sampled_from([1.0, 40.0]))
def test_no_sequence_of_events_lets_an_order_of_a_strategy_leave_while_the_guardian_closes(
    before, after, keeps: bool, rate: float, tell_story, hands
) -> None:
    limits = dataclasses.replace(
        RiskLimits.none(),
        halt_keeps_protection=keeps,
        max_orders_per_second=rate,
        max_daily_loss=50.0,
        on_daily_loss="flatten",
    )
    story = tell_story(limits)
    story.start(hands())
    story.quote(10.0, 10.0)
    for what, size in before:
        step(story, what, size)

    actions = fence(story)
    for what, size in after:
        actions += step(story, what, size)

    assert leaving(actions) == []
    assert all(story.engine.blotter.is_withdrawn(order.id) for order in story.engine.blotter.all_open())
