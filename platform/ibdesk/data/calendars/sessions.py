"""The session of an exchange on a trading day: from the shipped table, or by the rule for currencies."""

from __future__ import annotations

import datetime as dt
import functools
from zoneinfo import ZoneInfo

from ibdesk.data.calendars.exchange_calendar import asked_year
from ibdesk.data.calendars.table import shipped
from ibdesk.data.calendars.trading_session import TradingSession, instant_ns

# FOREX: a calendar that exchange_calendars lacks: IDEALPRO's days, Monday to Friday without holidays.
FOREX = "forex"
_NEW_YORK = ZoneInfo("America/New_York")
_FOREX_OPENS, _FOREX_CLOSES = dt.time(17, 15), dt.time(17, 0)
_DAY = dt.timedelta(days=1)
# _DAYS_KEPT: about five years of five calendars.
_DAYS_KEPT = 8192


@functools.lru_cache(maxsize=_DAYS_KEPT)
def session_of(calendar: str, day: dt.date) -> TradingSession | None:
    """Return the session of a trading day, or None if the exchange is closed.

    `calendar` is a name of exchange_calendars or `FOREX`. Only for a year outside the shipped table is that package
    used, whose import takes about a second.
    """
    if calendar == FOREX:
        return _forex_session(day)
    known = shipped().find(calendar, day.year)
    return asked_year(calendar, day.year).sessions.get(day) if known is None else known.session(day)


def _forex_session(day: dt.date) -> TradingSession | None:
    """Return a session for every weekday, from 17:15 of the evening before to 17:00 in New York."""
    if day.weekday() > 4:
        return None
    return TradingSession(instant_ns(day - _DAY, _FOREX_OPENS, _NEW_YORK), instant_ns(day, _FOREX_CLOSES, _NEW_YORK))
