"""Our open orders that TWS does not list: when they are requested again, and how they are settled."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from zoneinfo import ZoneInfo

from ibdesk.model import Order, Severity, moment
from ibdesk.tws.settings import TwsSettings
from ibdesk.tws.tracked import Tracked


class MissingOrders:
    """Settles an order by evidence: two comparisons that do not find it.

    The second follows `tws.settle_seconds` after the first, the time that TWS may take to show an order. A comparison
    with incomplete answers proves nothing.
    """

    def __init__(
        self,
        settings: TwsSettings,
        *,
        report: Callable[[Tracked], None],
        notice: Callable[[Tracked, str, Severity], None],
        now_ns: Callable[[], int],
        is_spent: Callable[[Order, int], bool],
    ) -> None:
        """Make an empty list.

        Args:
            settings: How long TWS may take, and the zone of its day.
            report: Reports the state of an order if it has changed.
            notice: Reports a sentence about an order.
            now_ns: The time, ns UTC.
            is_spent: Whether an order with this send time that TWS does not list has certainly ended with its day.
        """
        self._settle = settings.settle_seconds
        self._zone = ZoneInfo(settings.time_zone)
        self._report, self._notice, self._now_ns, self._is_spent = report, notice, now_ns, is_spent
        # When the current comparison began, on the loop's clock.
        self._asked_at = -math.inf
        # Open orders that TWS has not mentioned since then.
        self._suspects: dict[str, Tracked] = {}
        # Orders that one comparison did not find and a second one must look for.
        self._lost: dict[str, Tracked] = {}
        # The last comparison missed an order, and its answers were incomplete.
        self._is_to_repeat = False
        # Open orders that the last comparisons did not find, with or without a second one to come.
        self._missing: dict[str, Tracked] = {}

    @property
    def ids(self) -> list[str]:
        """Return the ids of the open orders that TWS does not list."""
        return list(self._missing)

    @property
    def are_to_be_asked_for(self) -> bool:
        """Return whether a missing order must be requested once more."""
        if self._is_to_repeat:
            return True
        if not self._lost:
            return False
        latest = asyncio.get_running_loop().time() - self._settle
        return any(each.missed_at is not None and each.missed_at <= latest for each in self._lost.values())

    @property
    def has_suspects(self) -> bool:
        """Return whether the current comparison has not found every open order yet."""
        return bool(self._suspects)

    def begin(self, orders: Iterable[Tracked]) -> None:
        """Start to note which of these orders TWS mentions; the requests follow at once."""
        self._asked_at = asyncio.get_running_loop().time()
        self._suspects = {tracked.order.id: tracked for tracked in orders}

    def end(self, *, is_complete: bool) -> None:
        """Process the end of the comparison and, if its answers are complete, what they prove."""
        self._is_to_repeat = not is_complete and bool(self._suspects)
        suspects, self._suspects = self._suspects, {}
        for tracked in suspects.values():
            if not is_complete:
                self._report(tracked)
            elif not tracked.is_done:
                self._not_found(tracked)

    def found(self, tracked: Tracked) -> None:
        """Note that TWS has mentioned an order."""
        self._suspects.pop(tracked.order.id, None)
        self._lost.pop(tracked.order.id, None)
        self._missing.pop(tracked.order.id, None)
        tracked.missed_at = None

    def is_nowhere(self, tracked: Tracked) -> bool:
        """Return whether two comparisons did not find an order."""
        return tracked.missed_at is not None and tracked.order.id not in self._lost

    def strike_off(self, tracked: Tracked) -> None:
        """Report the end of an order that TWS does not list and that is no longer wanted."""
        self._missing.pop(tracked.order.id, None)
        tracked.give_up(by_hand=True)
        self._report(tracked)

    def call_unknown(self, tracked: Tracked) -> None:
        """Report that the state of the order is unknown."""
        tracked.is_unknown = True
        self._report(tracked)

    def _not_found(self, tracked: Tracked) -> None:
        """Process that a comparison did not find an order: the first time it is unknown, the second it is given up.

        TWS lists completed orders and executions of its current day only. Its silence about an order sent earlier
        proves nothing: such an order stays unknown until a person has checked and cancels it.
        """
        if tracked.missed_at is None:
            tracked.missed_at = self._asked_at
            self._lost[tracked.order.id] = self._missing[tracked.order.id] = tracked
            self.call_unknown(tracked)
            self._notice(
                tracked,
                "is neither among TWS's open nor its completed orders nor its executions: "
                f"it is unknown, and TWS will be asked again in {self._settle:g} s",
                Severity.ERROR,
            )
            return
        self._report(tracked)
        if self._asked_at - tracked.missed_at < self._settle or tracked.order.id not in self._lost:
            return
        del self._lost[tracked.order.id]
        if self._is_of_today(tracked):
            self._missing.pop(tracked.order.id, None)
            tracked.give_up(by_hand=False)
            self._report(tracked)
        elif self._is_spent(tracked.order, tracked.sent_ns):
            self._missing.pop(tracked.order.id, None)
            tracked.expire()
            self._report(tracked)
        else:
            self._notice(
                tracked,
                "was sent before TWS's current day, and TWS lists completed orders and executions of that day only: "
                "it stays unknown; look it up in TWS, and cancel it here if it is not there",
                Severity.ERROR,
            )

    def _is_of_today(self, tracked: Tracked) -> bool:
        days = [moment(at_ns).astimezone(self._zone).date() for at_ns in (tracked.sent_ns, self._now_ns())]
        return days[0] == days[1]
