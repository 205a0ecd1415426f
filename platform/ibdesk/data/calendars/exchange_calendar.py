"""What the package exchange_calendars says of an exchange: the source of the shipped table, and what lies beyond it.

Importing it brings pandas and takes a second, so it is imported when it is asked and not before.
"""

from __future__ import annotations

import datetime as dt
import functools
import warnings

import msgspec

from ibdesk.data.calendars.trading_session import TradingSession


class AskedCalendar(msgspec.Struct, frozen=True):
    """The sessions of some years by their trading day; `zone` is the exchange's."""

    zone: str
    sessions: dict[dt.date, TradingSession]


def ask(name: str, first_year: int, last_year: int) -> AskedCalendar:
    """Return the sessions of these years, both included; `name` is one of exchange_calendars, e.g. ``XNYS``."""
    with warnings.catch_warnings():
        # What pandas tells the package's authors is not the caller's business, and must not become an error here.
        warnings.simplefilter("ignore")
        import exchange_calendars

        found = exchange_calendars.get_calendar(name, start=f"{first_year}-01-01", end=f"{last_year}-12-31")
        rows = zip(found.sessions, found.opens_nanos, found.closes_nanos, strict=True)
        sessions = {day.date(): TradingSession(int(opens), int(closes)) for day, opens, closes in rows}
    return AskedCalendar(str(found.tz), sessions)


@functools.lru_cache(maxsize=64)
def asked_year(name: str, year: int) -> AskedCalendar:
    """Return the sessions of one year, which take 30 to 120 ms, and the first of all a second more."""
    return ask(name, year, year)
