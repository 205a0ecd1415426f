"""The present state of one instrument: quote, last trade, day so far, and unfinished bars."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator

import msgspec

from ibdesk.model import Quote, Tick


class Phase(enum.Enum):
    """The session of an instrument's exchange; always REGULAR if the market keeps no hours."""

    REGULAR = "regular"
    """It trades, and its trades count in the day's figures."""
    EXTENDED = "extended"
    """It trades before or after the regular session, without effect on the day's figures."""
    CLOSED = "closed"
    """It neither trades nor is quoted."""


class PartialBar(msgspec.Struct):
    """An unfinished bar; `weighted` is the sum of price times size."""

    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    weighted: float = 0.0
    count: int = 0

    @property
    def average(self) -> float:
        """Return the volume-weighted price, or the close if nothing traded."""
        return self.weighted / self.volume if self.volume else self.close

    def add(self, price: float, size: float = 0.0, count: int = 1) -> None:
        """Add a price."""
        self.close = price
        if price > self.high:  # noqa: PLR1730 - done at every tick, and twice as fast as max
            self.high = price
        if price < self.low:  # noqa: PLR1730 - likewise
            self.low = price
        self.volume += size
        self.weighted += price * size
        self.count += count


def bar_from(price: float, size: float = 0.0, count: int = 1) -> PartialBar:
    """Begin a bar with one price."""
    return PartialBar(price, price, price, price, size, price * size, count)


class InstrumentState(msgspec.Struct):
    """The present state of one instrument."""

    quote: Quote | None = None
    last: Tick | None = None
    day: PartialBar | None = None
    previous_close: float | None = None
    bars: dict[str, PartialBar] = {}
    """The unfinished 5-second bars, by what they show: TRADES, MIDPOINT, BID, ASK."""
    phase: Phase = Phase.REGULAR
    is_halted: bool = False
    is_stale: bool = False
    """Whether clients receive nothing of it although it trades."""
    closing: float | None = None
    """The last trade of the last regular session."""
    withdrawn: Quote | None = None
    """While nothing is quoted: the quote that would be valid, or the last one that was."""
    trades: int = 0

    @property
    def is_still(self) -> bool:
        """Return whether it is halted or closed, so that nothing happens in it."""
        return self.is_halted or self.phase is Phase.CLOSED

    def note(self, what: str, price: float, size: float = 0.0) -> None:
        """Add a price to the unfinished 5-second bar."""
        bar = self.bars.get(what)
        if bar is None:
            self.bars[what] = bar_from(price, size)
        else:
            bar.add(price, size)

    def prices(self) -> Iterator[tuple[str, float]]:
        """Yield the present price of each kind of bar."""
        if self.last is not None:
            yield "TRADES", self.last.price
        if self.quote is not None:
            for what, price in (("MIDPOINT", self.quote.mid), ("BID", self.quote.bid), ("ASK", self.quote.ask)):
                if not math.isnan(price):
                    yield what, price
