"""Comparing our books with TWS: after every connection, and whenever TWS said something that leaves a doubt."""

from __future__ import annotations

from ib_async.objects import ExecutionFilter

from ibdesk.model import Notice, Severity
from ibdesk.tws.ears import ACCOUNT, COMPLETED_ORDERS, OPEN_ORDERS, POSITIONS, Office, Rooms
from ibdesk.tws.ids import Ids
from ibdesk.tws.requests import NoAnswerError, Requests
from ibdesk.tws.wire import Wire


class Comparison:
    """Pulls what TWS knows; the answers pass through `Ears` into the books like any other message.

    Executions come first, so that fills are told before the state they led to.
    """

    def __init__(self, *, rooms: Rooms, office: Office, ids: Ids) -> None:
        self._rooms = rooms
        self._office = office
        self._ids = ids

    async def after_break(self, wire: Wire, requests: Requests) -> None:
        """Compare everything: the link was down, or has just come up for the first time.

        Raises:
            LinkError: If the connection goes, or TWS leaves a question open.
        """
        if self._rooms.lost.is_due:
            await self._look_for_lost_orders(wire, requests)
        await self._orders(wire, requests, after_break=True)
        self._rooms.lost.is_settled = True
        await self._positions(wire, requests)
        account = self._rooms.account.id
        await requests.ask(ACCOUNT, lambda: wire.reqAccountUpdates(True, account), "the account's figures")

    async def of_positions(self, wire: Wire, requests: Requests, *, seconds: float) -> None:
        """Find out why a position is not what executions explain: ask for those of all clients, then for the positions.

        What is still unexplained, and has been for so many seconds, was traded elsewhere: it is told as confirmed.

        Raises:
            LinkError: If the connection goes, or TWS leaves a question open.
        """
        await self._orders(wire, requests, after_break=False)
        if self._rooms.account.is_doubtful(seconds):
            await self._positions(wire, requests)
            self._rooms.account.confirm(seconds, self._office.stamp.now_ns())

    async def _positions(self, wire: Wire, requests: Requests) -> None:
        self._rooms.account.begin_positions()
        await requests.ask(POSITIONS, wire.reqPositions, "the positions")
        self._rooms.account.end_positions(self._office.stamp.now_ns())

    async def of_orders(self, wire: Wire, requests: Requests) -> None:
        """Compare orders and executions.

        Raises:
            LinkError: If the connection goes, or TWS leaves a question open.
        """
        await self._orders(wire, requests, after_break=False)

    async def _orders(self, wire: Wire, requests: Requests, *, after_break: bool) -> None:
        self._rooms.orders.begin_comparison(after_break=after_break)
        await self._executions(wire, requests)
        await self._open_and_completed(wire, requests)
        self._rooms.orders.end_comparison()

    async def _look_for_lost_orders(self, wire: Wire, requests: Requests) -> None:
        """Find what our record lacks before executions come, so that those are booked to whom they belong."""
        self._rooms.lost.is_looking = True
        try:
            await self._open_and_completed(wire, requests)
            self._rooms.lost.is_due = False
        finally:
            self._rooms.lost.is_looking = False

    async def _open_and_completed(self, wire: Wire, requests: Requests) -> None:
        await requests.ask(OPEN_ORDERS, wire.reqAllOpenOrders, "the open orders")
        await requests.ask(COMPLETED_ORDERS, lambda: wire.reqCompletedOrders(False), "the completed orders")

    async def _executions(self, wire: Wire, requests: Requests) -> None:
        number = self._ids.take()
        query = ExecutionFilter(acctCode=self._rooms.account.id)
        try:
            await requests.ask(number, lambda: wire.reqExecutions(number, query), "the day's executions")
        except NoAnswerError as error:
            # Gateways were seen to leave out the end of this list, with all executions sent.
            text = f"{error}; going on with those that came"
            self._office.tell(Notice(text, self._office.stamp.now_ns(), Severity.WARNING))
