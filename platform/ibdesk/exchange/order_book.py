"""The orders at the venue, open and ended, and their executions and ends."""

from __future__ import annotations

import itertools

from ibdesk.exchange.commission import CommissionSchedule
from ibdesk.exchange.slippage import Slippage
from ibdesk.exchange.ticket import Ticket
from ibdesk.model import (
    AnyInstrument,
    Bar,
    Commission,
    Fill,
    OrderReport,
    OrderStatus,
    Side,
)

VenueEvent = OrderReport | Fill | Commission


class OrderBook:
    """All orders by id, and the working ones by instrument and age.

    `working` holds only instruments that have open orders. `slippage_paid` is the cost of slippage so far, in money;
    `slippage_cut` is the further cost that was avoided because prices end at their bar's high and low, and `fills_cut`
    is the number of such fills.
    """

    def __init__(self, commissions: CommissionSchedule, slippage: Slippage, first_execution: int) -> None:
        self.orders: dict[str, Ticket] = {}
        self.working: dict[str, dict[str, Ticket]] = {}
        self.slippage_paid = self.slippage_cut = 0.0
        self.fills_cut = 0
        self._commissions, self._slippage = commissions, slippage
        self._executions = itertools.count(first_execution)

    def add(self, ticket: Ticket) -> None:
        """Add an open order."""
        order = ticket.order
        self.orders[order.id] = ticket
        self.working.setdefault(order.instrument, {})[order.id] = ticket

    def report_trigger(self, ticket: Ticket, at_ns: int, events: list[VenueEvent]) -> None:
        """Report that a stop-limit order whose stop was reached now rests as a limit order."""
        if ticket.order.status is OrderStatus.HELD and ticket.resting_status is OrderStatus.WORKING:
            ticket.order = ticket.order.moved(OrderStatus.WORKING, at_ns)
            events.append(report_of(ticket, at_ns))

    def fill(
        self,
        ticket: Ticket,
        *,
        price: float,
        quantity: float,
        at_ns: int,
        events: list[VenueEvent],
        bar: Bar | None = None,
    ) -> None:
        """Execute at `price` plus slippage, but never outside `bar`."""
        order, instrument = ticket.order, ticket.instrument
        if order.limit_price is None:
            # It trades as a market order.
            slipped = self._slipped(instrument, order.side, price)
            worth = quantity * instrument.multiplier
            if bar is not None and not bar.low <= slipped <= bar.high:
                asked, slipped = slipped, max(bar.low, min(bar.high, slipped))
                self.slippage_cut += abs(asked - slipped) * worth
                self.fills_cut += 1
            self.slippage_paid += abs(slipped - price) * worth
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
            events.append(report_of(ticket, at_ns))

    def close(self, ticket: Ticket, status: OrderStatus, at_ns: int, reason: str) -> OrderReport:
        """End an order without a fill."""
        ticket.order = ticket.order.moved(status, at_ns, reason=reason)
        self._forget(ticket)
        return report_of(ticket, at_ns, reason)

    def _slipped(self, instrument: AnyInstrument, side: Side, price: float) -> float:
        slipped, lowest = price + side.sign * self._slippage.per_unit(instrument, price), instrument.lowest_price
        # A share with a price is never free: a sale at one cent does not slip to zero.
        return slipped if slipped >= lowest or price <= 0 else min(price, lowest)

    def _forget(self, ticket: Ticket) -> None:
        """Remove the order from the working ones; it stays known by its id."""
        orders = self.working[ticket.order.instrument]
        del orders[ticket.order.id]
        if not orders:
            del self.working[ticket.order.instrument]


def report_of(ticket: Ticket, at_ns: int, reason: str = "") -> OrderReport:
    """Return an order's state and terms as a report of the venue."""
    order = ticket.order
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
