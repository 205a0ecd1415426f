"""The day of the accounts: from midnight to midnight in the gateway's zone, New York.

IB counts daily profit anew at a time of its own for each exchange (documented); here it is midnight for all (a choice),
which is also when executions of the day before are forgotten on a restart.
"""

from __future__ import annotations

from collections.abc import Callable

from ibdesk.gateway.account.accounts import Accounts
from ibdesk.gateway.schedule import Schedule
from ibdesk.gateway.times import midnight


class Days:
    """Lets a day begin for all accounts at each midnight, and tells `begun` of it."""

    def __init__(self, accounts: Accounts, schedule: Schedule, begun: Callable[[], None]) -> None:
        self._accounts = accounts
        self._schedule = schedule
        self._begun = begun

    def wait(self) -> None:
        """Make the appointment for the next midnight, and then for each that follows."""
        self._schedule.at(midnight(self._schedule.now_ns, days=1), self._begin)

    def _begin(self) -> None:
        self._accounts.begin_day()
        self._begun()
        self.wait()
