"""The simulated venue: takes orders, meets them with bars or quotes, and says what became of them.

It reads no clock and does no IO: every call carries its time and returns what the venue would send, in order.
An execution is an `OrderReport` or none, a `Fill`, its `Commission` and, when nothing is left, the report
FILLED. The rules of when and at what price an order fills stand in `ibdesk.exchange.ticket`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import msgspec

from ibdesk.errors import InstrumentError, OrderError
from ibdesk.exchange.commission import CommissionSchedule, FixedCommission
from ibdesk.exchange.slippage import NoSlippage, Slippage
from ibdesk.exchange.ticket import Ticket
from ibdesk.model import (
    AnyInstrument,
    Bar,
    Commission,
    Fill,
    Index,
    Order,
    OrderReport,
    OrderStatus,
    Quote,
    Side,
    TimeInForce,
)

VenueEvent = OrderReport | Fill | Commission


class Exchange:
    """A venue for any number of instruments; deterministic.

    An instrument is met either by bars or by quotes. On bars an order fills in full whatever the volume, the
    earliest at the open of the next bar; with quotes it meets the last quote at once. With `partial` an
    execution takes no more than the quote's displayed size, and what is taken is gone until the next quote.

    `working` holds the open orders by instrument, and only instruments that have some, so that a driver asks
    ``bar.instrument in exchange.working`` before it spends more on a bar. `slippage_paid` is what slippage has
    cost so far, in money. Execution ids count from `first_execution`; like IB's they end in a correction number
    after the last period.
    """

    def __init__(
        self,
        *,
        commissions: CommissionSchedule | None = None,
        slippage: Slippage | None = None,
        partial: bool = False,
        first_execution: int = 1,
    ) -> None:
        self.working: dict[str, dict[str, Ticket]] = {}
        self.slippage_paid = 0.0
        self._commissions = commissions if commissions is not None else FixedCommission()
        self._slippage = slippage if slippage is not None else NoSlippage()
        self._partial = partial
        self._executions = itertools.count(first_execution)
        self._instruments: dict[str, AnyInstrument] = {}
        self._orders: dict[str, Ticket] = {}
        self._quotes: dict[str, Quote] = {}
        self._taken: dict[str, dict[Side, float]] = {}

    def add(self, instrument: AnyInstrument) -> None:
        """List an instrument; one that is listed already is replaced for orders that come later."""
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
        """Return an order as the venue sees it, open or not; None if it never came."""
        ticket = self._orders.get(order_id)
        return ticket.order if ticket else None

    @property
    def open_orders(self) -> list[Order]:
        """Return what is open, in the order in which instruments and orders came."""
        return [ticket.order for book in self.working.values() for ticket in book.values()]

    def quote(self, name: str) -> Quote | None:
        """Return the instrument's last quote, None before the first."""
        return self._quotes.get(name)

    def place(self, order: Order, at_ns: int) -> list[VenueEvent]:
        """Take an order: it works, is held, or is rejected and why; with a quote known it may fill at once."""
        reason = self._objection(order)
        if reason:
            return [OrderReport(order_id=order.id, status=OrderStatus.REJECTED, at_ns=at_ns, reason=reason)]
        ticket = Ticket(order, self._instruments[order.instrument])
        status = ticket.resting_status
        quote = self._quotes.get(order.instrument)
        if quote is not None and ticket.triggered:
            status = OrderStatus.WORKING
        ticket.order = msgspec.structs.replace(order, status=status, updated_ns=at_ns)
        self._orders[order.id] = ticket
        self.working.setdefault(order.instrument, {})[order.id] = ticket
        events: list[VenueEvent] = [_terms(ticket.order, at_ns)]
        if quote is not None:
            self._meet_quote(ticket, quote, at_ns, events)
        return events

    def modify(
        self,
        order_id: str,
        *,
        quantity: float,
        limit_price: float | None,
        stop_price: float | None,
        at_ns: int,
    ) -> list[VenueEvent]:
        """Give an open order new terms; a change that cannot be made is reported and changes nothing."""
        ticket = self._orders.get(order_id)
        if ticket is None:
            return [_unknown(order_id, at_ns)]
        order = ticket.order
        changed = msgspec.structs.replace(
            order, quantity=quantity, limit_price=limit_price, stop_price=stop_price, updated_ns=at_ns
        )
        if not order.is_open:
            reason = f"order {order_id} is {order.status.value} and cannot be modified"
        elif quantity <= order.filled:
            reason = f"order {order_id}: {order.filled:g} are filled, so its quantity cannot become {quantity:g}"
        else:
            reason = _bad_terms(changed, ticket.instrument)
        if reason:
            return [_terms(order, at_ns, reason)]
        ticket.order = changed
        events: list[VenueEvent] = [_terms(changed, at_ns)]
        quote = self._quotes.get(order.instrument)
        if quote is not None:
            self._meet_quote(ticket, quote, at_ns, events)
        return events

    def cancel(self, order_id: str, at_ns: int, *, reason: str = "") -> list[VenueEvent]:
        """Withdraw what is left of an order; one that is not open is reported as it stands, with a reason."""
        ticket = self._orders.get(order_id)
        if ticket is None:
            return [_unknown(order_id, at_ns)]
        if not ticket.order.is_open:
            status = ticket.order.status
            return [_terms(ticket.order, at_ns, f"order {order_id} is {status.value} and cannot be cancelled")]
        return [self._close(ticket, OrderStatus.CANCELLED, at_ns, reason)]

    def on_quote(self, quote: Quote) -> list[VenueEvent]:
        """Meet the instrument's open orders with a quote, the oldest order first."""
        name = quote.instrument
        self._quotes[name] = quote
        self._taken.pop(name, None)
        events: list[VenueEvent] = []
        for ticket in [*self.working.get(name, {}).values()]:
            self._meet_quote(ticket, quote, quote.at_ns, events)
        return events

    def meet(self, quote: Quote) -> Iterator[list[VenueEvent]]:
        """Do as `on_quote`, one order after another: what the caller withdraws in between does not meet it."""
        name = quote.instrument
        self._quotes[name] = quote
        self._taken.pop(name, None)
        for ticket in [*self.working.get(name, {}).values()]:
            events: list[VenueEvent] = []
            if ticket.order.is_open:
                self._meet_quote(ticket, quote, quote.at_ns, events)
            if events:
                yield events

    def takes_all(self, order: Order) -> bool:
        """Return whether the last quote would fill all of an order, were it placed now."""
        quote, instrument = self._quotes.get(order.instrument), self._instruments.get(order.instrument)
        if quote is None or instrument is None or Ticket(order, instrument).price_on(quote) is None:
            return False
        return not self._partial or self._shown(quote, order.side) >= order.remaining

    def on_bar(self, bar: Bar) -> list[VenueEvent]:
        """Meet the instrument's open orders with a whole bar: its open first, then what it traded after."""
        if bar.instrument not in self.working:
            return []
        return self.on_bar_open(bar) + self.on_bar_inside(bar)

    def on_bar_open(self, bar: Bar) -> list[VenueEvent]:
        """Meet the open orders with the bar's open; an IOC order that does not fill here is cancelled.

        A driver that calls this and then `on_bar_inside` may place orders in between, as the protective stop
        of an entry that filled at the open: the rest of the bar meets them.
        """
        events: list[VenueEvent] = []
        for ticket in [*self.working.get(bar.instrument, {}).values()]:
            price = ticket.price_at_open(bar)
            if price is not None:
                self._fill(ticket, price, ticket.order.remaining, bar.opened_ns, events)
            elif ticket.order.time_in_force is TimeInForce.IOC:
                events.append(self._close(ticket, OrderStatus.CANCELLED, bar.opened_ns, _IOC_REASON))
        return events

    def on_bar_inside(self, bar: Bar) -> list[VenueEvent]:
        """Meet the open orders with what the bar traded after its open, dated at its close.

        Stops come first, and once one has filled, a limit order of the same owner and side waits for the next
        bar: of a stop and a target that one bar reaches both, the stop is taken.
        """
        events: list[VenueEvent] = []
        if bar.instrument not in self.working:
            return events
        stopped: set[tuple[str, Side]] = set()
        tickets = [*self.working.get(bar.instrument, {}).values()]
        for ticket in sorted(tickets, key=_stops_first):
            order = ticket.order
            if order.stop_price is None and (order.owner, order.side) in stopped:
                continue
            price = ticket.price_inside(bar)
            if price is None:
                self._report_trigger(ticket, bar.at_ns, events)
                continue
            if order.stop_price is not None:
                stopped.add((order.owner, order.side))
            self._fill(ticket, price, order.remaining, bar.at_ns, events)
        return events

    def close_day(self, at_ns: int) -> list[VenueEvent]:
        """End the trading day: every open DAY order expires."""
        ending = [
            ticket
            for book in self.working.values()
            for ticket in book.values()
            if ticket.order.time_in_force is TimeInForce.DAY
        ]
        return [self._close(ticket, OrderStatus.EXPIRED, at_ns, _DAY_REASON) for ticket in ending]

    def _objection(self, order: Order) -> str:
        instrument = self._instruments.get(order.instrument)
        if instrument is None:
            return f"order {order.id}: {order.instrument!r} is not listed here"
        if isinstance(instrument, Index):
            return f"order {order.id}: {order.instrument} is an index and takes no orders"
        if order.id in self._orders:
            return f"order {order.id}: the id was used before"
        return _bad_terms(order, instrument)

    def _meet_quote(self, ticket: Ticket, quote: Quote, at_ns: int, events: list[VenueEvent]) -> None:
        price = ticket.price_on(quote)
        if price is not None:
            if ticket.order.status is OrderStatus.HELD:
                ticket.order = ticket.order.moved(OrderStatus.WORKING, at_ns)
                events.append(_terms(ticket.order, at_ns))
            quantity = ticket.order.remaining
            if self._partial:
                quantity = self._take(quote, ticket.order.side, quantity)
            if quantity > 0:
                self._fill(ticket, price, quantity, at_ns, events)
        else:
            self._report_trigger(ticket, at_ns, events)
        if ticket.order.is_open and ticket.order.time_in_force is TimeInForce.IOC:
            events.append(self._close(ticket, OrderStatus.CANCELLED, at_ns, _IOC_REASON))

    def _take(self, quote: Quote, side: Side, wanted: float) -> float:
        """Return how much of `wanted` the quote still shows, and take it from there."""
        quantity = max(0.0, min(wanted, self._shown(quote, side)))
        self._taken.setdefault(quote.instrument, {Side.BUY: 0.0, Side.SELL: 0.0})[side] += quantity
        return quantity

    def _shown(self, quote: Quote, side: Side) -> float:
        """Return what the quote still shows to orders of this side."""
        taken = self._taken.get(quote.instrument)
        shown = quote.ask_size if side is Side.BUY else quote.bid_size
        return shown if taken is None else shown - taken[side]

    def _report_trigger(self, ticket: Ticket, at_ns: int, events: list[VenueEvent]) -> None:
        """Say that a stop-limit order whose stop was reached now rests as a limit order."""
        if ticket.order.status is OrderStatus.HELD and ticket.resting_status is OrderStatus.WORKING:
            ticket.order = ticket.order.moved(OrderStatus.WORKING, at_ns)
            events.append(_terms(ticket.order, at_ns))

    def _fill(self, ticket: Ticket, price: float, quantity: float, at_ns: int, events: list[VenueEvent]) -> None:
        order, instrument = ticket.order, ticket.instrument
        if ticket.takes_any_price:
            slipped = self._slipped(instrument, order.side, price)
            self.slippage_paid += abs(slipped - price) * quantity * instrument.multiplier
            price = slipped
        execution_id = f"{next(self._executions):08x}.01"
        events.append(
            Fill(
                execution_id=execution_id,
                order_id=order.id,
                instrument=order.instrument,
                side=order.side,
                quantity=quantity,
                price=price,
                at_ns=at_ns,
                multiplier=instrument.multiplier,
            )
        )
        ticket.order = order.after(quantity, price, at_ns)
        ticket.value += abs(quantity * price * instrument.multiplier)
        total = self._commissions.charge(instrument, side=order.side, quantity=ticket.order.filled, value=ticket.value)
        events.append(
            Commission(
                execution_id=execution_id,
                amount=total - ticket.charged,
                at_ns=at_ns,
                currency=instrument.currency,
            )
        )
        ticket.charged = total
        if ticket.order.status is OrderStatus.FILLED:
            self._forget(ticket)
            events.append(_terms(ticket.order, at_ns))

    def _slipped(self, instrument: AnyInstrument, side: Side, price: float) -> float:
        slipped = price + side.sign * self._slippage.per_unit(instrument, price)
        # Nothing that has a price is given away: a sale of a share at a cent does not slip to zero.
        return slipped if slipped > 0 or price <= 0 else min(price, instrument.tick_size)

    def _close(self, ticket: Ticket, status: OrderStatus, at_ns: int, reason: str) -> OrderReport:
        ticket.order = ticket.order.moved(status, at_ns, reason=reason)
        self._forget(ticket)
        return _terms(ticket.order, at_ns, reason)

    def _forget(self, ticket: Ticket) -> None:
        """Take the order off the working ones; it stays known by its id."""
        book = self.working[ticket.order.instrument]
        del book[ticket.order.id]
        if not book:
            del self.working[ticket.order.instrument]


