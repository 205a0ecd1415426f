"""The connection to TWS over time: handshake, comparison, loss and reconnection."""

from __future__ import annotations

import asyncio
import enum
import math
from collections.abc import Awaitable, Callable

from ibdesk.errors import LinkError
from ibdesk.model import Event, Link, LinkChanged, Notice, Severity
from ibdesk.tws import codes
from ibdesk.tws.backoff import delays
from ibdesk.tws.callbacks import TIME, ConnectionHooks, TwsBooks, TwsCallbacks
from ibdesk.tws.dispatch import Dispatch
from ibdesk.tws.drift import ClockComparison
from ibdesk.tws.fence import Fence
from ibdesk.tws.ids import Ids
from ibdesk.tws.requests import Requests
from ibdesk.tws.settings import TwsSettings
from ibdesk.tws.stamp import Stamp
from ibdesk.tws.sync import Comparison
from ibdesk.tws.wire import Wire

_HOUSEKEEPING_SECONDS = 1.0
# The shortest time between two comparisons of the whole account, whatever requests them.
_LEAST_SECONDS_BETWEEN = 5.0


class _News(enum.Enum):
    """What the connection's callbacks pass to `run`."""

    LOST = enum.auto()
    """The socket is closed."""
    RESTORED = enum.auto()
    """TWS has its servers back and kept the subscriptions."""
    RESTORED_EMPTY = enum.auto()
    """TWS has its servers back and lost the subscriptions."""
    DOUBT = enum.auto()
    """TWS's message leaves the state of an order open."""
    STALLED = enum.auto()
    """This process stood still."""
    FAILED = enum.auto()
    """The receiver of our events raised."""


