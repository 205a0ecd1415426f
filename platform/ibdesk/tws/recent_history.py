"""The histories of the last 15 seconds: TWS refuses to repeat a request so soon (error 162), so memory answers it."""

from __future__ import annotations

from collections.abc import Hashable

from ib_async.objects import BarData

_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND
# IB's documented time in which a historical request may not be repeated.
_KEPT_NS = 15 * _SECOND


class RecentHistory:
    """Answers by request, with the times of the requests."""

    def __init__(self) -> None:
        self._answers: dict[Hashable, tuple[int, list[BarData]]] = {}

    def put(self, question: Hashable, bars: list[BarData], asked_ns: int) -> None:
        """Store an answer, and drop answers that are too old."""
        self._answers = {
            known: answer for known, answer in self._answers.items() if asked_ns - answer[0] < _KEPT_NS
        } | {question: (asked_ns, bars)}

    def up_to_now(self, question: Hashable, now_ns: int, interval_ns: int) -> list[BarData] | None:
        """Return the answer to a request for bars up to now, None if a bar may have been completed since.

        A request in the second in which the last bar ended may have come before that bar was made.
        """
        asked_ns, bars = self._answers.get(question, (-_KEPT_NS, None))
        if asked_ns // _SECOND == now_ns // _SECOND:
            return bars
        # Bars of minutes and more end on whole minutes, whenever their session opens.
        step_ns = min(interval_ns, _MINUTE)
        is_current = asked_ns // step_ns == now_ns // step_ns and asked_ns % step_ns >= _SECOND
        return bars if is_current and now_ns - asked_ns < _KEPT_NS else None

    def up_to_an_end(self, question: Hashable, now_ns: int) -> list[BarData] | None:
        """Return the answer to a request for bars up to a past instant, None if it is not known."""
        asked_ns, bars = self._answers.get(question, (-_KEPT_NS, None))
        return bars if now_ns - asked_ns < _KEPT_NS else None
