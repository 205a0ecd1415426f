"""DAY orders whose day is over: TWS forgets them overnight, so that its silence alone proves nothing."""

from __future__ import annotations

from collections.abc import Callable

from ibdesk.model import Order, TimeInForce
from ibdesk.tws.account import AccountBook
from ibdesk.tws.contracts import Contracts
from ibdesk.tws.trading_hours import day_ends_ns


class DayOrders:
    """A check whether an order that TWS does not list has certainly ended with its day."""

    def __init__(self, contracts: Contracts, account: AccountBook, now_ns: Callable[[], int]) -> None:
        self._contracts, self._account, self._now_ns = contracts, account, now_ns

    def is_spent(self, order: Order, sent_ns: int) -> bool:
        """Return whether the order's day is over and known executions explain the account's position.

        An open order is always listed. An order that was filled while no desk was connected, and whose executions TWS
        has since forgotten, would have moved the position.
        """
        if order.time_in_force is not TimeInForce.DAY or order.instrument not in self._contracts:
            return False
        if not self._account.is_explained(order.instrument):
            return False
        ends_ns = day_ends_ns(order, self._contracts.of(order.instrument)[0], sent_ns)
        return ends_ns is not None and ends_ns <= self._now_ns()
