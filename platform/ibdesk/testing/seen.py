"""The test's view of orders and executions at the gateway: plain values that print as one line."""

from __future__ import annotations

import msgspec

from ibdesk.gateway.venue.venue import Execution, OrderRecord


class SeenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order in its present state at the gateway.

    `action` is ``BUY`` or ``SELL``, `kind` IB's order type (``LMT``), `status` one of IB's words (``PreSubmitted``,
    ``Submitted``, ``Filled``, ``Cancelled``, ``Inactive``). `limit` and `auxiliary` are None if the order has none;
    `average_price` is 0 before the first execution.
    """

    client_id: int
    order_id: int
    permanent_id: int
    account: str
    symbol: str
    action: str
    quantity: float
    kind: str
    limit: float | None
    auxiliary: float | None
    time_in_force: str
    reference: str
    status: str
    filled: float
    average_price: float

    @property
    def remaining(self) -> float:
        """Return the unfilled quantity."""
        return self.quantity - self.filled

    def __str__(self) -> str:
        price = "" if self.limit is None else f" {self.limit:g}"
        filled = f", {self.filled:g} filled at {self.average_price:g}" if self.filled else ""
        what = f"{self.action} {self.quantity:g} {self.symbol} {self.kind}{price} {self.time_in_force}".rstrip()
        return f"client {self.client_id} order {self.order_id}: {what}: {self.status}{filled}"


class SeenExecution(msgspec.Struct, frozen=True, kw_only=True):
    """An execution; `at_ns` is ns UTC on the gateway's clock, `commission` in the account's currency."""

    id: str
    client_id: int
    order_id: int
    symbol: str
    action: str
    quantity: float
    price: float
    at_ns: int
    commission: float

    def __str__(self) -> str:
        what = f"{self.action} {self.quantity:g} {self.symbol} at {self.price:g}"
        return f"client {self.client_id} order {self.order_id}: {what} ({self.id})"


def seen_order(record: OrderRecord) -> SeenOrder:
    """Return the gateway's record of an order as a test sees it."""
    request = record.request
    return SeenOrder(
        client_id=record.client_id,
        order_id=record.order_id,
        permanent_id=record.permanent_id,
        account=record.account,
        symbol=record.contract.id,
        action=request.text("action"),
        quantity=record.order.quantity,
        kind=request.text("orderType"),
        # Clients write 0 as well as no value for a price that an order does not have.
        limit=request.number("lmtPrice") or None,
        auxiliary=request.number("auxPrice") or None,
        time_in_force=request.text("tif") or "DAY",
        reference=request.text("orderRef"),
        status=record.status,
        filled=record.filled,
        average_price=record.average_price,
    )


def seen_execution(done: Execution) -> SeenExecution:
    """Return the gateway's record of an execution as a test sees it."""
    return SeenExecution(
        id=done.id,
        client_id=done.record.client_id,
        order_id=done.record.order_id,
        symbol=done.fill.instrument,
        action="BUY" if done.fill.side.sign > 0 else "SELL",
        quantity=done.fill.quantity,
        price=done.fill.price,
        at_ns=done.fill.at_ns,
        commission=done.commission,
    )
