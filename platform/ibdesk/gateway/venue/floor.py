"""Where orders are worked: from the moment one is taken until nothing is left of it.

The order of the messages is that of paper accounts (captured): an order is acknowledged as PreSubmitted; one that
rests is shown again as Submitted, a stop twice as PreSubmitted, and as Submitted when it is triggered; an execution
comes before the status it leads to, and its commission last. An immediate-or-cancel order that does not fill goes
through PendingCancel without an error 202, a fill-or-kill order becomes Inactive without an error.
"""

from __future__ import annotations

import msgspec

from ibdesk.exchange import Exchange, VenueEvent
from ibdesk.gateway.market.tape import Tape
from ibdesk.gateway.schedule import Schedule
from ibdesk.gateway.venue import combos, conditions
from ibdesk.gateway.venue.clearing import Clearing
from ibdesk.gateway.venue.executions import Executions
from ibdesk.gateway.venue.groups import CANCELS, Groups, reduced
from ibdesk.gateway.venue.ids import Ids
from ibdesk.gateway.venue.kinds import Plain, Shape
from ibdesk.gateway.venue.records import Audience, Hold, OnChange, OrderRecord
from ibdesk.gateway.venue.terms import ConditionKind, Life
from ibdesk.gateway.venue.timers import Timers
from ibdesk.gateway.venue.watching import Watching
from ibdesk.model import Commission, Fill, Order, OrderReport, OrderStatus, OrderType, Quote, TimeInForce

_AT_ONCE = frozenset({Life.IOC, Life.FOK, Life.OPG})
_ACKNOWLEDGED_LATE = frozenset({Life.IOC, Life.FOK})


