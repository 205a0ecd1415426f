"""When contracts trade: holidays, early closes, extended hours, and how TWS writes them."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.gateway.contracts.hours import RULES, hours_of
from ibdesk.model import nanoseconds

NEW_YORK, CHICAGO = dt.timezone(dt.timedelta(hours=-5)), dt.timezone(dt.timedelta(hours=-6))
# Thanksgiving is Thursday, 26 November 2026: New York is closed, and closes at 13:00 on the Friday.
WEDNESDAY = nanoseconds(dt.datetime(2026, 11, 25, 12, 0, tzinfo=NEW_YORK))


def new_york(day: int, hour: int, minute: int = 0) -> int:
    """Return an instant of November 2026 in New York, which is five hours behind UTC then."""
    return nanoseconds(dt.datetime(2026, 11, day, hour, minute, tzinfo=NEW_YORK))


def chicago(day: int, hour: int, minute: int = 0) -> int:
    """Return an instant of November 2026 in Chicago, six hours behind UTC."""
    return nanoseconds(dt.datetime(2026, 11, day, hour, minute, tzinfo=CHICAGO))


def test_a_holiday_is_closed_and_the_day_after_closes_early() -> None:
    text = hours_of("us_share").text(WEDNESDAY, outside_rth=False)

    assert text == (
        "20261125:0930-20261125:1600;20261126:CLOSED;20261127:0930-20261127:1300;"
        "20261128:CLOSED;20261129:CLOSED;20261130:0930-20261130:1600"
    )


def test_shares_trade_from_four_to_eight_and_four_hours_past_an_early_close() -> None:
    text = hours_of("us_share").text(WEDNESDAY, outside_rth=True, days=3)

    assert text == "20261125:0400-20261125:2000;20261126:CLOSED;20261127:0400-20261127:1700"


def test_futures_trade_from_the_evening_before_and_have_a_shorter_regular_session() -> None:
    tuesday = chicago(24, 12)

    assert hours_of("future").text(tuesday, outside_rth=True, days=1) == "20261123:1700-20261124:1600"
    assert hours_of("future").text(tuesday, outside_rth=False, days=1) == "20261124:0830-20261124:1600"


def test_the_zone_is_named_as_tws_names_it() -> None:
    assert [hours_of(kind).zone_name for kind in ("us_share", "future", "xetra")] == ["US/Eastern", "US/Central", "MET"]


def test_the_regular_session_begins_with_its_open_and_ends_before_its_close() -> None:
    hours = hours_of("us_share")

    assert not hours.is_open(new_york(25, 9, 29))
    assert hours.is_open(new_york(25, 9, 30))
    assert hours.is_open(new_york(25, 15, 59))
    assert not hours.is_open(new_york(25, 16))
    assert hours.is_open(new_york(25, 16), outside_rth=True)
    assert not hours.is_open(new_york(26, 12), outside_rth=True)


def test_the_break_between_two_days_of_futures_is_closed() -> None:
    hours = hours_of("future")

    assert hours.is_open(chicago(24, 15, 59), outside_rth=True)
    assert not hours.is_open(chicago(24, 16, 30), outside_rth=True)
    assert hours.is_open(chicago(24, 17), outside_rth=True)


def test_currencies_rest_from_friday_evening_to_sunday_evening() -> None:
    hours = hours_of("forex")

    assert hours.is_open(new_york(20, 16, 59))
    assert not hours.is_open(new_york(20, 17))
    assert not hours.is_open(new_york(22, 17, 14))
    assert hours.is_open(new_york(22, 17, 15))


def test_the_next_open_skips_the_holiday() -> None:
    hours = hours_of("us_share")

    assert hours.next_open_ns(new_york(25, 16)) == new_york(27, 9, 30)
    assert hours.next_open_ns(new_york(25, 21), outside_rth=True) == new_york(27, 4)


def test_the_next_close_is_todays_while_the_session_runs_and_before_it() -> None:
    hours = hours_of("us_share")

    assert hours.next_close_ns(new_york(25, 8)) == new_york(25, 16)
    assert hours.next_close_ns(new_york(25, 12)) == new_york(25, 16)
    assert hours.next_close_ns(new_york(25, 16)) == new_york(27, 13)


def test_a_schedule_has_one_row_for_every_trading_day_in_local_time() -> None:
    rows = hours_of("us_share").schedule(new_york(25, 12), new_york(27, 12), outside_rth=False)

    assert rows == [
        {"sessionStart": "20261125-09:30:00", "sessionEnd": "20261125-16:00:00", "refDate": "20261125"},
        {"sessionStart": "20261127-09:30:00", "sessionEnd": "20261127-13:00:00", "refDate": "20261127"},
    ]


@given(
    kind=st.sampled_from(sorted(RULES)),
    minute=st.integers(0, 60 * 24 * 365),
    outside_rth=st.booleans(),
)
def test_an_open_begins_a_session_and_a_close_ends_one(kind: str, minute: int, outside_rth: bool) -> None:
    hours = hours_of(kind)
    at_ns = nanoseconds(dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) + minute * 60_000_000_000

    opens_ns = hours.next_open_ns(at_ns, outside_rth=outside_rth)
    assert opens_ns > at_ns
    assert hours.is_open(opens_ns, outside_rth=outside_rth)
    assert not hours.is_open(opens_ns - 1, outside_rth=outside_rth)

    closes_ns = hours.next_close_ns(at_ns)
    assert closes_ns > at_ns
    assert hours.is_open(closes_ns - 1)
    assert not hours.is_open(closes_ns)


@pytest.mark.parametrize("kind", sorted(RULES))
@given(minute=st.integers(0, 60 * 24 * 365))
def test_whatever_is_open_in_regular_hours_is_open_in_extended_ones(kind: str, minute: int) -> None:
    hours = hours_of(kind)
    at_ns = nanoseconds(dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) + minute * 60_000_000_000

    assert hours.is_open(at_ns, outside_rth=True) or not hours.is_open(at_ns)
