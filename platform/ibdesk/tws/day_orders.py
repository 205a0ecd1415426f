"""DAY orders whose day is over: TWS forgets them over night, and its silence is evidence only with another one."""

from __future__ import annotations

from collections.abc import Callable

from ibdesk.model import Order, TimeInForce
from ibdesk.tws.account import AccountBook
from ibdesk.tws.contracts import Contracts
from ibdesk.tws.trading_hours import day_ends_ns


class DayOrders:
    """Tells whether an order that TWS lists nowhere has certainly ended with its day."""

    def __init__(self, contracts: Contracts, account: AccountBook, now_ns: Callable[[], int]) -> None:
        self._contracts, self._account, self._now_ns = contracts, account, now_ns

    def is_spent(self, order: Order, sent_ns: int) -> bool:
        """Return whether its day is over, and the account holds what the executions say that are known.

        An order that is alive is always listed. One that was filled while nobody listened, before TWS forgot the
        executions of that day, has moved the position.
        """
        if order.time_in_force is not TimeInForce.DAY or order.instrument not in self._contracts:
            return False
        if not self._account.is_explained(order.instrument):
            return False
        ends_ns = day_ends_ns(order, self._contracts.of(order.instrument)[0], sent_ns)
        return ends_ns is not None and ends_ns <= self._now_ns()
