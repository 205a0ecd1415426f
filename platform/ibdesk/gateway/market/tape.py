"""The market's events and their watchers: quotes and trades, halts, and 5-second bars as they close."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from ibdesk.clock import SECOND
from ibdesk.gateway.market.instrument_state import InstrumentState, PartialBar, Phase, bar_from
from ibdesk.gateway.market.source import GrowingSource, MarketSource, QuotingSource
from ibdesk.gateway.schedule import Schedule
from ibdesk.model import Instrument, Quote, Tick

BAR_NS = 5 * SECOND


class Watcher(Protocol):
    """Receives the market events of an instrument."""

    def on_quote(self, quote: Quote) -> None:
        """Receive a new quote."""

    def on_tick(self, tick: Tick) -> None:
        """Receive a trade."""

    def on_bar(self, instrument: str, opened_ns: int, bars: dict[str, PartialBar]) -> None:
        """Receive the closed bars, by what they show."""

    def on_state(self, state: InstrumentState) -> None:
        """Receive a halt, resumption, open or close; its effect on the quote follows."""


class Tape:
    """Plays a market source on the gateway's schedule, to the venue first and then to the watchers."""

    def __init__(self, source: MarketSource, schedule: Schedule) -> None:
        self.source = source
        self._schedule = schedule
        self.states: dict[str, InstrumentState] = {name: InstrumentState() for name in source.symbols}
        self._watchers: dict[str, list[Watcher]] = {name: [] for name in source.symbols}
        self.is_over = False
        # While the link to the market is cut, the market continues, and only the venue receives its events.
        self.live = True
        self._venue: Callable[[Quote], None] = _nobody
        # Functions that change each event of an instrument before it happens, while a fault is active.
        self.distortions: dict[str, Callable[[Quote | Tick], Quote | Tick]] = {}
        # Called with each instrument that the market begins to play after its opening.
        self.on_new: list[Callable[[Instrument], None]] = []

    def open(self, at_ns: int, venue: Callable[[Quote], None]) -> None:
        """Begin to play at `at_ns`, a multiple of five seconds; `venue` receives every quote before all watchers."""
        self._venue = venue
        for name in self.states:
            self._recall(name, at_ns)
        self._schedule.at(at_ns + BAR_NS, lambda: self._close_bars(at_ns), first=True)
        self._play(self.source.events())

    def play(self, instrument: Instrument) -> None:
        """Begin to play an instrument if the source can and does not yet. Its present quote is valid at once."""
        if instrument.id in self.source.symbols or not isinstance(self.source, GrowingSource):
            return
        if self.source.add(instrument):
            self.state(instrument.id)
            self._recall(instrument.id, self._schedule.now_ns)
            for told in self.on_new:
                told(instrument)
            self._show(instrument)

    def _show(self, instrument: Instrument) -> None:
        if isinstance(self.source, QuotingSource):
            now_ns = self._schedule.now_ns
            quotes = self.source.quotes(instrument.id, now_ns - 60 * SECOND, now_ns + 1)
            if len(quotes.times):
                parts = (quotes.bids, quotes.asks, quotes.bid_sizes, quotes.ask_sizes)
                self.take(Quote(instrument.id, now_ns, *(float(part[-1]) for part in parts)))

    def _recall(self, name: str, at_ns: int) -> None:
        before = self.source.prints(name, at_ns - 3600 * SECOND, at_ns)
        if len(before.prices):
            self.state(name).previous_close = float(before.prices[-1])

    def watch(self, instrument: str, watcher: Watcher) -> None:
        """Send this instrument's events to `watcher` from now on; an instrument that is not played has none."""
        self._watchers.setdefault(instrument, []).append(watcher)

    def unwatch(self, instrument: str, watcher: Watcher) -> None:
        """Stop sending the instrument's events to `watcher`."""
        self._watchers[instrument].remove(watcher)

    def watching(self, instrument: str) -> int:
        """Return the number of watchers of an instrument."""
        return len(self._watchers.get(instrument, ()))

    def state(self, instrument: str) -> InstrumentState:
        """Return the state of an instrument; it is updated in place."""
        return self.states.setdefault(instrument, InstrumentState())

    def quote(self, instrument: str) -> Quote | None:
        """Return the present quote, if there is one."""
        state = self.states.get(instrument)
        return None if state is None else state.quote

    def price(self, instrument: str) -> float | None:
        """Return the price that values a position: the last trade, or the quote's midpoint."""
        state = self.states.get(instrument)
        if state is None:
            return None
        if state.last is not None:
            return state.last.price
        if state.quote is None or math.isnan(state.quote.mid):
            return None
        return state.quote.mid

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
        """Play one quote or trade now; nothing happens while the instrument is halted or closed."""
        state = self.states.get(event.instrument) or self.state(event.instrument)
        if self.distortions and event.instrument in self.distortions:
            event = self.distortions[event.instrument](event)
        if state.is_still:
            if isinstance(event, Quote):
                state.withdrawn = event
            return
        if isinstance(event, Quote):
            self._quote(state, event)
        else:
            self._trade(state, event)

    def _quote(self, state: InstrumentState, quote: Quote) -> None:
        state.quote = quote
        for what, price in (("MIDPOINT", quote.mid), ("BID", quote.bid), ("ASK", quote.ask)):
            if price == price:  # noqa: PLR0124 - NaN is a missing side, and this is the fastest test
                state.note(what, price)
        self._venue(quote)
        for watcher in self._active_watchers(quote.instrument, state):
            watcher.on_quote(quote)

    def _trade(self, state: InstrumentState, tick: Tick) -> None:
        state.last = tick
        state.trades += 1
        state.note("TRADES", tick.price, tick.size)
        if state.day is None:
            state.day = bar_from(tick.price, tick.size)
        elif state.phase is Phase.REGULAR:
            state.day.add(tick.price, tick.size)
        for watcher in self._active_watchers(tick.instrument, state):
            watcher.on_tick(tick)

    # ---- halts and sessions ---------------------------------------------------------------------------------------

    def halt(self, instrument: str) -> None:
        """Stop quotes, trades and fills of an instrument until `resume`; clients see tick 49 and no quote."""
        state = self.state(instrument)
        if not state.is_halted:
            state.is_halted = True
            self._still(instrument, state)

    def resume(self, instrument: str) -> None:
        """Resume trading at the source's present quote."""
        state = self.state(instrument)
        if state.is_halted:
            state.is_halted = False
            self._stir(instrument, state)

    def stale(self, instrument: str, is_stale: bool = True) -> None:
        """Hide an instrument's events from clients while it continues to trade, or show them again."""
        self.state(instrument).is_stale = is_stale

    def enter(self, instrument: str, phase: Phase) -> None:
        """Move an instrument into another session of its exchange.

        A regular session begins a new day: its figures are empty, and the previous close is the last trade of the
        regular session before.
        """
        state = self.state(instrument)
        old, state.phase = state.phase, phase
        if old is phase:
            return
        if old is Phase.REGULAR:
            state.closing = None if state.last is None else state.last.price
        if phase is Phase.REGULAR:
            state.previous_close = state.previous_close if state.closing is None else state.closing
            state.day = None
        if phase is Phase.CLOSED:
            self._still(instrument, state)
        elif old is Phase.CLOSED and not state.is_halted:
            self._stir(instrument, state)
        else:
            self._report_state(instrument, state)

    def _still(self, instrument: str, state: InstrumentState) -> None:
        """Withdraw the quote: nothing fills, and clients see no quote."""
        quote = state.quote
        self._report_state(instrument, state)
        if quote is not None and not math.isnan(quote.mid):
            state.withdrawn = quote
            self._quote(state, Quote(instrument, self._schedule.now_ns, math.nan, math.nan))

    def _stir(self, instrument: str, state: InstrumentState) -> None:
        if state.is_still:
            return
        withdrawn, state.withdrawn = state.withdrawn, None
        self._report_state(instrument, state)
        if withdrawn is not None:
            now_ns, parts = self._schedule.now_ns, withdrawn
            self._quote(state, Quote(instrument, now_ns, parts.bid, parts.ask, parts.bid_size, parts.ask_size))

    def _report_state(self, instrument: str, state: InstrumentState) -> None:
        for watcher in self._active_watchers(instrument, state):
            watcher.on_state(state)

    def _active_watchers(self, instrument: str, state: InstrumentState) -> tuple[Watcher, ...]:
        return tuple(self._watchers.get(instrument, ())) if self.live and not state.is_stale else ()

    def _close_bars(self, opened_ns: int) -> None:
        closed_ns = opened_ns + BAR_NS
        self._schedule.at(closed_ns + BAR_NS, lambda: self._close_bars(closed_ns), first=True)
        for instrument, state in tuple(self.states.items()):
            bars, state.bars = state.bars, {}
            if not bars and (self.is_over or state.phase is Phase.CLOSED):
                continue
            # A price that did not move is a flat bar.
            for what, price in state.prices():
                bars.setdefault(what, bar_from(price, count=0))
            if bars:
                for watcher in self._active_watchers(instrument, state):
                    watcher.on_bar(instrument, opened_ns, bars)


def _nobody(quote: Quote) -> None:
    """Ignore it; the venue's place until the market opens."""
