"""The order requests of one session: read, checked, and passed to the venue; what the venue tells, sent back."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from ibdesk.gateway.account.ledger import Ledger
from ibdesk.gateway.contracts.book import ContractBook, ContractData
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.refusal import RefusedError, invalid
from ibdesk.gateway.rooms.order_messages import (
    commission_report,
    completed_order,
    execution,
    open_order,
    order_status,
)
from ibdesk.gateway.rooms.reference import the_contract
from ibdesk.gateway.session import Handler, Session
from ibdesk.gateway.times import read_time
from ibdesk.gateway.venue.venue import Execution, OrderRecord, Venue
from ibdesk.model import Index, Order, OrderType, Side, TimeInForce

ORDER_TYPES = {
    "MKT": OrderType.MARKET,
    "LMT": OrderType.LIMIT,
    "STP": OrderType.STOP,
    "STP LMT": OrderType.STOP_LIMIT,
}
# HIGHEST_PRICE: above it the cent is lost in the price; no contract comes near it.
HIGHEST_PRICE = 1e12
_SIDES = {"BUY": Side.BUY, "SELL": Side.SELL, "SSHORT": Side.SELL}
_LIVES = {"": TimeInForce.DAY, "DAY": TimeInForce.DAY, "GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC}
# _KNOWN_TYPES: valid in TWS and not worked here; they are refused as a venue refuses a type it does not offer.
_KNOWN_TYPES = frozenset(
    {
        "TRAIL", "TRAIL LIMIT", "MIT", "LIT", "MOC", "LOC", "REL", "MIDPRICE", "MTL",
        "PEG MKT", "PEG MID", "PEG BEST", "PEG BENCH", "BOX TOP", "STP PRT",
    }
)  # fmt: skip


class Orders:
    """What one client asks of the venue. It hears of its own orders only."""

    def __init__(self, session: Session, venue: Venue, contracts: ContractBook, ledger: Ledger) -> None:
        self._session = session
        self._venue = venue
        self._contracts = contracts
        self._ledger = ledger

    def handlers(self) -> Mapping[str, Handler]:
        """Return what it answers."""
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

    def close(self) -> None:
        """End nothing: orders outlive the session."""

    # ---- requests ---------------------------------------------------------------------------------------------

    def place(self, request: Fields) -> None:
        """Take a new order, or new terms of an open one, or a what-if question."""
        order_id, client_id = request.required("orderId"), self._session.client_id
        contract = the_contract(self._contracts, request)
        order = self._order(request, contract)
        record = OrderRecord(
            client_id=client_id,
            order_id=order_id,
            permanent_id=0,
            contract=contract,
            request=request,
            order=order,
            account=self._ledger.account,
        )
        if request.flag("whatIf"):
            self._answer_what_if(record)
            return
        known = self._venue.find(client_id, order_id)
        if known is None:
            record.permanent_id = self._venue.new_permanent_id()
            self._venue.place(record)
        else:
            self._modify(known, request, record)

    def _modify(self, known: OrderRecord, request: Fields, wanted: OrderRecord) -> None:
        if known.status == "Filled":
            raise RefusedError(104, "Cannot modify a filled order.")
        if known.is_done:
            raise RefusedError(103, "Duplicate order ID.")
        if known.contract.id != wanted.contract.id or known.order.side is not wanted.order.side:
            raise RefusedError(105, "Order being modified does not match original order.")
        if wanted.order.quantity <= known.filled:
            raise invalid(f"{known.filled:g} are filled, so the size cannot become {wanted.order.quantity:g}")
        self._venue.modify(known, request, wanted.order)

    def cancel(self, request: Fields) -> None:
        """Withdraw an order of this client."""
        order_id = request.required("orderId")
        record = self._venue.find(self._session.client_id, order_id)
        if record is None:
            raise RefusedError(10147, f"OrderId {order_id} that needs to be cancelled is not found.")
        if record.is_done:
            raise RefusedError(
                10148,
                f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: {record.status}.",
            )
        self._venue.cancel(record)

    def global_cancel(self, _request: Fields) -> None:
        """Withdraw every open order of every client."""
        for record in self._venue.open():
            self._venue.cancel(record)

    def own_open_orders(self, _request: Fields) -> None:
        """Send this client's open orders, then the end."""
        self._send_open(self._session.client_id)

    def all_open_orders(self, _request: Fields) -> None:
        """Send the open orders of all clients, then the end."""
        self._send_open(None)

    def _send_open(self, client_id: int | None) -> None:
        for record in self._venue.open(client_id):
            self.show(record)
            self.show_status(record)
        self._session.send("openOrderEnd")

    def auto_open_orders(self, _request: Fields) -> None:
        """Take the wish of client 0 to see orders placed by hand; nobody places any here."""
        if self._session.client_id != 0:
            raise invalid("only client 0 can bind orders placed by hand", request_id=-1)

    def completed_orders(self, _request: Fields) -> None:
        """Send what was filled or cancelled, then the end."""
        for record in self._venue.completed():
            self._session.send("completedOrder", **completed_order(record, self._session.version))
        self._session.send("completedOrdersEnd")

    def executions(self, request: Fields) -> None:
        """Send the executions that pass the filter, each with its commission, then the end."""
        request_id = request.required("reqId")
        since_ns = read_time(request.text("time")) if request.text("time") else 0
        for done in self._venue.executions:
            if done.fill.at_ns >= since_ns and _passes(done, request):
                self.show_execution(done, request_id)
                self.show_commission(done)
        self._session.send("execDetailsEnd", reqId=request_id)

    def next_id(self, _request: Fields) -> None:
        """Send the lowest order id this client may use."""
        self._session.send("nextValidId", orderId=self._venue.next_order_id(self._session.client_id))

    # ---- what the venue tells ---------------------------------------------------------------------------------

    def show(self, record: OrderRecord) -> None:
        """Send an order as it stands."""
        self._session.send("openOrder", **open_order(record))

    def show_status(self, record: OrderRecord) -> None:
        """Send the status of an order."""
        self._session.send("orderStatus", **order_status(record))

    def show_execution(self, done: Execution, request_id: int = -1) -> None:
        """Send an execution."""
        self._session.send("execDetails", **execution(done, request_id, self._session.version))

    def show_commission(self, done: Execution) -> None:
        """Send what an execution cost."""
        self._session.send("commissionReport", **commission_report(done))

    # ---- reading an order -------------------------------------------------------------------------------------

    def _order(self, request: Fields, contract: ContractData) -> Order:
        """Return the order a request describes.

        Raises:
            RefusedError: If it is not one that the venue can work.
        """
        kind = _kind(request.text("orderType"))
        side, life = _SIDES.get(request.text("action")), _LIVES.get(request.text("tif"))
        if side is None:
            raise invalid(f"Invalid side {request.text('action')!r}")
        if life is None:
            raise invalid(f"Invalid time in force: {request.text('tif')} is not worked here")
        if isinstance(contract.instrument, Index):
            raise invalid("An index cannot be traded")
        if request.text("account") not in ("", self._ledger.account):
            raise invalid(f"Invalid account code {request.text('account')!r}")
        self._check_group(request)
        quantity = request.number("totalQuantity")
        if quantity is None or not (quantity > 0 and math.isfinite(quantity)):
            raise RefusedError(434, "The order size cannot be zero.")
        limit = _price(request, "lmtPrice", contract) if kind in _WITH_LIMIT else None
        stop = _price(request, "auxPrice", contract) if kind in _WITH_STOP else None
        return Order(
            id=request.text("orderRef"),
            owner=str(self._session.client_id),
            instrument=contract.id,
            side=side,
            quantity=quantity,
            type=kind,
            limit_price=limit,
            stop_price=stop,
            time_in_force=life,
        )

    def _check_group(self, request: Fields) -> None:
        parent = request.whole("parentId")
        if parent and self._venue.find(self._session.client_id, parent) is None:
            raise RefusedError(135, f"Can't find order with ID ={parent}")
        if parent or not request.flag("transmit"):
            raise invalid("Groups of orders (parentId, transmit=False) are not worked here")

    def _answer_what_if(self, record: OrderRecord) -> None:
        before, after = self._ledger.margin(), self._ledger.margin(self._venue.as_filled(record))
        commission = self._venue.commission_of(record)
        values = open_order(msgspec.structs.replace(record, status="PreSubmitted"))
        for when, required, equity in (
            ("Before", before.required, before.equity),
            ("Change", after.required - before.required, 0.0),
            ("After", after.required, after.equity),
        ):
            values[f"initMargin{when}"] = values[f"maintMargin{when}"] = f"{required:.2f}"
            values[f"equityWithLoan{when}"] = f"{equity:.2f}"
        values.update(whatIf=1, commission=commission, commissionCurrency=record.contract.instrument.currency)
        self._session.send("openOrder", **values)


