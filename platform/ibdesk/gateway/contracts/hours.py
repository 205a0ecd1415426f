"""Trading hours of contracts: regular and extended sessions, also in TWS's notation."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import msgspec

from ibdesk.data.calendars.sessions import FOREX, session_of
from ibdesk.data.calendars.trading_session import TradingSession, instant_ns

# TWS uses old names of time zones.
ZONE_NAMES = {"America/New_York": "US/Eastern", "America/Chicago": "US/Central", "Europe/Berlin": "MET"}
# How far ahead an open or a close is searched; no exchange is closed for longer.
_FAR_DAYS = 20
_DAY = dt.timedelta(days=1)
_MINUTE_NS = 60_000_000_000


class HoursRule(msgspec.Struct, frozen=True, kw_only=True):
    """The rule that derives the sessions of one kind of contract from its exchange's calendar.

    Extended trading begins `early_minutes` before the regular session and ends `late_minutes` after it.
    `regular_opens` moves the regular open to this local time of the trading day; nothing trades after the local time
    `ends`.
    """

    calendar: str
    zone: str
    early_minutes: int = 0
    late_minutes: int = 0
    regular_opens: dt.time | None = None
    ends: dt.time | None = None


RULES = {
    "us_share": HoursRule(calendar="XNYS", zone="America/New_York", early_minutes=330, late_minutes=240),
    "us_regular": HoursRule(calendar="XNYS", zone="America/New_York"),
    "future": HoursRule(calendar="CMES", zone="America/Chicago", regular_opens=dt.time(8, 30), ends=dt.time(16, 0)),
    "forex": HoursRule(calendar=FOREX, zone="America/New_York"),
    "xetra": HoursRule(calendar="XETR", zone="Europe/Berlin"),
}
"""Rules by `ContractData.trades_as`. US shares trade from 04:00 to 20:00 New York, to 17:00 on a day that closes at
13:00 (documented by NYSE Arca and Nasdaq). Futures trade from 17:00 to 16:00 Chicago, regular from 08:30 (captured for
ES; believed for the others). exchange_calendars has CME trading until 17:00.
"""


class Hours:
    """The sessions of one kind of contract; times are ns UTC."""

    def __init__(self, rule: HoursRule) -> None:
        self._rule = rule
        self.zone = ZoneInfo(rule.zone)
        # A day's session as text, regular and extended; lists of contracts repeat the same days many times.
        self._written = tuple(
            functools.lru_cache(maxsize=64)(functools.partial(self._day_text, outside_rth=outside_rth))
            for outside_rth in (False, True)
        )

    @property
    def zone_name(self) -> str:
        """Return TWS's name of the exchange's zone, e.g. ``US/Eastern``."""
        return ZONE_NAMES[self._rule.zone]

    def is_open(self, at_ns: int, *, outside_rth: bool = False) -> bool:
        """Return whether it trades at this time; with `outside_rth` also before and after the regular session."""
        today = self.day_of(at_ns)
        return any(
            session is not None and session.holds(at_ns)
            for session in (self.session(day, outside_rth=outside_rth) for day in (today, today + _DAY))
        )

    def next_open_ns(self, at_ns: int, *, outside_rth: bool = False) -> int:
        """Return the next open after `at_ns`, even if a session runs then."""
        sessions = self._from(self.day_of(at_ns), outside_rth=outside_rth)
        return next(session.opens_ns for session in sessions if session.opens_ns > at_ns)

    def next_close_ns(self, at_ns: int) -> int:
        """Return the end of the regular session that runs at `at_ns`, or of the next one."""
        sessions = self._from(self.day_of(at_ns), outside_rth=False)
        return next(session.closes_ns for session in sessions if session.closes_ns > at_ns)

    def session(self, day: dt.date, *, outside_rth: bool = False) -> TradingSession | None:
        """Return the session of a trading day; None if the exchange is closed."""
        found = session_of(self._rule.calendar, day)
        if found is None:
            return None
        return self._extended(found, day) if outside_rth else self._regular(found, day)

    def day_of(self, at_ns: int) -> dt.date:
        """Return the date at the exchange."""
        return dt.datetime.fromtimestamp(at_ns // 1_000_000_000, self.zone).date()

    def text(self, at_ns: int, *, outside_rth: bool, days: int = 6) -> str:
        """Return the sessions of the next days in TWS's notation: ``20260406:0930-20260406:1600;...:CLOSED``."""
        today, sessions = self.day_of(at_ns), self._written[outside_rth]
        return ";".join(sessions(today + ahead * _DAY) for ahead in range(days))

    def always(self, at_ns: int, *, days: int = 6) -> str:
        """Return the next days in TWS's notation for a market that never closes."""
        today = self.day_of(at_ns)
        dates = [today + ahead * _DAY for ahead in range(days)]
        return ";".join(f"{day:%Y%m%d}:0000-{day + _DAY:%Y%m%d}:0000" for day in dates)

    def schedule(self, start_ns: int, end_ns: int, *, outside_rth: bool) -> list[dict[str, str]]:
        """Return the sessions of the trading days between two times, both days included.

        They are rows of a historicalSchedule message, in local time (captured).
        """
        first, last = self.day_of(start_ns), self.day_of(end_ns)
        rows = []
        for ahead in range((last - first).days + 1):
            day = first + ahead * _DAY
            session = self.session(day, outside_rth=outside_rth)
            if session is not None:
                rows.append(
                    {
                        "sessionStart": f"{self._local(session.opens_ns):%Y%m%d-%H:%M:%S}",
                        "sessionEnd": f"{self._local(session.closes_ns):%Y%m%d-%H:%M:%S}",
                        "refDate": f"{day:%Y%m%d}",
                    }
                )
        return rows

    def _from(self, day: dt.date, *, outside_rth: bool) -> Iterator[TradingSession]:
        for ahead in range(_FAR_DAYS):
            session = self.session(day + ahead * _DAY, outside_rth=outside_rth)
            if session is not None:
                yield session

    def _regular(self, found: TradingSession, day: dt.date) -> TradingSession:
        opens = self._rule.regular_opens
        opens_ns = found.opens_ns if opens is None else instant_ns(day, opens, self.zone)
        return TradingSession(opens_ns, self._end(found, day))

    def _extended(self, found: TradingSession, day: dt.date) -> TradingSession:
        return TradingSession(
            found.opens_ns - self._rule.early_minutes * _MINUTE_NS,
            self._end(found, day) + self._rule.late_minutes * _MINUTE_NS,
        )

    def _end(self, found: TradingSession, day: dt.date) -> int:
        ends = self._rule.ends
        return found.closes_ns if ends is None else min(found.closes_ns, instant_ns(day, ends, self.zone))

    def _day_text(self, day: dt.date, *, outside_rth: bool) -> str:
        session = self.session(day, outside_rth=outside_rth)
        if session is None:
            return f"{day:%Y%m%d}:CLOSED"
        return f"{self._local(session.opens_ns):%Y%m%d:%H%M}-{self._local(session.closes_ns):%Y%m%d:%H%M}"

    def _local(self, at_ns: int) -> dt.datetime:
        return dt.datetime.fromtimestamp(at_ns // 1_000_000_000, self.zone)


@functools.cache
def hours_of(kind: str) -> Hours:
    """Return the hours of one of `RULES`."""
    return Hours(RULES[kind])
