"""The difference between our clock and TWS's, within the precision of its whole seconds."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import msgspec

from ibdesk.model import ClockChecked, Event, Notice, Severity
from ibdesk.tws.callbacks import TIME
from ibdesk.tws.requests import NoAnswerError, Requests
from ibdesk.tws.settings import TwsSettings
from ibdesk.tws.stamp import Stamp
from ibdesk.tws.wire import Wire

_SECOND = 1_000_000_000


class Drift(msgspec.Struct, frozen=True):
    """The bounds of how far our clock is ahead of TWS's, in seconds; negative is behind.

    TWS reports its time in whole seconds, read at some moment between our request and its answer: the time may be
    almost a second old, plus the round trip. The true drift lies between `low` and `high`.
    """

    low: float
    high: float

    @classmethod
    def measured(cls, *, asked_ns: int, answered_ns: int, told_seconds: int) -> Drift:
        """Return the bounds from one request and its answer; both times are by our clock, ns UTC."""
        told_ns = told_seconds * _SECOND
        return cls((asked_ns - told_ns) / _SECOND - 1.0, (answered_ns - told_ns) / _SECOND)

    @property
    def likely(self) -> float:
        """Return the middle of the bounds: half of the round trip for each direction."""
        return (self.low + self.high) / 2

    def beyond(self, limit: float) -> float:
        """Return the drift if it is certainly farther from zero than `limit`, else zero."""
        nearest = max(self.low, 0.0) or min(self.high, 0.0)
        return self.likely if abs(nearest) > limit else 0.0


class ClockComparison:
    """A periodic comparison of our clock with TWS's. It reports when the drift exceeds its limit, and when it returns.

    ib_async supports versions up to 178, in which TWS reports whole seconds; milliseconds come with version 197.
    """

    def __init__(self, settings: TwsSettings, stamp: Stamp, tell: Callable[[Event], None]) -> None:
        self._limit, self._period = settings.max_clock_drift_seconds, settings.clock_check_seconds
        self._stamp, self._tell = stamp, tell
        self._compared_at = -math.inf
        self._drift: Drift | None = None
        self._was_beyond = False

    @property
    def is_due(self) -> bool:
        """Return whether the clocks must be compared again."""
        return self._limit < math.inf and asyncio.get_running_loop().time() - self._compared_at >= self._period

    @property
    def drift_seconds(self) -> float | None:
        """Return how far our clock is ahead of TWS's, within a second; None before the first measurement."""
        return None if self._drift is None else self._drift.likely

    async def compare(self, wire: Wire, requests: Requests) -> None:
        """Ask TWS for its time, unless there is no limit.

        Raises:
            LinkError: If the connection is lost.
        """
        if self._limit == math.inf:
            return
        self._compared_at = asyncio.get_running_loop().time()
        asked_ns = self._stamp.now_ns()
        try:
            answer = await requests.ask(TIME, wire.reqCurrentTime, "its time")
        except NoAnswerError as error:
            text = f"the clocks could not be compared: {error}"
            self._tell(Notice(text, self._stamp.now_ns(), Severity.WARNING))
            return
        for told_seconds, answered_ns in answer:
            self._drift = Drift.measured(asked_ns=asked_ns, answered_ns=answered_ns, told_seconds=told_seconds)
            beyond = self._drift.beyond(self._limit)
            if bool(beyond) is not self._was_beyond:
                self._was_beyond = bool(beyond)
                self._tell(ClockChecked(beyond, self._limit, answered_ns))
