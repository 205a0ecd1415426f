"""The source of the gateway's market: quotes and trades, and how a bar is played as ticks.

A source has rows of prices, one per `step` of clock time. Rows before the opening are the past and answer requests for
history; later ones are played. Replay and random walk play a row in the same way, so that a bar built from a row's
ticks has exactly the row's open, high, low, close and volume.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

import msgspec
import numpy as np
import numpy.typing as npt

from ibdesk.model import Forex, Instrument, Quote, Tick

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SPREAD = 0.0001
"""The quoted spread as a fraction of the price, at least one tick; about that of a liquid US share."""
TRADES_PER_ROW = 4
# The least displayed size: a round lot of shares, a million of a currency.
ROUND_LOT, CURRENCY_SIZE = 100.0, 1_000_000.0
INSTANT_NS = TRADES_PER_ROW
"""A step that puts all trades of a row at its very beginning, for rows that are identified by their date."""


class BarRow(msgspec.Struct, frozen=True, gc=False):
    """One step of one instrument: the bar that its ticks add up to."""

    instrument: str
    open: float
    high: float
    low: float
    close: float
    volume: float


class Prints(msgspec.Struct, frozen=True):
    """Trades of one instrument as columns, in order of time; `times` are ns UTC.

    For an instrument without trades (currencies) they are the mid prices, with volume zero.
    """

    times: Integers
    prices: Floats
    sizes: Floats

    def between(self, start_ns: int, end_ns: int) -> Prints:
        """Return the trades from `start_ns` until before `end_ns`."""
        first, last = np.searchsorted(self.times, (start_ns, end_ns))
        return Prints(self.times[first:last], self.prices[first:last], self.sizes[first:last])

    def at(self, places: Integers) -> Prints:
        """Return the trades at these indices."""
        return Prints(self.times[places], self.prices[places], self.sizes[places])


class Quotes(msgspec.Struct, frozen=True):
    """Quotes of one instrument as columns, in order of time; `times` are ns UTC, a missing side is NaN with size 0."""

    times: Integers
    bids: Floats
    asks: Floats
    bid_sizes: Floats
    ask_sizes: Floats

    def at(self, places: Integers) -> Quotes:
        """Return the quotes at these indices."""
        return Quotes(
            self.times[places], self.bids[places], self.asks[places], self.bid_sizes[places], self.ask_sizes[places]
        )

    @property
    def middles(self) -> Floats:
        """Return the midpoint of each quote."""
        return (self.bids + self.asks) / 2


class MarketSource(Protocol):
    """The source of the gateway's market. Times are ns UTC on the gateway's clock."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the names of the instruments that are played."""
        ...

    def open(self, at_ns: int, instruments: dict[str, Instrument]) -> None:
        """Begin to play the first row at `at_ns`; called once, before anything else."""
        ...

    def events(self) -> Iterator[tuple[int, Iterable[Quote | Tick]]]:
        """Yield times in ascending order, each with its quotes and trades."""
        ...

    def prints(self, symbol: str, start_ns: int, end_ns: int) -> Prints:
        """Return the trades from `start_ns` until before `end_ns`, of the past or already played."""
        ...

    def recorded(
        self, symbol: str, *, end_ns: int | None, now_ns: int, span_ns: int, interval_ns: int
    ) -> Prints | None:
        """Return history on the source's own calendar, if that differs from the clock's.

        It covers `span_ns` up to `end_ns`; without an end in the request, that is `now_ns`. None means that the clock's
        calendar applies to bars of this interval.
        """
        ...

    def first_ns(self, symbol: str) -> int | None:
        """Return when the past of an instrument begins; None if it is not played."""
        ...


@runtime_checkable
class QuotingSource(Protocol):
    """A source that knows its past quotes; for others they are derived from the trades."""

    def quotes(self, symbol: str, start_ns: int, end_ns: int) -> Quotes:
        """Return the quotes from `start_ns` until before `end_ns`, of the past or already played."""
        ...


@runtime_checkable
class GrowingSource(Protocol):
    """A source that can begin to play an instrument on request."""

    def add(self, instrument: Instrument) -> bool:
        """Play an instrument from now on; return whether that is possible."""
        ...


# ---- playing a row ------------------------------------------------------------------------------------------------


