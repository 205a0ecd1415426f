"""Open orders of the account that a person in TWS or another program placed."""

from __future__ import annotations

from collections.abc import Callable

from ib_async.contract import Contract
from ib_async.order import Order as IbOrder

from ibdesk.model import Event, Notice, Severity
from ibdesk.tws.contracts import Contracts
from ibdesk.tws.orders import terms_from

_MOST_REMEMBERED = 10_000


class ForeignOrders:
    """Reports each foreign order once; its executions are booked to `external`."""

    def __init__(self, *, contracts: Contracts, tell: Callable[[Event], None], now_ns: Callable[[], int]) -> None:
        self._contracts, self._tell, self._now_ns = contracts, tell, now_ns
        # Permanent ids, or client id and number until TWS assigns one.
        self._told: set[tuple[str, int]] = set()

    def note(self, contract: Contract, order: IbOrder) -> None:
        """Report an open order that is not in our book, once."""
        nameless = str(order.clientId), order.orderId
        key = ("", order.permId) if order.permId else nameless
        if key in self._told or len(self._told) >= _MOST_REMEMBERED:
            return
        self._told.add(key)
        if order.permId and nameless in self._told:
            self._told.remove(nameless)
            return
        name, _ = self._contracts.name_of(contract)
        terms = terms_from(order)
        price = "".join(f" {price:g}" for price in (terms.limit_price, terms.stop_price) if price is not None)
        text = (
            f"an order that is not of this desk is open in the account: {order.action.lower()} {terms.quantity:g} "
            f"{name} {order.orderType}{price} (client id {order.clientId}, permanent id {order.permId})"
        )
        self._tell(Notice(text, self._now_ns(), Severity.WARNING))
