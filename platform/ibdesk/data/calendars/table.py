"""The shipped calendars: for each exchange its regular week, and the days that differ from it.

The table is `calendars.json`, written by `ibdesk.data.calendars.tabulation` (``make calendars``). It loads in less than
a millisecond; the import of its source package takes a second.
"""

from __future__ import annotations

import datetime as dt
import functools
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from ibdesk.data.calendars.trading_session import TradingSession, instant_ns

PATH = Path(__file__).with_name("calendars.json")
_DAY = dt.timedelta(days=1)
_SATURDAY = 5


class Calendar(msgspec.Struct, frozen=True):
    """One exchange; times are local.

    From Monday to Friday there is a session from `opens`, on the evening before if `opens_day_before`, to `closes`;
    there is none on days in `closed`, and days in `other` have other times.
    """

    zone: str
    opens_day_before: bool
    opens: dt.time
    closes: dt.time
    closed: frozenset[dt.date]
    other: dict[dt.date, tuple[dt.time, dt.time]]

    def session(self, day: dt.date) -> TradingSession | None:
        """Return the session of a trading day, or None if the exchange is closed."""
        times = self.other.get(day)
        if times is None:
            if day.weekday() >= _SATURDAY or day in self.closed:
                return None
            times = self.opens, self.closes
        zone = ZoneInfo(self.zone)
        begins = day - _DAY if self.opens_day_before else day
        return TradingSession(instant_ns(begins, times[0], zone), instant_ns(day, times[1], zone))


class CalendarTable(msgspec.Struct, frozen=True):
    """All calendars, by their name in exchange_calendars, for the years from `first_year` to `last_year`."""

    made_from: str
    first_year: int
    last_year: int
    calendars: dict[str, Calendar]

    def find(self, name: str, year: int) -> Calendar | None:
        """Return the calendar if it covers this year."""
        return self.calendars.get(name) if self.first_year <= year <= self.last_year else None


@functools.cache
def shipped() -> CalendarTable:
    """Return the shipped table."""
    return read(PATH)


def read(path: Path) -> CalendarTable:
    """Return the table in a file.

    Raises:
        msgspec.DecodeError: If the file is not a table.
    """
    return msgspec.json.decode(path.read_bytes(), type=CalendarTable)


def write(table: CalendarTable, path: Path) -> None:
    """Write a table, one day per line; the same table always gives the same text."""
    plain = msgspec.to_builtins(table, str_keys=True, order="deterministic")
    path.write_bytes(msgspec.json.format(msgspec.json.encode(plain), indent=1) + b"\n")
