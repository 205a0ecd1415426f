"""How long the steps take that matter, and a warning when one takes longer than it may.

A recorder belongs to a desk, a server, or whatever else measures itself; `recording` makes it the one that
`track_performance` finds in all that is called from there, also in tasks.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

import msgspec

from ibdesk.clock import monotonic_ns
from ibdesk.telemetry.histogram import Counts, Histogram, percentiles
from ibdesk.telemetry.settings import PerformanceSettings

_log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


class SpanSummary(msgspec.Struct, frozen=True, kw_only=True):
    """How long a step took so far, in ms; `slow` counts those over the budget, NaN stands where there is none."""

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    budget_ms: float
    slow: int


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A step's measurements as plain data."""

    counts: Counts
    budget_ms: float
    slow: int

    def summary(self) -> SpanSummary:
        """Return what people look at."""
        p50, p99 = percentiles(self.counts, 0.5, 0.99)
        longest = self.counts.max_ns / 1e6 if self.counts.count else float("nan")
        return SpanSummary(
            count=self.counts.count,
            p50_ms=p50 / 1e6,
            p99_ms=p99 / 1e6,
            max_ms=longest,
            budget_ms=self.budget_ms,
            slow=self.slow,
        )


class _Track:
    """One step: its histogram, its budget, and when it was last warned of."""

    __slots__ = ("budget_ns", "histogram", "name", "silent", "slow", "warned_ns")

    def __init__(self, name: str, budget_ns: float) -> None:
        self.name, self.budget_ns = name, budget_ns
        self.histogram = Histogram()
        self.slow = self.silent = 0
        self.warned_ns = float("-inf")


class Performance:
    """Takes measurements, from one thread; others may read them."""

    def __init__(self, settings: PerformanceSettings | None = None) -> None:
        self._settings = settings or PerformanceSettings()
        self._tracks: dict[str, _Track] = {}

    def add(self, span: str, ns: int, **facts: Any) -> None:
        """Take how long a step took, in ns; the facts (`order_id`, `symbol`) go into a warning if one is due."""
        track = self._tracks.get(span)
        if track is None:
            track = self._tracks[span] = _Track(span, self._settings.budget_ns(span))
        track.histogram.add(ns)
        if ns > track.budget_ns:
            self._warn(track, ns, facts)

    def spans(self) -> dict[str, Span]:
        """Return every step measured so far."""
        return {
            name: Span(counts=track.histogram.counts(), budget_ms=track.budget_ns / 1e6, slow=track.slow)
            for name, track in list(self._tracks.items())
        }

    def span(self, name: str) -> Span:
        """Return the measurements of one step, empty for one that was never taken."""
        track = self._tracks.get(name)
        if track is None:
            return Span(counts=Counts(), budget_ms=self._settings.budget_ns(name) / 1e6, slow=0)
        return Span(counts=track.histogram.counts(), budget_ms=track.budget_ns / 1e6, slow=track.slow)

    @contextlib.contextmanager
    def measure(self, span: str, **facts: Any) -> Iterator[None]:
        """Take how long what is inside takes."""
        began_ns = monotonic_ns()
        try:
            yield
        finally:
            self.add(span, monotonic_ns() - began_ns, **facts)

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Have `track_performance` measure for this recorder in all that is called inside."""
        token = recorder.set(self)
        try:
            yield
        finally:
            recorder.reset(token)

    def _warn(self, track: _Track, ns: int, facts: dict[str, Any]) -> None:
        """Log a step that took too long, once in a while: many slow ones must not make everything slower."""
        track.slow += 1
        now_ns = monotonic_ns()
        if now_ns - track.warned_ns < self._settings.warn_seconds * 1e9:
            track.silent += 1
            return
        more = f", and {track.silent:,} more before it" if track.silent else ""
        track.warned_ns, track.silent = now_ns, 0
        _log.warning(
            "slow %s: %.4g ms, budget %.4g ms%s",
            track.name.replace("_", " "),
            ns / 1e6,
            track.budget_ns / 1e6,
            more,
            extra={"span": track.name, "latency_ms": round(ns / 1e6, 3)} | facts,
        )


recorder: ContextVar[Performance | None] = ContextVar("recorder", default=None)
"""Whoever measures what is being carried out; None measures nothing."""


class track_performance:  # noqa: N801 - it is used like a function
    """Measure a step: as decorator of a function or a coroutine function, or as a ``with`` block.

    >>> @track_performance("history_request")
    ... async def history(symbol): ...
    >>> with track_performance("order_execution", order_id="O-1", symbol="AAPL"):
    ...     pass
    """

    def __init__(self, span: str, **facts: Any) -> None:
        self._span, self._facts = span, facts
        self._began_ns = 0

    def __enter__(self) -> None:
        self._began_ns = monotonic_ns()

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        found = recorder.get()
        if found is not None:
            found.add(self._span, monotonic_ns() - self._began_ns, **self._facts)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function, measured at each call."""
        span, facts = self._span, self._facts
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def measured_coroutine(*args: P.args, **kwargs: P.kwargs) -> Any:
                with track_performance(span, **facts):
                    return await function(*args, **kwargs)

            return measured_coroutine  # type: ignore[return-value] # R is the coroutine here

        @functools.wraps(function)
        def measured(*args: P.args, **kwargs: P.kwargs) -> R:
            with track_performance(span, **facts):
                return function(*args, **kwargs)

        return measured
