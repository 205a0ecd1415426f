"""The account over TWS: connects and reconnects, takes snapshots on request, and sends the steps of plans."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from ibdesk.clock import monotonic_ns
from ibdesk.errors import LinkError
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.guardian.account import GUARDIANS, AccountSnapshot
from ibdesk.guardian.config import GuardianConfig
from ibdesk.guardian.link import TwsLink
from ibdesk.guardian.plan import CancelEverything, CancelOrder, CancelOwn, Reduce
from ibdesk.guardian.view import OVER, AccountView

_log = logging.getLogger(__name__)

_PNL_REQUEST = 1
_FIRST_REQUEST = 100
_ANSWER_SECONDS = 5.0
# A connection without an answer for this long is replaced.
_SILENT_LOOKS = 3
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0
# Messages that end an answer without naming its request.
_ENDS = frozenset({"openOrderEnd", "positionEnd"})
# Error codes sent for orders that live on, and for cancels.
_NO_REFUSALS = frozenset({202, 161, 399, 404, 10147, 10148, 10349})
_WARNINGS = range(2100, 2200)
_DUPLICATE_ID = 103
_HIGHEST_ORDER_ID = 2**31 - 2
_CANCELLED, _NOT_FOUND, _NOT_CANCELLABLE = 202, 10147, 10148
# The states of a finished order that TWS names in its answer to a cancel.
_ENDED = ("Filled", "Cancelled", "Inactive")
# 1100: TWS has lost its servers; they are back, and subscriptions are gone (1101) or kept (1102).
_NO_SERVERS, _SUBSCRIPTIONS_LOST, _SERVERS_BACK = 1100, 1101, 1102

Address = Callable[[], tuple[str, int] | None]


class OrderListener(Protocol):
    """The receiver of TWS's answers about single orders."""

    def reference_of(self, order_id: int) -> str | None:
        """Return the reference of an order of this client that may still be filled."""

    def refused(self, reference: str, text: str, *, at_once: bool) -> None:
        """Record that TWS refused an order; the next may leave `at_once`."""

    def reported(self, reference: str, filled: float, *, is_over: bool) -> None:
        """Record the status of a guardian's order."""

    def ended(self, reference: str, *, is_filled: bool, was_found: bool) -> None:
        """Record that nothing was left to cancel of an order, or that TWS did not find it."""

    def not_found(self, order_id: int) -> None:
        """Record that TWS knows no order of this number that this client may cancel."""


