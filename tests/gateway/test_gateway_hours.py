"""Trading hours: holidays, early closes, extended hours, and TWS's notation."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.data.calendars.exchange_calendar import ask
from ibdesk.data.calendars.sessions import FOREX, session_of
from ibdesk.data.calendars.table import read, shipped, write
from ibdesk.data.calendars.tabulation import tabulate
from ibdesk.gateway.contracts.hours import RULES, hours_of
from ibdesk.model import nanoseconds

CALENDARS = sorted({rule.calendar for rule in RULES.values()} - {FOREX})
STALE = "calendars.json is not what the installed exchange_calendars says: run `make calendars` and commit the table"

NEW_YORK, CHICAGO = dt.timezone(dt.timedelta(hours=-5)), dt.timezone(dt.timedelta(hours=-6))
# Thanksgiving is Thursday, 26 November 2026: New York is closed, and closes at 13:00 on the Friday.
WEDNESDAY = nanoseconds(dt.datetime(2026, 11, 25, 12, 0, tzinfo=NEW_YORK))


def new_york(day: int, hour: int, minute: int = 0) -> int:
    """Return a time of November 2026 in New York, which is five hours behind UTC then."""
    return nanoseconds(dt.datetime(2026, 11, day, hour, minute, tzinfo=NEW_YORK))


def chicago(day: int, hour: int, minute: int = 0) -> int:
    """Return a time of November 2026 in Chicago, six hours behind UTC."""
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


# ---- the shipped calendars ----------------------------------------------------------------------------------------


def days_between(first_year: int, last_year: int) -> list[dt.date]:
    """Return every day of these years, both included."""
    first, last = dt.date(first_year, 1, 1), dt.date(last_year, 12, 31)
    return [first + dt.timedelta(days=ahead) for ahead in range((last - first).days + 1)]


@pytest.mark.parametrize("calendar", CALENDARS)
def test_the_shipped_sessions_are_those_of_the_installed_package(calendar: str) -> None:
    first_year, last_year = shipped().first_year, shipped().last_year
    asked = ask(calendar, first_year, last_year).sessions

    different = [day for day in days_between(first_year, last_year) if session_of(calendar, day) != asked.get(day)]

    assert different == [], STALE


def test_the_shipped_table_is_what_the_command_writes(tmp_path: Path) -> None:
    write(tabulate(), tmp_path / "written.json")

    written = read(tmp_path / "written.json")
    assert msgspec.structs.replace(written, made_from="") == msgspec.structs.replace(shipped(), made_from=""), STALE


def test_the_table_holds_every_calendar_that_a_contract_trades_by_for_decades() -> None:
    table = shipped()

    assert sorted(table.calendars) == CALENDARS, STALE
    assert (table.first_year, table.last_year) == (2000, 2035)


def test_a_year_beyond_the_table_is_computed_by_the_package() -> None:
    # The Fourth of July was a Sunday in 1999, so Monday was the holiday; in 2036 it is a Friday.
    days = [dt.date(1999, 7, 2), dt.date(1999, 7, 5), dt.date(2036, 7, 3), dt.date(2036, 7, 4)]

    assert [session_of("XNYS", day) is not None for day in days] == [True, False, True, False]
    assert [shipped().find("XNYS", day.year) for day in days] == [None] * 4


def test_the_answer_beyond_the_table_is_the_answer_within_it() -> None:
    """Both sources agree on a year of the table that is computed like the years after it."""
    asked = ask("CMES", 2026, 2026).sessions

    assert {day: session_of("CMES", day) for day in asked} == asked
    # Good Friday is 3 April.
    assert dt.date(2026, 4, 3) not in asked


def test_telling_hours_imports_no_calendar_package() -> None:
    program = """
import sys
from ibdesk.gateway.contracts.hours import RULES, hours_of
for kind in RULES:
    hours_of(kind).text(1_796_000_000_000_000_000, outside_rth=True)
print(*sorted({"exchange_calendars", "pandas"} & sys.modules.keys()))
"""
    fresh = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert fresh.stdout.strip() == ""


def test_what_pandas_warns_the_package_of_is_no_error_here() -> None:
    program = """
import datetime as dt
from ibdesk.data.calendars.sessions import session_of
print(session_of("XETR", dt.date(1999, 12, 24)) is None)
"""
    fresh = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)

    assert (fresh.stdout.strip(), fresh.stderr) == ("True", "")
