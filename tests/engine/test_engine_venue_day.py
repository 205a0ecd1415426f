"""The venue's day: windows in which it is away, and a clock that cannot be trusted."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.engine import RiskLimits
from ibdesk.errors import OrderDeniedError
from ibdesk.model import (
    Alert,
    ClockChecked,
    Notice,
    OrderDenied,
    OrderStatus,
    PlaceOrder,
    VenueWindow,
    WindowKind,
    decode_event,
    encode_event,
    nanoseconds,
)

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
# The window: 10:10 to 10:20 in New York, guarded from 10:05 on, on the Tuesday of the tests, which begin at 10:00.
BEGINS = nanoseconds(dt.datetime(2026, 3, 10, 14, 10, tzinfo=dt.UTC))
RESTART = VenueWindow(
    kind=WindowKind.DAILY_RESTART, guard_ns=BEGINS - 5 * MINUTE, begins_ns=BEGINS, ends_ns=BEGINS + 10 * MINUTE
)


def denials(actions) -> list[tuple[str, float]]:
    return [(action.rule, action.limit) for action in actions if isinstance(action, OrderDenied)]


@pytest.fixture
def trade(tell_story, hands):
    """Returns a story in which a run holds `held` and does `act` at the quote of an instant, and what came of it."""

    def trade(act, *, at_ns: int, held: float = 0.0, told=(RESTART,)):
        story = tell_story()
        story.start(hands())
        story.quote(9.9, 10.1)
        if held:
            story.hold(held)
        for event in told:
            story.tell(event)
        story.at_ns = at_ns
        story.run().strategy._on["quote"] = lambda me, _: act(me)
        story.at_ns = at_ns - SECOND
        return story, story.quote(9.9, 10.1)

    return trade


@pytest.mark.parametrize(
    ("minutes", "is_denied"),
    [(-6, False), (-5, True), (0, True), (9, True), (10, False)],
    ids=["before", "guard", "begin", "inside", "end"],
)
def test_no_opening_order_leaves_from_the_guard_time_to_the_end_of_a_window(trade, minutes, is_denied) -> None:
    _, actions = trade(lambda me: me.buy("AAPL", 1), at_ns=BEGINS + minutes * MINUTE)

    assert denials(actions) == ([("daily_restart", RESTART.ends_ns / SECOND)] if is_denied else [])
    assert any(isinstance(action, PlaceOrder) for action in actions) is not is_denied


def test_what_reduces_a_position_leaves_in_a_window(trade) -> None:
    _, actions = trade(lambda me: me.sell("AAPL", 100), at_ns=BEGINS, held=100)

    assert [action.order.quantity for action in actions if isinstance(action, PlaceOrder)] == [100]


def test_terms_that_open_more_are_denied_in_a_window_and_fewer_pass(trade) -> None:
    def act(me) -> None:
        (order,) = me.open_orders("AAPL")
        me.modify(order.id, quantity=20.0)
        me.modify(order.id, quantity=5.0)

    story, _ = trade(lambda me: me.buy("AAPL", 10, limit=9.0), at_ns=BEGINS - 6 * MINUTE)
    story.report(story.order("run.1"), OrderStatus.WORKING)
    story.run().strategy._on["quote"] = lambda me, _: act(me)
    story.at_ns = BEGINS
    actions = story.quote(9.9, 10.1)

    assert denials(actions) == [("daily_restart", RESTART.ends_ns / SECOND)]
    assert [action.quantity for action in actions if hasattr(action, "quantity")] == [5.0]


def test_a_denial_says_which_window_and_until_when() -> None:
    denial = OrderDeniedError("run.1", "daily_restart", RESTART.ends_ns / SECOND, BEGINS / SECOND)

    assert str(denial) == (
        "order run.1 denied: TWS restarts until 2026-03-10 14:20 UTC: only orders that reduce a position are sent"
    )


@pytest.mark.parametrize("kind", list(WindowKind))
def test_every_kind_of_window_has_its_sentence(kind: WindowKind) -> None:
    reason = OrderDeniedError("run.1", kind.value, 0.0, 0.0).reason

    assert reason.endswith("until 1970-01-01 00:00 UTC: only orders that reduce a position are sent")


def test_the_next_window_takes_the_place_of_the_one_before(trade) -> None:
    later = VenueWindow(
        kind=WindowKind.SERVER_RESET,
        guard_ns=BEGINS + 60 * MINUTE,
        begins_ns=BEGINS + 65 * MINUTE,
        ends_ns=BEGINS + 90 * MINUTE,
    )

    _, before = trade(lambda me: me.buy("AAPL", 1), at_ns=BEGINS, told=(RESTART, later))
    _, inside = trade(lambda me: me.buy("AAPL", 1), at_ns=BEGINS + 70 * MINUTE, told=(RESTART, later))

    assert denials(before) == []
    assert denials(inside) == [("server_reset", later.ends_ns / SECOND)]


@pytest.mark.parametrize(("drift", "is_denied"), [(2.0, False), (2.1, True), (-2.1, True), (0.0, False)])
def test_no_opening_order_leaves_by_a_clock_beyond_its_limit(trade, drift, is_denied) -> None:
    checked = ClockChecked(drift, 2.0, BEGINS - 60 * MINUTE)

    _, opening = trade(lambda me: me.buy("AAPL", 1), at_ns=BEGINS - 60 * MINUTE, told=(checked,))
    _, reducing = trade(lambda me: me.sell("AAPL", 50), at_ns=BEGINS - 60 * MINUTE, told=(checked,), held=100)

    assert denials(opening) == ([("clock_drift", 2.0)] if is_denied else [])
    assert denials(reducing) == []


def test_a_clock_beyond_its_limit_is_told_once_and_so_is_its_return(story) -> None:
    told = [story.tell(ClockChecked(drift, 2.0, story.at_ns)) for drift in (0.0, -7.25, -8.0, 0.0, 0.0)]

    texts = [[action.text for action in actions if isinstance(action, Alert)] for actions in told]
    assert [len(each) for each in texts] == [0, 1, 0, 1, 0]
    assert texts[1][0].startswith("this machine's clock is 7.2 s behind the clock of TWS")


def test_orders_open_positions_again_once_the_clocks_agree(trade) -> None:
    told = (ClockChecked(9.0, 2.0, BEGINS - 61 * MINUTE), ClockChecked(0.0, 2.0, BEGINS - 60 * MINUTE))

    _, actions = trade(lambda me: me.buy("AAPL", 1), at_ns=BEGINS - 60 * MINUTE, told=told)

    assert denials(actions) == []


@given(st.integers(0, 2**62), st.integers(0, 10**15), st.integers(0, 10**15), st.integers(0, 2**62))
def test_a_window_bars_exactly_from_its_guard_to_its_end(begins, guard, lasts, at_ns) -> None:
    window = VenueWindow(kind=WindowKind.LOG_OFF, guard_ns=begins - guard, begins_ns=begins, ends_ns=begins + lasts)

    assert window.bars(at_ns) == (begins - guard <= at_ns < begins + lasts)


@pytest.mark.parametrize("event", [RESTART, ClockChecked(1.5, 2.0, 7)])
def test_the_day_is_kept_in_the_journal(event) -> None:
    assert decode_event(encode_event(event)) == event


def test_a_notice_for_the_record_alerts_nobody(story) -> None:
    assert story.tell(Notice("not connected yet", story.at_ns)) == []


def test_a_run_that_is_denied_for_the_day_of_the_venue_is_not_halted_for_repeating_itself(tell_story, hands) -> None:
    story = tell_story(RiskLimits.none().but({"max_repeated_orders": 3.0, "repeat_window_seconds": 3600.0}))
    story.start(hands(quote=lambda me, _: me.buy("AAPL", 1)))
    story.tell(RESTART)
    story.at_ns = BEGINS

    in_window = [story.quote(9.9, 10.1) for _ in range(5)]
    story.at_ns = RESTART.ends_ns
    story.tell(ClockChecked(9.0, 2.0, story.at_ns))
    adrift = [story.quote(9.9, 10.1) for _ in range(5)]

    assert [rule for actions in in_window + adrift for rule, _ in denials(actions)] == [
        *["daily_restart"] * 5,
        *["clock_drift"] * 5,
    ]
    assert not story.engine.gate.halts
