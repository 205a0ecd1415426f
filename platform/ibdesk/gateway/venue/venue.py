"""All orders of all clients, and what outlives a session: orders, executions, order ids.

`Venue` takes the requests of clients and the interventions of the person who runs the gateway. `OrderHandler` works
the orders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ibdesk.exchange import CommissionSchedule, Exchange
from ibdesk.gateway.account.accounts import Accounts
from ibdesk.gateway.account.margin_projection import MarginProjection
from ibdesk.gateway.account.projected_trade import ProjectedTrade
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.market.tape import Tape
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.refusal import RefusedError
from ibdesk.gateway.schedule import Schedule
from ibdesk.gateway.venue.changes import OrderChanges
from ibdesk.gateway.venue.clearing import Clearing
from ibdesk.gateway.venue.ids import VenueIds
from ibdesk.gateway.venue.memory import IdsMemory, VenueMemory, recalled
from ibdesk.gateway.venue.notifier import Notifier
from ibdesk.gateway.venue.order_handler import OrderHandler
from ibdesk.gateway.venue.records import Execution, Hold, Key, OrderRecord, StateRecorder, VenueListener
from ibdesk.gateway.venue.terms import OrderTerms
from ibdesk.model import Order, Quote

__all__ = ["Execution", "OrderRecord", "Venue", "VenueListener"]


class Venue:
    """All orders of all clients.

    `started_ns` (ns UTC) and `seed` make the execution and permanent ids of different runs differ. With `always` the
    market never closes; with `partial` an execution takes at most the displayed size.
    """

    def __init__(
        self,
        accounts: Accounts,
        schedule: Schedule,
        tape: Tape,
        *,
        started_ns: int,
        seed: int,
        listener: VenueListener,
        commissions: CommissionSchedule,
        partial: bool = False,
        always: bool = True,
    ) -> None:
        self._schedule = schedule
        self.exchange = Exchange(commissions=commissions, partial=partial)
        self.accounts = accounts
        self.records: dict[Key, OrderRecord] = {}
        # Orders that were not done at the last look. Done ones are removed when they are found.
        self._pending: dict[Key, OrderRecord] = {}
        self.refuse_next: str | None = None
        # Called with each order placed at TWS itself before it is reported; set by a client that binds such orders.
        self.on_manual: Callable[[OrderRecord], None] | None = None
        self._ids = VenueIds(started_ns=started_ns, seed=seed)
        self._clearing = Clearing(accounts, commissions, self.exchange.quote)
        self._notifier = Notifier(listener, self._clearing.note)
        self._order_handler = OrderHandler(
            self.exchange,
            self._clearing,
            ids=self._ids,
            schedule=schedule,
            tape=tape,
            notifier=self._notifier,
            always=always,
            partial=partial,
        )
        self._changes = OrderChanges(self._order_handler, self._clearing, self._notifier)
        # Receives every quote directly, which saves a call.
        self.on_quote: Callable[[Quote], None] = self._order_handler.on_quote

    @property
    def listener(self) -> VenueListener:
        """Return the receiver of reports; it may be replaced at any time."""
        return self._notifier.listener

    @listener.setter
    def listener(self, listener: VenueListener) -> None:
        self._notifier.listener = listener

    @property
    def now_ns(self) -> int:
        """Return the time at the venue, ns UTC."""
        return self._schedule.now_ns

    @property
    def executions(self) -> list[Execution]:
        """Return every execution so far. A correction replaces the execution that it corrects."""
        return self._order_handler.executions.all

    @property
    def recorder(self) -> StateRecorder:
        """Return the recorder of what must outlive the gateway; it may be replaced."""
        return self._notifier.recorder

    @recorder.setter
    def recorder(self, recorder: StateRecorder) -> None:
        self._notifier.recorder = recorder

    # ---- ids --------------------------------------------------------------------------------------------------

    def next_order_id(self, client_id: int) -> int:
        """Return the lowest order id that the client may use."""
        return self._ids.next_order_id(client_id)

    def set_next_order_id(self, client_id: int, order_id: int) -> None:
        """Set the result of `next_order_id`; it may be lower than the ids used so far."""
        self.recorder.ids()
        self._ids.set_next_order_id(client_id, order_id)

    def new_permanent_id(self) -> int:
        """Return a permanent id that no other order has."""
        return self._ids.permanent()

    # ---- requests of clients ----------------------------------------------------------------------------------

    def place_order(self, record: OrderRecord) -> None:
        """Accept a new order and report its state. One with transmit=False waits and is not reported (captured).

        Raises:
            RefusedError: If its id was used before (103), or its parent is not an open order (135).
        """
        parent = None
        if record.terms.parent_id:
            parent = self.find_order(record.client_id, record.terms.parent_id)
            if parent is None or parent.is_done:
                raise RefusedError(135, f"Can't find order with ID ={record.terms.parent_id}")
        self._ids.use(record.client_id, record.order_id)
        self._take(record, parent)

    def _take(self, record: OrderRecord, parent: OrderRecord | None) -> None:
        self._notifier.changed(record)
        self.records[record.key] = self._pending[record.key] = record
        if not record.contract.legs:
            self.exchange.add_instrument(record.contract.instrument)
        self._order_handler.groups.add(record, parent)
        record.released = record.order.quantity
        record.holds.add(Hold.TRANSMIT)
        if record.terms.transmit:
            self._transmit(record)

    def _transmit(self, record: OrderRecord) -> None:
        """Transmit an order, and before it those that wait for it: its parent and the parent's other children."""
        for member in self._order_handler.groups.family(record):
            if Hold.TRANSMIT not in member.holds or member.is_done:
                continue
            member.holds.discard(Hold.TRANSMIT)
            reason = self._objection(member)
            if reason:
                self._order_handler.reject_order(member, reason)
            else:
                self._order_handler.accept(member)

    def _objection(self, record: OrderRecord) -> str:
        if self.refuse_next is not None:
            reason, self.refuse_next = self.refuse_next, None
            return f"Order rejected - reason:{reason}"
        return "" if Hold.PARENT in record.holds else self._clearing.objection(record)

    def modify_order(self, record: OrderRecord, request: Fields, terms: OrderTerms, order: Order) -> None:
        """Give an open order new terms. It is shown again; one that waits for a trigger is shown twice (captured).

        Raises:
            RefusedError: If this change is not possible (329, 440, documented), or the account lacks the margin for the
                new terms (201, reported). The order stays as it was.
        """
        self._notifier.changed(record)
        if Hold.TRANSMIT in record.holds:
            record.request, record.terms, record.order = request, terms, order
            if terms.transmit:
                self._transmit(record)
            return
        self._changes.change_order(record, request, terms, order)

    def cancel_order(self, record: OrderRecord, reason: str = "", *, client_id: int | None = None) -> None:
        """Cancel an open order: its status, then error 202 (captured).

        A `reason` means that the system cancelled it. `client_id` is the client that did; if it is not the owner, it is
        informed too, and the status carries its id (captured).
        """
        if client_id is not None and client_id != record.client_id:
            record.cancelled_by = client_id
        self._order_handler.cancel_order(record, reason)

    # ---- orders placed at TWS itself --------------------------------------------------------------------------

    def next_manual_id(self) -> int:
        """Return the next order id of client 0 for an order placed at TWS itself: they count down from -1."""
        return min((order_id for client_id, order_id in self.records if client_id == 0 > order_id), default=0) - 1

    def place_by_hand(self, record: OrderRecord) -> None:
        """Accept an order that a person placed. It is reported only if a client binds such orders."""
        if self.on_manual is not None:
            record.is_bound = True
            self.on_manual(record)
        self._take(record, None)

    def bind_manual_orders(self) -> list[OrderRecord]:
        """Assign the open orders that were placed by hand to client 0, and return them."""
        unbound = [record for record in self.open_orders() if not record.is_bound]
        for record in unbound:
            self._notifier.changed(record)
            record.is_bound = True
        return unbound

    # ---- queries ----------------------------------------------------------------------------------------------

    def find_order(self, client_id: int, order_id: int) -> OrderRecord | None:
        """Return a client's order, or None."""
        return self.records.get((client_id, order_id))

    def open_orders(self, client_id: int | None = None) -> Iterator[OrderRecord]:
        """Yield the open orders of one client or of all, without those that wait for transmit=True."""
        return (
            record
            for record in self.pending_orders()
            if (client_id is None or (client_id == record.client_id and record.is_bound))
            and Hold.TRANSMIT not in record.holds
        )

    def pending_orders(self) -> Iterator[OrderRecord]:
        """Yield all orders that are not done."""
        for key, record in tuple(self._pending.items()):
            if record.is_done:
                self._pending.pop(key, None)
            else:
                yield record

    def completed_orders(self) -> Iterator[OrderRecord]:
        """Yield the orders that were filled or cancelled."""
        return (record for record in self.records.values() if record.completed_ns)

    def projected_trades(self, record: OrderRecord) -> list[ProjectedTrade]:
        """Return the remaining quantity of an order as if it were filled now; a combination as its legs."""
        return self._clearing.projected_trades(record)

    def projection(self, account: str) -> MarginProjection:
        """Return the projection of an account's working orders."""
        return self._clearing.projection(account)

    # ---- from one run of the gateway to the next --------------------------------------------------------------

    def ids_memory(self) -> IdsMemory:
        """Return the state from which a later run continues to count ids."""
        return self._ids.memory()

    def restore(
        self, memory: VenueMemory, saved_ns: int, *, since_ns: int, known_as: Callable[[ContractData], ContractData]
    ) -> None:
        """Continue from an earlier run that stopped at `saved_ns`: its open orders are worked again.

        Executions and completed orders from before `since_ns` are dropped. `known_as` returns the current contract.
        """
        self._ids.restore(memory.ids)
        recent = [each for each in memory.executions if each.fill.at_ns >= since_ns]
        needed = {each.key for each in recent}
        for record in memory.orders:
            if not record.is_done or record.completed_ns >= since_ns or record.key in needed:
                self.records[record.key] = self._pending[record.key] = record
        self.executions.extend(recalled(each, self.records[each.key]) for each in recent)
        for record in self.pending_orders():
            record.contract = known_as(record.contract)
            if not record.contract.legs:
                self.exchange.add_instrument(record.contract.instrument)
        for record in self.pending_orders():
            parent = self.find_order(record.client_id, record.terms.parent_id) if Hold.PARENT in record.holds else None
            self._order_handler.restore(record, parent, saved_ns)

    # ---- interventions ----------------------------------------------------------------------------------------

    def fill_order(self, record: OrderRecord, quantity: float, price: float | None = None) -> None:
        """Execute part of an open order regardless of the market, at `price` or at the market's price.

        At most the remaining quantity is executed; nothing if there is no price.
        """
        quantity = min(quantity, record.remaining)
        if not record.is_done and quantity > 0:
            self._order_handler.fill_order(record, quantity, price)

    def reject_open_order(self, record: OrderRecord, reason: str) -> None:
        """Reject an order that was accepted: error 201, then Inactive (reported). Its fills stay."""
        if not record.is_done:
            self._order_handler.reject_order(record, f"Order rejected - reason:{reason}")

    def correct_execution(
        self, execution: Execution, *, price: float | None = None, quantity: float | None = None
    ) -> Execution:
        """Report an execution again with another price or size; its id is incremented to ``.02`` (captured).

        Account and order figures are corrected. The order's status and the commission stay. Executions of combinations
        cannot be corrected.
        """
        done = self._order_handler.executions.correct(execution, price=price, quantity=quantity)
        self.listener.execution(done)
        self.listener.commission(done)
        self.listener.account(done.record.account, done.contract)
        return done
