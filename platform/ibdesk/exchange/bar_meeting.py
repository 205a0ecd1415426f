"""The matching of open orders with bars of the same opening time, one order after another.

The driver answers each result before the next one. An order that it cancels in between is not filled any more; one
that it places or changes in between is matched with the rest of its bar (see `Arrival`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ibdesk.exchange.bar_path import Reached, in_market_order
from ibdesk.exchange.order_book import OrderBook, VenueEvent
from ibdesk.exchange.ticket import Arrival, Ticket, TouchPoint
from ibdesk.model import Bar, OrderStatus, Side, TimeInForce

IOC_REASON = "immediate or cancel: not filled at once"


class BarProgress:
    """The known position of the market inside a bar.

    `price` is the last known price. `high_ahead` and `low_ahead` are the extremes that may still come for arriving
    orders: at first those of the bar. Once such orders have moved the market one way and then the other, the first
    extreme is past, and only the close is certain to come on that side.
    """

    __slots__ = ("_bar", "_way", "high_ahead", "low_ahead", "price")

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self.price, self.high_ahead, self.low_ahead = bar.open, bar.high, bar.low
        self._way = 0.0

    def move(self, price: float, *, arrived: bool) -> None:
        """Move the market to the price of a trade; `arrived` tells whether the order arrived after the bar's open."""
        way = price - self.price
        self.price = price
        if not arrived or not way:
            return
        if way * self._way < 0:
            if way > 0:
                self.low_ahead = self._bar.close
            else:
                self.high_ahead = self._bar.close
        self._way = way


class BarMeeting:
    """The matching of open orders with bars that open at the same time."""

    __slots__ = ("_arrived", "_at_once", "_bars", "_book", "_by_name", "_changes", "_progress", "_stopped", "_whole")

    def __init__(self, book: OrderBook, bars: Sequence[Bar]) -> None:
        self._book, self._bars = book, bars
        # Whether all of the bars after their open is still to come.
        self._whole = True
        # Whether the last result was that of an order that traded immediately after its arrival.
        self._at_once = False
        # The number of changes by the driver.
        self._changes = 0
        # The following are created when needed: most matchings end at the open.
        self._by_name: dict[str, Bar] | None = None
        self._progress: dict[str, BarProgress] = {}
        # The bars of instruments with arrivals that were not matched yet.
        self._arrived: dict[str, Bar] = {}
        # Instrument, owner and side of filled stops. A limit order with the same ones waits for the next bar: if one
        # bar reaches both a stop and a target, the stop is taken.
        self._stopped: set[tuple[str, str, Side]] = set()

    def opens(self) -> Iterator[list[VenueEvent]]:
        """Yield the results of each order at the open of all bars."""
        working = self._book.working
        waiting = [(bar, ticket) for bar in self._bars for ticket in working.get(bar.instrument, {}).values()]
        for bar, ticket in waiting:
            if ticket.came_before(bar) and ticket.order.is_open:
                events = self._meet_open(bar, ticket)
                if events:
                    yield events

    def insides(self) -> Iterator[list[VenueEvent]]:
        """Yield the results of each order after the opens, inside one bar after another."""
        working = self._book.working
        self._whole = False
        if not working:
            return
        for bar in self._bars:
            if bar.instrument in working:
                yield from self._meet_inside(bar)
        while self._arrived:
            yield from self._meet_inside(next(iter(self._arrived.values())))

    def leave(self) -> None:
        """Note that an order was cancelled."""
        self._changes += 1

    def arrive(self, ticket: Ticket) -> None:
        """Add an order that arrived, or changed its prices, after the bars opened."""
        self._changes += 1
        name = ticket.order.instrument
        bar = self._bar_of(name)
        if bar is None:
            return
        progress = self._progress_of(bar)
        ticket.arrival = Arrival(
            bar=bar,
            price=progress.price,
            high_ahead=progress.high_ahead,
            low_ahead=progress.low_ahead,
            whole=self._whole,
            waits=self._at_once,
        )
        self._arrived[name] = bar

    def _meet_open(self, bar: Bar, ticket: Ticket) -> list[VenueEvent]:
        events: list[VenueEvent] = []
        price = ticket.price_at_open(bar)
        if price is not None:
            quantity = ticket.order.remaining
            self._book.fill(ticket, price=price, quantity=quantity, at_ns=bar.opened_ns, events=events, bar=bar)
        elif ticket.order.time_in_force is TimeInForce.IOC:
            events.append(self._book.close(ticket, OrderStatus.CANCELLED, bar.opened_ns, IOC_REASON))
        elif ticket.order.stop_price is not None:
            self._book.report_trigger(ticket, bar.opened_ns, events)
        return events

    def _meet_inside(self, bar: Bar) -> Iterator[list[VenueEvent]]:
        changes = -1
        while changes != self._changes:
            changes = self._changes
            self._arrived.pop(bar.instrument, None)
            for ticket, reach in self._on_the_way(bar):
                events = self._take(bar, ticket, reach)
                if events:
                    yield events
                if changes != self._changes:
                    break

    def _on_the_way(self, bar: Bar) -> list[Reached]:
        """Return the orders that the bar reaches, in the order in which it does."""
        reached = []
        for ticket in self._book.working.get(bar.instrument, {}).values():
            if ticket.missed(bar):
                continue
            reach = ticket.reached_inside(bar)
            if ticket.order.time_in_force is TimeInForce.IOC and (reach is None or not reach.at_once):
                # It arrived inside the bar: earlier ones had their chance at the open.
                waits = ticket.arrival is not None and ticket.arrival.waits
                reach = None if waits else TouchPoint(bar.open, None, at_once=True)
            if reach is not None:
                reached.append(Reached(ticket, reach))
        return in_market_order(reached, bar.close)

    def _take(self, bar: Bar, ticket: Ticket, reach: TouchPoint) -> list[VenueEvent]:
        """Move the market to an order, and return the order's events."""
        events: list[VenueEvent] = []
        order, book = ticket.order, self._book
        if order.stop_price is not None:
            ticket.triggered = True
            if reach.price is not None:
                self._stopped.add((order.instrument, order.owner, order.side))
        elif (order.instrument, order.owner, order.side) in self._stopped:
            return events
        ticket.passed = bar
        self._at_once = reach.at_once
        self._progress_of(bar).move(reach.level if reach.price is None else reach.price, arrived=ticket.came_in(bar))
        if reach.price is not None:
            book.fill(ticket, price=reach.price, quantity=order.remaining, at_ns=bar.at_ns, events=events, bar=bar)
        elif order.time_in_force is TimeInForce.IOC:
            events.append(book.close(ticket, OrderStatus.CANCELLED, bar.at_ns, IOC_REASON))
        elif ticket.arrival is None or not ticket.arrival.waits:
            book.report_trigger(ticket, bar.at_ns, events)
        return events

    def _bar_of(self, name: str) -> Bar | None:
        if self._by_name is None:
            self._by_name = {bar.instrument: bar for bar in self._bars}
        return self._by_name.get(name)

    def _progress_of(self, bar: Bar) -> BarProgress:
        progress = self._progress.get(bar.instrument)
        if progress is None:
            progress = self._progress[bar.instrument] = BarProgress(bar)
        return progress
