"""One session of an exchange."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import msgspec


class TradingSession(msgspec.Struct, frozen=True):
    """One session: from `opens_ns` until before `closes_ns`, ns UTC."""

    opens_ns: int
    closes_ns: int

    def holds(self, at_ns: int) -> bool:
        """Return whether the session contains the instant."""
        return self.opens_ns <= at_ns < self.closes_ns


def instant_ns(day: dt.date, time: dt.time, zone: ZoneInfo) -> int:
    """Return the instant (ns UTC) of a wall-clock time."""
    return int(dt.datetime.combine(day, time, zone).timestamp()) * 1_000_000_000
