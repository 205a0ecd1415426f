"""The simulated venue: accepts orders, matches them with bars or quotes, and reports the results.

It reads no clock and does no IO: every call gets its time and returns the venue's events in order. An execution is an
optional `OrderReport`, a `Fill`, its `Commission` and, if nothing remains, the report FILLED. The rules for when and at
what price an order fills are in `ibdesk.exchange.ticket`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec

from ibdesk.errors import InstrumentError, OrderError
from ibdesk.exchange.bar_meeting import IOC_REASON, BarMeeting
from ibdesk.exchange.commission import CommissionSchedule, FixedCommission
from ibdesk.exchange.order_book import OrderBook, VenueEvent, report_of
from ibdesk.exchange.slippage import NoSlippage, Slippage
from ibdesk.exchange.ticket import Ticket
from ibdesk.model import (
    AnyInstrument,
    Bar,
    Index,
    Order,
    OrderReport,
    OrderStatus,
    Quote,
    Side,
    TimeInForce,
)

_DAY_REASON = "the trading day is over"


class Exchange:
    """A venue for any number of instruments; deterministic.

    An instrument is matched either with bars or with quotes. With bars an order fills in full whatever the volume, at
    the open of the next bar at the earliest, and always inside its bar; with quotes it is matched with the last quote
    immediately. With `partial` an execution takes at most the quote's displayed size, and the size taken is gone until
    the next quote.

    Matching bars, a quote or the end of a day yields one result at a time: all events of one order. The driver may
    place, modify or cancel orders before it takes the next result, and later results take that into account.

    `working` holds the open orders by instrument, without empty instruments, so that a driver can test
    ``bar.instrument in exchange.working`` before further work on a bar. `book` counts the cost of slippage. Execution
    ids count from `first_execution`; like IB's they end in a correction number after the last period.
    """

    def __init__(
        self,
        *,
        commissions: CommissionSchedule | None = None,
        slippage: Slippage | None = None,
        partial: bool = False,
        first_execution: int = 1,
    ) -> None:
        self.book = OrderBook(
            commissions if commissions is not None else FixedCommission(),
            slippage if slippage is not None else NoSlippage(),
            first_execution,
        )
        self.working = self.book.working
        self._partial = partial
        self._instruments: dict[str, AnyInstrument] = {}
        self._quotes: dict[str, Quote] = {}
        self._taken: dict[str, dict[Side, float]] = {}
        self._meeting: BarMeeting | None = None

    def add_instrument(self, instrument: AnyInstrument) -> None:
        """List an instrument; one that is already listed is replaced for later orders."""
        self._instruments[instrument.id] = instrument

    def instrument(self, name: str) -> AnyInstrument:
        """Return a listed instrument by its id.

        Raises:
            InstrumentError: If it is not listed.
        """
        try:
            return self._instruments[name]
        except KeyError:
            raise InstrumentError(f"{name!r} is not listed at the simulated exchange: add it first") from None

    def order(self, order_id: str) -> Order | None:
        """Return an order as the venue sees it, open or not; None if it never arrived."""
        ticket = self.book.orders.get(order_id)
        return ticket.order if ticket else None

    @property
    def open_orders(self) -> list[Order]:
        """Return the open orders, by the arrival of instruments and orders."""
        return [ticket.order for book in self.working.values() for ticket in book.values()]

    def quote(self, name: str) -> Quote | None:
        """Return the instrument's last quote, None before the first."""
        return self._quotes.get(name)

    def place_order(self, order: Order, at_ns: int) -> list[VenueEvent]:
        """Accept an order, which works or is held, or reject it with a reason.

        With a known quote it may fill immediately.
        """
        reason = self._objection(order)
        if reason:
            return [OrderReport(order_id=order.id, status=OrderStatus.REJECTED, at_ns=at_ns, reason=reason)]
        ticket = Ticket(order, self._instruments[order.instrument])
        status = ticket.resting_status
        quote = self._quotes.get(order.instrument)
        if quote is not None and ticket.triggered:
            status = OrderStatus.WORKING
        ticket.order = msgspec.structs.replace(order, status=status, updated_ns=at_ns)
        ticket.came_ns = at_ns
        self.book.add(ticket)
        if self._meeting is not None:
            self._meeting.arrive(ticket)
        events: list[VenueEvent] = [report_of(ticket, at_ns)]
        if quote is not None:
            self._meet_quote(ticket, quote, at_ns, events)
        return events

    def modify_order(
        self,
        order_id: str,
        *,
        quantity: float,
        limit_price: float | None,
        stop_price: float | None,
        at_ns: int,
    ) -> list[VenueEvent]:
        """Give an open order new terms. An impossible change is reported and has no effect."""
        ticket = self.book.orders.get(order_id)
        if ticket is None:
            return [_unknown(order_id, at_ns)]
        order = ticket.order
        changed = msgspec.structs.replace(
            order, quantity=quantity, limit_price=limit_price, stop_price=stop_price, updated_ns=at_ns
        )
        if not order.is_open:
            reason = f"order {order_id} is {order.status.value} and cannot be modified"
        elif quantity <= order.filled:
            reason = (
                f"order {order_id}: {order.filled:g} are already filled, so its quantity cannot become {quantity:g}"
            )
        else:
            reason = _bad_terms(changed, ticket.instrument)
        if reason:
            return [report_of(ticket, at_ns, reason)]
        ticket.order = changed
        if self._meeting is None:
            ticket.came_ns = at_ns
        elif (limit_price, stop_price) != (order.limit_price, order.stop_price):
            # A new size alone does not stop the bar in progress from reaching the order.
            ticket.came_ns = at_ns
            self._meeting.arrive(ticket)
        events: list[VenueEvent] = [report_of(ticket, at_ns)]
        quote = self._quotes.get(order.instrument)
        if quote is not None:
            self._meet_quote(ticket, quote, at_ns, events)
        return events

    def cancel_order(self, order_id: str, at_ns: int, *, reason: str = "") -> list[VenueEvent]:
        """Cancel the remaining quantity of an order; one that is not open is reported as it is, with a reason."""
        ticket = self.book.orders.get(order_id)
        if ticket is None:
            return [_unknown(order_id, at_ns)]
        if not ticket.order.is_open:
            status = ticket.order.status
            return [report_of(ticket, at_ns, f"order {order_id} is {status.value} and cannot be cancelled")]
        if self._meeting is not None:
            self._meeting.leave()
        return [self.book.close(ticket, OrderStatus.CANCELLED, at_ns, reason)]

    def meet_quote(self, quote: Quote) -> Iterator[list[VenueEvent]]:
        """Match an instrument's open orders with a new quote, and yield the result of each, oldest first."""
        name = quote.instrument
        self._quotes[name] = quote
        self._taken.pop(name, None)
        tickets = self.working.get(name)
        return iter(()) if tickets is None else self._happenings(quote, [*tickets.values()])

    def _happenings(self, quote: Quote, tickets: Sequence[Ticket]) -> Iterator[list[VenueEvent]]:
        for ticket in tickets:
            events: list[VenueEvent] = []
            if ticket.order.is_open:
                self._meet_quote(ticket, quote, quote.at_ns, events)
            if events:
                yield events

    def takes_all(self, order: Order) -> bool:
        """Return whether the last quote would fill all of an order placed now."""
        quote, instrument = self._quotes.get(order.instrument), self._instruments.get(order.instrument)
        if quote is None or instrument is None or Ticket(order, instrument).price_on(quote) is None:
            return False
        return not self._partial or self._shown(quote, order.side) >= order.remaining

    def meet_bars(self, bars: Sequence[Bar]) -> Iterator[list[VenueEvent]]:
        """Match the open orders with whole bars that open together: first at all opens, then inside the bars.

        Events at the open have its time; events inside have the time of the bar's close.
        """
        self._meeting = meeting = BarMeeting(self.book, bars)
        yield from meeting.opens()
        yield from meeting.insides()
        self._meeting = None

    def open_bars(self, bars: Sequence[Bar]) -> tuple[BarMeeting, Iterator[list[VenueEvent]]]:
        """Begin bars that close after others open; return the meeting for `close_bars`, and the results at their opens.

        An order that arrives before they close, and not in answer to a result of theirs, waits for the next bar.
        """
        meeting = BarMeeting(self.book, bars)
        return meeting, self._during(meeting, meeting.opens())

    def close_bars(self, meeting: BarMeeting) -> Iterator[list[VenueEvent]]:
        """Yield the results inside bars that were opened, with the time of their close."""
        return self._during(meeting, meeting.insides())

    def _during(self, meeting: BarMeeting, happenings: Iterator[list[VenueEvent]]) -> Iterator[list[VenueEvent]]:
        self._meeting = meeting
        yield from happenings
        self._meeting = None

    def end_day(self, instrument: str, at_ns: int, *, since_ns: int | None = None) -> Iterator[list[VenueEvent]]:
        """Yield the expiry of each open DAY order of an instrument at the end of its trading day.

        An order that arrived in the bar just closed, and waits for its first open, belongs to the next day; so does one
        that arrived after `since_ns`, if a bar that is the whole day opened then.
        """
        for ticket in [*self.working.get(instrument, {}).values()]:
            is_day = ticket.order.is_open and ticket.order.time_in_force is TimeInForce.DAY
            is_early = since_ns is not None and ticket.came_ns > since_ns
            if is_day and not is_early and not ticket.waits_for_open(at_ns):
                yield [self.book.close(ticket, OrderStatus.EXPIRED, at_ns, _DAY_REASON)]

    def _objection(self, order: Order) -> str:
        instrument = self._instruments.get(order.instrument)
        if instrument is None:
            return f"order {order.id}: {order.instrument!r} is not listed here"
        if isinstance(instrument, Index):
            return f"order {order.id}: {order.instrument} is an index and cannot be traded"
        if order.id in self.book.orders:
            return f"order {order.id}: the id was used before"
        return _bad_terms(order, instrument)

    def _meet_quote(self, ticket: Ticket, quote: Quote, at_ns: int, events: list[VenueEvent]) -> None:
        price = ticket.price_on(quote)
        if price is not None:
            if ticket.order.status is OrderStatus.HELD:
                ticket.order = ticket.order.moved(OrderStatus.WORKING, at_ns)
                events.append(report_of(ticket, at_ns))
            quantity = ticket.order.remaining
            if self._partial:
                quantity = self._take(quote, ticket.order.side, quantity)
            if quantity > 0:
                self.book.fill(ticket, price=price, quantity=quantity, at_ns=at_ns, events=events)
        else:
            self.book.report_trigger(ticket, at_ns, events)
        if ticket.order.is_open and ticket.order.time_in_force is TimeInForce.IOC:
            events.append(self.book.close(ticket, OrderStatus.CANCELLED, at_ns, IOC_REASON))

    def _take(self, quote: Quote, side: Side, wanted: float) -> float:
        """Return how much of `wanted` the quote still shows, and reduce its size by that."""
        quantity = max(0.0, min(wanted, self._shown(quote, side)))
        self._taken.setdefault(quote.instrument, {Side.BUY: 0.0, Side.SELL: 0.0})[side] += quantity
        return quantity

    def _shown(self, quote: Quote, side: Side) -> float:
        """Return the size that the quote still shows to orders of this side."""
        taken = self._taken.get(quote.instrument)
        shown = quote.ask_size if side is Side.BUY else quote.bid_size
        return shown if taken is None else shown - taken[side]


