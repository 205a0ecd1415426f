"""Cancels of our orders that this desk did not request: by a person or by the venue.

TWS first sends the status, then error 202 with the reason: empty if a trader cancelled, a sentence if the system did.
Strategies act on reports, so the status is reported once the reason is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ibdesk.model import TimeInForce
from ibdesk.tws.tracked import Tracked

_CANCELLED = frozenset({"Cancelled", "ApiCancelled"})
# The reason follows within milliseconds. Without one, only a person can have cancelled.
_REASON_SECONDS = 0.5
_BY_TRADER = "Cancelled by Trader"


class Interventions:
    """Holds back the status ``Cancelled`` of an order until its reason arrives; `tell` reports the order."""

    def __init__(self, tell: Callable[[Tracked], None]) -> None:
        self._tell = tell
        # The orders whose reason has not arrived yet, each with its status and the timer that ends the wait.
        self._waiting: dict[str, tuple[str, asyncio.TimerHandle]] = {}

    def holds_back(self, tracked: Tracked, word: str, *, client_id: int) -> bool:
        """Return whether a status must be reported later; a cancel by another client is marked as such at once."""
        if word not in _CANCELLED or not _is_unasked(tracked):
            self._forget(tracked)
            return False
        if client_id != tracked.client_id:
            tracked.by_other = True
            return False
        if tracked.cancel_reason:
            return False
        if tracked.order.id not in self._waiting:
            timer = asyncio.get_running_loop().call_later(_REASON_SECONDS, self.explain, tracked, "")
            self._waiting[tracked.order.id] = word, timer
        return True

    def explain(self, tracked: Tracked, reason: str) -> bool:
        """Process the reason of a cancel; return whether the status had waited for it and is reported now."""
        if tracked.order.id not in self._waiting:
            return False
        word, _ = self._waiting[tracked.order.id]
        self._forget(tracked)
        tracked.by_other = not reason
        tracked.cancel_reason = reason
        tracked.heard(word)
        self._tell(tracked)
        return True

    def note_completed(self, tracked: Tracked, completed_status: str) -> None:
        """Process how an order ended while no desk was connected."""
        self._forget(tracked)
        if completed_status.strip() == _BY_TRADER and _is_unasked(tracked):
            tracked.by_other = True

    def _forget(self, tracked: Tracked) -> None:
        waiting = self._waiting.pop(tracked.order.id, None)
        if waiting is not None:
            waiting[1].cancel()


def _is_unasked(tracked: Tracked) -> bool:
    """Return whether this desk did not request the cancel, and nothing announced the order's end."""
    is_expected = tracked.cancel_wanted or tracked.order.time_in_force is TimeInForce.IOC
    return not (is_expected or tracked.refusal or tracked.was_refused or tracked.is_done)
