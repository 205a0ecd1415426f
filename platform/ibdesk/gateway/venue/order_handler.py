"""The working of orders, from acceptance to the end.

The order of messages is that of paper accounts (captured). An order is acknowledged as PreSubmitted. One that rests is
shown again as Submitted; a stop is shown twice as PreSubmitted, and as Submitted when it is triggered. An execution
comes before the status it leads to, and its commission last. An immediate-or-cancel order that does not fill goes
through PendingCancel without an error 202; a fill-or-kill order becomes Inactive without an error.
"""

from __future__ import annotations

import msgspec

from ibdesk.exchange import Exchange
from ibdesk.gateway.market.tape import Tape
from ibdesk.gateway.schedule import Schedule
from ibdesk.gateway.venue import combos, conditions
from ibdesk.gateway.venue.clearing import Clearing
from ibdesk.gateway.venue.combinations import Combinations
from ibdesk.gateway.venue.executions import Executions
from ibdesk.gateway.venue.groups import Groups
from ibdesk.gateway.venue.ids import VenueIds
from ibdesk.gateway.venue.kinds import Plain, Shape
from ibdesk.gateway.venue.linked_orders import LinkedOrders
from ibdesk.gateway.venue.market_watch import MarketWatch
from ibdesk.gateway.venue.notifier import Notifier
from ibdesk.gateway.venue.records import Hold, OrderRecord
from ibdesk.gateway.venue.route import Route
from ibdesk.gateway.venue.terms import ConditionKind, TimeInForce
from ibdesk.gateway.venue.timers import OrderTimers
from ibdesk.model import Fill, Order, OrderStatus, OrderType, Quote, Side

_ACKNOWLEDGED_LATE = frozenset({TimeInForce.IOC, TimeInForce.FOK})


