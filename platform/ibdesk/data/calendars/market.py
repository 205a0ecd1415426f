"""The opening hours of an instrument's market, as far as they concern its bars."""

from __future__ import annotations

import datetime as dt
import functools
from zoneinfo import ZoneInfo

from ibdesk.data.calendars.sessions import FOREX
from ibdesk.data.calendars.table import shipped
from ibdesk.data.calendars.trading_session import TradingSession, instant_ns
from ibdesk.model import AnyInstrument, Forex, Future, Session

_DAY = dt.timedelta(days=1)
# Currencies do not trade on Christmas Day and New Year's Day.
_FOREX_HOLIDAYS = frozenset({(12, 25), (1, 1)})
# The exchange of a stock and of a future by the zone of its session.
_SHARES = {"America/New_York": "XNYS", "Europe/Berlin": "XETR"}
_FUTURES = {"America/Chicago": "CMES", "America/New_York": "CMES", "Europe/Berlin": "XETR"}
ANY_HOURS = Session("UTC", 0, 0)


def has_holidays(instrument: AnyInstrument | None) -> bool:
    """Return whether the holidays of the instrument's market are known."""
    return _calendar_of(instrument) is not None


def trading_session(instrument: AnyInstrument | None, day: dt.date) -> TradingSession | None:
    """Return the session of a day, or None if no bars are expected on it.

    Hours are the instrument's own, shortened on days when its exchange closes early. Futures exchanges close early at
    hours that differ by product, so nothing is expected of futures on such days. An unknown instrument trades on
    weekdays.
    """
    return _session(ANY_HOURS if instrument is None else instrument.session, _calendar_of(instrument), day)


def _calendar_of(instrument: AnyInstrument | None) -> str | None:
    if instrument is None:
        return None
    if isinstance(instrument, Forex):
        return FOREX
    known = _FUTURES if isinstance(instrument, Future) else _SHARES
    return known.get(instrument.session.zone)


@functools.lru_cache(maxsize=65_536)
def _session(hours: Session, calendar: str | None, day: dt.date) -> TradingSession | None:
    if day.weekday() not in hours.weekdays:
        return None
    zone = ZoneInfo(hours.zone)
    begins = day if hours.opens < hours.closes or hours.opens == 0 else day - _DAY
    ends = day if hours.closes > 0 else day + _DAY
    regular = TradingSession(
        instant_ns(begins, _clock(hours.opens), zone), instant_ns(ends, _clock(hours.closes), zone)
    )
    if calendar == FOREX:
        return None if (day.month, day.day) in _FOREX_HOLIDAYS else regular
    table = None if calendar is None else shipped().find(calendar, day.year)
    if table is None:
        return regular
    exchange = table.session(day)
    if exchange is None:
        return None
    if day not in table.other:
        return regular
    if calendar == "CMES":
        return None
    closes_ns = min(regular.closes_ns, exchange.closes_ns)
    return TradingSession(regular.opens_ns, closes_ns) if closes_ns > regular.opens_ns else None


def _clock(minutes: int) -> dt.time:
    return dt.time(minutes // 60 % 24, minutes % 60)
