"""Detection of standstills of the desk's process, and the time for the engine where it differs from an event's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ibdesk.clock import SECOND, Clock, boot_ns
from ibdesk.model import Bar, ClockRead, Event, Link, Stalled, TimerFired

# A bar carries its close and a timer its due time; a clock this far ahead is reported first, wall-clock seconds.
_TOLERANCE_SECONDS = 0.05


class StallWatch:
    """A check of the machine's clock before each event and at each mark.

    After a process was stopped, swapped out or asleep, the clock is far from its last reading. The next events have
    waited in buffers and do not show their age. So `on_stall` compares the books again over the same connection: the
    answers come behind everything that waited.
    """

    def __init__(self, clock: Clock, seconds: float, *, link: Callable[[], Link], on_stall: Callable[[], None]) -> None:
        self._clock, self._limit_ns = clock, int(seconds * SECOND)
        self._link, self._on_stall = link, on_stall
        self._awake_ns, self._told_ns = boot_ns(), 0
        self._tolerance_ns = int(_TOLERANCE_SECONDS * clock.speed * SECOND)

    def seconds_in_turn(self) -> float:
        """Return the seconds since the current event was begun."""
        return (boot_ns() - self._awake_ns) / SECOND

    def before(self, event: Event | None = None) -> Sequence[Event]:
        """Note that the process is running; return the events that the engine must handle before `event`."""
        now_ns = boot_ns()
        gap_ns, self._awake_ns = now_ns - self._awake_ns, now_ns
        if gap_ns > self._limit_ns and self._link() is Link.UP:
            return self._stalled(gap_ns)
        if self._told_ns and event.__class__ is not Bar and event.__class__ is not TimerFired:
            return ()
        at_ns = self._clock.now_ns()
        known_ns = max(self._told_ns, event.at_ns) if isinstance(event, TimerFired) else self._told_ns
        return (self._told(at_ns),) if at_ns - known_ns > self._tolerance_ns else ()

    def _stalled(self, gap_ns: int) -> Sequence[Event]:
        self._on_stall()
        clock = self._told(self._clock.now_ns())
        return clock, Stalled(gap_ns / SECOND, clock.at_ns)

    def _told(self, at_ns: int) -> ClockRead:
        self._told_ns = at_ns
        return ClockRead(at_ns, self._clock.speed)
