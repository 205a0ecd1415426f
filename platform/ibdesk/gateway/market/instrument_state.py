"""What is known of one instrument now: its quote, its last trade, the day so far, and the bars in the making."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator

import msgspec

from ibdesk.model import Quote, Tick


class Phase(enum.Enum):
    """Which session of its exchange an instrument is in; where hours do not matter it is always REGULAR."""

    REGULAR = "regular"
    """It trades, and the day's figures count what it trades."""
    EXTENDED = "extended"
    """It trades before or after the regular session; the day's figures stand."""
    CLOSED = "closed"
    """Nothing trades and nothing is quoted."""


class BarBuilder(msgspec.Struct):
    """A bar in the making; `weighted` is the sum of price times size."""

    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    weighted: float = 0.0
    count: int = 0

    @property
    def average(self) -> float:
        """Return the volume-weighted price, or the close when nothing traded."""
        return self.weighted / self.volume if self.volume else self.close

    def add(self, price: float, size: float = 0.0, count: int = 1) -> None:
        """Take one more price."""
        self.close = price
        if price > self.high:  # noqa: PLR1730 - done at every tick, and twice as fast as max
            self.high = price
        if price < self.low:  # noqa: PLR1730 - likewise
            self.low = price
        self.volume += size
        self.weighted += price * size
        self.count += count


def bar_from(price: float, size: float = 0.0, count: int = 1) -> BarBuilder:
    """Return a bar that has seen one price."""
    return BarBuilder(price, price, price, price, size, price * size, count)


class InstrumentState(msgspec.Struct):
    """What is known of one instrument now."""

    quote: Quote | None = None
    last: Tick | None = None
    day: BarBuilder | None = None
    previous_close: float | None = None
    bars: dict[str, BarBuilder] = {}
    """The 5-second bars in the making, by what they show: TRADES, MIDPOINT, BID, ASK."""
    phase: Phase = Phase.REGULAR
    is_halted: bool = False
    is_stale: bool = False
    """Whether clients are told nothing of it, although it trades."""
    closing: float | None = None
    """The last trade of the last regular session."""
    withdrawn: Quote | None = None
    """The quote that would stand, or stood last, while nothing is quoted."""
    trades: int = 0

    @property
    def is_still(self) -> bool:
        """Return whether nothing happens in it: it is halted or closed."""
        return self.is_halted or self.phase is Phase.CLOSED

    def note(self, what: str, price: float, size: float = 0.0) -> None:
        """Add a price to the 5-second bar in the making."""
        bar = self.bars.get(what)
        if bar is None:
            self.bars[what] = bar_from(price, size)
        else:
            bar.add(price, size)

    def prices(self) -> Iterator[tuple[str, float]]:
        """Yield the present price of everything a bar can show."""
        if self.last is not None:
            yield "TRADES", self.last.price
        if self.quote is not None:
            for what, price in (("MIDPOINT", self.quote.mid), ("BID", self.quote.bid), ("ASK", self.quote.ask)):
                if not math.isnan(price):
                    yield what, price
