"""The day's marks in the journal, so that the next desk measures losses as this one did."""

from __future__ import annotations

from collections.abc import Callable

from ibdesk.clock import Clock
from ibdesk.engine import Engine
from ibdesk.model import DayBegan, Event, Valuation

# How often the prices of positions are noted, if they have changed.
_VALUED_NS = 60_000_000_000


class DayNotes:
    """Journals the profits from which losses are measured, and the prices at which they count.

    After a crash the journaled prices are at most a minute old.
    """

    def __init__(self, engine: Engine, clock: Clock, turn: Callable[[Event], None]) -> None:
        self._engine, self._clock, self._turn = engine, clock, turn
        # The last noted marks without prices; and the last prices, with the time of the check.
        self._day: DayBegan | None = None
        self._valuation, self._valued_ns = Valuation(), 0

    def look(self) -> None:
        """Note the marks if they have changed, and once a minute the prices of positions."""
        losses, now_ns = self._engine.losses, self._clock.now_ns()
        day = losses.marks(self._engine.now_ns, is_valued=False)
        if day is None:
            return
        is_news = losses.is_news(day, self._day)
        if is_news or (now_ns >= self._valued_ns + _VALUED_NS and losses.is_holding):
            self._note(day, is_news=is_news)

    def close(self) -> None:
        """Note the prices once more at the end of the desk."""
        day = self._engine.losses.marks(self._engine.now_ns, is_valued=False)
        if day is not None:
            self._note(day, is_news=False)

    def _note(self, day: DayBegan, *, is_news: bool) -> None:
        valued = self._engine.losses.marks(self._engine.now_ns)
        self._valued_ns = self._clock.now_ns()
        if valued is None or (not is_news and valued.valuation == self._valuation):
            return
        self._day, self._valuation = day, valued.valuation
        self._turn(valued)
