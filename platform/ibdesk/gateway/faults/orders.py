"""Faults of orders and executions at the venue, and of order ids."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import msgspec

from ibdesk.gateway.faults.fault import ClientId, Fault, FaultContext, OrderFault, Trigger

if TYPE_CHECKING:
    from ibdesk.gateway.venue.records import OrderRecord

WARNINGS = {
    399: (
        "Order Message:\nBUY 10 AAPL NASDAQ\nWarning: Your order will not be placed at the exchange until "
        "2026-04-14 09:30:00 US/Eastern"
    ),
    404: (
        "Shares for this order are not immediately available for short sale. The order will be held while we attempt "
        "to locate the shares."
    ),
    2109: (
        "Order Event Warning: Attribute 'Outside Regular Trading Hours' is ignored based on the order type and "
        "destination. PlaceOrder is now being processed."
    ),
    10349: "Order TIF was set to DAY based on order preset.",
}
"""Texts of codes that carry the id of an order which continues to work."""
NO_ORDER = "no such order is open"


class RejectNextOrder(Fault, frozen=True, kw_only=True):
    """The next new order of any client is rejected: error 201, then Inactive."""

    reason: Annotated[str, msgspec.Meta(max_length=500)] = "rejected on request"

    def strike(self, context: FaultContext, trigger: Trigger) -> None:  # noqa: ARG002
        """Reject the next order."""
        context.gateway.venue.refuse_next = self.reason


class OpenOrderFault(OrderFault, frozen=True, kw_only=True):
    """A fault of open orders: the named one, the one that triggered it, else all of one client or of all clients.

    Triggered by an order, it strikes after the order reached the venue.
    """

    strikes_after: ClassVar[bool] = True

    def strike(self, context: FaultContext, trigger: Trigger) -> str | None:
        """Strike each order."""
        records = context.open_orders(*self.client_and_order(trigger))
        for record in records:
            self.apply_to(context, record)
        return None if records else NO_ORDER

    def apply_to(self, context: FaultContext, record: OrderRecord) -> None:
        """Strike one order."""
        raise NotImplementedError


class RejectOpenOrder(OpenOrderFault, frozen=True, kw_only=True):
    """An order that was accepted is rejected: error 201, then Inactive."""

    reason: Annotated[str, msgspec.Meta(max_length=500)] = "rejected after it was accepted"

    def apply_to(self, context: FaultContext, record: OrderRecord) -> None:
        """Reject the order."""
        context.gateway.venue.reject_open_order(record, self.reason)


class CancelOpenOrder(OpenOrderFault, frozen=True, kw_only=True):
    """IB cancels an order itself: orderStatus Cancelled, then error 202 with the reason."""

    reason: Annotated[str, msgspec.Meta(max_length=500)] = "cancelled by the exchange"

    def apply_to(self, context: FaultContext, record: OrderRecord) -> None:
        """Cancel the order."""
        context.gateway.venue.cancel_order(record, self.reason)


class FillAndCancel(OpenOrderFault, frozen=True, kw_only=True):
    """A part of an order is filled and the rest cancelled.

    The part is `share` of the remaining quantity, in whole units and at least one.
    """

    share: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5
    reason: Annotated[str, msgspec.Meta(max_length=500)] = "the rest was cancelled by the exchange"

    def apply_to(self, context: FaultContext, record: OrderRecord) -> None:
        """Fill and cancel the order."""
        venue = context.gateway.venue
        quote = venue.exchange.quote(record.contract.id)
        if quote is not None and not math.isnan(quote.mid):
            venue.fill_order(record, min(record.remaining, max(1.0, float(int(record.remaining * self.share)))))
        if not record.is_done:
            venue.cancel_order(record, self.reason)


class WarnOfOrder(OpenOrderFault, frozen=True, kw_only=True):
    """A harmless code with an order's id: 10349, 399, 404 or 2109; the order continues to work."""

    code: Literal[399, 404, 2109, 10349] = 10349

    def apply_to(self, context: FaultContext, record: OrderRecord) -> None:
        """Send the code to the order's client."""
        for session in context.gateway.connected(record.client_id):
            session.error(record.order_id, self.code, WARNINGS[self.code])

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one with a random code."""
        codes: tuple[Literal[399], Literal[404], Literal[2109], Literal[10349]] = (399, 404, 2109, 10349)
        return cls(code=chance.choice(codes))


class CorrectExecution(OrderFault, frozen=True, kw_only=True):
    """The last execution in scope is corrected: reported again as ``.02`` with another price and quantity.

    The account is corrected too. Executions of combination legs are skipped.
    """

    strikes_after: ClassVar[bool] = True

    price_by: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)] = 0.01
    quantity_by: Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)] = 0.0

    def strike(self, context: FaultContext, trigger: Trigger) -> str | None:
        """Correct the execution."""
        client, order = self.client_and_order(trigger)
        venue = context.gateway.venue
        for done in reversed(venue.executions):
            record = done.record
            if (
                client in (None, record.client_id)
                and order in (None, record.order_id)
                and done.contract.id == record.contract.id
            ):
                price, quantity = round(done.fill.price + self.price_by, 10), done.fill.quantity + self.quantity_by
                if price <= 0 or quantity <= 0:
                    return "a correction must leave a positive price and quantity"
                venue.correct_execution(done, price=price, quantity=quantity)
                return None
        return "no such execution"


class SetNextOrderId(Fault, frozen=True, kw_only=True):
    """`nextValidId` is announced as `to`, lower or higher than before, and ids are accepted from there on."""

    to: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    client: ClientId | None = None

    def strike(self, context: FaultContext, trigger: Trigger) -> None:
        """Set the next order id."""
        client = trigger.client if self.client is None else self.client
        for each in sorted(context.gateway.known_clients()) if client is None else (client,):
            context.gateway.venue.set_next_order_id(each, self.to)

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one that rolls back to the first id, or jumps."""
        return cls(to=chance.choice((1, 10_000)))
