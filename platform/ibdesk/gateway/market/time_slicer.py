"""Long work done a piece at a time, so that the loop serves everybody else in between."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Iterator

from ibdesk.clock import monotonic_ns

TURN_NS = 1_000_000
"""How long one turn of the loop may be spent on pieces; a piece takes about a millisecond."""


class Job:
    """One piece of long work; `cancel` ends it where it stands."""

    def __init__(self, pieces: Iterator[None]) -> None:
        self._pieces: Iterator[None] | None = pieces

    def step(self) -> bool:
        """Do the next piece; return whether more may follow."""
        if self._pieces is None:
            return False
        try:
            next(self._pieces)
        except StopIteration:
            self._pieces = None
        return self._pieces is not None

    def cancel(self) -> None:
        """Do no more of it; doing so twice, or after its end, changes nothing."""
        self._pieces = None


class TimeSlicer:
    """The long work of one gateway: all jobs take turns, and each turn of the loop does a millisecond's worth."""

    def __init__(self) -> None:
        self._jobs: collections.deque[Job] = collections.deque()
        self._is_due = False

    def begin(self, job: Job) -> None:
        """Do the first piece at once, and the others in the turns that follow."""
        if job.step():
            self._jobs.append(job)
            self._come_back()

    def _come_back(self) -> None:
        if self._jobs and not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._is_due = False
        deadline_ns = monotonic_ns() + TURN_NS
        try:
            while self._jobs and monotonic_ns() < deadline_ns:
                job = self._jobs.popleft()
                if job.step():
                    self._jobs.append(job)
        finally:
            self._come_back()
