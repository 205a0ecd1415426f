"""Changes of open orders: which ones are allowed, and how the order continues with its new terms."""

from __future__ import annotations

import msgspec

from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.refusal import RefusedError
from ibdesk.gateway.venue.clearing import Clearing
from ibdesk.gateway.venue.kinds import Plain
from ibdesk.gateway.venue.notifier import Notifier
from ibdesk.gateway.venue.order_handler import OrderHandler
from ibdesk.gateway.venue.records import Hold, OrderRecord
from ibdesk.gateway.venue.terms import OrderTerms
from ibdesk.model import Order


class OrderChanges:
    """Gives new terms to open orders."""

    def __init__(self, order_handler: OrderHandler, clearing: Clearing, notifier: Notifier) -> None:
        self._order_handler = order_handler
        self._clearing = clearing
        self._notifier = notifier

    def change_order(self, record: OrderRecord, request: Fields, terms: OrderTerms, order: Order) -> None:
        """Give an open order new terms and show it.

        A plain order stays at the exchange if only its price or size changes.

        Raises:
            RefusedError: If this change is not possible (329, 440, documented), or the account lacks the margin for the
                new terms (201, reported). The order stays as it was.
        """
        self._check(record, terms, order)
        before, live = record.terms, self._order_handler.route.live(record)
        record.request, record.terms = request, terms
        record.order = msgspec.structs.replace(order, id=record.order.id)
        record.released = order.quantity
        if live is not None and isinstance(record.kind, Plain) and _without_prices(before) == _without_prices(terms):
            shape = record.kind.shape(terms, order.side, record.contract.instrument, None, None)
            if shape is not None:
                self._order_handler.route.change(record, live, shape, report=True)
            return
        # The exchange sees another type as a new order for the remaining quantity.
        self._order_handler.route.withdraw(record)
        record.shape = None
        if record.kind.waits:
            record.status = "PreSubmitted"
        self._order_handler.prepare(record)
        self._notifier.show(record)
        self._order_handler.start(record)

    def _check(self, record: OrderRecord, terms: OrderTerms, order: Order) -> None:
        wanted = msgspec.structs.replace(record, terms=terms, order=order)
        if terms.kind != record.terms.kind and (record.kind.fixed or wanted.kind.fixed):
            raise RefusedError(329, "Order modify failed. Cannot change to the new order type.")
        if record.terms.algorithm != terms.algorithm:
            raise RefusedError(440, "Order modify failed. Algorithm cannot be modified.")
        if Hold.PARENT not in record.holds:
            reason = self._clearing.objection(wanted, in_place_of=record)
            if reason:
                raise RefusedError(201, reason)


def _without_prices(terms: OrderTerms) -> OrderTerms:
    return msgspec.structs.replace(terms, limit=None, aux=None, transmit=True)
