"""The true events at the venue, collected from the gateway itself and never from the desk."""

from __future__ import annotations

from collections.abc import Container

import msgspec

from ibdesk.gateway import Gateway
from ibdesk.gateway.venue.records import OrderRecord


class SentOrder(msgspec.Struct, frozen=True):
    """The client and the number under which an order came to the gateway."""

    client_id: int
    order_id: int


class Executed(msgspec.Struct, frozen=True):
    """One execution with its corrections; `name` is its id without the number of the correction."""

    name: str
    id: str
    order: str
    client_id: int
    symbol: str
    quantity: float
    price: float
    at_ns: int
    commission: float = 0.0


class Truth:
    """Orders and executions of all clients over all generations of the gateway."""

    def __init__(self) -> None:
        # sent: orders by their reference, as they came.
        self.sent: dict[str, SentOrder] = {}
        # by_number: the first reference of a client's order number.
        self.by_number: dict[tuple[int, int], str] = {}
        self.executions: dict[str, Executed] = {}
        self._gateway: Gateway | None = None
        self._seen: list[object] = []

    def look_at(self, gateway: Gateway) -> None:
        """Track a gateway, or its next generation."""
        self._gateway = gateway
        self._seen = []

    def take_in(self) -> list[Executed]:
        """Read the new events at the venue, and return the executions."""
        if self._gateway is None:
            return []
        found = self._gateway.venue.executions
        if len(found) == len(self._seen) and all(a is b for a, b in zip(found, self._seen, strict=True)):
            return []
        new = []
        for place, execution in enumerate(found):
            if place < len(self._seen) and self._seen[place] is execution:
                continue
            record, fill = execution.record, execution.fill
            executed = Executed(
                name=execution.id.rpartition(".")[0],
                id=execution.id,
                order=str(record.request.text("orderRef")),
                client_id=record.client_id,
                symbol=fill.instrument,
                quantity=fill.signed_quantity,
                price=fill.price,
                at_ns=fill.at_ns,
                commission=execution.commission,
            )
            if self.executions.get(executed.name) != executed:
                self.executions[executed.name] = executed
                new.append(executed)
        self._seen = list(found)
        return new

    def record(self, reference: str) -> OrderRecord | None:
        """Return the venue's record of an order, by its reference."""
        if self._gateway is None:
            return None
        sent = self.sent.get(reference)
        return None if sent is None else self._gateway.venue.find_order(sent.client_id, sent.order_id)

    def open_orders(self, client_id: int) -> list[OrderRecord]:
        """Return a client's open orders at the venue."""
        return [] if self._gateway is None else list(self._gateway.venue.open_orders(client_id))

    def held(self, symbol: str) -> float:
        """Return the account's position as the sum of all executions."""
        return sum(each.quantity for each in self.executions.values() if each.symbol == symbol)

    def moved_by(self, owner: str, symbol: str, among: Container[str] | None = None) -> float:
        """Return the quantity traded by the orders of a run, over all executions or those of these names."""
        return sum(
            each.quantity
            for each in self.executions.values()
            if each.symbol == symbol and owner_of(each.order) == owner and (among is None or each.name in among)
        )


def owner_of(reference: str) -> str:
    """Return the run of an order by its reference, ``manual`` for one by hand."""
    return reference.rpartition(".")[0] or reference.partition("-")[0]
