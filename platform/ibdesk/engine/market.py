"""What the engine knows of one instrument's market."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ibdesk.engine.freshness import age_rule
from ibdesk.model import AnyInstrument, Combination, Option, Quote

if TYPE_CHECKING:
    from ibdesk.engine.holdings import InstrumentTotal
    from ibdesk.engine.lane import Lane


class Market:
    """The last price and quote of an instrument, and the lanes of the runs that watch it.

    `bar_lanes` are those that take the venue's bars; the others build theirs from ticks or quotes.
    """

    __slots__ = (
        "age_rule",
        "bar_lanes",
        "instrument",
        "is_halted",
        "is_rate",
        "is_watched",
        "jumps",
        "lanes",
        "last",
        "price",
        "price_at_ns",
        "quote",
        "total",
    )

    def __init__(self, instrument: AnyInstrument) -> None:
        self.instrument = instrument
        # price: what positions are valued at: the middle of the quote, where that is the freshest.
        self.price: float | None = None
        # last: at which it traded last; of currencies, of which no trades are told, the middle at the end of a bar.
        self.last: float | None = None
        self.quote: Quote | None = None
        # price_at_ns: since when `price` is known, by the venue or by us, whichever is earlier; 0 before the first.
        self.price_at_ns = 0
        # age_rule: the limit on the age of its price; is_halted: whether the venue has halted it.
        self.age_rule, self.is_halted = age_rule(instrument), False
        # jumps: whether a price far from the last is suspicious; that of an option may double in a moment.
        self.jumps = not isinstance(instrument, Option | Combination)
        # total: what is held or ordered of it; is_rate: whether it tells a rate that money is counted by; is_watched:
        # whether either is so.
        self.total: InstrumentTotal | None = None
        self.is_rate = self.is_watched = False
        self.lanes: list[Lane] = []
        self.bar_lanes: list[Lane] = []

    def add(self, lane: Lane) -> None:
        """Have a lane watch."""
        self.lanes = [*self.lanes, lane]
        self.bar_lanes = [each for each in self.lanes if each.takes_bars]

    def remove(self, lane: Lane) -> None:
        """Have a lane watch no more; a walk over the lanes that is under way goes on over the old ones."""
        self.lanes = [each for each in self.lanes if each is not lane]
        self.bar_lanes = [each for each in self.lanes if each.takes_bars]
