"""Comparison of our books with TWS: after each connection, on a timer, and after ambiguous messages."""

from __future__ import annotations

import asyncio

import msgspec
from ib_async.objects import ExecutionFilter

from ibdesk.model import Notice, Severity, moment
from ibdesk.tws.callbacks import ACCOUNT, COMPLETED_ORDERS, OPEN_ORDERS, POSITIONS, ConnectionHooks, TwsBooks
from ibdesk.tws.ids import Ids
from ibdesk.tws.requests import NoAnswerError, Requests
from ibdesk.tws.settings import TwsSettings
from ibdesk.tws.wire import Wire

# One in this many timed comparisons requests all executions of the day, the others only the newest.
_WHOLE_EVERY = 10
# The newest begin this long before the last one, by TWS's time: an execution may be reported late.
_OVERLAP_NS = 600 * 1_000_000_000


class Compared(msgspec.Struct, frozen=True):
    """The last comparison of the whole account: its end (ns UTC, 0 before the first), and its fault."""

    at_ns: int = 0
    fault: str = ""


class Comparison:
    """Requests TWS's state; the answers pass through `TwsCallbacks` into the books like any other message.

    Executions come first, so that fills are reported before the state that they lead to.
    """

    def __init__(self, settings: TwsSettings, *, books: TwsBooks, hooks: ConnectionHooks, ids: Ids) -> None:
        self._settings = settings
        self._books = books
        self._hooks = hooks
        self._ids = ids
        self._made = 0
        self.last = Compared()

    async def after_break(self, wire: Wire, requests: Requests) -> None:
        """Compare everything after the link was down, or at the first connection.

        Positions that executions do not explain are requested again until two answers agree, or until TWS can no longer
        be late with one; positions that are then still in doubt are reported as such.

        Raises:
            LinkError: If the connection is lost, or TWS does not answer a request.
        """
        books, grace, now = self._books, self._settings.position_grace_seconds, asyncio.get_running_loop().time
        if books.lost.is_due:
            await self._look_for_lost_orders(wire, requests)
        await self._orders(wire, requests, after_break=True)
        books.lost.is_settled = True
        await self._positions(wire, requests)
        latest = now() + self._settings.settle_seconds + 3 * grace
        while books.account.is_doubtful(0) and now() < latest:
            await asyncio.sleep(grace)
            await self._executions(wire, requests)
            await self._positions(wire, requests)
        books.account.tell_doubts(self._hooks.stamp.now_ns())
        await self._account(wire, requests)
        self._note("")

    async def of_account(self, wire: Wire, requests: Requests) -> None:
        """Compare everything while the link is up; a request without an answer is reported and repeated later.

        Raises:
            LinkError: If the connection is lost.
        """
        briefly = self._made % _WHOLE_EVERY != 0
        self._made += 1
        try:
            await self._orders(wire, requests, after_break=False, briefly=briefly)
            await self._positions(wire, requests)
            await self._account(wire, requests)
        except NoAnswerError as error:
            if self.last.fault != str(error):
                self._tell(f"the books could not be compared with the account: {error}; they are compared again later")
            self._note(str(error))
        else:
            self._note("")

    async def of_positions(self, wire: Wire, requests: Requests, *, seconds: float) -> None:
        """Examine unexplained positions: request the executions of all clients, then the positions.

        A position that stays unexplained for `seconds` was traded elsewhere and is reported as confirmed.

        Raises:
            LinkError: If the connection is lost, or TWS does not answer a request.
        """
        await self._orders(wire, requests, after_break=False)
        if self._books.account.is_doubtful(seconds):
            await self._positions(wire, requests)

    async def of_orders(self, wire: Wire, requests: Requests) -> None:
        """Compare orders and executions.

        Raises:
            LinkError: If the connection is lost, or TWS does not answer a request.
        """
        await self._orders(wire, requests, after_break=False)

    async def _positions(self, wire: Wire, requests: Requests) -> None:
        self._books.account.begin_positions()
        await requests.ask(POSITIONS, wire.reqPositions, "the positions")
        self._books.account.end_positions(self._hooks.stamp.now_ns())

    async def _account(self, wire: Wire, requests: Requests) -> None:
        account = self._books.account.id
        await requests.ask(ACCOUNT, lambda: wire.reqAccountUpdates(True, account), "the account's figures")

    async def _orders(self, wire: Wire, requests: Requests, *, after_break: bool, briefly: bool = False) -> None:
        """Request executions and orders; `briefly` only the newest, and completed orders only if one is missing."""
        orders = self._books.orders
        orders.begin_comparison(after_break=after_break)
        is_complete = await self._executions(wire, requests, newest_only=briefly)
        await requests.ask(OPEN_ORDERS, wire.reqAllOpenOrders, "the open orders")
        if orders.missing.has_suspects or not briefly:
            await self._completed(wire, requests)
        orders.end_comparison(is_complete=is_complete)

    async def _look_for_lost_orders(self, wire: Wire, requests: Requests) -> None:
        """Find orders that the journal lacks before executions arrive, so that these are booked to their owners."""
        self._books.lost.is_looking = True
        try:
            await requests.ask(OPEN_ORDERS, wire.reqAllOpenOrders, "the open orders")
            await self._completed(wire, requests)
            self._books.lost.is_due = False
        finally:
            self._books.lost.is_looking = False

    async def _completed(self, wire: Wire, requests: Requests) -> None:
        await requests.ask(COMPLETED_ORDERS, lambda: wire.reqCompletedOrders(False), "the completed orders")

    async def _executions(self, wire: Wire, requests: Requests, *, newest_only: bool = False) -> bool:
        """Request the executions of all clients; return whether the answer was complete."""
        number = self._ids.take()
        query = ExecutionFilter(acctCode=self._books.account.id)
        newest_ns = self._books.executions.newest_ns
        if newest_only and newest_ns:
            query.time = f"{moment(newest_ns - _OVERLAP_NS):%Y%m%d-%H:%M:%S}"
        try:
            await requests.ask(number, lambda: wire.reqExecutions(number, query), "the day's executions")
        except NoAnswerError as error:
            # Some gateways send all executions and omit the end of this list.
            self._tell(f"{error}; continuing with those received")
            return False
        return True

    def _note(self, fault: str) -> None:
        self.last = Compared(self._hooks.stamp.now_ns(), fault)

    def _tell(self, text: str) -> None:
        self._hooks.tell(Notice(text, self._hooks.stamp.now_ns(), Severity.WARNING))
