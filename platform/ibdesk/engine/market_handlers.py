"""Takes prices: into the market, the losses and what waits for a price, and then to the runs that watch it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ibdesk.engine.market import Market
from ibdesk.model import Bar, Quote, Tick

if TYPE_CHECKING:
    from ibdesk.engine.bad_prints import BadPrints
    from ibdesk.engine.order_flow import OrderFlow
    from ibdesk.engine.strategy_calls import StrategyCalls


class MarketHandlers:
    """Handles bars, quotes and trade prints."""

    def __init__(self, flow: OrderFlow, calls: StrategyCalls, prints: BadPrints) -> None:
        self._calls, self._prints = calls, prints
        # What each price looks at; all of it is changed in place only.
        self._markets, self._losses, self._freshness = flow.markets, flow.losses, flow.freshness
        self._outside, self._closed = flow.outside, flow.closed
        self._unpriced, self._due = flow.outside.unpriced, flow.closed.due

    def on_bar(self, bar: Bar) -> None:
        """Take a bar: its price first, then the runs that watch its instrument."""
        market = self._markets.get(bar.instrument)
        if market is None:
            return
        if bar.opened_ns >= self._losses.day_ends_ns:
            self._losses.begin_day(bar.opened_ns)
        freshness = self._freshness
        if not freshness.clock_ns:
            market.price = market.last = bar.close
        elif self._prints.holds(market, bar, bar.close):
            return
        else:
            freshness.take_bar(market, bar)
        if market.is_watched or self._unpriced or self._due:
            self._note_price(market, bar.close, bar.opened_ns)
        calls = self._calls
        for lane in calls.expecting(market.bar_lanes) if calls.expected else market.bar_lanes:
            try:
                lane.on_bar(bar)
            except BaseException as error:
                calls.fail(lane.run, error)
            if calls.faults:
                calls.end_faulty(lane.run)
        if freshness.holds_back:
            freshness.holds_back = freshness.is_catching_up

    def on_quote(self, quote: Quote) -> None:
        """Take a quote: its price first, then the runs that watch its instrument."""
        market = self._markets.get(quote.instrument)
        if market is None:
            return
        if quote.at_ns >= self._losses.day_ends_ns:
            self._losses.begin_day(quote.at_ns)
        # A quote with both sides is the freshest price there is; a side that is missing is NaN.
        if quote.bid <= quote.ask:
            mid = quote.mid
            if self._freshness.clock_ns and self._prints.holds(market, quote, mid):
                return
            market.quote, market.price, market.price_at_ns = quote, mid, quote.at_ns
            if market.is_watched or self._unpriced or self._due:
                self._note_price(market, mid, quote.at_ns)
        else:
            market.quote = quote
        calls = self._calls
        for lane in calls.expecting(market.lanes) if calls.expected else market.lanes:
            try:
                lane.on_quote(quote)
            except BaseException as error:
                calls.fail(lane.run, error)
            if calls.faults:
                calls.end_faulty(lane.run)

    def on_tick(self, tick: Tick) -> None:
        """Take a trade print: its price first, then the runs that watch its instrument."""
        market = self._markets.get(tick.instrument)
        if market is None:
            return
        if tick.at_ns >= self._losses.day_ends_ns:
            self._losses.begin_day(tick.at_ns)
        if self._freshness.clock_ns and self._prints.holds(market, tick, tick.price):
            return
        market.price = market.last = tick.price
        market.price_at_ns = tick.at_ns
        if market.is_watched or self._unpriced or self._due:
            self._note_price(market, tick.price, tick.at_ns)
        calls = self._calls
        for lane in calls.expecting(market.lanes) if calls.expected else market.lanes:
            try:
                lane.on_tick(tick)
            except BaseException as error:
                calls.fail(lane.run, error)
            if calls.faults:
                calls.end_faulty(lane.run)

    def _note_price(self, market: Market, price: float, at_ns: int) -> None:
        """Have a price known where one is waited for: by losses, by what others hold, by orders held until an open."""
        if market.is_watched:
            self._losses.priced(market)
        if not (self._unpriced or self._due):
            return
        instrument = market.instrument.id
        if self._unpriced:
            self._outside.price(instrument, price)
        if instrument in self._due and not self._freshness.holds_back:
            self._closed.release(instrument, at_ns)