class ConnectionManager:
    """The owner of the one connection and of the link's state.

    Orders leave only while the link is UP: the books have been compared with TWS and nothing broke since.
    """

    def __init__(
        self,
        settings: TwsSettings,
        *,
        stamp: Stamp,
        books: TwsBooks,
        ids: Ids,
        dispatch: Dispatch,
        on_event: Callable[[Event], None],
        fence: Fence,
        before_waiting: Callable[[], None],
        is_away: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._is_away = is_away
        self._fence, self._before_waiting = fence, before_waiting
        self._stamp = stamp
        self._books = books
        self._dispatch = dispatch
        self._on_event = on_event
        self._hooks = ConnectionHooks(
            stamp=stamp,
            tell=self.tell,
            connectivity=self._connectivity,
            compare_soon=self._doubt,
            compare_account_soon=self.compare_soon,
            number_proposed=ids.raise_to,
            lost=self._lost,
            failed=self._failed,
            is_away=is_away,
        )
        self.comparison = Comparison(settings, books=books, hooks=self._hooks, ids=ids)
        self._news: asyncio.Queue[_News] = asyncio.Queue()
        self._failure: Exception | None = None
        # A comparison of orders is due.
        self._in_doubt = False
        # How often the whole account is compared. The times below are on the loop's clock.
        self.compare_seconds = math.inf
        self._compare_at, self._compared_at = math.inf, -math.inf
        # TWS itself has lost its servers (1100).
        self._cut_off = False
        self._messages_before = 0
        # Called once, with the account that is traded.
        self.on_account: Callable[[str], None] = ignore
        # Called at each synchronization.
        self.before_comparison: Callable[[], Awaitable[None]] = _nothing
        self.link = Link.DOWN
        self.wire: Wire | None = None
        self.callbacks: TwsCallbacks | None = None
        self.requests = Requests(settings.request_timeout_seconds)
        self.reconnects = 0
        self.clocks = ClockComparison(settings, stamp, self.tell)

    @property
    def messages_sent(self) -> int:
        """Return how many messages were sent over all connections."""
        return self._messages_before + (self.wire.pacer.messages_sent if self.wire else 0)

    def connected(self) -> tuple[Wire, Requests]:
        """Return the wire and its open requests.

        Raises:
            LinkError: If there is no connection.
        """
        if self.wire is None or self.link not in (Link.UP, Link.SYNCING):
            raise LinkError(f"no connection to TWS at {self._settings.address}: the link is {self.link.value}")
        return self.wire, self.requests

    def tell(self, event: Event) -> None:
        """Pass an event on; an exception of the receiver ends `run`."""
        if self._failure is not None:
            return
        try:
            self._on_event(event)
        except Exception as error:  # noqa: BLE001 - not lost: it ends `run`, which raises it
            self._failed(error)

    async def connect(self) -> None:
        """Connect and compare the books; after a failure nothing stays open.

        Raises:
            LinkError: If TWS cannot be reached or does not answer, or the fence forbids connecting.
            ConfigError: If the account may not be traded with these settings.
        """
        if self.wire is not None:
            raise LinkError(f"already connected to TWS at {self._settings.address}")
        if not self._fence.may_connect():
            raise LinkError(
                f"not connecting to TWS at {self._settings.address} until it is certain that no other engine trades"
            )
        self._news = asyncio.Queue()
        self._cut_off = self._in_doubt = False
        self.requests = Requests(self._settings.request_timeout_seconds)
        self.callbacks = callbacks = TwsCallbacks(self._books, self.requests, self._hooks)
        self.wire = callbacks.wire = wire = Wire(
            callbacks,
            self._settings,
            may_send=self._fence.may_send,
            on_fenced=self._fenced,
            before_waiting=self._before_waiting,
        )
        try:
            await wire.open()
            is_first = not self._books.account.id
            self._books.account.choose(self._settings.account_among(callbacks.accounts))
            if is_first:
                self.on_account(self._books.account.id)
            await self._synchronize(wire, data_kept=False)
        except BaseException:
            self._drop("the connection could not be completed")
            self._raise_failure()
            raise

    async def run(self) -> None:
        """Keep the link up until cancelled; the socket is closed in any case.

        Raises:
            Exception: Any exception of the receiver of our events.
            ConfigError: If TWS comes back with an account that may not be traded.
        """
        try:
            while True:
                await self._watch()
                await self._come_back()
        finally:
            self._drop("the service was stopped")
            self._set_link(Link.CLOSED)

    async def _watch(self) -> None:
        """Handle news until the connection is lost."""
        while self.wire is not None:
            try:
                async with asyncio.timeout(_HOUSEKEEPING_SECONDS):
                    news = await self._news.get()
            except TimeoutError:
                news = None
            self._raise_failure()
            try:
                await self._handle(news)
            except LinkError as error:
                self._lost(str(error))
        self._raise_failure()

    async def _handle(self, news: _News | None) -> None:
        wire = self.wire
        if wire is None:
            return
        match news:
            case _News.RESTORED | _News.RESTORED_EMPTY | _News.STALLED:
                await self._synchronize(wire, data_kept=news is not _News.RESTORED_EMPTY)
            case _News.DOUBT:
                await self._compare_orders(wire)
            case None:
                await self._keep_house(wire)

    async def _compare_orders(self, wire: Wire) -> None:
        self._in_doubt = False
        # TWS may not answer while it is cut off; everything is compared when it is back.
        if not self._cut_off:
            await self.comparison.of_orders(wire, self.requests)

    async def _keep_house(self, wire: Wire) -> None:
        """Look for orders that were never answered or not found and for missing executions, and probe a silent TWS."""
        overdue = self._dispatch.overdue(self._settings.answer_timeout_seconds)
        for tracked in overdue:
            self._books.orders.missing.call_unknown(tracked)
        orders = self._books.orders
        if overdue or orders.short_of_executions or orders.missing.are_to_be_asked_for:
            await self._compare_orders(wire)
        await self._follow_positions(wire)
        await self._compare_account(wire)
        if self.clocks.is_due:
            await self.clocks.compare(wire, self.requests)
        if wire.silent_seconds > self._settings.heartbeat_seconds:
            await self.requests.ask(TIME, wire.reqCurrentTime, "whether it is still there")

    async def round_trip(self) -> None:
        """Ask TWS for its time, which it answers after everything sent before.

        Raises:
            LinkError: If there is no connection, or no answer.
        """
        wire, requests = self.connected()
        await requests.ask(TIME, wire.reqCurrentTime, "its time")

    def catch_up(self, reason: str) -> None:
        """Let no order leave until the books are compared; waiting orders were decided before `reason`."""
        wire = self.wire
        if wire is None or self.link is not Link.UP:
            return
        self._hold(wire, reason)
        self._set_link(Link.SYNCING, reason)
        self._news.put_nowait(_News.STALLED)

    def _hold(self, wire: Wire, reason: str) -> None:
        """Let no order leave over the wire, including orders that wait for the budget of messages."""
        self._dispatch.close()
        self._dispatch.left_behind(wire, wire.pacer.take_back(), f"{reason} while it waited")

    def compare_soon(self) -> None:
        """Request a comparison of the whole account: something happened that the books do not explain."""
        self._compare_at = min(self._compare_at, asyncio.get_running_loop().time())

    async def _compare_account(self, wire: Wire) -> None:
        """Compare the whole account when that is due, never more often than TWS's pacing allows."""
        now = asyncio.get_running_loop().time()
        is_due = now >= max(self._compare_at, self._compared_at + _LEAST_SECONDS_BETWEEN)
        if not is_due or self.link is not Link.UP or self._cut_off:
            return
        self._compared_at, self._compare_at = now, now + self.compare_seconds
        await self.comparison.of_account(wire, self.requests)

    async def _follow_positions(self, wire: Wire) -> None:
        """Examine positions that our executions do not explain: another client may trade in the account."""
        seconds = self._settings.position_grace_seconds
        if self.link is Link.UP and not self._cut_off and self._books.account.is_doubtful(seconds / 2):
            await self.comparison.of_positions(wire, self.requests, seconds=seconds)

    async def _come_back(self) -> None:
        """Reconnect, with growing pauses, until it succeeds."""
        last = ""
        settings = self._settings
        for pause in delays(settings.reconnect_first_seconds, settings.reconnect_last_seconds):
            await asyncio.sleep(pause)
            try:
                await self.connect()
            except LinkError as error:
                if str(error) != last:
                    last = str(error)
                    self._notice(f"not connected yet: {last}")
            else:
                self.reconnects += 1
                return

    async def _synchronize(self, wire: Wire, *, data_kept: bool) -> None:
        """Compare the books with TWS, and only then let orders leave."""
        self._hold(wire, "the books had to be compared")
        self._set_link(Link.SYNCING)
        await self.before_comparison()
        await self.clocks.compare(wire, self.requests)
        await self.comparison.after_break(wire, self.requests)
        if self.wire is not wire:
            raise LinkError("the connection to TWS was lost while the books were compared")
        if not data_kept:
            self._books.market.attach(wire, regular_hours_only=self._settings.regular_hours_only)
        if not self._cut_off:
            # Open first: the receiver of this event may place orders at once.
            self._dispatch.open(wire, self._books.account.id)
            self._compare_at = asyncio.get_running_loop().time() + self.compare_seconds
            self._set_link(Link.UP)

    def _connectivity(self, code: int, text: str) -> None:
        detail = f"{text} (TWS error {code})"
        if code == codes.CONNECTION_LOST:
            self._cut_off = True
            if self.wire is not None:
                self._hold(self.wire, "TWS lost the connection to its servers")
            self._set_link(Link.DOWN, detail)
            return
        self._cut_off = False
        self._notice(detail)
        kept = code == codes.RESTORED_DATA_KEPT
        self._news.put_nowait(_News.RESTORED if kept else _News.RESTORED_EMPTY)

    def _doubt(self) -> None:
        self.compare_soon()
        if not self._in_doubt:
            self._in_doubt = True
            self._news.put_nowait(_News.DOUBT)

    def _lost(self, reason: str) -> None:
        self._drop(reason)
        self._news.put_nowait(_News.LOST)

    def _failed(self, error: Exception) -> None:
        if self._failure is None:
            self._failure = error
            self._drop("the service failed")
            self._news.put_nowait(_News.FAILED)

    def _fenced(self) -> None:
        """Disconnect and end in the next turns of the loop; orders that have not left are reported first."""
        loop = asyncio.get_running_loop()
        error = self._fence.why_not()
        loop.call_soon(self._drop, str(error))
        loop.call_soon(loop.call_soon, self._failed, error)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _drop(self, reason: str) -> None:
        """Close the connection, fail its open requests, and report orders that had not left."""
        wire, self.wire = self.wire, None
        if wire is None:
            return
        self._dispatch.close()
        self._books.market.attach(None)
        self._messages_before += wire.pacer.messages_sent
        self._dispatch.left_behind(wire, wire.close(), f"the link to TWS went down ({reason})")
        self.requests.close(reason)
        self._set_link(Link.DOWN, reason)

    def _set_link(self, link: Link, detail: str = "") -> None:
        if link is not self.link:
            self.link = link
            self.tell(LinkChanged(link, self._stamp.now_ns(), detail))

    def _notice(self, text: str) -> None:
        severity = Severity.INFO if self._is_away() else Severity.WARNING
        self.tell(Notice(text, self._stamp.now_ns(), severity))


def ignore(_account: str) -> None:
    """Do nothing about the account that is traded."""


async def _nothing() -> None:
    """Do nothing before a comparison."""
