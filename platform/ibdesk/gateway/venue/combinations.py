"""Working combination orders: all legs trade at once, away from the exchange, when their net price is good enough."""

from __future__ import annotations

from typing import Protocol

from ibdesk.gateway.venue import combos
from ibdesk.gateway.venue.combos import QuoteOf
from ibdesk.gateway.venue.executions import Executions
from ibdesk.gateway.venue.notifier import Notifier
from ibdesk.gateway.venue.records import OrderRecord
from ibdesk.gateway.venue.terms import AT_ONCE, TimeInForce
from ibdesk.model import Fill


class CombinationActions(Protocol):
    """The operations that combinations need of the order handler."""

    def count(self, record: OrderRecord, fill: Fill) -> None:
        """Add an execution to the order's figures and status."""

    def settle(self, record: OrderRecord, quantity: float) -> None:
        """Apply the effects of an execution on linked orders."""

    def end_unfilled(self, record: OrderRecord) -> None:
        """End an order that could trade only immediately and did not."""


class Combinations:
    """Works orders of combinations. With `partial` an execution is at most the displayed size of the legs' quotes."""

    def __init__(
        self,
        actions: CombinationActions,
        quote_of: QuoteOf,
        *,
        executions: Executions,
        notifier: Notifier,
        partial: bool,
    ) -> None:
        self._actions = actions
        self._quote_of = quote_of
        self._executions = executions
        self._notifier = notifier
        self._partial = partial

    def work(self, record: OrderRecord) -> None:
        """Fill an order if the net price of its legs allows it, else let it rest."""
        contract, side, time_in_force = record.contract, record.order.side, record.terms.time_in_force
        prices = combos.leg_prices(contract, side, self._quote_of)
        net = None if prices is None else combos.net_price(contract, prices)
        if prices is not None and net is not None and combos.is_good(net, record.terms.limit, side):
            quantity = record.remaining
            if self._partial:
                quantity = min(quantity, combos.shown_sets(contract, side, self._quote_of))
            if quantity > 0 and not (time_in_force is TimeInForce.FOK and quantity < record.remaining):
                self.fill(record, quantity, net, prices)
        if time_in_force in AT_ONCE and not record.is_done:
            self._actions.end_unfilled(record)
        elif record.status == "PreSubmitted" and not record.is_done:
            record.status = "Submitted"
            self._notifier.show(record)

    def fill(self, record: OrderRecord, quantity: float, net: float, prices: list[float]) -> None:
        """Execute a quantity: one execution of the combination, then one of each leg (reported)."""
        whole = self._executions.trade(record, record.contract, quantity, net)
        self._actions.count(record, whole)
        self._notifier.execution(self._executions.note_whole(record, whole))
        legs = self._executions.book_legs(record, quantity, prices)
        for execution in legs:
            self._notifier.execution(execution)
        self._notifier.show(record)
        for execution in legs:
            self._notifier.charged(execution)
        self._actions.settle(record, quantity)
