"""The gateway's future actions on its own clock: one list for the market, bars, timers and faults.

All actions run in order of their time. During an action `now_ns` is its scheduled time, not the time at which the
machine runs it. So a gateway that is late, or has a fast clock, does the same things in the same order with the same
time stamps.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from ibdesk.clock import SECOND, Clock, ManualClock, monotonic_ns

FEW = 64
"""The number of cancelled actions that may stay in the list until their time comes."""
SLICE_NS = 4_000_000
"""The time that one turn of the loop may spend on due actions before sockets get their turn."""


class ScheduledAction:
    """An action at `at_ns`."""

    __slots__ = ("_struck", "action", "at_ns", "order")

    def __init__(
        self, at_ns: int, order: tuple[bool, int], action: Callable[[], None], struck: Callable[[], None]
    ) -> None:
        self.at_ns = at_ns
        self.order = order
        self.action: Callable[[], None] | None = action
        self._struck = struck

    def __lt__(self, other: ScheduledAction) -> bool:
        return (self.at_ns, self.order) < (other.at_ns, other.order)

    def cancel(self) -> None:
        """Cancel the action; this has no effect after it ran."""
        if self.action is not None:
            self.action = None
            self._struck()


class Schedule:
    """Actions scheduled on a clock, and the loop that runs them.

    With a `ManualClock` nothing happens by itself: `advance` moves the clock from one action to the next.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._heap: list[ScheduledAction] = []
        self._made = 0
        self._struck = 0
        self._present_ns: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Handle | None = None

    @property
    def now_ns(self) -> int:
        """Return the time of the running action, or the clock's if none runs; ns UTC."""
        return self.clock.now_ns() if self._present_ns is None else self._present_ns

    def at(self, at_ns: int, action: Callable[[], None], *, first: bool = False) -> ScheduledAction:
        """Do `action` at `at_ns`, before all others of that time if `first`; immediately if that has passed."""
        self._made += 1
        scheduled = ScheduledAction(at_ns, (not first, self._made), action, self._strike)
        heapq.heappush(self._heap, scheduled)
        if self._heap[0] is scheduled and self._present_ns is None:
            self._arm()
        return scheduled

    def after(self, seconds: float, action: Callable[[], None]) -> ScheduledAction:
        """Do `action` this many clock seconds from now."""
        return self.at(self.now_ns + int(seconds * SECOND), action)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the scheduled actions on this loop from now on."""
        self._loop = loop
        self._arm()

    def stop(self) -> None:
        """Drop all scheduled actions."""
        self._loop = None
        self._heap.clear()
        self._struck = 0
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None

    def advance(self, seconds: float) -> None:
        """Move a `ManualClock` forward, doing everything on the way.

        Raises:
            TypeError: If the clock moves by itself.
        """
        if not isinstance(self.clock, ManualClock):
            raise TypeError(f"only a ManualClock can be advanced, this gateway runs on a {type(self.clock).__name__}")
        target_ns = self.clock.now_ns() + int(seconds * SECOND)
        while self._heap and self._heap[0].at_ns <= target_ns:
            self.clock.advance(max(0, self._heap[0].at_ns - self.clock.now_ns()))
            self._keep(heapq.heappop(self._heap))
        self.clock.advance(target_ns - self.clock.now_ns())

    def _arm(self) -> None:
        if self._loop is None or isinstance(self.clock, ManualClock):
            return
        if self._wake is not None:
            self._wake.cancel()
        if self._heap:
            wait_ns = self._heap[0].at_ns - self.clock.now_ns()
            self._wake = self._loop.call_later(max(0.0, wait_ns / SECOND / self.clock.speed), self._keep_due)

    def _keep_due(self) -> None:
        self._wake = None
        now_ns, deadline_ns = self.clock.now_ns(), monotonic_ns() + SLICE_NS
        while self._heap and self._heap[0].at_ns <= now_ns and monotonic_ns() < deadline_ns:
            self._keep(heapq.heappop(self._heap))
        self._arm()

    def _keep(self, scheduled: ScheduledAction) -> None:
        action, scheduled.action = scheduled.action, None
        if action is None:
            self._struck -= 1
            return
        self._present_ns = scheduled.at_ns
        try:
            action()
        finally:
            self._present_ns = None

    def _strike(self) -> None:
        """Count a cancelled action; when most of the list is cancelled, rebuild it without them."""
        self._struck += 1
        if self._struck > max(FEW, len(self._heap) // 2):
            self._heap = [scheduled for scheduled in self._heap if scheduled.action is not None]
            heapq.heapify(self._heap)
            self._struck = 0
