"""The route of orders to the exchange, and of its reports back to the order handler."""

from __future__ import annotations

from typing import Protocol

import msgspec

from ibdesk.exchange import Exchange, VenueEvent
from ibdesk.gateway.schedule import Schedule
from ibdesk.gateway.venue.ids import VenueIds
from ibdesk.gateway.venue.kinds import Shape
from ibdesk.gateway.venue.notifier import Notifier
from ibdesk.gateway.venue.records import OrderRecord
from ibdesk.gateway.venue.terms import AT_ONCE, TimeInForce
from ibdesk.model import Commission, Fill, Order, OrderReport, OrderStatus, Quote
from ibdesk.model import TimeInForce as ExchangeTimeInForce


class ExchangeListener(Protocol):
    """The receiver of the exchange's reports on orders."""

    def executed(self, record: OrderRecord, fill: Fill, commission: float | None) -> None:
        """Receive an execution."""

    def rests(self, record: OrderRecord, order: Order) -> None:
        """Receive an order that rests in the exchange's book."""

    def end_unfilled(self, record: OrderRecord) -> None:
        """Receive an order that could trade only immediately and did not."""

    def reject_order(self, record: OrderRecord, text: str) -> None:
        """Receive an order that the exchange rejected."""


class Route:
    """Brings orders to the exchange under its own names, and reports to `listener` what the exchange answers.

    The exchange counts each order from zero. So an order that returns to it comes under a new name, with the remaining
    quantity.
    """

    def __init__(
        self, exchange: Exchange, listener: ExchangeListener, *, ids: VenueIds, schedule: Schedule, notifier: Notifier
    ) -> None:
        self._exchange = exchange
        self._listener = listener
        self._ids = ids
        self._schedule = schedule
        self._notifier = notifier
        self._there: dict[str, OrderRecord] = {}

    def live(self, record: OrderRecord) -> Order | None:
        """Return an order as the exchange has it; None when it is not open there."""
        if record.order.id not in self._there:
            return None
        order = self._exchange.order(record.order.id)
        return order if order is not None and order.is_open else None

    def send(self, record: OrderRecord, shape: Shape) -> None:
        """Send the exchange the part of an order that may trade now."""
        quantity = min(record.remaining, record.released - record.filled)
        if quantity <= record.order.quantity * 1e-9:
            return
        self._there.pop(record.order.id, None)
        self._notifier.changed(record, at_once=False)
        record.filled_before, record.shape = record.filled, shape
        record.order = _shaped(record.order, shape, name=self._ids.at_exchange())
        ends_at_once = record.terms.time_in_force in AT_ONCE or record.kind.in_auction
        order = msgspec.structs.replace(
            record.order,
            quantity=quantity,
            time_in_force=ExchangeTimeInForce.IOC if ends_at_once else ExchangeTimeInForce.GTC,
        )
        if record.terms.time_in_force is TimeInForce.FOK and not self._exchange.takes_all(order):
            self._listener.end_unfilled(record)
            return
        self._there[order.id] = record
        self._take(self._exchange.place_order(order, self._schedule.now_ns))

    def change(self, record: OrderRecord, live: Order, shape: Shape, *, report: bool = False) -> None:
        """Change price or size of an order at the exchange; with `report`, report it before its effects."""
        self._notifier.changed(record, at_once=False)
        record.shape, record.order = shape, _shaped(record.order, shape, name=record.order.id)
        events = self._exchange.modify_order(
            live.id,
            quantity=min(record.order.quantity, record.released) - record.filled_before,
            limit_price=shape.limit,
            stop_price=shape.stop,
            at_ns=self._schedule.now_ns,
        )
        if report:
            self._notifier.show(record)
            if record.why_held:
                self._notifier.show(record)
        self._take(events)

    def withdraw(self, record: OrderRecord) -> None:
        """Withdraw an order from the exchange, if it is there, without a report."""
        if self.live(record) is not None:
            self._exchange.cancel_order(record.order.id, self._schedule.now_ns)
        self._there.pop(record.order.id, None)

    def meet(self, quote: Quote) -> None:
        """Match the exchange's open orders with a quote."""
        for events in self._exchange.meet_quote(quote):
            self._take(events)

    def _take(self, events: list[VenueEvent]) -> None:
        for index, event in enumerate(events):
            if isinstance(event, Commission):
                continue
            record = self._there.get(event.order_id)
            if record is None:
                continue
            match event:
                case Fill():
                    charge = events[index + 1]
                    assert isinstance(charge, Commission)  # noqa: S101 - the exchange promises it
                    self._listener.executed(record, event, charge.amount)
                case OrderReport(status=OrderStatus.CANCELLED | OrderStatus.EXPIRED):
                    self._listener.end_unfilled(record)
                case OrderReport(status=OrderStatus.REJECTED):
                    self._listener.reject_order(record, f"Order rejected - reason:{event.reason}")
                case OrderReport(status=OrderStatus.WORKING):
                    order = self._exchange.order(record.order.id)
                    if order is not None:
                        self._listener.rests(record, order)
            if record.is_done:
                self._there.pop(event.order_id, None)


def _shaped(order: Order, shape: Shape, *, name: str) -> Order:
    return msgspec.structs.replace(order, id=name, type=shape.type, limit_price=shape.limit, stop_price=shape.stop)
