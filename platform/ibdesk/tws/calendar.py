"""Planned absences of IB and TWS: the daily and weekly windows around any instant, in any time zone.

Nothing here reads a clock: the caller passes an instant.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo

import msgspec

from ibdesk.model import VenueWindow, WindowKind

_DAY = dt.timedelta(days=1)
_MINUTE = 60_000_000_000
# Windows that touch are merged: the first of them may have begun this many days before an instant.
_DAYS_BACK = 4
# Each window recurs within a week.
_DAYS_AHEAD = 9


class WindowRule(msgspec.Struct, frozen=True, kw_only=True):
    """A window that recurs on each of `weekdays` (Monday is 0) at a wall-clock time in `zone`.

    It lasts `minutes`. With `until` it ends at that wall-clock time instead, on the next day if `until` is not later
    than `begins`. With `hours` it needs a person, who is available between these two times in `hours_zone`: the minutes
    count from the first available instant at or after its beginning.
    """

    kind: WindowKind
    zone: str
    weekdays: frozenset[int]
    begins: dt.time
    minutes: float = 0.0
    until: dt.time | None = None
    hours: tuple[dt.time, dt.time] | None = None
    hours_zone: str = "UTC"

    def on(self, day: dt.date) -> tuple[int, int] | None:
        """Return beginning and end (ns UTC) of the window that begins on a local date, None if there is none."""
        if day.weekday() not in self.weekdays:
            return None
        begins_ns = _instant(day, self.begins, self.zone)
        if self.until is None:
            return begins_ns, self._attended_ns(begins_ns) + int(self.minutes * _MINUTE)
        ends_ns = _instant(day if self.until > self.begins else day + _DAY, self.until, self.zone)
        # The end may come first where a clock change moves it.
        return begins_ns, max(ends_ns, begins_ns)

    def _attended_ns(self, at_ns: int) -> int:
        """Return the first instant at or after `at_ns` at which a person is available."""
        if self.hours is None:
            return at_ns
        first, last = self.hours
        local = dt.datetime.fromtimestamp(at_ns // 1_000_000_000, ZoneInfo(self.hours_zone))
        now = local.time()
        is_there = first <= now < last if first < last else now >= first or now < last
        if is_there:
            return at_ns
        day = local.date() if now < first else local.date() + _DAY
        return max(at_ns, _instant(day, first, self.hours_zone))


class TwsCalendar:
    """The windows of one TWS. Opening orders end `guard_minutes` before each."""

    def __init__(self, rules: Sequence[WindowRule], *, guard_minutes: float = 0.0) -> None:
        self.rules = tuple(rules)
        self._guard_ns = int(guard_minutes * _MINUTE)

    def window(self, at_ns: int) -> VenueWindow | None:
        """Return the window that includes an instant (ns UTC), guard time included, or else the next one.

        Windows that touch, guard time included, are merged into one of the kind of its longest part. None if there are
        no rules.
        """
        parts = sorted(
            (begins, ends, rule.kind.value) for rule in self.rules for begins, ends in self._around(rule, at_ns)
        )
        found: VenueWindow | None = None
        longest = 0
        for begins_ns, ends_ns, word in parts:
            guard_ns = begins_ns - self._guard_ns
            if found is None or guard_ns > found.ends_ns:
                if found is not None and found.ends_ns > at_ns:
                    return found
                found, longest = None, 0
            kind = WindowKind(word)
            if found is None:
                found = VenueWindow(kind=kind, guard_ns=guard_ns, begins_ns=begins_ns, ends_ns=ends_ns)
            is_longest = ends_ns - begins_ns > longest
            longest = max(longest, ends_ns - begins_ns)
            found = msgspec.structs.replace(
                found, kind=kind if is_longest else found.kind, ends_ns=max(found.ends_ns, ends_ns)
            )
        return found if found is not None and found.ends_ns > at_ns else None

    def _around(self, rule: WindowRule, at_ns: int) -> Iterator[tuple[int, int]]:
        today = dt.datetime.fromtimestamp(at_ns // 1_000_000_000, ZoneInfo(rule.zone)).date()
        for ahead in range(-_DAYS_BACK, _DAYS_AHEAD + 1):
            times = rule.on(today + ahead * _DAY)
            if times is not None and times[1] > times[0]:
                yield times


def _instant(day: dt.date, time: dt.time, zone: str) -> int:
    return int(dt.datetime.combine(day, time, ZoneInfo(zone)).timestamp()) * 1_000_000_000