class Floor:
    """Works orders at the exchange as their kind, holds, groups and conditions have it, and tells the audience."""

    def __init__(
        self,
        exchange: Exchange,
        clearing: Clearing,
        *,
        ids: Ids,
        schedule: Schedule,
        tape: Tape,
        audience: Audience,
        always: bool,
        partial: bool,
    ) -> None:
        self.audience = audience
        self.executions = Executions(clearing, ids, schedule)
        # on_change: told of everything that must outlive the gateway.
        self.on_change: OnChange = _nobody
        self.groups = Groups()
        self._exchange = exchange
        self._clearing = clearing
        self._ids = ids
        self._schedule = schedule
        self._tape = tape
        self._partial = partial
        self._timers = Timers(schedule, self, always=always)
        self._watching = Watching(tape, self._look_around)
        self._working: dict[str, OrderRecord] = {}

    def restore(self, record: OrderRecord, parent: OrderRecord | None, saved_ns: int) -> None:
        """Work an open order on that an earlier run left at `saved_ns`.

        Conditions it had met and a trigger that was reached stay so; a day that has ended since ends it.
        """
        self.groups.restore(record, parent)
        if Hold.TRANSMIT in record.holds:
            return
        if self._timers.day_has_ended(record, saved_ns):
            self.expire(record, "the trading day is over")
            return
        waited, shape = Hold.CONDITIONS in record.holds, record.shape
        self.prepare(record)
        if not waited:
            record.holds.discard(Hold.CONDITIONS)
        if not record.holds and shape is not None and record.kind.waits and record.status == "Submitted":
            self._send(record, Shape(OrderType.MARKET if shape.limit is None else OrderType.LIMIT, shape.limit))
        else:
            self.start(record)

    # ---- from taken to worked ---------------------------------------------------------------------------------

    def accept(self, record: OrderRecord) -> None:
        """Acknowledge a new order and begin to work it, as far as its holds allow."""
        self.prepare(record)
        for code, text in self._timers.warnings(record):
            self._error(record, code, text)
        record.shown += 1
        self.on_change()
        self.audience.order(record)
        if record.terms.life not in _ACKNOWLEDGED_LATE:
            self.audience.status(record)
        self.start(record)

    def prepare(self, record: OrderRecord) -> None:
        """Put the holds of its terms on an order, make its appointments, and let it look where it has to."""
        terms, legs = record.terms, record.contract.legs
        record.holds.discard(Hold.CONDITIONS)
        if terms.conditions and not terms.conditions_cancel:
            record.holds.add(Hold.CONDITIONS)
        self._timers.begin(record)
        self._watching.drop(record)
        if legs:
            self._watching.add(record, {leg.contract.id for leg in legs})
        elif not isinstance(record.kind, Plain):
            self._watching.add(record, (record.contract.id,))
        self._watching.add(record, conditions.watched(terms.conditions), trades=True)
        if any(condition.kind is ConditionKind.EXECUTION for condition in terms.conditions):
            self._watching.add(record, (record.contract.id,))

    def start(self, record: OrderRecord) -> None:
        """Begin to work an order that was just taken, changed or released; one that waits for a trigger is shown."""
        if Hold.CONDITIONS in record.holds:
            self.look(record)
        if record.holds or record.is_done:
            return
        self._work(record)
        if not record.filled and record.why_held:
            self.show(record)

    def release(self, record: OrderRecord, hold: Hold) -> None:
        """Lift one hold; without any left the order is worked. A child must be borne by its account only now."""
        if hold not in record.holds or record.is_done:
            return
        self.on_change()
        record.holds.discard(hold)
        reason = self._clearing.objection(record, ()) if hold is Hold.PARENT else ""
        if reason:
            self.reject(record, reason)
        else:
            self.start(record)

    def suspend(self, record: OrderRecord, hold: Hold) -> None:
        """Take an order out of the market until a hold is lifted."""
        self.on_change()
        self.withdraw(record)
        record.holds.add(hold)

    def expire(self, record: OrderRecord, reason: str) -> None:
        """End an order whose time is over."""
        if not record.is_done:
            self.cancel(record, reason)

    def let(self, record: OrderRecord, released: float) -> None:
        """Let this much of an order trade in all."""
        record.released = released
        live = self._live(record)
        if record.holds or record.is_done:
            return
        if live is None:
            self._work(record)
        else:
            self.change(record, live, record.shape or Shape(live.type, live.limit_price, live.stop_price))

    # ---- the market -------------------------------------------------------------------------------------------

    def on_quote(self, quote: Quote) -> None:
        """Meet the open orders with a quote, then let those that look at its instrument look."""
        name, exchange = quote.instrument, self._exchange
        if name in exchange.working:
            for events in exchange.meet(quote):
                self._take(events)
        else:
            exchange.on_quote(quote)
        if name in self._watching.by_instrument:
            self._look_around(name)

    def _look_around(self, instrument: str) -> None:
        for record in self._watching.of(instrument):
            self.look(record)

    def look(self, record: OrderRecord) -> None:
        """Look at the market for an order: at its conditions, or at what it should be to the exchange now."""
        if record.is_done or not record.holds.isdisjoint((Hold.TRANSMIT, Hold.PARENT)):
            return
        if self._conditions_are_met(record):
            if record.terms.conditions_cancel:
                self.cancel(record, "its conditions are met")
            else:
                self.release(record, Hold.CONDITIONS)
        elif not record.holds:
            self._work(record)

    def _conditions_are_met(self, record: OrderRecord) -> bool:
        terms = record.terms
        waits = Hold.CONDITIONS in record.holds or terms.conditions_cancel
        if not (terms.conditions and waits) or not (terms.conditions_ignore_rth or self._timers.is_open(record)):
            return False
        return conditions.met(terms.conditions, self._tape, self._schedule.now_ns, record.executions_seen)

    # ---- to the exchange and back -----------------------------------------------------------------------------

    def _work(self, record: OrderRecord) -> None:
        """Bring an order to the exchange as it should be there now, if it should."""
        if record.contract.legs:
            self._work_combo(record)
            return
        quote = self._exchange.quote(record.contract.id)
        order, kind = record.order, record.kind
        shape = kind.shape(record.terms, order.side, record.contract.instrument, quote, record.shape)
        if shape is None:
            return
        live = self._live(record)
        if live is None:
            self._send(record, shape)
        elif shape != record.shape and not (kind.waits and live.status is OrderStatus.WORKING):
            self.change(record, live, shape)

    def _send(self, record: OrderRecord, shape: Shape) -> None:
        quantity = min(record.remaining, record.released - record.filled)
        if quantity <= record.order.quantity * 1e-9:
            return
        # The exchange counts from zero for every order it is given: one that comes again comes with the rest.
        self._working.pop(record.order.id, None)
        record.filled_before, record.shape = record.filled, shape
        record.order = _shaped(record.order, shape, name=self._ids.at_exchange())
        ends_at_once = record.terms.life in _AT_ONCE or record.kind.in_auction
        order = msgspec.structs.replace(
            record.order,
            quantity=quantity,
            time_in_force=TimeInForce.IOC if ends_at_once else TimeInForce.GTC,
        )
        if record.terms.life is Life.FOK and not self._exchange.takes_all(order):
            self._finish(record, "Inactive")
            self.audience.status(record)
            self._settle_group(record)
            return
        self._working[order.id] = record
        self._take(self._exchange.place(order, self._schedule.now_ns))

    def change(self, record: OrderRecord, live: Order, shape: Shape, *, tell: bool = False) -> None:
        """Give an order at the exchange another price or size, and `tell` of it before anything comes of it."""
        self.on_change(at_once=False)
        record.shape, record.order = shape, _shaped(record.order, shape, name=record.order.id)
        events = self._exchange.modify(
            live.id,
            quantity=min(record.order.quantity, record.released) - record.filled_before,
            limit_price=shape.limit,
            stop_price=shape.stop,
            at_ns=self._schedule.now_ns,
        )
        if tell:
            self.show(record)
            if record.why_held:
                self.show(record)
        self._take(events)

    def withdraw(self, record: OrderRecord) -> None:
        """Take an order from the exchange, if it is there, without a word."""
        if self._live(record) is not None:
            self._exchange.cancel(record.order.id, self._schedule.now_ns)
        self._working.pop(record.order.id, None)

    def live(self, record: OrderRecord) -> Order | None:
        """Return an order as the exchange has it, nothing when it is not open there."""
        return self._live(record)

    def _live(self, record: OrderRecord) -> Order | None:
        if record.order.id not in self._working:
            return None
        order = self._exchange.order(record.order.id)
        return order if order is not None and order.is_open else None

    def _take(self, events: list[VenueEvent]) -> None:
        for index, event in enumerate(events):
            if isinstance(event, Commission):
                continue
            record = self._working.get(event.order_id)
            if record is None:
                continue
            match event:
                case Fill():
                    charge = events[index + 1]
                    assert isinstance(charge, Commission)  # noqa: S101 - what the exchange promises
                    self._executed(record, event, charge.amount)
                case OrderReport(status=OrderStatus.CANCELLED | OrderStatus.EXPIRED):
                    self._ended_unfilled(record)
                case OrderReport(status=OrderStatus.REJECTED):
                    self.reject(record, f"Order rejected - reason:{event.reason}")
                case OrderReport(status=OrderStatus.WORKING):
                    self._rests(record)
            if record.is_done:
                self._working.pop(event.order_id, None)

    def _rests(self, record: OrderRecord) -> None:
        """Show a limit order that rests as Submitted, and an order whose trigger was reached."""
        now = self._exchange.order(record.order.id)
        if now is None or record.status == "Submitted":
            return
        if not record.kind.waits and (now.limit_price is None or now.filled):
            return
        record.status = "Submitted"
        if record.kind.waits or now.is_open:
            self.show(record)

    def _ended_unfilled(self, record: OrderRecord) -> None:
        """End an order that could only trade at once, and did not (for IOC captured)."""
        if record.terms.life is not Life.IOC:
            self.cancel(record, "not filled in the auction")
            return
        record.status = "PendingCancel"
        self.audience.status(record)
        self._finish(record, "Cancelled", "Cancelled by System:")
        self.audience.status(record)
        self._settle_group(record)

    # ---- combinations -----------------------------------------------------------------------------------------

    def _work_combo(self, record: OrderRecord) -> None:
        """Fill a combination if the net price of its legs allows it, else let it rest."""
        contract, side = record.contract, record.order.side
        prices = combos.leg_prices(contract, side, self._exchange.quote)
        net = None if prices is None else combos.net_price(contract, prices)
        if prices is not None and net is not None and combos.is_good(net, record.terms.limit, side):
            quantity = record.remaining
            if self._partial:
                quantity = min(quantity, combos.shown_sets(contract, side, self._exchange.quote))
            if record.terms.life is Life.FOK and quantity < record.remaining:
                quantity = 0.0
            if quantity > 0:
                self.fill_combo(record, quantity, net, prices)
        if record.terms.life in _AT_ONCE and not record.is_done:
            self._ended_unfilled(record)
        elif record.status == "PreSubmitted" and not record.is_done:
            record.status = "Submitted"
            self.show(record)

    def fill_combo(self, record: OrderRecord, quantity: float, net: float, prices: list[float]) -> None:
        """Execute combinations: one execution of the combination, then one of each leg (reported)."""
        whole = self.executions.trade(record, record.contract, quantity, net)
        self._count(record, whole)
        self.on_change()
        self.audience.execution(self.executions.note_whole(record, whole))
        legs = self.executions.book_legs(record, quantity, prices)
        for execution in legs:
            self.audience.execution(execution)
        self.show(record)
        for execution in legs:
            self.audience.commission(execution)
            self.audience.account(record.account, execution.contract)
        self._settle(record, whole)

    # ---- executions -------------------------------------------------------------------------------------------

    def fill(self, record: OrderRecord, quantity: float, price: float) -> None:
        """Execute some of an order whatever the market says; what is left goes back to where it was."""
        self.withdraw(record)
        self._executed(record, self.executions.trade(record, record.contract, quantity, price))
        if not record.is_done and not record.holds:
            self._work(record)

    def _executed(self, record: OrderRecord, fill: Fill, commission: float | None = None) -> None:
        self._count(record, fill)
        self.on_change()
        execution = self.executions.book(record, fill, commission)
        self.audience.execution(execution)
        self.show(record)
        self.audience.commission(execution)
        self.audience.account(record.account, record.contract)
        self._settle(record, fill)

    def _count(self, record: OrderRecord, fill: Fill) -> None:
        """Count an execution to an order's figures and status."""
        total = record.filled + fill.quantity
        record.average_price = (record.average_price * record.filled + fill.price * fill.quantity) / total
        record.filled, record.last_price, record.status = total, fill.price, "Submitted"
        if record.is_filled:
            self._finish(record, "Filled", f"Filled Size: {record.filled:g}")

    # ---- what follows from an execution or an end -------------------------------------------------------------

    def _settle(self, record: OrderRecord, fill: Fill) -> None:
        """Let an execution have its consequences: for rivals, children, and orders that waited for one."""
        for rival in self.groups.rivals(record):
            if record.is_done or record.terms.oca_type == CANCELS:
                self.cancel(rival, by_system=True)
            else:
                self._reduce(rival, fill.quantity / (record.remaining + fill.quantity))
        if record.is_done:
            self._settle_group(record)
        for other in self._watching.all():
            for number, condition in enumerate(other.terms.conditions):
                if conditions.matches(condition, record.contract) and other is not record:
                    other.executions_seen.add(number)
                    self.look(other)

    def _reduce(self, rival: OrderRecord, part: float) -> None:
        left = reduced(rival.remaining, part, rival.contract.size_increment)
        if left <= 0:
            self.cancel(rival, by_system=True)
            return
        quantity = rival.filled + left
        rival.order = msgspec.structs.replace(rival.order, quantity=quantity)
        rival.released = min(rival.released, quantity)
        live = self._live(rival)
        if live is not None and rival.shape is not None:
            self.change(rival, live, rival.shape)
        self.show(rival)

    def _settle_group(self, record: OrderRecord) -> None:
        """Let children begin when their parent is filled, and end when it ends otherwise."""
        parent, children = self.groups.parent(record), self.groups.children(record)
        self.groups.forget(record)
        for child in children:
            if record.status == "Filled":
                self.release(child, Hold.PARENT)
            elif not child.is_done:
                self.cancel(child, by_system=True)
        if record.status == "Cancelled" and record.terms.cancels_parent and parent is not None and not parent.is_done:
            self.cancel(parent, by_system=True)

    # ---- the end ----------------------------------------------------------------------------------------------

    def cancel(self, record: OrderRecord, reason: str = "", *, by_system: bool = False) -> None:
        """Withdraw an open order: its status, then error 202 (captured)."""
        self.withdraw(record)
        by = f"System:{reason}" if reason or by_system else "Trader"
        self._finish(record, "Cancelled", f"Cancelled by {by}")
        self.audience.status(record)
        self._error(record, 202, f"Order Canceled - reason:{reason}")
        self._settle_group(record)

    def reject(self, record: OrderRecord, text: str) -> None:
        """Refuse an order: error 201, then the order as Inactive (reported)."""
        self.withdraw(record)
        self._finish(record, "Inactive")
        self._error(record, 201, text)
        self.show(record)
        self._settle_group(record)

    def _finish(self, record: OrderRecord, status: str, completed_status: str = "") -> None:
        self.on_change()
        record.status, record.completed_status = status, completed_status
        record.completed_ns = self._schedule.now_ns if completed_status else 0
        self._timers.drop(record)
        self._watching.drop(record)

    # ---- telling ----------------------------------------------------------------------------------------------

    def show(self, record: OrderRecord) -> None:
        """Tell of an order as it stands, and its status."""
        record.shown += 1
        self.on_change()
        self.audience.order(record)
        self.audience.status(record)

    def _error(self, record: OrderRecord, code: int, text: str) -> None:
        for client_id in record.hearers:
            self.audience.error(client_id, record.order_id, code, text)


def _shaped(order: Order, shape: Shape, *, name: str) -> Order:
    return msgspec.structs.replace(order, id=name, type=shape.type, limit_price=shape.limit, stop_price=shape.stop)


def _nobody(*, at_once: bool = True) -> None:
    """Keep nothing."""