class OrderHandler:
    """Works orders according to their kind, holds, groups and conditions; `route` takes them to the exchange."""

    def __init__(
        self,
        exchange: Exchange,
        clearing: Clearing,
        *,
        ids: VenueIds,
        schedule: Schedule,
        tape: Tape,
        notifier: Notifier,
        always: bool,
        partial: bool,
    ) -> None:
        self.executions = Executions(clearing, ids, schedule, notifier)
        self.groups = Groups()
        self.route = Route(exchange, self, ids=ids, schedule=schedule, notifier=notifier)
        self._exchange = exchange
        self._clearing = clearing
        self._schedule = schedule
        self._tape = tape
        self._notifier = notifier
        self._timers = OrderTimers(schedule, self, always=always)
        self._market_watch = MarketWatch(tape, self._look_around)
        self._linked_orders = LinkedOrders(self, self.groups, self._market_watch)
        self._combinations = Combinations(
            self, exchange.quote, executions=self.executions, notifier=notifier, partial=partial
        )

    def restore(self, record: OrderRecord, parent: OrderRecord | None, saved_ns: int) -> None:
        """Continue to work an order that an earlier run left open at `saved_ns`.

        Fulfilled conditions and reached triggers stay so. A DAY order whose day has ended since then expires.
        """
        self._notifier.changed(record)
        self.groups.restore(record, parent)
        if Hold.TRANSMIT in record.holds:
            return
        if self._timers.day_has_ended(record, saved_ns):
            self.expire_order(record, "the trading day is over")
            return
        waited, shape = Hold.CONDITIONS in record.holds, record.shape
        self.prepare(record)
        if not waited:
            record.holds.discard(Hold.CONDITIONS)
        if not record.holds and shape is not None and record.kind.waits and record.status == "Submitted":
            self.route.send(record, Shape(OrderType.MARKET if shape.limit is None else OrderType.LIMIT, shape.limit))
        else:
            self.start(record)

    # ---- from acceptance to work ------------------------------------------------------------------------------

    def accept(self, record: OrderRecord) -> None:
        """Acknowledge a new order and begin to work it, as far as its holds allow."""
        self.prepare(record)
        for code, text in self._timers.warnings(record):
            self._notifier.error(record, code, text)
        self._notifier.acknowledge(record, with_status=record.terms.time_in_force not in _ACKNOWLEDGED_LATE)
        self.start(record)

    def prepare(self, record: OrderRecord) -> None:
        """Set the holds that an order's terms demand, schedule its times, and watch the markets it depends on."""
        terms, legs = record.terms, record.contract.legs
        record.holds.discard(Hold.CONDITIONS)
        if terms.conditions and not terms.conditions_cancel:
            record.holds.add(Hold.CONDITIONS)
        self._timers.begin(record)
        self._market_watch.drop(record)
        if legs:
            self._market_watch.add(record, {leg.contract.id for leg in legs})
        elif not isinstance(record.kind, Plain):
            self._market_watch.add(record, (record.contract.id,))
        self._market_watch.add(record, conditions.watched(terms.conditions), trades=True)
        if any(condition.kind is ConditionKind.EXECUTION for condition in terms.conditions):
            self._market_watch.add_for_executions(record)

    def start(self, record: OrderRecord) -> None:
        """Begin to work an order that was just accepted, changed or released; one that waits for a trigger is shown."""
        if Hold.CONDITIONS in record.holds:
            self.look(record)
        if record.holds or record.is_done:
            return
        self._work(record)
        if not record.filled and record.why_held:
            self._notifier.show(record)

    def release(self, record: OrderRecord, hold: Hold) -> None:
        """Lift one hold; an order without holds is worked. The margin of a child is checked only now."""
        if hold not in record.holds or record.is_done:
            return
        self._notifier.changed(record)
        record.holds.discard(hold)
        reason = self._clearing.objection(record) if hold is Hold.PARENT else ""
        if reason:
            self.reject_order(record, reason)
        else:
            self.start(record)

    def suspend(self, record: OrderRecord, hold: Hold) -> None:
        """Withdraw an order from the exchange until a hold is lifted."""
        self._notifier.changed(record)
        self.route.withdraw(record)
        record.holds.add(hold)

    def expire_order(self, record: OrderRecord, reason: str) -> None:
        """End an order whose time has passed."""
        if not record.is_done:
            self.cancel_order(record, reason)

    def release_quantity(self, record: OrderRecord, released: float) -> None:
        """Allow `released` of an order's quantity, in total, to trade."""
        record.released = released
        live = self.route.live(record)
        if record.holds or record.is_done:
            return
        if live is None:
            self._work(record)
        else:
            self.route.change(record, live, record.shape or Shape(live.type, live.limit_price, live.stop_price))

    # ---- the market -------------------------------------------------------------------------------------------

    def on_quote(self, quote: Quote) -> None:
        """Match the open orders with a quote, then check the orders that watch its instrument."""
        self.route.meet(quote)
        if quote.instrument in self._market_watch.by_instrument:
            self._look_around(quote.instrument)

    def _look_around(self, instrument: str) -> None:
        for record in self._market_watch.of(instrument):
            self.look(record)

    def look(self, record: OrderRecord) -> None:
        """Check the market for an order: its conditions, or its present shape at the exchange."""
        if record.is_done or not record.holds.isdisjoint((Hold.TRANSMIT, Hold.PARENT)):
            return
        if self._conditions_are_met(record):
            if record.terms.conditions_cancel:
                self.cancel_order(record, "its conditions are met")
            else:
                self.release(record, Hold.CONDITIONS)
        elif not record.holds:
            self._work(record)

    def _conditions_are_met(self, record: OrderRecord) -> bool:
        terms = record.terms
        waits = Hold.CONDITIONS in record.holds or terms.conditions_cancel
        if not (terms.conditions and waits) or not (terms.conditions_ignore_rth or self._timers.is_regular(record)):
            return False
        return conditions.met(terms.conditions, self._tape, self._schedule.now_ns, record.executions_seen)

    # ---- to the exchange and back -----------------------------------------------------------------------------

    def _work(self, record: OrderRecord) -> None:
        """Bring an order to the exchange in its present shape, if it has one."""
        if record.contract.legs:
            self._combinations.work(record)
            return
        quote = self._exchange.quote(record.contract.id)
        order, kind = record.order, record.kind
        shape = kind.shape(record.terms, order.side, record.contract.instrument, quote, record.shape)
        if shape is None:
            return
        live = self.route.live(record)
        if live is None:
            self.route.send(record, shape)
        elif shape != record.shape and not (kind.waits and live.status is OrderStatus.WORKING):
            self.route.change(record, live, shape)

    # ---- reports of the exchange --------------------------------------------------------------------------------

    def rests(self, record: OrderRecord, order: Order) -> None:
        """Show a resting limit order, or an order whose trigger was reached, as Submitted."""
        if record.status == "Submitted":
            return
        if not record.kind.waits and (order.limit_price is None or order.filled):
            return
        self._notifier.changed(record)
        record.status = "Submitted"
        if record.kind.waits or order.is_open:
            self._notifier.show(record)

    def executed(self, record: OrderRecord, fill: Fill, commission: float | None = None) -> None:
        """Count, book and report an execution, and apply its effects on linked orders."""
        self.count(record, fill)
        execution = self.executions.book(record, fill, commission)
        self._notifier.execution(execution)
        self._notifier.show(record)
        self._notifier.charged(execution)
        self.settle(record, fill.quantity)

    def end_unfilled(self, record: OrderRecord) -> None:
        """End an order that could trade only immediately and did not (captured for IOC and FOK)."""
        match record.terms.time_in_force:
            case TimeInForce.IOC:
                self._notifier.changed(record)
                record.status = "PendingCancel"
                self._notifier.status(record)
                self._finish(record, "Cancelled", "Cancelled by System:")
                self._notifier.status(record)
                self._linked_orders.of_end(record)
            case TimeInForce.FOK:
                self._finish(record, "Inactive")
                self._notifier.status(record)
                self._linked_orders.of_end(record)
            case _:
                self.cancel_order(record, "not filled in the auction")

    # ---- executions and ends ------------------------------------------------------------------------------------

    def fill_order(self, record: OrderRecord, quantity: float, price: float | None) -> None:
        """Execute part of an order regardless of the market, at `price` or at the market's price, if there is one.

        The remaining quantity returns to where it was.
        """
        if record.contract.legs:
            prices = combos.leg_prices(record.contract, record.order.side, self._exchange.quote)
            if prices is not None:
                net = combos.net_price(record.contract, prices) if price is None else price
                self._combinations.fill(record, quantity, net, prices)
            return
        if price is None:
            quote = self._exchange.quote(record.contract.id)
            price = None if quote is None else quote.ask if record.order.side is Side.BUY else quote.bid
        if price is None:
            return
        self.route.withdraw(record)
        self.executed(record, self.executions.trade(record, record.contract, quantity, price))
        if not record.is_done and not record.holds:
            self._work(record)

    def count(self, record: OrderRecord, fill: Fill) -> None:
        """Add an execution to the order's figures and status."""
        self._notifier.changed(record)
        total = record.filled + fill.quantity
        record.average_price = (record.average_price * record.filled + fill.price * fill.quantity) / total
        record.filled, record.last_price, record.status = total, fill.price, "Submitted"
        if record.is_filled:
            self._finish(record, "Filled", f"Filled Size: {record.filled:g}")

    def settle(self, record: OrderRecord, quantity: float) -> None:
        """Apply the effects of an execution of this size on linked orders."""
        self._linked_orders.of_execution(record, quantity)

    def resize(self, record: OrderRecord, quantity: float) -> None:
        """Change the size of an open order, as when a rival was executed, and show it."""
        self._notifier.changed(record)
        record.order = msgspec.structs.replace(record.order, quantity=quantity)
        record.released = min(record.released, quantity)
        live = self.route.live(record)
        if live is not None and record.shape is not None:
            self.route.change(record, live, record.shape)
        self._notifier.show(record)

    def cancel_order(self, record: OrderRecord, reason: str = "", *, by_system: bool = False) -> None:
        """Cancel an open order: its status, then error 202 (captured)."""
        self.route.withdraw(record)
        by = f"System:{reason}" if reason or by_system else "Trader"
        self._finish(record, "Cancelled", f"Cancelled by {by}")
        self._notifier.status(record)
        self._notifier.error(record, 202, f"Order Canceled - reason:{reason}")
        self._linked_orders.of_end(record)

    def reject_order(self, record: OrderRecord, text: str) -> None:
        """Reject an order: error 201, then the order as Inactive (reported)."""
        self.route.withdraw(record)
        self._finish(record, "Inactive")
        self._notifier.error(record, 201, text)
        self._notifier.show(record)
        self._linked_orders.of_end(record)

    def _finish(self, record: OrderRecord, status: str, completed_status: str = "") -> None:
        self._notifier.changed(record)
        record.status, record.completed_status = status, completed_status
        record.completed_ns = self._schedule.now_ns if completed_status else 0
        self._timers.drop(record)
        self._market_watch.drop(record)