def _unknown(order_id: str, at_ns: int) -> OrderReport:
    reason = f"order {order_id} is not known here"
    return OrderReport(order_id=order_id, status=OrderStatus.REJECTED, at_ns=at_ns, reason=reason)


def _bad_terms(order: Order, instrument: AnyInstrument) -> str:
    """Return what is wrong with the terms of an order, or an empty text."""
    try:
        order.checked()
    except OrderError as error:
        return str(error)
    if not instrument.fits_size(order.quantity):
        return (
            f"order {order.id}: its size of {order.quantity:.10g} is not a multiple of "
            f"{instrument.size_increment:.10g}, the size increment of {order.instrument}"
        )
    for name, price in (("limit_price", order.limit_price), ("stop_price", order.stop_price)):
        if price is None:
            continue
        if price < instrument.lowest_price:
            return f"order {order.id}: {name} {price!r} is below {instrument.lowest_price:g}, the lowest there is"
        if not on_grid(price, instrument):
            return (
                f"order {order.id}: {name} {price!r} does not conform to the minimum price variation "
                f"of {instrument.tick_at(price):g}"
            )
    return ""


def on_grid(price: float, instrument: AnyInstrument) -> bool:
    """Return whether a price is on the instrument's grid, up to the rounding errors of binary fractions."""
    nearest = instrument.round_price(price)
    return price == nearest or math.isclose(price, nearest, rel_tol=1e-12, abs_tol=instrument.tick_at(price) * 1e-6)
