"""Faults of orders and executions at the venue: what becomes of them, and which order ids are next."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import msgspec

from ibdesk.gateway.faults.fault import ClientId, Fault, Occasion, OrderFault, Stage

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
"""Texts of codes that come with the id of an order that lives on."""
NO_ORDER = "no such order is open"


class RejectNextOrder(Fault, frozen=True, kw_only=True):
    """The next new order of any client is refused: error 201, then Inactive."""

    reason: Annotated[str, msgspec.Meta(max_length=500)] = "rejected on request"

    def strike(self, stage: Stage, occasion: Occasion) -> None:  # noqa: ARG002
        """Refuse it."""
        stage.gateway.venue.refuse_next = self.reason


class OpenOrderFault(OrderFault, frozen=True, kw_only=True):
    """A fault of orders that are open: the one named, the one that triggered it, else all of a client or of everybody.

    Triggered by an order, it strikes once the order is at the venue.
    """

    strikes_after: ClassVar[bool] = True

    def strike(self, stage: Stage, occasion: Occasion) -> str | None:
        """Strike every one."""
        records = stage.open_orders(*self.whose(occasion))
        for record in records:
            self.befall(stage, record)
        return None if records else NO_ORDER

    def befall(self, stage: Stage, record: OrderRecord) -> None:
        """Strike one order."""
        raise NotImplementedError


class RejectOpenOrder(OpenOrderFault, frozen=True, kw_only=True):
    """An order that was accepted is rejected: error 201, then Inactive."""

    reason: Annotated[str, msgspec.Meta(max_length=500)] = "rejected after it was accepted"

    def befall(self, stage: Stage, record: OrderRecord) -> None:
        """Reject it."""
        stage.gateway.venue.reject_open(record, self.reason)


class CancelOpenOrder(OpenOrderFault, frozen=True, kw_only=True):
    """IB cancels an order by itself: orderStatus Cancelled, then error 202 with the reason."""

    reason: Annotated[str, msgspec.Meta(max_length=500)] = "cancelled by the exchange"

    def befall(self, stage: Stage, record: OrderRecord) -> None:
        """Cancel it."""
        stage.gateway.venue.cancel(record, self.reason)


class FillAndCancel(OpenOrderFault, frozen=True, kw_only=True):
    """A part of an order, `share` of what is left in whole units and at least one, is filled and the rest cancelled."""

    share: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5
    reason: Annotated[str, msgspec.Meta(max_length=500)] = "the rest was cancelled by the exchange"

    def befall(self, stage: Stage, record: OrderRecord) -> None:
        """Fill and cancel it."""
        venue = stage.gateway.venue
        quote = venue.exchange.quote(record.contract.id)
        if quote is not None and not math.isnan(quote.mid):
            venue.fill(record, min(record.remaining, max(1.0, float(int(record.remaining * self.share)))))
        if not record.is_done:
            venue.cancel(record, self.reason)


class WarnOfOrder(OpenOrderFault, frozen=True, kw_only=True):
    """A code with an order's id that means no harm: 10349, 399, 404 or 2109; the order lives on."""

    code: Literal[399, 404, 2109, 10349] = 10349

    def befall(self, stage: Stage, record: OrderRecord) -> None:
        """Send it to the order's client."""
        for session in stage.gateway.connected(record.client_id):
            session.error(record.order_id, self.code, WARNINGS[self.code])

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one of any code."""
        codes: tuple[Literal[399], Literal[404], Literal[2109], Literal[10349]] = (399, 404, 2109, 10349)
        return cls(code=chance.choice(codes))


class CorrectExecution(OrderFault, frozen=True, kw_only=True):
    """The last execution in scope is corrected: told again as ``.02`` with another price and quantity.

    The account follows, as if the execution had been so from the beginning. Legs of combinations are left alone.
    """

    strikes_after: ClassVar[bool] = True

    price_by: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)] = 0.01
    quantity_by: Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)] = 0.0

    def strike(self, stage: Stage, occasion: Occasion) -> str | None:
        """Correct it."""
        client, order = self.whose(occasion)
        venue = stage.gateway.venue
        for done in reversed(venue.executions):
            record = done.record
            if (
                client in (None, record.client_id)
                and order in (None, record.order_id)
                and done.contract.id == record.contract.id
            ):
                price, quantity = round(done.fill.price + self.price_by, 10), done.fill.quantity + self.quantity_by
                if price <= 0 or quantity <= 0:
                    return "a correction to nothing is none"
                venue.correct(done, price=price, quantity=quantity)
                return None
        return "no such execution"


class SetNextOrderId(Fault, frozen=True, kw_only=True):
    """`nextValidId` is announced as `to`, lower or higher than it was, and ids are taken from there on."""

    to: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    client: ClientId | None = None

    def strike(self, stage: Stage, occasion: Occasion) -> None:
        """Count from there."""
        client = occasion.client if self.client is None else self.client
        for each in sorted(stage.gateway.known_clients()) if client is None else (client,):
            stage.gateway.venue.set_next_order_id(each, self.to)

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one that rolls back to the first id, or jumps."""
        return cls(to=chance.choice((1, 10_000)))