_IOC_REASON = "immediate or cancel: not filled at once"
_DAY_REASON = "the trading day is over"


def _stops_first(ticket: Ticket) -> bool:
    return ticket.order.stop_price is None


def _terms(order: Order, at_ns: int, reason: str = "") -> OrderReport:
    return OrderReport(
        order_id=order.id,
        status=order.status,
        at_ns=at_ns,
        permanent_id=order.permanent_id,
        reason=reason,
        quantity=order.quantity,
        limit_price=order.limit_price,
        stop_price=order.stop_price,
    )


def _unknown(order_id: str, at_ns: int) -> OrderReport:
    reason = f"order {order_id} is not known here"
    return OrderReport(order_id=order_id, status=OrderStatus.REJECTED, at_ns=at_ns, reason=reason)


def _bad_terms(order: Order, instrument: AnyInstrument) -> str:
    """Return what is wrong with the terms of an order, empty if nothing is."""
    try:
        order.checked()
    except OrderError as error:
        return str(error)
    for name, price in (("limit_price", order.limit_price), ("stop_price", order.stop_price)):
        if price is not None and not math.isclose(price, instrument.round_price(price), abs_tol=1e-9):
            return (
                f"order {order.id}: {name} {price!r} does not conform to the minimum price variation "
                f"of {instrument.tick_size:g}"
            )
    return ""
