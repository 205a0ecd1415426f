"""What bars of one opening time do to the open orders, one order after the other.

The driver answers each happening before the next one comes: an order that is withdrawn in between is not filled any
more, and one that comes or changes in between meets the rest of its bar (see `Arrival`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ibdesk.exchange.bar_path import Reached, in_market_order
from ibdesk.exchange.order_book import OrderBook, VenueEvent
from ibdesk.exchange.ticket import Arrival, Reach, Ticket
from ibdesk.model import Bar, OrderStatus, Side, TimeInForce

IOC_REASON = "immediate or cancel: not filled at once"


class BarProgress:
    """How far the market is inside a bar, as far as that is known.

    `price` is the last one known. `high_ahead` and `low_ahead` are what may still come to orders that arrive: both
    extremes at first. Once such orders have taken the market one way and then the other, the first way is behind it,
    and what is certain to come of it is the close.
    """

    __slots__ = ("_bar", "_way", "high_ahead", "low_ahead", "price")

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self.price, self.high_ahead, self.low_ahead = bar.open, bar.high, bar.low
        self._way = 0.0

    def move(self, price: float, *, arrived: bool) -> None:
        """Take the market to a price at which an order traded that was there before, or that `arrived` meanwhile."""
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
    """One meeting of the open orders with bars that open at the same time."""

    __slots__ = ("_arrived", "_at_once", "_bars", "_book", "_by_name", "_changes", "_progress", "_stopped", "_whole")

    def __init__(self, book: OrderBook, bars: Sequence[Bar]) -> None:
        self._book, self._bars = book, bars
        # whole: whether all of the bars is still to come after their open.
        self._whole = True
        # at_once: whether the last happening was that of an order that traded at once after it arrived.
        self._at_once = False
        # changes: counts what the driver has changed.
        self._changes = 0
        # What follows is made where it is needed: most meetings are over at the open.
        self._by_name: dict[str, Bar] | None = None
        self._progress: dict[str, BarProgress] = {}
        # arrived: the bars of instruments with arrivals that nobody has looked at.
        self._arrived: dict[str, Bar] = {}
        # stopped: instrument, owner and side of stops that have filled. A limit order of the same waits for the next
        # bar: of a stop and a target that one bar reaches both, the stop is taken.
        self._stopped: set[tuple[str, str, Side]] = set()

    def opens(self) -> Iterator[list[VenueEvent]]:
        """Yield what becomes of each order at the open of all bars."""
        working = self._book.working
        waiting = [(bar, ticket) for bar in self._bars for ticket in working.get(bar.instrument, {}).values()]
        for bar, ticket in waiting:
            if ticket.came_before(bar) and ticket.order.is_open:
                events = self._meet_open(bar, ticket)
                if events:
                    yield events

    def insides(self) -> Iterator[list[VenueEvent]]:
        """Yield what becomes of each order after the opens: inside one bar after the other."""
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
        """Take note that an order is withdrawn."""
        self._changes += 1

    def arrive(self, ticket: Ticket) -> None:
        """Take an order that came or got other prices since the bars opened."""
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
        """Return the orders that the bar reaches, in the order of the market."""
        reached = []
        for ticket in self._book.working.get(bar.instrument, {}).values():
            if ticket.missed(bar):
                continue
            reach = ticket.reached_inside(bar)
            if ticket.order.time_in_force is TimeInForce.IOC and (reach is None or not reach.at_once):
                # It came inside the bar: those from before had their chance at the open.
                waits = ticket.arrival is not None and ticket.arrival.waits
                reach = None if waits else Reach(bar.open, None, at_once=True)
            if reach is not None:
                reached.append(Reached(ticket, reach))
        return in_market_order(reached, bar.close)

    def _take(self, bar: Bar, ticket: Ticket, reach: Reach) -> list[VenueEvent]:
        """Let the market come to an order, and return what becomes of it."""
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
