"""Notices that the desk's process stood still, and tells the engine what time it is when events carry another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ibdesk.clock import SECOND, Clock, boot_ns
from ibdesk.model import Bar, ClockRead, Event, Link, Stalled, TimerFired

# A bar carries its close and a timer its due: a clock that shows so much more is told first, seconds of the wall.
_TOLERANCE_SECONDS = 0.05


class StallWatch:
    """Looks at the machine's clock before each event is handled, and at each mark.

    A process that was stopped, swapped out or asleep finds that clock far from where it last looked. What it reads
    next has waited in buffers meanwhile and says nothing about its age. So `on_stall` has the books compared anew,
    over the same connection: the answers come behind everything that had waited.
    """

    def __init__(self, clock: Clock, seconds: float, *, link: Callable[[], Link], on_stall: Callable[[], None]) -> None:
        self._clock, self._limit_ns = clock, int(seconds * SECOND)
        self._link, self._on_stall = link, on_stall
        self._awake_ns, self._told_ns = boot_ns(), 0
        self._tolerance_ns = int(_TOLERANCE_SECONDS * clock.speed * SECOND)

    def seconds_in_turn(self) -> float:
        """Return how long ago the event that is being handled was begun."""
        return (boot_ns() - self._awake_ns) / SECOND

    def before(self, event: Event | None = None) -> Sequence[Event]:
        """Take note that the process is awake; return what the engine must know before `event`."""
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
