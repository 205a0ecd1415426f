"""Building bars of one instrument and interval from shorter bars, trade prints or quotes."""

from __future__ import annotations

import math

from ibdesk.errors import ConfigError
from ibdesk.model import Bar, Quote, Tick


class BarBuilder:
    """Collects the data of one interval and returns the bar when the interval is over.

    Intervals are aligned to whole multiples since 1970 UTC, as TWS aligns its own. An interval without data gives no
    bar. With shorter bars, the bar closes with the last of them; with ticks and quotes, which do not mark the end of an
    interval, with the first one after it. Repeated or late data is ignored.
    """

    def __init__(self, instrument: str, interval_ns: int) -> None:
        if interval_ns <= 0:
            raise ConfigError(f"a bar interval must be positive, got {interval_ns} ns")
        self._instrument, self._interval_ns = instrument, interval_ns
        self._opened_ns = -1
        # The end of the last shorter bar.
        self._known_ns = 0
        self._open = self._high = self._low = self._close = math.nan
        self._volume = 0.0

    def add_bar(self, part: Bar) -> list[Bar]:
        """Add a shorter bar; return the bars that it completes (none, one, or two after a gap)."""
        if part.opened_ns < self._known_ns:
            return []
        self._known_ns = part.at_ns
        done = self._close_before(part.opened_ns)
        self._mix(part.opened_ns, part.open, part.high, part.low, part.close, part.volume)
        if part.at_ns >= self._opened_ns + self._interval_ns:
            done.append(self._finish())
        return done

    def add_tick(self, tick: Tick) -> list[Bar]:
        """Add a trade print; return the bar that ended before it, if any."""
        if tick.at_ns < self._opened_ns:
            return []
        done = self._close_before(tick.at_ns)
        self._mix(tick.at_ns, tick.price, tick.price, tick.price, tick.price, tick.size)
        return done

    def add_quote(self, quote: Quote) -> list[Bar]:
        """Add a quote as a print of its mid without volume; ignore it if a side is missing or it is crossed."""
        if not quote.spread >= 0 or quote.at_ns < self._opened_ns:
            return []
        done = self._close_before(quote.at_ns)
        self._mix(quote.at_ns, quote.mid, quote.mid, quote.mid, quote.mid, 0.0)
        return done

    @property
    def in_progress(self) -> Bar | None:
        """The bar in progress, None if its interval has no data yet."""
        return self._bar() if self._opened_ns >= 0 else None

    def _mix(self, at_ns: int, first: float, high: float, low: float, last: float, volume: float) -> None:
        if self._opened_ns < 0:
            self._opened_ns = at_ns - at_ns % self._interval_ns
            self._open, self._high, self._low, self._volume = first, high, low, 0.0
        self._high, self._low = max(self._high, high), min(self._low, low)
        self._close = last
        self._volume += volume

    def _close_before(self, at_ns: int) -> list[Bar]:
        if self._opened_ns >= 0 and at_ns >= self._opened_ns + self._interval_ns:
            return [self._finish()]
        return []

    def _finish(self) -> Bar:
        bar = self._bar()
        self._opened_ns = -1
        return bar

    def _bar(self) -> Bar:
        return Bar(
            self._instrument,
            self._opened_ns,
            self._interval_ns,
            self._open,
            self._high,
            self._low,
            self._close,
            self._volume,
        )