def path(row: BarRow) -> tuple[float, float, float, float]:
    """Return the four prices of a row: open, the extreme nearer to it, the other extreme, and close."""
    if abs(row.open - row.low) <= abs(row.high - row.open):
        return row.open, row.low, row.high, row.close
    return row.open, row.high, row.low, row.close


def shares(volume: float) -> tuple[float, float, float, float]:
    """Return the volume in four parts whose sum, added in order, is exactly the volume."""
    part = float(math.floor(volume / TRADES_PER_ROW))
    return part, part, part, volume - 3 * part


def played(
    row: BarRow, at_ns: int, step_ns: int, instrument: Instrument, spread: float = SPREAD
) -> Iterator[tuple[int, list[Quote | Tick]]]:
    """Yield the times of a row, each with a quote around the price and the trade."""
    for index, (price, size) in enumerate(zip(path(row), shares(row.volume), strict=True)):
        moment_ns = at_ns + index * step_ns // TRADES_PER_ROW
        events: list[Quote | Tick] = [quote_around(price, row.volume, moment_ns, instrument, spread)]
        if not isinstance(instrument, Forex):
            events.append(Tick(instrument.id, moment_ns, price, size))
        yield moment_ns, events


def quotes_around(prices: Floats, tick: float, spread: float = SPREAD, *, lowest: float = 1.0) -> tuple[Floats, Floats]:
    """Return bids and asks on the tick grid around the prices, `spread` of the price apart, at least one tick.

    `lowest` is the least bid in ticks: minus infinity for instruments with negative prices.
    """
    width = np.maximum(1.0, np.round(np.abs(prices) * spread / tick))
    # The bid is half the width below, on the grid; 1e-9 keeps a price on the grid where it is.
    bids = np.maximum(lowest, np.floor(prices / tick - width / 2 + 1e-9))
    asks = np.maximum(bids + width, np.ceil(prices / tick - 1e-9))
    return np.round(bids * tick, 10), np.round(asks * tick, 10)


def quote_around(price: float, volume: float, at_ns: int, instrument: Instrument, spread: float = SPREAD) -> Quote:
    """Return the quote around a trade at `price`; see `quotes_around`."""
    bids, asks = quotes_around(np.array([price]), instrument.tick_size, spread, lowest=lowest_ticks(instrument))
    # Each side shows half of a quarter of the row's volume, in round lots.
    least = CURRENCY_SIZE if isinstance(instrument, Forex) else ROUND_LOT
    size = max(least, math.floor(volume / TRADES_PER_ROW / 2 / ROUND_LOT) * ROUND_LOT)
    return Quote(instrument.id, at_ns, float(bids[0]), float(asks[0]), size, size)


def no_prints() -> Prints:
    """Return empty prints."""
    return Prints(np.empty(0, np.int64), np.empty(0), np.empty(0))


def lowest_ticks(instrument: Instrument) -> float:
    """Return the least price of an instrument in ticks: one, or minus infinity if its price may be negative."""
    return -math.inf if instrument.may_be_worthless else 1.0


def quotes_of(prints: Prints, instrument: Instrument, spread: float = SPREAD) -> Quotes:
    """Return the quotes around trades, a round lot on each side."""
    bids, asks = quotes_around(prints.prices, instrument.tick_size, spread, lowest=lowest_ticks(instrument))
    sizes = np.full(len(bids), ROUND_LOT)
    return Quotes(prints.times, bids, asks, sizes, sizes)


def printed(starts: Integers, bars: Floats, step_ns: int) -> Prints:
    """Return the trades of played rows as columns; `bars` has open, high, low, close, volume."""
    if not len(starts):
        return no_prints()
    opens, highs, lows, closes, volumes = bars.T
    low_first = np.abs(opens - lows) <= np.abs(highs - opens)
    first, second = np.where(low_first, lows, highs), np.where(low_first, highs, lows)
    part = np.floor(volumes / TRADES_PER_ROW)
    offsets = np.arange(TRADES_PER_ROW, dtype=np.int64) * step_ns // TRADES_PER_ROW
    return Prints(
        (starts[:, None] + offsets).ravel(),
        np.column_stack((opens, first, second, closes)).ravel(),
        np.column_stack((part, part, part, volumes - 3 * part)).ravel(),
    )
