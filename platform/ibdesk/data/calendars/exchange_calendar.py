"""Exchange sessions from the package exchange_calendars: the source of the shipped table, and of years outside it.

Its import loads pandas and takes a second, so it happens at the first request.
"""

from __future__ import annotations

import datetime as dt
import functools
import warnings

import msgspec

from ibdesk.data.calendars.trading_session import TradingSession


class AskedCalendar(msgspec.Struct, frozen=True):
    """The sessions of some years by trading day; `zone` is the exchange's."""

    zone: str
    sessions: dict[dt.date, TradingSession]


def ask(name: str, first_year: int, last_year: int) -> AskedCalendar:
    """Return the sessions of these years, both included; `name` is one of exchange_calendars, e.g. ``XNYS``."""
    with warnings.catch_warnings():
        # Warnings of pandas to the package's authors must not become errors here.
        warnings.simplefilter("ignore")
        import exchange_calendars

        found = exchange_calendars.get_calendar(name, start=f"{first_year}-01-01", end=f"{last_year}-12-31")
        rows = zip(found.sessions, found.opens_nanos, found.closes_nanos, strict=True)
        sessions = {day.date(): TradingSession(int(opens), int(closes)) for day, opens, closes in rows}
    return AskedCalendar(str(found.tz), sessions)


@functools.lru_cache(maxsize=64)
def asked_year(name: str, year: int) -> AskedCalendar:
    """Return the sessions of one year. It takes 30 to 120 ms, and the first call a second more."""
    return ask(name, year, year)
