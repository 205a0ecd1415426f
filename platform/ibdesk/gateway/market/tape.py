"""The state of the market at the gateway: last quotes and trades, the day so far, and 5-second bars as they close."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import msgspec

from ibdesk.clock import SECOND
from ibdesk.gateway.market.source import MarketSource
from ibdesk.gateway.schedule import Schedule
from ibdesk.model import Quote, Tick

BAR_NS = 5 * SECOND


class Candle(msgspec.Struct):
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
        self.high, self.low, self.close = max(self.high, price), min(self.low, price), price
        self.volume += size
        self.weighted += price * size
        self.count += count


def candle_of(price: float, size: float = 0.0, count: int = 1) -> Candle:
    """Return a bar that has seen one price."""
    return Candle(price, price, price, price, size, price * size, count)


class Line(msgspec.Struct):
    """What is known of one instrument now."""

    quote: Quote | None = None
    last: Tick | None = None
    day: Candle | None = None
    previous_close: float | None = None
    # candles: the 5-second bars in the making, by what they show: TRADES, MIDPOINT, BID, ASK.
    candles: dict[str, Candle] = {}

    def prices(self) -> Iterator[tuple[str, float]]:
        """Yield the present price of everything a bar can show."""
        if self.last is not None:
            yield "TRADES", self.last.price
        if self.quote is not None:
            yield "MIDPOINT", self.quote.mid
            yield "BID", self.quote.bid
            yield "ASK", self.quote.ask


class Watcher(Protocol):
    """Whoever wants to hear the market of an instrument."""

    def on_quote(self, quote: Quote) -> None:
        """Hear a new quote."""

    def on_tick(self, tick: Tick) -> None:
        """Hear a trade."""

    def on_bar(self, instrument: str, opened_ns: int, candles: dict[str, Candle]) -> None:
        """Hear the bars that closed, by what they show."""


class Tape:
    """Plays a market source on the gateway's schedule and tells its watchers; first the venue, then the sessions."""

    def __init__(self, source: MarketSource, schedule: Schedule) -> None:
        self.source = source
        self._schedule = schedule
        self.lines: dict[str, Line] = {name: Line() for name in source.symbols}
        self._watchers: dict[str, list[Watcher]] = {name: [] for name in source.symbols}
        self.is_over = False
        # live: while the link to the market is cut, the market goes on and no watcher but the venue hears it.
        self.live = True
        self._venue: Callable[[Quote], None] = _nobody

    def open(self, at_ns: int, venue: Callable[[Quote], None]) -> None:
        """Begin to play at `at_ns`, a multiple of five seconds; `venue` hears every quote before all watchers."""
        self._venue = venue
        for name, line in self.lines.items():
            before = self.source.prints(name, at_ns - 3600 * SECOND, at_ns)
            if len(before.prices):
                line.previous_close = float(before.prices[-1])
        self._schedule.at(at_ns + BAR_NS, lambda: self._close_bars(at_ns), first=True)
        self._play(self.source.events())

    def watch(self, instrument: str, watcher: Watcher) -> None:
        """Tell `watcher` of this instrument from now on; nothing will come of one that is not played."""
        self._watchers.setdefault(instrument, []).append(watcher)

    def unwatch(self, instrument: str, watcher: Watcher) -> None:
        """Tell it no more."""
        self._watchers[instrument].remove(watcher)

    def watching(self, instrument: str) -> int:
        """Return how many watchers an instrument has."""
        return len(self._watchers.get(instrument, ()))

    def line(self, instrument: str) -> Line:
        """Return what is known of an instrument, and will be."""
        return self.lines.setdefault(instrument, Line())

    def quote(self, instrument: str) -> Quote | None:
        """Return the present quote, if there is one."""
        line = self.lines.get(instrument)
        return None if line is None else line.quote

    def price(self, instrument: str) -> float | None:
        """Return the price to value a position at: the last trade, or the middle of the quote."""
        line = self.lines.get(instrument)
        if line is None:
            return None
        if line.last is not None:
            return line.last.price
        return None if line.quote is None else line.quote.mid

    def _play(self, events: Iterator[tuple[int, Iterable[Quote | Tick]]]) -> None:
        moment = next(events, None)
        if moment is None:
            self.is_over = True
            return
        at_ns, happened = moment

        def keep() -> None:
            for event in happened:
                self.take(event)
            self._play(events)

        self._schedule.at(at_ns, keep)

    def take(self, event: Quote | Tick) -> None:
        """Let one quote or trade happen now."""
        line = self.line(event.instrument)
        if isinstance(event, Quote):
            line.quote = event
            for what, price in (("MIDPOINT", event.mid), ("BID", event.bid), ("ASK", event.ask)):
                _note(line, what, price, 0.0)
            self._venue(event)
            for watcher in self._heard(event.instrument):
                watcher.on_quote(event)
            return
        line.last = event
        _note(line, "TRADES", event.price, event.size)
        if line.day is None:
            line.day = candle_of(event.price, event.size)
        else:
            line.day.add(event.price, event.size)
        for watcher in self._heard(event.instrument):
            watcher.on_tick(event)

    def _heard(self, instrument: str) -> tuple[Watcher, ...]:
        return tuple(self._watchers.get(instrument, ())) if self.live else ()

    def _close_bars(self, opened_ns: int) -> None:
        closed_ns = opened_ns + BAR_NS
        self._schedule.at(closed_ns + BAR_NS, lambda: self._close_bars(closed_ns), first=True)
        for instrument, line in self.lines.items():
            candles, line.candles = line.candles, {}
            if not candles and self.is_over:
                continue
            # What did not move is a flat bar at the price that stands.
            for what, price in line.prices():
                candles.setdefault(what, candle_of(price, count=0))
            if candles:
                for watcher in self._heard(instrument):
                    watcher.on_bar(instrument, opened_ns, candles)


def _note(line: Line, what: str, price: float, size: float) -> None:
    candle = line.candles.get(what)
    if candle is None:
        line.candles[what] = candle_of(price, size)
    else:
        candle.add(price, size)


def _nobody(quote: Quote) -> None:
    """Hear nothing; what stands in until the market opens."""