_WITH_LIMIT = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
_WITH_STOP = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})


def _kind(name: str) -> OrderType:
    kind = ORDER_TYPES.get(name.upper())
    if kind is not None:
        return kind
    if name.upper() in _KNOWN_TYPES:
        raise RefusedError(387, f"Unsupported order type for this exchange and security type: {name}.")
    raise invalid("Invalid order type was entered")


def _price(request: Fields, name: str, contract: ContractData) -> float:
    price = request.number(name)
    if price is None or not 0 < price < HIGHEST_PRICE:
        raise invalid(f"{name} of a {request.text('orderType')} order must be a price, got {request.text(name)!r}")
    if not math.isclose(price, contract.instrument.round_price(price), abs_tol=1e-9):
        raise RefusedError(110, "The price does not conform to the minimum price variation for this contract.")
    return price


def _passes(done: Execution, query: Fields) -> bool:
    record = done.record
    side = "BUY" if done.fill.side is Side.BUY else "SELL"
    wanted = (
        (query.text("acctCode"), record.account),
        (query.text("symbol"), record.contract.symbol),
        (query.text("secType"), record.contract.sec_type),
        (query.text("exchange"), record.contract.exchange),
        (query.text("side"), side),
    )
    return all(text in ("", own) for text, own in wanted) and query.whole("clientId") in (
        None,
        0,
        record.client_id,
    )
