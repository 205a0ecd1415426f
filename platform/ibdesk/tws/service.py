"""The link to TWS as one service: orders go in, events come out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import polars as pl

from ibdesk.clock import Clock
from ibdesk.errors import InstrumentError
from ibdesk.model import AnyInstrument, Commission, Event, Fill, Link, Notice, Order, Severity, TradingHours
from ibdesk.tws.account import AccountBook
from ibdesk.tws.callbacks import TwsBooks
from ibdesk.tws.connection_manager import ConnectionManager, ignore
from ibdesk.tws.contracts import Contracts
from ibdesk.tws.day_orders import DayOrders
from ibdesk.tws.dispatch import Dispatch
from ibdesk.tws.executions import Executions
from ibdesk.tws.fence import Fence, NoFence
from ibdesk.tws.foreign_orders import ForeignOrders
from ibdesk.tws.health import TwsHealth, health_of
from ibdesk.tws.ids import Ids
from ibdesk.tws.lost_orders import LostOrders
from ibdesk.tws.matches import Match
from ibdesk.tws.orderbook import OrderBook
from ibdesk.tws.queries import Queries
from ibdesk.tws.set_aside import SetAside
from ibdesk.tws.settings import TwsSettings
from ibdesk.tws.stamp import Stamp
from ibdesk.tws.subscriptions import Kind, Subscriptions
from ibdesk.tws.sync import Compared


class TwsService:
    """The connection to one TWS or IB Gateway, in ibdesk's own types.

    Call `connect` once, then `run` until the end. Every event is passed to `on_event` synchronously, in the loop.
    `on_event` may call `place`, `modify` and `cancel`; an exception that it raises ends `run`. All methods belong to
    the loop in which `connect` ran.
    """

    def __init__(
        self,
        settings: TwsSettings,
        *,
        clock: Clock,
        on_event: Callable[[Event], None],
        first_order_id: int = 1,
        on_account: Callable[[str], None] = ignore,
        fence: Fence | None = None,
        before_waiting: Callable[[], None] = lambda: None,
        is_away: Callable[[], bool] = bool,
        compare_seconds: float = math.inf,
    ) -> None:
        """Make a service that is not connected yet.

        Args:
            settings: Where TWS is, and which account is traded.
            clock: Stamps the events.
            on_event: Receives every event.
            first_order_id: The lowest number for a new order: `next_order_id` of the previous desk.
            on_account: Called once with the traded account, before the first comparison of the books; the place to call
                `resume`.
            fence: Checked before each order's bytes leave; once it forbids sending, the orders that have not left are
                rejected, and `run` ends with its error.
            before_waiting: Called before orders leave that waited for the budget of messages; it may cancel them.
            is_away: Whether TWS is expected to be away now: notices about the link are then of severity INFO.
            compare_seconds: How often the whole account is compared with the books while the link is up.

        Raises:
            ConfigError: If the settings contradict each other.
        """
        settings.check()
        self._ids = Ids(first_order_id)
        self._stamp = stamp = Stamp(clock)
        contracts = Contracts()
        account = AccountBook(self._tell, settings)
        book = OrderBook(settings, self._tell, stamp.now_ns, DayOrders(contracts, account, stamp.now_ns).is_spent)
        self._books = books = TwsBooks(
            contracts=contracts,
            orders=book,
            lost=LostOrders(book=book, contracts=contracts, tell=self._tell, now_ns=stamp.now_ns),
            foreign=ForeignOrders(contracts=contracts, tell=self._tell, now_ns=stamp.now_ns),
            executions=Executions(),
            account=account,
            market=Subscriptions(contracts, self._ids, self._tell),
            aside=SetAside(self._tell, contracts),
        )
        self._dispatch = Dispatch(book=books.orders, contracts=contracts, ids=self._ids, link=lambda: self.link.value)
        self._manager = ConnectionManager(
            settings,
            stamp=stamp,
            books=books,
            ids=self._ids,
            dispatch=self._dispatch,
            on_event=on_event,
            fence=fence or NoFence(),
            before_waiting=before_waiting,
            is_away=is_away,
        )
        self._manager.on_account = on_account
        self._manager.compare_seconds = compare_seconds
        self._manager.before_comparison = self._qualify_resumed
        self._queries = Queries(
            settings, clock=clock, contracts=contracts, ids=self._ids, connected=self._manager.connected
        )
        # Instruments traded by earlier desks that are not qualified yet.
        self._resumed: list[AnyInstrument] = []

    # ---- state

    @property
    def link(self) -> Link:
        """Return the state of the connection."""
        return self._manager.link

    @property
    def account_id(self) -> str:
        """Return the traded account, empty before the first connection."""
        return self._books.account.id

    @property
    def next_order_id(self) -> int:
        """Return the lowest number for a new order, to be passed to the next desk as `first_order_id`."""
        return self._ids.next

    @property
    def read_at_ns(self) -> int:
        """Return when the bytes of the current read arrived, on the performance counter; 0 between reads."""
        return self._stamp.read_at_ns

    @property
    def health(self) -> TwsHealth:
        """Return the current counters and states."""
        return health_of(self._manager, self.account_id)

    @property
    def compared(self) -> Compared:
        """Return the time and fault of the last comparison of the whole account."""
        return self._manager.comparison.last

    @property
    def doubts(self) -> list[tuple[str, float, float, float]]:
        """Return each unexplained position: instrument, the account's quantity, the books', age in seconds."""
        return self._books.account.doubts

    @property
    def missing_orders(self) -> list[str]:
        """Return the ids of the open orders that TWS does not list."""
        return self._books.orders.missing.ids

    @property
    def short_of_executions(self) -> frozenset[str]:
        """Return the orders that TWS reports as filled while executions are missing."""
        return self._books.orders.short_of_executions

    def compare_soon(self) -> None:
        """Request a comparison of the whole account with the books."""
        self._manager.compare_soon()

    async def round_trip(self) -> None:
        """Wait until TWS has answered everything sent before, and all answers are processed.

        Raises:
            LinkError: If there is no connection, or no answer.
        """
        await self._manager.round_trip()

    def catch_up(self, reason: str = "this process stood still") -> None:
        """Compare the books as after a break of the link, because our state may be stale; `reason` says why.

        From this call on no order leaves, and an order whose bytes have not left is reported as never sent.
        """
        self._manager.catch_up(reason)

    # ---- connection

    def resume(
        self,
        *,
        orders: Iterable[Order],
        fills: Iterable[Fill],
        commissions: Iterable[Commission],
        instruments: Iterable[AnyInstrument] = (),
        owners: Iterable[str] = (),
        client_id: int | None = None,
        held: Mapping[str, float] | None = None,
        withdrawn: Iterable[str] = (),
    ) -> None:
        """Restore the state of the previous desk's journal; call it before `connect`, or in `on_account`.

        Args:
            orders: The open orders, whose state is compared with TWS as after a break of the link, and the orders that
                ended in the last days: a late execution of one is still ours.
            fills: The fills of the last days: they are not reported again.
            commissions: The commissions reported with the fills.
            instruments: The traded instruments; they are qualified before the comparison, so that TWS's contracts have
                the same names as before.
            owners: The previous desk's runs, and `MANUAL`: their orders that TWS has and `orders` lacks are ours.
            client_id: The previous desk's client id, if it differs.
            held: The quantity that the previous desk's books hold of each instrument, all owners together.
            withdrawn: The orders whose cancel was requested; it is requested again if they are still open.
        """
        self._books.lost.expect(owners, self._books.orders.client_id if client_id is None else client_id)
        self._resumed = list(instruments)
        known = list(fills)
        self._books.account.resume(held or {}, known, self._stamp.now_ns())
        cancelled = frozenset(withdrawn)
        for order in orders:
            self._books.orders.adopt(order, is_withdrawn=order.id in cancelled)
        for fill in known:
            self._books.executions.remember(fill)
        for commission in commissions:
            self._books.executions.remember_commission(commission)

    async def connect(self) -> None:
        """Connect for the first time and compare the books; the link is UP afterwards.

        It stays DOWN only if TWS reports that it cannot reach its own servers; `run` waits for them.

        Raises:
            LinkError: If TWS cannot be reached or does not answer.
            ClientIdInUseError: If TWS serves another program under this client id.
            ConfigError: If the account may not be traded with these settings.
        """
        await self._manager.connect()

    async def run(self) -> None:
        """Keep the link up until cancelled: reconnect, compare, subscribe again; then close the socket.

        Raises:
            Exception: Any exception of `on_event`.
            ConfigError: If TWS comes back with an account that may not be traded.
        """
        await self._manager.run()

    async def _qualify_resumed(self) -> None:
        while self._resumed:
            instrument = self._resumed[0]
            try:
                await self._queries.qualify(instrument)
            except InstrumentError as error:
                text = f"{instrument.id}, traded before the restart, is no longer known: {error}"
                self._tell(Notice(text, self._stamp.now_ns(), Severity.WARNING))
            del self._resumed[0]

    def _tell(self, event: Event) -> None:
        self._manager.tell(event)

    # ---- orders

    def place(self, order: Order) -> None:
        """Send an order: its bytes leave in this call if there is budget, otherwise as soon as there is.

        If the link is not UP, nothing leaves, and the order is reported rejected in the next turn of the loop.

        Raises:
            OrderError: If it was placed before.
        """
        self._dispatch.place(order)

    def refuse(self, order: Order, reason: str) -> None:
        """Report an order rejected without sending it; later requests are answered as for any order that has ended.

        Raises:
            OrderError: If it was placed before.
        """
        self._dispatch.refuse(order, reason)

    def keep_terms(self, order_id: str, reason: str) -> None:
        """Report that an order keeps its terms, without sending the change.

        Raises:
            OrderError: If it was never placed here.
        """
        self._dispatch.keep_terms(order_id, reason)

    def modify(self, order: Order) -> None:
        """Send the new terms of an order; after a refusal the old terms stand.

        Raises:
            OrderError: If it was never placed here.
        """
        self._dispatch.modify(order)

    def cancel(self, order_id: str) -> None:
        """Cancel the remaining quantity of an order; if the link is not UP, the cancel is sent once it is.

        Raises:
            OrderError: If it was never placed here.
        """
        self._dispatch.cancel(order_id)

    # ---- market data

    def subscribe_bars(self, instrument: AnyInstrument) -> None:
        """Subscribe to 5-second bars, across reconnections.

        Raises:
            InstrumentError: If it is not qualified.
        """
        self._books.market.want(Kind.BARS, instrument.id)

    def unsubscribe_bars(self, instrument: AnyInstrument) -> None:
        """End the subscription to bars."""
        self._books.market.drop(Kind.BARS, instrument.id)

    def subscribe_quotes(self, instrument: AnyInstrument) -> None:
        """Subscribe to quotes and trade prints, across reconnections.

        Raises:
            InstrumentError: If it is not qualified.
        """
        self._books.market.want(Kind.QUOTES, instrument.id)

    def unsubscribe_quotes(self, instrument: AnyInstrument) -> None:
        """End the subscription to quotes."""
        self._books.market.drop(Kind.QUOTES, instrument.id)

    def knows(self, instrument_id: str) -> bool:
        """Return whether an instrument was qualified since the start."""
        return instrument_id in self._books.contracts

    def contract_number(self, instrument_id: str) -> int:
        """Return IB's number of an instrument's contract (`conId`), 0 while it is not known."""
        return self._books.contracts.number_of(instrument_id)

    def instrument(self, instrument_id: str) -> AnyInstrument:
        """Return a qualified instrument, with its terms at TWS.

        Raises:
            InstrumentError: If it is not qualified.
        """
        return self._books.contracts.of(instrument_id)[0]

    def trading_hours(self, instrument_id: str) -> TradingHours | None:
        """Return the sessions of a qualified instrument in the coming days, None if TWS reported none."""
        return self._books.contracts.hours_of(instrument_id, self._stamp.now_ns())

    async def qualify(self, instrument: AnyInstrument) -> AnyInstrument:
        """Return the instrument with its terms at TWS: tick size, multiplier, exchange, regular hours.

        Raises:
            InstrumentError: If TWS finds no instrument, or several.
            LinkError: If there is no connection, or no answer.
        """
        return await self._queries.qualify(instrument)

    async def qualify_unlisted(self, symbol: str, expiry: str) -> AnyInstrument:
        """Return a future that is not in the shipped table, with exchange and terms from TWS.

        Raises:
            InstrumentError: If TWS finds no future, or several.
            LinkError: If there is no connection, or no answer.
        """
        return await self._queries.qualify_unlisted(symbol, expiry)

    async def search(self, text: str) -> list[Match]:
        """Return TWS's instruments whose symbol or name resembles the text; TWS allows one search a second.

        Raises:
            InstrumentError: If TWS refuses the text.
            LinkError: If there is no connection, or no answer.
        """
        return await self._queries.search(text)

    async def history(
        self,
        instrument: AnyInstrument,
        *,
        interval_ns: int,
        count: int | None = None,
        seconds: float | None = None,
        end_ns: int | None = None,
    ) -> pl.DataFrame:
        """Return past bars, complete ones only, as a bar frame.

        Args:
            instrument: A qualified instrument.
            interval_ns: Length of a bar; TWS serves from a second to a day.
            count: The number of bars, the latest ones; or
            seconds: the length of the span.
            end_ns: The end of the history, ns UTC; now by default.

        Raises:
            HistoryError: If TWS has none; the message contains its reason.
            InstrumentError: If the instrument is not qualified.
            LinkError: If there is no connection, or no answer.
        """
        return await self._queries.history(
            instrument, interval_ns=interval_ns, count=count, seconds=seconds, end_ns=end_ns
        )
