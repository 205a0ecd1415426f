"""Orders made while the market of their instrument is closed: denied, held for the gate at the open, or sent."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.engine.closed_market import Sessions
from ibdesk.errors import OrderError
from ibdesk.model import (
    CancelRequest,
    Link,
    LinkChanged,
    ModifyOrder,
    OrderDenied,
    OrderDropped,
    OrderQueued,
    OrderStatus,
    PlaceOrder,
    PlaceRequest,
    SetTimer,
    Side,
    Stock,
    TimerFired,
    TradingHours,
    WhenClosed,
    nanoseconds,
)

SECOND = 1_000_000_000


def utc(text: str) -> int:
    return nanoseconds(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC))


# Tuesday 10 and Wednesday 11 March 2026 in New York, which is four hours behind UTC.
OPEN, CLOSE, EARLY, LATE = (utc(f"2026-03-10 {time}") for time in ("13:30", "20:00", "08:00", "23:59"))
NEXT_OPEN, NEXT_CLOSE = utc("2026-03-11 13:30"), utc("2026-03-11 20:00")
HOURS = TradingHours(
    "AAPL",
    regular=[(OPEN, CLOSE), (NEXT_OPEN, NEXT_CLOSE)],
    extended=[(EARLY, LATE), (utc("2026-03-11 08:00"), utc("2026-03-11 23:59"))],
    known_until_ns=NEXT_CLOSE,
    at_ns=EARLY,
)
EVENING = CLOSE + 600 * SECOND
NIGHT = utc("2026-03-11 02:00")


def kinds(actions) -> list[type]:
    return [type(action) for action in actions]


@pytest.fixture
def make(tell_story, hands):
    """Returns a story in which a run that holds `held` does `act` at an instant, and the actions it caused."""

    def make(act, *, at_ns: int = EVENING, held: float = 0.0, hours: TradingHours | None = HOURS):
        story = tell_story()
        story.start(hands())
        story.quote(9.9, 10.1)
        if held:
            story.hold(held)
        if hours is not None:
            story.tell(hours)
        story.at_ns = at_ns
        story.run().strategy._on["timer"] = lambda me, _: act(me)
        return story, list(story.tell(TimerFired("run/act", at_ns)))

    return make


def open_market(story, at_ns: int = NEXT_OPEN) -> None:
    story.at_ns = at_ns
    assert story.tell(TimerFired("/open/AAPL", at_ns)) == []


def test_a_market_order_that_opens_a_position_is_held_and_leaves_at_the_first_price_after_the_open(make) -> None:
    story, actions = make(lambda me: me.buy("AAPL", 10))

    assert kinds(actions) == [OrderQueued, SetTimer]
    assert actions[0].order.status is OrderStatus.CREATED
    assert actions[0].order.reason == "held until its market opens"
    assert actions[1] == SetTimer("/open/AAPL", NEXT_OPEN)
    # A quote in the evening moves nothing, nor does the open itself: the price that comes after it does.
    assert story.quote(9.9, 10.1) == []
    open_market(story)
    (placed,) = story.quote(10.4, 10.6)
    assert (type(placed), placed.order.id, placed.order.quantity) == (PlaceOrder, "run.1", 10)
    assert placed.order.reason == ""


def test_a_first_price_that_comes_before_the_timer_of_the_open_counts(make) -> None:
    """A machine is busy at the open: of an instrument that trades seldom, the next price may be minutes away."""
    story, _ = make(lambda me: me.buy("AAPL", 10))
    story.at_ns = NEXT_OPEN
    assert story.quote(10.4, 10.6) == []

    [placed] = story.tell(TimerFired("/open/AAPL", NEXT_OPEN))

    assert (type(placed), placed.order.id) == (PlaceOrder, "run.1")


def test_what_is_held_passes_the_gate_once_more_at_the_price_of_the_open(make) -> None:
    story, _ = make(lambda me: me.buy("AAPL", 10))
    story.engine.gate.limits = story.engine.gate.limits.but({"max_notional": 110.0})
    open_market(story)

    # Ten at 12 are 120.
    actions = story.quote(11.9, 12.1)

    assert [(each.rule, each.asked) for each in actions if isinstance(each, OrderDenied)] == [("max_notional", 120)]
    assert story.order("run.1").status is OrderStatus.DENIED


def test_a_bar_of_before_the_open_is_not_its_first_price(make) -> None:
    story, _ = make(lambda me: me.buy("AAPL", 10))
    open_market(story)

    before = story.bar(10.0, interval=5, at_ns=NEXT_OPEN - 2 * SECOND)
    after = story.bar(10.0, interval=5, at_ns=NEXT_OPEN)

    assert (kinds(before), kinds(after)) == ([], [PlaceOrder])


@pytest.mark.parametrize(
    ("act", "held"),
    [
        (lambda me: me.sell("AAPL", 10), 10),
        (lambda me: me.close("AAPL"), 10),
        (lambda me: me.buy("AAPL", 10, limit=10.0), 0),
        (lambda me: me.sell("AAPL", 10, stop=9.0), 10),
        (lambda me: me.buy("AAPL", 10, when_closed=WhenClosed.SEND), 0),
    ],
    ids=["an exit", "an exit by target", "a limit", "a stop", "as it says"],
)
def test_what_is_sent_while_the_market_is_closed(make, act, held) -> None:
    _, actions = make(act, held=held)

    assert PlaceOrder in kinds(actions)


@pytest.mark.parametrize("at_ns", [OPEN, CLOSE - 1, NEXT_CLOSE + SECOND], ids=["open", "last", "nothing known"])
def test_nothing_is_held_where_the_market_is_open_or_nothing_is_known(make, at_ns) -> None:
    _, actions = make(lambda me: me.buy("AAPL", 10), at_ns=at_ns)

    assert kinds(actions) == [PlaceOrder]


def test_nothing_is_held_of_an_instrument_whose_hours_are_not_known(make) -> None:
    _, actions = make(lambda me: me.buy("AAPL", 10), hours=None)

    assert kinds(actions) == [PlaceOrder]


@pytest.mark.parametrize(
    "order",
    [
        lambda me: me.buy("AAPL", 10, when_closed=WhenClosed.DENY),
        lambda me: me.buy("AAPL", 10, limit=10.0, when_closed="deny"),
    ],
)
def test_an_order_that_is_to_be_denied_says_when_its_market_opens(make, order) -> None:
    story, actions = make(order)

    assert [(each.rule, each.limit) for each in actions] == [("market_closed", NEXT_OPEN / SECOND)]
    assert "its market is closed until 2026-03-11 13:30 UTC" in story.order("run.1").reason


def test_a_limit_may_be_held_too(make) -> None:
    _, actions = make(lambda me: me.buy("AAPL", 10, limit=10.0, when_closed=WhenClosed.HOLD))

    assert kinds(actions) == [OrderQueued, SetTimer]


@pytest.mark.parametrize(
    ("at_ns", "expected"),
    [(EVENING, [PlaceOrder]), (NIGHT, [OrderQueued, SetTimer])],
    ids=["extended session", "night"],
)
def test_the_extended_session_counts_for_an_order_that_may_trade_in_it(make, at_ns, expected) -> None:
    _, actions = make(
        lambda me: me.buy("AAPL", 10, limit=10.0, outside_regular_hours=True, when_closed=WhenClosed.HOLD), at_ns=at_ns
    )

    assert kinds(actions) == expected


def test_a_market_order_trades_in_regular_hours_only(make) -> None:
    refused = []

    def act(me) -> None:
        with pytest.raises(OrderError, match="regular hours only: give it a limit_price") as error:
            me.buy("AAPL", 10, outside_regular_hours=True)
        refused.append(error)

    make(act)

    assert refused


def test_what_is_held_can_be_changed_and_withdrawn(make) -> None:
    story, _ = make(lambda me: [me.buy("AAPL", 10), me.buy("AAPL", 5)])

    story.act(lambda me: me.modify("run.1", quantity=20))
    withdrawn = story.tell(CancelRequest("run.2", story.at_ns))
    open_market(story)
    placed = story.quote(9.9, 10.1)

    assert kinds(withdrawn) == [OrderDropped]
    assert [(each.order.id, each.order.quantity) for each in placed] == [("run.1", 20)]
    assert not any(isinstance(each, ModifyOrder) for each in placed)


def test_while_the_link_is_down_it_is_held_on(make) -> None:
    story, _ = make(lambda me: me.buy("AAPL", 10))
    story.tell(LinkChanged(Link.DOWN, NEXT_OPEN - SECOND))
    open_market(story)

    down = story.quote(9.9, 10.1)
    story.tell(LinkChanged(Link.UP, NEXT_OPEN + 10 * SECOND))
    up = story.quote(9.9, 10.1)

    assert (kinds(down), kinds(up)) == ([], [PlaceOrder])


def test_an_order_by_hand_is_held_alike(story) -> None:
    story.at_ns = EVENING
    story.tell(HOURS)
    request = PlaceRequest(order_id="manual-1", instrument=Stock("AAPL"), side=Side.BUY, quantity=10.0, at_ns=EVENING)

    actions = story.tell(request)
    open_market(story)

    assert kinds(actions) == [OrderQueued, SetTimer]
    assert kinds(story.quote(9.9, 10.1)) == [PlaceOrder]


def test_what_a_hook_orders_before_it_fails_is_taken_back(make, story) -> None:
    def act(me) -> None:
        me.buy("AAPL", 10)
        raise RuntimeError("broken")

    story, actions = make(act)
    open_market(story)

    assert OrderQueued not in kinds(actions)
    assert not any(isinstance(each, PlaceOrder) for each in story.quote(9.9, 10.1))
    assert story.engine.orders.closed.held == {}


def test_hours_that_are_told_anew_hold_on_what_would_have_left(make) -> None:
    """The exchange opens an hour later than was told in the evening."""
    story, _ = make(lambda me: me.buy("AAPL", 10))
    later = NEXT_OPEN + 3600 * SECOND
    story.tell(TradingHours("AAPL", [(later, NEXT_CLOSE)], [(later, NEXT_CLOSE)], NEXT_CLOSE, NIGHT))
    open_market(story)

    early = story.quote(9.9, 10.1)
    open_market(story, later)
    on_time = story.quote(9.9, 10.1)

    assert (kinds(early), kinds(on_time)) == ([OrderQueued, SetTimer], [PlaceOrder])


spans = st.lists(st.integers(0, 1000), max_size=20, unique=True).map(
    lambda numbers: [(one, two) for one, two in zip(sorted(numbers)[::2], sorted(numbers)[1::2], strict=False)]
)


@given(spans, st.integers(0, 1100), st.integers(0, 1000))
def test_a_market_is_open_in_its_sessions_and_opens_next_at_the_next(spans, now, more) -> None:
    until = (spans[-1][1] if spans else 0) + more
    opens = Sessions(spans, until).opens_at(now)

    if any(begin <= now < end for begin, end in spans) or now >= until:
        assert opens == 0
    else:
        assert opens == min([begin for begin, _ in spans if begin > now], default=until)
