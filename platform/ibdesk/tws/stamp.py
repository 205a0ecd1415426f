"""The time that events carry."""

from __future__ import annotations

from ibdesk.clock import Clock, monotonic_ns


class Stamp:
    """A clock that stands still while the messages of one read of the socket are taken.

    What arrived together happened together, and no event of it is stamped before one that was told earlier.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held_ns = 0
        # read_at_ns: when the read began, on the performance counter; 0 outside of one.
        self.read_at_ns = 0

    def now_ns(self) -> int:
        """Return the time of the read that is being taken, else the present, ns UTC."""
        return self._held_ns or self._clock.now_ns()

    def hold(self) -> int:
        """Stand still, and return where."""
        self._held_ns, self.read_at_ns = self._clock.now_ns(), monotonic_ns()
        return self._held_ns

    def release(self) -> None:
        """Go with the clock again."""
        self._held_ns = self.read_at_ns = 0
