"""Long work done in pieces, so that the loop serves all clients in between."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Iterator

from ibdesk.clock import monotonic_ns

TURN_NS = 1_000_000
"""The time that one turn of the loop may spend on pieces; a piece takes about a millisecond."""


class SlicedJob:
    """A long task in pieces; `cancel` ends it where it is."""

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
        """End the job; this has no effect after its end."""
        self._pieces = None


class TimeSlicer:
    """Runs the long jobs of one gateway in rotation, for a millisecond per turn of the loop."""

    def __init__(self) -> None:
        self._jobs: collections.deque[SlicedJob] = collections.deque()
        self._is_due = False

    def begin(self, job: SlicedJob) -> None:
        """Do the first piece now, and the others in later turns of the loop."""
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
