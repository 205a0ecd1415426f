"""Handlers of prices: they update the market, losses and waiting orders, and then call the runs."""

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
        # Read at each price; they are only changed in place.
        self._markets, self._losses, self._freshness = flow.markets, flow.losses, flow.freshness
        self._outside, self._closed = flow.outside, flow.closed
        self._unpriced, self._due = flow.outside.unpriced, flow.closed.due

    def on_bar(self, bar: Bar) -> None:
        """Handle a bar: its price first, then the runs that watch its instrument."""
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
        """Handle a quote: its price first, then the runs that watch its instrument."""
        market = self._markets.get(quote.instrument)
        if market is None:
            return
        if quote.at_ns >= self._losses.day_ends_ns:
            self._losses.begin_day(quote.at_ns)
        # A quote with both sides is the freshest price; a missing side is NaN.
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
        """Handle a trade print: its price first, then the runs that watch its instrument."""
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
        """Pass a price to its users: losses, external positions without a cost, and orders held until an open."""
        if market.is_watched:
            self._losses.priced(market)
        if not (self._unpriced or self._due):
            return
        instrument = market.instrument.id
        if self._unpriced:
            self._outside.price(instrument, price)
        if instrument in self._due and not self._freshness.holds_back:
            self._closed.release(instrument, at_ns)
