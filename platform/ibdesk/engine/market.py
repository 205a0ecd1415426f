"""The market data of one instrument in the engine."""

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
        # The value of positions: the middle of the quote, if that is the freshest.
        self.price: float | None = None
        # The last trade; for currencies, which have no trades, the middle at the end of a bar.
        self.last: float | None = None
        self.quote: Quote | None = None
        # The time of `price`, by the venue or by us, whichever is earlier; 0 before the first.
        self.price_at_ns = 0
        # The limit on the age of its price, and whether the venue has halted it.
        self.age_rule, self.is_halted = age_rule(instrument), False
        # Whether a price far from the last is suspicious; that of an option can double in a moment.
        self.jumps = not isinstance(instrument, Option | Combination)
        # The sums of positions and orders in it; whether it is a rate that money is counted by; whether either is so.
        self.total: InstrumentTotal | None = None
        self.is_rate = self.is_watched = False
        self.lanes: list[Lane] = []
        self.bar_lanes: list[Lane] = []

    def add(self, lane: Lane) -> None:
        """Add a lane."""
        self.lanes = [*self.lanes, lane]
        self.bar_lanes = [each for each in self.lanes if each.takes_bars]

    def remove(self, lane: Lane) -> None:
        """Remove a lane; an iteration in progress continues over the old lanes."""
        self.lanes = [each for each in self.lanes if each is not lane]
        self.bar_lanes = [each for each in self.lanes if each.takes_bars]
