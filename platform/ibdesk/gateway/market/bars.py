"""Historical bars, made of trades or quotes column by column, in TWS's bar sizes and spans."""

from __future__ import annotations

import numpy as np

from ibdesk.clock import SECOND
from ibdesk.gateway.market.source import Floats, Integers, Prints, Quotes
from ibdesk.gateway.refusal import invalid

MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
WEEK = 7 * DAY
MONTH = 30 * DAY
"""The interval of monthly bars; the actual bar is a calendar month."""
# 5 January 1970, from which weeks are counted.
_FIRST_MONDAY = 4 * DAY
_UNITS = {"S": SECOND, "D": DAY, "W": 7 * DAY, "M": 30 * DAY, "Y": 365 * DAY}
_SIZES = {"sec": SECOND, "min": MINUTE, "hour": HOUR, "day": DAY, "week": WEEK, "month": MONTH}
BAR_SIZES = frozenset(
    {
        *(f"{count} sec" for count in (1, 5, 10, 15, 30)),
        *(f"{count} min" for count in (1, 2, 3, 5, 10, 15, 20, 30)),
        *(f"{count} hour" for count in (1, 2, 3, 4, 8)),
        "1 day",
        "1 week",
        "1 month",
    }
)


class BarColumns:
    """Bars as columns: `opened` in ns UTC, then open, high, low, close, volume, average price and count.

    `opened` gives each print the opening of its bar; see `opened_of`.
    """

    def __init__(self, prints: Prints, opened: Integers) -> None:
        # The index of each bar's first print. `reduceat` does not accept an empty list, so an empty history has one
        # empty print, which is removed again.
        first = np.flatnonzero(np.diff(opened, prepend=opened[:1] - 1))
        prices, sizes = prints.prices, prints.sizes
        empty = not len(first)
        if empty:
            opened, prices, sizes, first = np.zeros(1, np.int64), np.zeros(1), np.zeros(1), np.zeros(1, np.int64)
        last = np.append(first[1:], len(opened)) - 1
        kept = slice(0, 0) if empty else slice(None)
        volume: Floats = np.add.reduceat(sizes, first)
        weighted: Floats = np.add.reduceat(prices * sizes, first)
        average: Floats = np.where(volume > 0, weighted / np.maximum(volume, 1e-300), prices[last])
        self.opened: Integers = opened[first][kept]
        self.open: Floats = prices[first][kept]
        self.high: Floats = np.maximum.reduceat(prices, first)[kept]
        self.low: Floats = np.minimum.reduceat(prices, first)[kept]
        self.close: Floats = prices[last][kept]
        self.volume: Floats = volume[kept]
        self.average: Floats = average[kept]
        self.count: Integers = (last - first + 1)[kept]

    def __len__(self) -> int:
        return len(self.opened)


def bid_ask_bars(quotes: Quotes, opened: Integers, interval_ns: int) -> BarColumns:
    """Return bars of bid and ask together.

    Open and close are the time averages of bid and ask; low and high are the lowest bid and the highest ask
    (documented).
    """
    bars = BarColumns(Prints(quotes.times, quotes.bids, np.ones(len(quotes.times))), opened)
    asks = BarColumns(Prints(quotes.times, quotes.asks, np.ones(len(quotes.times))), opened)
    if len(bars):
        lasts = np.minimum(np.append(quotes.times[1:], opened[-1] + interval_ns), opened + interval_ns) - quotes.times
        weights = np.maximum(lasts, 1).astype(np.float64)
        first = np.flatnonzero(np.diff(opened, prepend=opened[:1] - 1))
        total = np.add.reduceat(weights, first)
        bars.open = np.round(np.add.reduceat(quotes.bids * weights, first) / total, 10)
        bars.close = np.round(np.add.reduceat(quotes.asks * weights, first) / total, 10)
    bars.high = asks.high
    return bars


def opened_of(times: Integers, interval_ns: int) -> Integers:
    """Return the opening of each time's bar; weeks begin on Monday, months on the first."""
    if interval_ns == MONTH:
        months = times.astype("datetime64[ns]").astype("datetime64[M]")
        return months.astype("datetime64[ns]").astype(np.int64)
    if interval_ns == WEEK:
        return (times - _FIRST_MONDAY) // WEEK * WEEK + _FIRST_MONDAY
    return times // interval_ns * interval_ns


def bar_size(text: str) -> int:
    """Return the length of a bar in ns: ``5 secs``, ``1 min``, ``2 hours``, ``1 day``.

    Raises:
        RefusedError: If it is not a bar size of TWS (error 321).
    """
    words = text.lower().split()
    if len(words) == 2 and f"{words[0]} {words[1].rstrip('s')}" in BAR_SIZES:
        return int(words[0]) * _SIZES[words[1].rstrip("s")]
    raise invalid(f"Invalid bar size {text!r}: must be one of {', '.join(sorted(BAR_SIZES))}")


def duration(text: str) -> int:
    """Return a span in ns: ``3600 S``, ``2 D``, ``1 W``, ``6 M``, ``1 Y``; a month has 30 days, a year 365.

    Raises:
        RefusedError: If the format is different (error 321).
    """
    words = text.split()
    if len(words) == 2 and words[0].isascii() and words[0].isdigit() and len(words[0]) < 8 and words[1] in _UNITS:
        count = int(words[0])
        # The gateway knows nothing from more than a hundred years ago.
        return min(max(1, count) * _UNITS[words[1]], 36_500 * DAY)
    raise invalid(f"Invalid duration {text!r}: write a number and one of {', '.join(_UNITS)}")
