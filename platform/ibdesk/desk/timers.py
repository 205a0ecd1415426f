"""The timers that the engine has set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ibdesk.clock import Clock
from ibdesk.model import Event, SetTimer, TimerFired


class Timers:
    """Emits `TimerFired` at a market time.

    Timers that are set before the background work begins, during the first comparison of the books, wait for it.
    """

    def __init__(self, clock: Clock, turn: Callable[[Event], None]) -> None:
        self._clock, self._turn = clock, turn
        self._tasks: asyncio.TaskGroup | None = None
        self._early: list[SetTimer] = []

    def run_in(self, tasks: asyncio.TaskGroup) -> None:
        """Run timers in this group, so that an error ends it; an error in a callback would only be logged."""
        self._tasks = tasks
        for timer in self._early:
            self.set(timer)
        self._early.clear()

    def set(self, timer: SetTimer) -> None:
        """Schedule a timer."""
        if self._tasks is None:
            self._early.append(timer)
        else:
            self._tasks.create_task(self._fire(timer), name=f"timer {timer.timer_id}")

    async def _fire(self, timer: SetTimer) -> None:
        await self._clock.wait_until(timer.at_ns)
        self._turn(TimerFired(timer.timer_id, timer.at_ns))
