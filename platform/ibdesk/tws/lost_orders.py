"""Orders of ours that the journal lacks because the previous desk's last moments were lost.

The desk may have died before its journal was copied to the successor's machine, or its disk may have lost the end. TWS
still has such orders, and each carries our id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ib_async.contract import Contract
from ib_async.objects import Execution
from ib_async.order import Order as IbOrder

from ibdesk.engine import MANUAL
from ibdesk.errors import InstrumentError
from ibdesk.model import Event, HaltTrading, Order, OrderFound, OrderStatus
from ibdesk.tws.contracts import Contracts
from ibdesk.tws.orderbook import OrderBook
from ibdesk.tws.orders import order_from, side_of_execution


class LostOrders:
    """Finds lost orders in TWS's messages, adopts them into the book, and reports each before any other event of it."""

    def __init__(
        self, *, book: OrderBook, contracts: Contracts, tell: Callable[[Event], None], now_ns: Callable[[], int]
    ) -> None:
        # TWS must be asked for lost orders once, before the books are compared.
        self.is_due = False
        # The request is under way; messages about other orders meanwhile are requested again.
        self.is_looking = False
        # The books have been compared once; an unknown order under a name of ours is then not from this desk.
        self.is_settled = False
        self._book, self._contracts, self._tell, self._now_ns = book, contracts, tell, now_ns
        self._owners: frozenset[str] = frozenset()
        # The client ids that can have sent lost orders: this desk's and the previous desk's.
        self.clients: frozenset[int] = frozenset((book.client_id,))
        # The orders for which trading was halted.
        self._strays: set[tuple[str, int]] = set()

    def expect(self, owners: Iterable[str], client_id: int) -> None:
        """Set the possible owners of lost orders: runs of the previous desk, and orders by hand under its client id."""
        self._owners = frozenset(owners)
        self.clients |= {client_id}
        self.is_due = bool(self._owners)

    def check(self, reference: str, *, permanent_id: int, client_id: int) -> None:
        """Halt trading if TWS has an order under a name of ours that this program did not send.

        The signs are one reference for two orders, or a number that our run has not reached. They mean that another
        program trades under our names, such as a second engine on a copy of our state folder.
        """
        known = self._book.permanent_id_of(reference)
        if known is not None:
            is_stray = 0 not in (known, permanent_id) and known != permanent_id
        else:
            is_stray = self.is_settled and self._is_name_of_ours(reference, client_id)
        if is_stray and (reference, permanent_id) not in self._strays:
            self._strays.add((reference, permanent_id))
            self._tell(
                HaltTrading(
                    f"TWS has an order {reference} (permanent id {permanent_id}, client id {client_id}) that this desk "
                    f"did not send: look for another program that trades under its names",
                    self._now_ns(),
                    "tws",
                )
            )

    def _is_name_of_ours(self, reference: str, client_id: int) -> bool:
        run_id = reference.rpartition(".")[0]
        if run_id:
            return run_id in self._owners or run_id in self._book.owners
        # Other desks name their orders by hand in the same way, under their own client ids.
        return reference.startswith(f"{MANUAL}-") and MANUAL in self._book.owners and client_id in self.clients

    def look_at_order(self, contract: Contract, order: IbOrder) -> None:
        """Process an order that TWS works or has worked."""
        owner = self._owner_of(order.orderRef)
        if not owner:
            return
        name, _ = self._contracts.name_of(contract)
        found = order_from(order, owner=owner, instrument=name, at_ns=self._now_ns())
        if found is not None:
            self._take(found)

    def look_at_execution(self, contract: Contract, execution: Execution) -> None:
        """Process an execution of an order that TWS does not list; the executed quantity stands for the order's."""
        owner = self._owner_of(execution.orderRef)
        if not owner or execution.clientId not in self.clients:
            return
        name, _ = self._contracts.name_of(contract)
        self._take(
            Order(
                id=execution.orderRef,
                owner=owner,
                instrument=name,
                side=side_of_execution(execution.side),
                quantity=execution.cumQty or execution.shares,
                status=OrderStatus.UNKNOWN,
                created_ns=self._now_ns(),
                updated_ns=self._now_ns(),
                permanent_id=execution.permId,
            )
        )

    def _owner_of(self, reference: str) -> str:
        """Return the owner of an order of ours that is not in the book, an empty string for other orders."""
        if not self._owners or reference in self._book:
            return ""
        run_id, _, number = reference.rpartition(".")
        if run_id in self._owners and number.isdigit():
            return run_id
        return MANUAL if MANUAL in self._owners and reference.startswith(f"{MANUAL}-") else ""

    def _take(self, order: Order) -> None:
        try:
            instrument = self._contracts.named(order.instrument)
        except InstrumentError:
            # Of a kind that ibdesk does not trade.
            return
        self._book.adopt(order)
        self._tell(OrderFound(order, instrument, self._now_ns()))