class AccountWatch:
    """The account of one guardian; `run` maintains the connection."""

    def __init__(
        self,
        config: GuardianConfig,
        *,
        address: Address,
        is_ours: Callable[[tuple[str, ...]], str],
        stops: OrderListener,
        changed: Callable[[str], None],
        alert: Callable[[str], None],
    ) -> None:
        """Create a watch that is not connected.

        `address` returns the address of TWS, None while it is unknown; `is_ours` chooses the account among those of
        TWS; `stops` receives TWS's answers about single orders; `changed` receives the reason when the link goes down,
        and an empty text when it is up; `alert` alerts a person.
        """
        self._config, self._address = config, address
        self._is_ours, self._stops, self._changed, self._alert = is_ours, stops, changed, alert
        self.view = AccountView()
        self.why_down = "not connected yet"
        self._link: TwsLink | None = None
        self._requests = _FIRST_REQUEST
        self._next_order_id = 0
        self._waiting: dict[str, asyncio.Event] = {}
        # _owed: the number of answers of each kind still to come, including answers that earlier looks no longer await.
        self._owed: dict[str, int] = {}
        # _ended: the kinds of answers that have ended since the look began.
        self._ended: set[str] = set()
        self._asked_details: set[int] = set()
        self._silent_looks = 0
        self.up = asyncio.Event()

    @property
    def is_up(self) -> bool:
        """Return whether TWS is connected."""
        return self._link is not None

    async def run(self) -> None:
        """Connect, and reconnect after each break, until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._connect_and_hear()
                pause = _FIRST_PAUSE
            except LinkError as error:
                if str(error) != self.why_down:
                    self._changed(str(error))
                self.why_down = str(error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def look(self, *, whole: bool = True) -> AccountSnapshot | None:
        """Return the account as TWS reports it now, None without an answer; only the orders unless `whole`.

        Orders are requested first, then executions and positions: a fill before the orders' answer is in the
        executions.
        """
        link = self._link
        if link is None:
            return None
        asked_ns = monotonic_ns()
        self._requests += 1
        ends = ["openOrderEnd", "execDetailsEnd", "positionEnd"] if whole else ["openOrderEnd"]
        self._waiting, self._ended = {end: asyncio.Event() for end in ends}, set()
        for end in _ENDS.intersection(ends):
            self._owed[end] = self._owed.get(end, 0) + 1
        self.view.begin_look()
        link.ask("reqAllOpenOrders")
        if whole:
            link.ask("reqExecutions", reqId=self._requests, clientId=0, acctCode=self.view.account)
            link.ask("reqPositions")
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                for event in self._waiting.values():
                    await event.wait()
        except TimeoutError:
            # An answer has come and one is still owed: TWS has left out the end of an earlier one.
            self._owed.update(dict.fromkeys(self._ended, 0))
            self._silent_looks += 1
            if self._silent_looks >= _SILENT_LOOKS and self._link is link:
                link.close()
            return None
        if self._link is not link:
            return None
        self._silent_looks = 0
        self._ask_details(link)
        return self.view.end_look(asked_ns, with_positions=whole)

    def do(self, step: CancelEverything | CancelOrder | CancelOwn | Reduce, *, order_id: int = 0) -> None:
        """Send a step of a plan. While the link is down nothing leaves, and the plan will notice.

        `order_id` is the number of the order to send, or of the guardian's own order to cancel.
        """
        if self._link is None:
            return
        match step:
            case CancelEverything():
                self._link.ask("reqGlobalCancel")
            case CancelOrder(order=order):
                self._link.ask("cancelOrder", orderId=order.order_id)
            case CancelOwn():
                self._link.ask("cancelOrder", orderId=order_id)
            case Reduce():
                self._trade(self._link, step, order_id)

    def new_order_id(self) -> int:
        """Return a number for the next order, above all that TWS has named; 0 while TWS is away.

        IB requires numbers above those of all orders that it has shown to the client, of whichever client.
        """
        if self._link is None:
            return 0
        seen = self.view.highest_order_id if self.view.highest_order_id < _HIGHEST_ORDER_ID else 0
        self._next_order_id = max(self._next_order_id, self._link.next_order_id - 1, seen) + 1
        return self._next_order_id

    # --- inside

    def _trade(self, link: TwsLink, step: Reduce, order_id: int) -> None:
        link.place_market(
            order_id,
            self.view.contracts[step.con_id],
            exchange=self.view.exchange_of(step.con_id),
            account=self.view.account,
            quantity=step.quantity,
            reference=step.reference,
            outside_regular_hours=self._config.outside_regular_hours,
        )

    async def _connect_and_hear(self) -> None:
        address = self._address()
        if address is None:
            raise LinkError("the address of TWS is unknown until the engine, which is away, reports it")
        self.view = AccountView(pnl_reports=self.view.pnl_reports)
        self._asked_details, self._owed = set(), {}
        link = await TwsLink.open(*address, self._config.client_id, self._hear)
        try:
            account = self.view.account = self._is_ours(link.accounts)
            link.ask("reqAccountUpdates", subscribe=True, acctCode=account)
            link.ask("reqPnL", reqId=_PNL_REQUEST, account=account, modelCode="")
            self._link, self._silent_looks, self.why_down = link, 0, ""
            self.up.set()
            self._changed("")
            await link.run()
        finally:
            self._link = None
            self.up.clear()
            # Waiting callers learn that no answer will come.
            for event in self._waiting.values():
                event.set()
            link.close()

    def _ask_details(self, link: TwsLink) -> None:
        """Request the order exchange of the contracts held, before it is needed."""
        for con_id in self.view.holdings:
            if con_id not in self._asked_details:
                self._asked_details.add(con_id)
                self._requests += 1
                link.ask("reqContractDetails", reqId=self._requests, conId=con_id, strike="0.0", includeExpired=False)

    def _hear(self, name: str, found: Fields) -> None:
        if name in _ENDS:
            self._hear_end(name)
            return
        if name in self._waiting:
            if found.whole("reqId") == self._requests:
                self._waiting[name].set()
            return
        if name == "errMsg":
            self._hear_error(found)
            return
        if name == "orderStatus":
            self._hear_status(found)
        self.view.take(name, found, monotonic_ns())

    def _hear_end(self, name: str) -> None:
        """Process the end of an answer. Answers come in the order of the requests, late ones included."""
        self._owed[name] = max(self._owed.get(name, 0) - 1, 0)
        self._ended.add(name)
        if self._owed[name] > 0:
            self.view.forget_named(name)
        elif name in self._waiting:
            self._waiting[name].set()

    def _hear_error(self, found: Fields) -> None:
        code, text = found.whole("errorCode") or 0, found.text("errorMsg")
        number = found.whole("id") or 0
        if code in (_NO_SERVERS, _SUBSCRIPTIONS_LOST, _SERVERS_BACK):
            self._hear_of_servers(code, text)
            return
        reference = self._stops.reference_of(number)
        if reference is None:
            if code == _NOT_FOUND:
                self._stops.not_found(number)
            return
        _log.warning("TWS says %d: %s", code, text)
        if code in (_CANCELLED, _NOT_FOUND) or (code == _NOT_CANCELLABLE and any(state in text for state in _ENDED)):
            self._stops.ended(reference, is_filled="Filled" in text, was_found=code != _NOT_FOUND)
        elif code not in _NO_REFUSALS and code not in _WARNINGS:
            if code == _DUPLICATE_ID and self._link is not None:
                self._link.ask("reqIds", numIds=1)
            self._stops.refused(reference, f"{text} ({code})", at_once=code == _DUPLICATE_ID)

    def _hear_status(self, found: Fields) -> None:
        """Report the filled quantity of a guardian's order, and whether it is over.

        The order is found by its permanent id: the status of a cancelled order names the client that cancelled it.
        """
        reference = self.view.reference_of(found.whole("permId") or 0)
        if reference.startswith(GUARDIANS):
            self._stops.reported(reference, found.number("filled") or 0.0, is_over=found.text("status") in OVER)

    def _hear_of_servers(self, code: int, text: str) -> None:
        _log.warning("TWS says %d: %s", code, text)
        if code == _NO_SERVERS:
            self._alert(f"TWS has lost its connection to IB ({text}): until it is back nothing is seen or closed")
        elif code == _SUBSCRIPTIONS_LOST and self._link is not None:
            # TWS would send no more profit and account values.
            self._link.close()
