"""The day of the accounts: from midnight to midnight in the gateway's zone, New York.

IB begins a new day of profit at a different time for each exchange (documented); here it is midnight for all (a
choice). A restart drops executions of earlier days.
"""

from __future__ import annotations

from collections.abc import Callable

from ibdesk.gateway.account.accounts import Accounts
from ibdesk.gateway.schedule import Schedule
from ibdesk.gateway.times import midnight


class DayScheduler:
    """Begins a day for all accounts at each midnight, and calls `begun`."""

    def __init__(self, accounts: Accounts, schedule: Schedule, begun: Callable[[], None]) -> None:
        self._accounts = accounts
        self._schedule = schedule
        self._begun = begun

    def wait(self) -> None:
        """Schedule the next midnight, and then each one after it."""
        self._schedule.at(midnight(self._schedule.now_ns, days=1), self._begin)

    def _begin(self) -> None:
        self._accounts.begin_day()
        self._begun()
        self.wait()
