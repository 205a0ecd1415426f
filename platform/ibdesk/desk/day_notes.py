"""What the record must have of the day, so that the next life measures losses as this one did."""

from __future__ import annotations

from collections.abc import Callable

from ibdesk.clock import Clock
from ibdesk.engine import Engine
from ibdesk.model import DayBegan, Event, Valuation

# The prices of what is held are noted so often, when they have changed.
_VALUED_NS = 60_000_000_000


class DayNotes:
    """Notes from which profits losses are measured, and at which prices those count.

    A life that ends without a word leaves prices that are a minute old at most.
    """

    def __init__(self, engine: Engine, clock: Clock, turn: Callable[[Event], None]) -> None:
        self._engine, self._clock, self._turn = engine, clock, turn
        # _day: the marks that were noted last, without prices; _valuation: those, with when they were looked at.
        self._day: DayBegan | None = None
        self._valuation, self._valued_ns = Valuation(), 0

    def look(self) -> None:
        """Note the marks when they have changed, and now and then the prices of what is held."""
        losses, now_ns = self._engine.losses, self._clock.now_ns()
        day = losses.marks(self._engine.now_ns, is_valued=False)
        if day is None:
            return
        is_news = losses.is_news(day, self._day)
        if is_news or (now_ns >= self._valued_ns + _VALUED_NS and losses.is_holding):
            self._note(day, is_news=is_news)

    def close(self) -> None:
        """Note the prices once more: this life ends."""
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
