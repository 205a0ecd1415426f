"""What the gateway will do and when, on its own clock: one list for the market, bars, timers and faults.

Everything runs in order of its time, and while it runs `now_ns` is that time, not the moment the machine got round to
it. So a gateway that is late, or whose clock runs fast, does the same things in the same order with the same stamps.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from ibdesk.clock import SECOND, Clock, ManualClock, monotonic_ns

FEW = 64
"""So many struck-off appointments may stay in the list until their time comes."""
SLICE_NS = 4_000_000
"""How long one turn of the loop may be spent on what is due before sockets get their turn."""


class Appointment:
    """One thing to do at `at_ns`; `cancel` strikes it off."""

    __slots__ = ("_struck", "action", "at_ns", "order")

    def __init__(
        self, at_ns: int, order: tuple[bool, int], action: Callable[[], None], struck: Callable[[], None]
    ) -> None:
        self.at_ns = at_ns
        self.order = order
        self.action: Callable[[], None] | None = action
        self._struck = struck

    def __lt__(self, other: Appointment) -> bool:
        return (self.at_ns, self.order) < (other.at_ns, other.order)

    def cancel(self) -> None:
        """Strike it off; doing so twice, or after it ran, changes nothing."""
        if self.action is not None:
            self.action = None
            self._struck()


class Schedule:
    """Appointments on a clock, and the loop that keeps them.

    With a `ManualClock` nothing happens by itself: `advance` moves the clock from one appointment to the next.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._heap: list[Appointment] = []
        self._made = 0
        self._struck = 0
        self._present_ns: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Handle | None = None

    @property
    def now_ns(self) -> int:
        """Return the time of what is being done, or the clock's while nothing is; ns UTC."""
        return self.clock.now_ns() if self._present_ns is None else self._present_ns

    def at(self, at_ns: int, action: Callable[[], None], *, first: bool = False) -> Appointment:
        """Do `action` at `at_ns`, before all others of that time if `first`; at once when that has passed."""
        self._made += 1
        appointment = Appointment(at_ns, (not first, self._made), action, self._strike)
        heapq.heappush(self._heap, appointment)
        if self._heap[0] is appointment and self._present_ns is None:
            self._arm()
        return appointment

    def after(self, seconds: float, action: Callable[[], None]) -> Appointment:
        """Do `action` this many clock seconds from now."""
        return self.at(self.now_ns + int(seconds * SECOND), action)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Keep the appointments on this loop from now on."""
        self._loop = loop
        self._arm()

    def stop(self) -> None:
        """Keep no more appointments."""
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

    def _keep(self, appointment: Appointment) -> None:
        action, appointment.action = appointment.action, None
        if action is None:
            self._struck -= 1
            return
        self._present_ns = appointment.at_ns
        try:
            action()
        finally:
            self._present_ns = None

    def _strike(self) -> None:
        """Note that one was struck off; when most of the list is, it is written anew without them."""
        self._struck += 1
        if self._struck > max(FEW, len(self._heap) // 2):
            self._heap = [appointment for appointment in self._heap if appointment.action is not None]
            heapq.heapify(self._heap)
            self._struck = 0
