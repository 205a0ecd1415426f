"""Opens and closes of exchanges, as callbacks on the gateway's schedule."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from ibdesk.gateway.contracts.hours import Hours
from ibdesk.gateway.schedule import Schedule

SessionAction = Callable[[Hours], None]
# How far ahead a close is searched; no exchange is closed for longer.
_FAR_DAYS = 20


class SessionCalls:
    """Calls back at the opens and closes of the followed exchanges.

    The actions of one moment run in the order in which they were given, before anything else of that time. They receive
    the `Hours` whose session begins or ends; contracts with the same hours share one object in `ContractData.hours`.
    The regular session lies within the extended one. If an exchange has no other hours, both open and close together,
    the extended one opening first and closing last.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._followed: set[Hours] = set()
        self._opens: list[SessionAction] = []
        self._closes: list[SessionAction] = []
        self._early_opens: list[SessionAction] = []
        self._late_closes: list[SessionAction] = []

    def on_open(self, action: SessionAction) -> None:
        """Call `action` whenever a regular session opens."""
        self._opens.append(action)

    def on_close(self, action: SessionAction) -> None:
        """Call `action` whenever a regular session closes."""
        self._closes.append(action)

    def on_early_open(self, action: SessionAction) -> None:
        """Call `action` whenever an extended session opens: trading begins."""
        self._early_opens.append(action)

    def on_late_close(self, action: SessionAction) -> None:
        """Call `action` whenever an extended session closes: trading ends."""
        self._late_closes.append(action)

    def follow(self, hours: Hours) -> None:
        """Call back at the sessions of `hours` from now on."""
        if hours in self._followed:
            return
        self._followed.add(hours)
        now_ns = self._schedule.now_ns
        self._expect(hours, now_ns, lambda at_ns: hours.next_open_ns(at_ns, outside_rth=True), self._early_opens)
        self._expect(hours, now_ns, hours.next_open_ns, self._opens)
        self._expect(hours, now_ns, hours.next_close_ns, self._closes)
        self._expect(hours, now_ns, lambda at_ns: late_close_ns(hours, at_ns), self._late_closes)

    def _expect(self, hours: Hours, after_ns: int, find: Callable[[int], int], actions: list[SessionAction]) -> None:
        at_ns = find(after_ns)

        def act() -> None:
            for action in actions:
                action(hours)
            self._expect(hours, at_ns, find, actions)

        self._schedule.at(at_ns, act, first=True)


def late_close_ns(hours: Hours, at_ns: int) -> int:
    """Return the end of the extended session that runs at a time (ns UTC), or of the next one.

    Raises:
        StopIteration: If the exchange is closed for weeks, which never happens.
    """
    today = hours.day_of(at_ns)
    days = (today + dt.timedelta(days=ahead) for ahead in range(_FAR_DAYS))
    sessions = (hours.session(day, outside_rth=True) for day in days)
    return next(session.closes_ns for session in sessions if session is not None and session.closes_ns > at_ns)
