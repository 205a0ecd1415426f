"""Our open orders that TWS was not seen to have: when it is asked for them again, and how they are settled."""

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

    The second is asked for `tws.settle_seconds` after the first, for so long TWS may take to show an order. A
    comparison whose answers are not complete proves nothing.
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
            report: Tells the state of an order where that is news.
            notice: Tells a sentence about an order.
            now_ns: The time, ns UTC.
            is_spent: Whether an order that was sent at a time and is listed nowhere has certainly ended with its day.
        """
        self._settle = settings.settle_seconds
        self._zone = ZoneInfo(settings.time_zone)
        self._report, self._notice, self._now_ns, self._is_spent = report, notice, now_ns, is_spent
        # _asked_at: when the comparison under way began, on the loop's clock.
        self._asked_at = -math.inf
        # _suspects: open orders that TWS has not mentioned since then.
        self._suspects: dict[str, Tracked] = {}
        # _lost: orders that a comparison did not find, and for which TWS is to be asked once more.
        self._lost: dict[str, Tracked] = {}
        # _is_to_repeat: the last comparison did not find one, and its answers were not complete.
        self._is_to_repeat = False
        # _missing: open orders that no comparison has found, whether TWS is asked once more or not.
        self._missing: dict[str, Tracked] = {}

    @property
    def ids(self) -> list[str]:
        """Return the open orders that TWS was not seen to have."""
        return list(self._missing)

    @property
    def are_to_be_asked_for(self) -> bool:
        """Return whether an order that was not found is to be looked for once more."""
        if self._is_to_repeat:
            return True
        if not self._lost:
            return False
        latest = asyncio.get_running_loop().time() - self._settle
        return any(each.missed_at is not None and each.missed_at <= latest for each in self._lost.values())

    @property
    def has_suspects(self) -> bool:
        """Return whether the comparison under way has not found an open order yet."""
        return bool(self._suspects)

    def begin(self, orders: Iterable[Tracked]) -> None:
        """Start to note which of these orders TWS mentions; what it is asked for is asked for now."""
        self._asked_at = asyncio.get_running_loop().time()
        self._suspects = {tracked.order.id: tracked for tracked in orders}

    def end(self, *, is_complete: bool) -> None:
        """Take that the comparison is over, and what its answers prove if they are complete."""
        self._is_to_repeat = not is_complete and bool(self._suspects)
        suspects, self._suspects = self._suspects, {}
        for tracked in suspects.values():
            if not is_complete:
                self._report(tracked)
            elif not tracked.is_done:
                self._not_found(tracked)

    def found(self, tracked: Tracked) -> None:
        """Take that TWS has mentioned an order."""
        self._suspects.pop(tracked.order.id, None)
        self._lost.pop(tracked.order.id, None)
        self._missing.pop(tracked.order.id, None)
        tracked.missed_at = None

    def is_nowhere(self, tracked: Tracked) -> bool:
        """Return whether TWS was asked twice for an order and did not know it."""
        return tracked.missed_at is not None and tracked.order.id not in self._lost

    def strike_off(self, tracked: Tracked) -> None:
        """Tell the end of an order that TWS knows nowhere and that is not wanted any more."""
        self._missing.pop(tracked.order.id, None)
        tracked.give_up(by_hand=True)
        self._report(tracked)

    def call_unknown(self, tracked: Tracked) -> None:
        """Tell that nobody can say how the order is."""
        tracked.is_unknown = True
        self._report(tracked)

    def _not_found(self, tracked: Tracked) -> None:
        """Take that a comparison did not find an order: unknown the first time, given up the second.

        TWS tells completed orders and executions of its present day only. Of an order sent before that, its silence
        proves nothing: such an order stays unknown until a person has looked, and cancels it.
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
                "was sent before TWS's present day, of which alone it tells completed orders and executions: "
                "it stays unknown; look it up in TWS, and cancel it here when it is not there",
                Severity.ERROR,
            )

    def _is_of_today(self, tracked: Tracked) -> bool:
        days = [moment(at_ns).astimezone(self._zone).date() for at_ns in (tracked.sent_ns, self._now_ns())]
        return days[0] == days[1]
