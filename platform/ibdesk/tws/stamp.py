"""The time that events carry."""

from __future__ import annotations

from ibdesk.clock import Clock, monotonic_ns


class Stamp:
    """A clock that stands still while the messages of one socket read are processed.

    All events of one read have the same time, and no event is stamped before an earlier one.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held_ns = 0
        # When the current read began, on the performance counter; 0 between reads.
        self.read_at_ns = 0

    def now_ns(self) -> int:
        """Return the time of the current read, or the present time between reads, ns UTC."""
        return self._held_ns or self._clock.now_ns()

    def hold(self) -> int:
        """Stop the clock and return its time."""
        self._held_ns, self.read_at_ns = self._clock.now_ns(), monotonic_ns()
        return self._held_ns

    def release(self) -> None:
        """Follow the clock again."""
        self._held_ns = self.read_at_ns = 0
