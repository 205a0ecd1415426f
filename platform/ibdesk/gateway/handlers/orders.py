"""The order requests of one session, which go to the venue, and the venue's reports, which go to the client."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ibdesk.gateway.account.accounts import Accounts
from ibdesk.gateway.contracts.book import ContractBook
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.handlers.order_messages import (
    commission_report,
    completed_order,
    execution,
    open_order,
    order_status,
)
from ibdesk.gateway.handlers.order_terms import read_order, read_terms
from ibdesk.gateway.handlers.reference import the_contract
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.refusal import RefusedError, invalid
from ibdesk.gateway.session import RequestMethod, Session
from ibdesk.gateway.times import read_time
from ibdesk.gateway.venue.venue import Execution, OrderRecord, Venue
from ibdesk.model import Side

ONLY_CLIENT_0 = "Only API connections with clientId set to 0 can set the auto bind TWS orders property."
DAY_BY_PRESET = "Order TIF was set to DAY based on order preset."


class OrderRequests:
    """The order requests of one client. It receives reports about its own orders only.

    With `tells_preset` an order without a time in force is answered with 10349, as newer TWS do (reported).
    """

    def __init__(
        self,
        session: Session,
        venue: Venue,
        contracts: ContractBook,
        accounts: Accounts,
        *,
        tells_preset: bool = False,
    ) -> None:
        self._session = session
        self._venue = venue
        self._contracts = contracts
        self._accounts = accounts
        self._tells_preset = tells_preset
        # Whether the client has requested the orders of all clients, after which it may cancel them.
        self._sees_all = False
        # Whether this is client 0 with automatic binding of orders that are placed by hand.
        self._binds = False

    def methods(self) -> Mapping[str, RequestMethod]:
        """Return the method of each request, by message name."""
        return {
            "placeOrder": self.place,
            "cancelOrder": self.cancel,
            "reqGlobalCancel": self.global_cancel,
            "reqOpenOrders": self.own_open_orders,
            "reqAllOpenOrders": self.all_open_orders,
            "reqAutoOpenOrders": self.auto_open_orders,
            "reqCompletedOrders": self.completed_orders,
            "reqExecutions": self.executions,
            "reqIds": self.next_id,
        }

    def end_subscriptions(self) -> None:
        """End automatic binding. The orders themselves outlive the session."""
        if self._binds:
            self._venue.on_manual = None

    # ---- requests ---------------------------------------------------------------------------------------------

    def place(self, request: Fields) -> None:
        """Accept a new order, new terms of an open one, or a what-if request."""
        order_id, client_id = request.required("orderId"), self._session.client_id
        contract = the_contract(self._contracts, request)
        known = self._venue.find_order(client_id, order_id)
        order = read_order(request, contract, owner=str(client_id), is_change=known is not None)
        record = OrderRecord(
            client_id=client_id,
            order_id=order_id,
            permanent_id=0,
            contract=contract,
            request=request,
            terms=read_terms(request, contract, self._contract_of, self._venue.now_ns),
            order=order,
            account=self._accounts.ordered(request.text("account")).account,
        )
        if request.flag("whatIf"):
            self._answer_what_if(record)
            return
        if known is None:
            record.permanent_id = self._venue.new_permanent_id()
            if self._tells_preset and not request.text("tif"):
                self._session.error(order_id, 10349, DAY_BY_PRESET)
            self._venue.place_order(record)
        else:
            self._modify(known, request, record)

    def _contract_of(self, con_id: int) -> ContractData | None:
        found = self._contracts.find(Fields("contract", {"conId": str(con_id)}))
        return found[0] if found else None

    def _modify(self, known: OrderRecord, request: Fields, wanted: OrderRecord) -> None:
        if known.status == "Filled":
            raise RefusedError(104, "Cannot modify a filled order.")
        if known.is_done:
            raise RefusedError(103, "Duplicate order ID.")
        if known.contract.id != wanted.contract.id or known.order.side is not wanted.order.side:
            raise RefusedError(105, "Order being modified does not match original order.")
        if wanted.order.quantity <= known.filled:
            raise invalid(f"{known.filled:g} are already filled; the size cannot become {wanted.order.quantity:g}")
        self._venue.modify_order(known, request, wanted.terms, wanted.order)

    def cancel(self, request: Fields) -> None:
        """Cancel an order of this client, or of another one if this client has requested all open orders."""
        order_id = request.required("orderId")
        record = self._cancellable(order_id)
        if record is None:
            raise RefusedError(10147, f"OrderId {order_id} that needs to be cancelled is not found.")
        if record.is_done:
            raise RefusedError(
                10148,
                f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: {record.status}.",
            )
        self._venue.cancel_order(record, client_id=self._session.client_id)

    def _cancellable(self, order_id: int) -> OrderRecord | None:
        record = self._venue.find_order(self._session.client_id, order_id)
        if record is None and self._sees_all:
            return next((each for each in self._venue.open_orders() if each.reported_id == order_id), None)
        return record

    def global_cancel(self, _request: Fields) -> None:
        """Cancel every open order of every client."""
        for record in self._venue.pending_orders():
            # Cancelling a parent has cancelled its children.
            if not record.is_done:
                self._venue.cancel_order(record)

    def own_open_orders(self, _request: Fields) -> None:
        """Send this client's open orders, then the end; client 0 binds those that were placed by hand."""
        if self._session.client_id == 0:
            for record in self._venue.bind_manual_orders():
                self._tell_bound(record)
        self._send_open(self._session.client_id)

    def all_open_orders(self, _request: Fields) -> None:
        """Send the open orders of all clients, then the end; afterwards this client may cancel them (captured)."""
        self._sees_all = True
        self._send_open(None)

    def _send_open(self, client_id: int | None) -> None:
        for record in self._venue.open_orders(client_id):
            self.show(record)
            self.show_status(record)
        self._session.send("openOrderEnd")

    def auto_open_orders(self, request: Fields) -> None:
        """Start or stop automatic binding, by client 0, of orders that are placed by hand."""
        if self._session.client_id != 0:
            raise RefusedError(327, ONLY_CLIENT_0, request_id=-1)
        self._binds = request.flag("bAutoBind")
        self._venue.on_manual = self._tell_bound if self._binds else None

    def _tell_bound(self, record: OrderRecord) -> None:
        self._session.send("orderBound", permId=record.permanent_id, clientId=0, orderId=record.order_id)

    def completed_orders(self, _request: Fields) -> None:
        """Send the filled and cancelled orders, then the end."""
        for record in self._venue.completed_orders():
            self._session.send("completedOrder", **completed_order(record, self._session.version))
        self._session.send("completedOrdersEnd")

    def executions(self, request: Fields) -> None:
        """Send the executions that match the filter, each with its commission, then the end."""
        request_id = request.required("reqId")
        since_ns = read_time(request.text("time")) if request.text("time") else 0
        for done in self._venue.executions:
            if done.fill.at_ns >= since_ns and _passes(done, request):
                self.show_execution(done, request_id)
                self.show_commission(done)
        self._session.send("execDetailsEnd", reqId=request_id)

    def next_id(self, _request: Fields) -> None:
        """Send the lowest order id that this client may use."""
        self._session.send("nextValidId", orderId=self._venue.next_order_id(self._session.client_id))

    # ---- reports of the venue ---------------------------------------------------------------------------------

    def show(self, record: OrderRecord) -> None:
        """Send the present state of an order."""
        self._session.send("openOrder", **open_order(record))

    def show_status(self, record: OrderRecord) -> None:
        """Send the status of an order."""
        self._session.send("orderStatus", **order_status(record, self._session.client_id))

    def show_execution(self, done: Execution, request_id: int = -1) -> None:
        """Send an execution."""
        self._session.send("execDetails", **execution(done, request_id, self._session.version))

    def show_commission(self, done: Execution) -> None:
        """Send the commission of an execution."""
        self._session.send("commissionReport", **commission_report(done))

    # ---- what if ----------------------------------------------------------------------------------------------

    def _answer_what_if(self, record: OrderRecord) -> None:
        ledger, trades = self._accounts.named(record.account), self._venue.projected_trades(record)
        before, after = ledger.margin(), ledger.margin(trades)
        commission = sum(trade.commission for trade in trades)
        values = open_order(msgspec.structs.replace(record, status="PreSubmitted"))
        for what, earlier, later in (
            ("initMargin", before.initial, after.initial),
            ("maintMargin", before.maintenance, after.maintenance),
            ("equityWithLoan", before.equity, after.equity),
        ):
            for when, amount in (("Before", earlier), ("Change", later - earlier), ("After", later)):
                values[f"{what}{when}"] = f"{amount:.2f}"
        values.update(whatIf=1, commission=commission, commissionCurrency=record.contract.instrument.currency)
        self._session.send("openOrder", **values)


def _passes(done: Execution, query: Fields) -> bool:
    record = done.record
    side = "BUY" if done.fill.side is Side.BUY else "SELL"
    wanted = (
        (query.text("acctCode"), record.account),
        (query.text("symbol"), done.contract.symbol),
        (query.text("secType"), done.contract.sec_type),
        (query.text("exchange"), done.contract.exchange),
        (query.text("side"), side),
    )
    return all(text in ("", own) for text, own in wanted) and query.whole("clientId") in (
        None,
        0,
        record.client_id,
    )
