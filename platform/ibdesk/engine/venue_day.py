"""The venue's day: opening orders are denied while the venue or our clock is unreliable."""

from __future__ import annotations

from ibdesk.engine.outbox import Outbox
from ibdesk.errors import OrderDeniedError
from ibdesk.model import ClockChecked, Order, Severity, VenueWindow

_SECOND = 1_000_000_000
_NEVER_NS = 2**63


class VenueDay:
    """The current or next window of the venue, and the drift of our clock.

    `barred_ns` is the time from which `check` may deny: before it an order costs one comparison.
    """

    __slots__ = ("_clock", "_outbox", "barred_ns", "window")

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.window: VenueWindow | None = None
        self._clock: ClockChecked | None = None
        self.barred_ns = _NEVER_NS

    def take_window(self, window: VenueWindow) -> None:
        """Replace the current or next window."""
        self.window = window
        self._reckon()

    def take_clock(self, checked: ClockChecked) -> None:
        """Set the drift of our clock, and alert when it exceeds its limit or returns."""
        was_beyond = self._clock is not None
        self._clock = checked if checked.is_beyond else None
        self._reckon()
        if checked.is_beyond and not was_beyond:
            side = "ahead of" if checked.drift_seconds > 0 else "behind"
            self._outbox.alert(
                "clock",
                f"this machine's clock is {abs(checked.drift_seconds):.1f} s {side} the clock of TWS, and "
                f"tws.max_clock_drift_seconds allows {checked.limit_seconds:g}: orders that open a position are denied "
                f"until both agree; set both by a time server",
                Severity.ERROR,
            )
        elif was_beyond and not checked.is_beyond:
            text = "this machine's clock and the clock of TWS agree again: orders that open a position pass"
            self._outbox.alert("clock", text, Severity.WARNING)

    def check(self, order: Order, now_ns: int) -> None:
        """Deny an opening order in a window of the venue or while the clock drifts.

        Raises:
            OrderDeniedError: With the window and its end, or with the drift.
        """
        if self._clock is not None:
            raise OrderDeniedError(order.id, "clock_drift", self._clock.limit_seconds, self._clock.drift_seconds)
        if self.window is not None and self.window.bars(now_ns):
            raise OrderDeniedError(order.id, self.window.kind.value, self.window.ends_ns / _SECOND, now_ns / _SECOND)

    def _reckon(self) -> None:
        if self._clock is not None:
            self.barred_ns = 0
        else:
            self.barred_ns = _NEVER_NS if self.window is None else self.window.guard_ns
