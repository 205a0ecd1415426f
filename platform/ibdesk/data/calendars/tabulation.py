"""Writes the table of calendars from the installed exchange_calendars.

Run ``make calendars``, or ``python -m ibdesk.data.calendars.tabulation``, after a new version of that package or a
change of `NAMES`.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import sys
from collections import Counter
from zoneinfo import ZoneInfo

from ibdesk.data.calendars.exchange_calendar import ask
from ibdesk.data.calendars.table import PATH, Calendar, CalendarTable, write
from ibdesk.data.calendars.trading_session import TradingSession

FIRST_YEAR, LAST_YEAR = 2000, 2035
NAMES = ("CMES", "XETR", "XNYS")
_PACKAGE = "exchange_calendars"
_DAY = dt.timedelta(days=1)


def tabulate() -> CalendarTable:
    """Return the calendars of `NAMES` for the years from `FIRST_YEAR` to `LAST_YEAR`."""
    version = importlib.metadata.version(_PACKAGE)
    calendars = {name: _calendar(name) for name in NAMES}
    return CalendarTable(f"{_PACKAGE} {version}", FIRST_YEAR, LAST_YEAR, calendars)


def _calendar(name: str) -> Calendar:
    """Return one calendar: the most frequent times are the regular ones; all other days are listed."""
    asked = ask(name, FIRST_YEAR, LAST_YEAR)
    zone = ZoneInfo(asked.zone)
    opens = {day: _local(session.opens_ns, zone) for day, session in asked.sessions.items()}
    closes = {day: _local(session.closes_ns, zone).time() for day, session in asked.sessions.items()}
    times = {day: (opens[day].time(), closes[day]) for day in asked.sessions}
    (regular, _), *_ = Counter(times.values()).most_common(1)
    calendar = Calendar(
        zone=asked.zone,
        opens_day_before=_are_before(opens),
        opens=regular[0],
        closes=regular[1],
        closed=frozenset(_weekdays() - times.keys()),
        other={day: each for day, each in times.items() if each != regular or day.weekday() > 4},
    )
    _check(name, calendar, asked.sessions)
    return calendar


def _are_before(opens: dict[dt.date, dt.datetime]) -> bool:
    return sum(opened.date() < day for day, opened in opens.items()) * 2 > len(opens)


def _weekdays() -> set[dt.date]:
    first, last = dt.date(FIRST_YEAR, 1, 1), dt.date(LAST_YEAR, 12, 31)
    days = (first + ahead * _DAY for ahead in range((last - first).days + 1))
    return {day for day in days if day.weekday() < 5}


def _check(name: str, calendar: Calendar, asked: dict[dt.date, TradingSession]) -> None:
    """Refuse a calendar that the table cannot represent: one whose sessions sometimes begin on the day before.

    Raises:
        ValueError: If the calendar does not fit; it names the day.
    """
    for day, session in asked.items():
        if calendar.session(day) != session:
            raise ValueError(f"calendar {name} does not fit the table: {day} is {session}; extend Calendar")


def _local(at_ns: int, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_ns // 1_000_000_000, zone)


if __name__ == "__main__":
    write(tabulate(), PATH)
    sys.stdout.write(f"{PATH} is written.\n")
