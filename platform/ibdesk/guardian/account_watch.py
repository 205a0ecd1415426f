"""The account over TWS: connects, comes back after breaks, looks at everything on request, sends what it is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ibdesk.clock import monotonic_ns
from ibdesk.errors import LinkError
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.guardian.account import Look
from ibdesk.guardian.config import GuardianConfig
from ibdesk.guardian.link import TwsLink
from ibdesk.guardian.plan import CancelEverything, CancelOrder, CancelOwn, Reduce
from ibdesk.guardian.view import AccountView

_log = logging.getLogger(__name__)

_PNL_REQUEST = 1
_FIRST_REQUEST = 100
_ANSWER_SECONDS = 5.0
# A link without an answer for so long is opened anew.
_SILENT_LOOKS = 3
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0
# Said of orders that live on, and of cancels.
_NO_REFUSALS = frozenset({202, 161, 399, 404, 10147, 10148, 10349})
_WARNINGS = range(2100, 2200)

Address = Callable[[], tuple[str, int] | None]


class AccountWatch:
    """The account of one guardian; `run` keeps the connection."""

    def __init__(
        self,
        config: GuardianConfig,
        *,
        address: Address,
        is_ours: Callable[[tuple[str, ...]], str],
        refused: Callable[[str, str], None],
        changed: Callable[[str], None],
    ) -> None:
        """Make one that is not connected.

        `address` gives where TWS is, None while that is not known; `is_ours` chooses the account among those of TWS;
        `refused` hears of each order that TWS refuses, by its reference; `changed` hears why the link went down, or
        an empty text when it is up.
        """
        self._config, self._address = config, address
        self._is_ours, self._refused, self._changed = is_ours, refused, changed
        self.view = AccountView()
        self.why_down = "not connected yet"
        self._link: TwsLink | None = None
        self._requests = _FIRST_REQUEST
        self._next_order_id = 0
        self._references: dict[int, str] = {}
        self._waiting: dict[str, asyncio.Event] = {}
        self._asked_details: set[int] = set()
        self._silent_looks = 0
        self.up = asyncio.Event()

    @property
    def is_up(self) -> bool:
        """Return whether TWS is connected."""
        return self._link is not None

    async def run(self) -> None:
        """Connect, and again after each break, until cancelled."""
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

    async def look(self, *, whole: bool = True) -> Look | None:
        """Return the account as TWS tells it now, None when it did not; not whole, only the orders are asked for.

        Orders come first, executions and positions behind them: what filled before it was looked for is in the fills.
        """
        link = self._link
        if link is None:
            return None
        asked_ns = monotonic_ns()
        self._requests += 1
        ends = ["openOrderEnd", "execDetailsEnd", "positionEnd"] if whole else ["openOrderEnd"]
        self._waiting = {end: asyncio.Event() for end in ends}
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
            self._silent_looks += 1
            if self._silent_looks >= _SILENT_LOOKS and self._link is link:
                link.close()
            return None
        if self._link is not link:
            return None
        self._silent_looks = 0
        self._ask_details(link)
        return self.view.end_look(asked_ns, with_positions=whole)

    def do(self, step: CancelEverything | CancelOrder | CancelOwn | Reduce) -> None:
        """Send what a plan wants; while the link is down nothing leaves, and the plan will notice."""
        if self._link is None:
            return
        match step:
            case CancelEverything():
                self._link.ask("reqGlobalCancel")
            case CancelOrder(order=order):
                self._link.ask("cancelOrder", orderId=order.order_id)
            case CancelOwn(reference=reference):
                for order_id in [number for number, known in self._references.items() if known == reference]:
                    self._link.ask("cancelOrder", orderId=order_id)
            case Reduce():
                self._trade(self._link, step)

    # --- inside

    def _trade(self, link: TwsLink, step: Reduce) -> None:
        order_id = self._next_order_id = max(self._next_order_id + 1, link.next_order_id)
        self._references[order_id] = step.reference
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
            raise LinkError("where TWS is will be known from the engine, which is away")
        self.view = AccountView()
        self._asked_details = set()
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
            # Who waits for an answer learns that there is none.
            for event in self._waiting.values():
                event.set()
            link.close()

    def _ask_details(self, link: TwsLink) -> None:
        """Ask where orders in the contracts go that are held, before they are needed."""
        for con_id in self.view.holdings:
            if con_id not in self._asked_details:
                self._asked_details.add(con_id)
                self._requests += 1
                link.ask("reqContractDetails", reqId=self._requests, conId=con_id, strike="0.0", includeExpired=False)

    def _hear(self, name: str, found: Fields) -> None:
        if name in self._waiting:
            if name != "execDetailsEnd" or found.whole("reqId") == self._requests:
                self._waiting[name].set()
            return
        if name == "errMsg":
            self._hear_error(found)
            return
        self.view.take(name, found, monotonic_ns())

    def _hear_error(self, found: Fields) -> None:
        code, text = found.whole("errorCode") or 0, found.text("errorMsg")
        reference = self._references.get(found.whole("id") or 0)
        if code in (1100, 1101, 1102) or reference is not None:
            _log.warning("TWS says %d: %s", code, text)
        if reference is not None and code not in _NO_REFUSALS and code not in _WARNINGS:
            self._refused(reference, f"{text} ({code})")
