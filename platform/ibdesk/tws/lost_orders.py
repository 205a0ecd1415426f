"""Orders of ours that our record lacks: what an earlier life did in its last moments, when those were lost.

It may have died before what it did was copied to the machine of its successor, or its disk may have lost it. TWS still
has such orders, and each carries our own name of it.
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
    """Finds them in what TWS tells, puts them into the book, and tells of each before anything else is told of it."""

    def __init__(
        self, *, book: OrderBook, contracts: Contracts, tell: Callable[[Event], None], now_ns: Callable[[], int]
    ) -> None:
        # is_due: TWS is to be asked for them before the books are compared, once.
        self.is_due = False
        # is_looking: it is being asked now; what it says of other orders meanwhile is asked for again.
        self.is_looking = False
        # is_settled: the books have been compared once; an order of our names that comes up later is not from us.
        self.is_settled = False
        self._book, self._contracts, self._tell, self._now_ns = book, contracts, tell, now_ns
        self._owners: frozenset[str] = frozenset()
        # clients: the ids of programs at TWS that can have sent them: this one's, and that of the life before.
        self.clients: frozenset[int] = frozenset((book.client_id,))
        # _strays: those for which trading was halted.
        self._strays: set[tuple[str, int]] = set()

    def expect(self, owners: Iterable[str], client_id: int) -> None:
        """Know whose orders they can be: runs of the life before, and what was traded by hand under its client id."""
        self._owners = frozenset(owners)
        self.clients |= {client_id}
        self.is_due = bool(self._owners)

    def check(self, reference: str, *, permanent_id: int, client_id: int) -> None:
        """Halt trading when TWS has an order under a name of ours that this program did not send.

        Then another one trades under our names, such as a second engine on a copy of our state folder: one reference
        for two orders, or a number that a run of ours has not come to.
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
        # Other desks name their orders by hand like this too, under client ids of their own.
        return reference.startswith(f"{MANUAL}-") and MANUAL in self._book.owners and client_id in self.clients

    def look_at_order(self, contract: Contract, order: IbOrder) -> None:
        """Take an order as TWS works it, or has worked it."""
        owner = self._owner_of(order.orderRef)
        if not owner:
            return
        name, _ = self._contracts.name_of(contract)
        found = order_from(order, owner=owner, instrument=name, at_ns=self._now_ns())
        if found is not None:
            self._take(found)

    def look_at_execution(self, contract: Contract, execution: Execution) -> None:
        """Take an execution of an order that TWS names nowhere else: its quantity is as much as that shows."""
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
        """Return whose order a reference names that is not in the book; an empty string when it is none of ours."""
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
