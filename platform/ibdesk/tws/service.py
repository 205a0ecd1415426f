"""The link to TWS as one service: events come out of it, orders go in."""

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
    """Connects to one TWS or IB Gateway, keeps the connection, and speaks in ibdesk's words.

    `connect` once, then `run` for the whole life. Every event is told synchronously, in the loop, through
    `on_event`, which may call `place`, `modify` and `cancel`; what it raises ends `run`. All methods belong to the
    loop that `connect` ran in.
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
            on_event: Hears every event.
            first_order_id: The least number a new order may carry: `next_order_id` of the life before.
            on_account: Hears once, before the books are compared for the first time, which account is traded; the
                place to call `resume`.
            fence: Asked before each order's bytes leave; once it says no, the orders that have not left are
                rejected, and `run` ends with its error.
            before_waiting: Called before orders leave that had to wait for the budget of messages; it may cancel them.
            is_away: Whether TWS is expected to be away now: what is said of the link then is for the record only.
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
        # _resumed: what was traded in an earlier life and is not qualified in this one yet.
        self._resumed: list[AnyInstrument] = []

    # ---- what it is

    @property
    def link(self) -> Link:
        """Return how the connection is doing."""
        return self._manager.link

    @property
    def account_id(self) -> str:
        """Return the account that is traded, empty before the first connection."""
        return self._books.account.id

    @property
    def next_order_id(self) -> int:
        """Return the least number a later life may use, to be kept and passed as `first_order_id`."""
        return self._ids.next

    @property
    def read_at_ns(self) -> int:
        """Return when the bytes that are being taken arrived, on the performance counter; 0 between reads."""
        return self._stamp.read_at_ns

    @property
    def health(self) -> TwsHealth:
        """Return counters and states at this instant."""
        return health_of(self._manager, self.account_id)

    @property
    def compared(self) -> Compared:
        """Return when the whole account was compared last, and what that lacked."""
        return self._manager.comparison.last

    @property
    def doubts(self) -> list[tuple[str, float, float, float]]:
        """Return each position that the books do not explain: instrument, the account's, the books', for how long."""
        return self._books.account.doubts

    @property
    def missing_orders(self) -> list[str]:
        """Return the open orders that TWS was not seen to have."""
        return self._books.orders.missing.ids

    @property
    def short_of_executions(self) -> frozenset[str]:
        """Return the orders that TWS calls filled while executions are missing."""
        return self._books.orders.short_of_executions

    def compare_soon(self) -> None:
        """Have the whole account compared with the books shortly."""
        self._manager.compare_soon()

    async def round_trip(self) -> None:
        """Wait until TWS has answered everything that was sent before, and all of its answers were taken.

        Raises:
            LinkError: If there is no connection, or no answer.
        """
        await self._manager.round_trip()

    def catch_up(self, reason: str = "this process stood still") -> None:
        """Compare the books as after a break of the link, because what is known may be old; `reason` says why.

        At once nothing leaves, and an order whose bytes have not left is reported as never sent.
        """
        self._manager.catch_up(reason)

    # ---- its life

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
        """Take over what the journal of an earlier life knows; call it before `connect`, or in `on_account`.

        Args:
            orders: Those that were open, whose state is compared with TWS like after a break of the link, and those
                that ended in the last days: a late execution of one is still ours.
            fills: Those of the last days: they are not told again.
            commissions: Those told with the fills.
            instruments: What was traded; it is qualified before the comparison, so that TWS's contracts go by the
                same names as in the life before.
            owners: The runs of that life, and `MANUAL`: orders of theirs that TWS has and `orders` lacks are ours.
            client_id: Its client id, when it was another one.
            held: What the books of that life hold of each instrument, all owners together.
            withdrawn: The orders whose cancel it has asked for; it is asked for again where they are still open.
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

        It stays DOWN only when TWS says that its own servers are out of reach; `run` waits for them.

        Raises:
            LinkError: If TWS cannot be reached or does not answer.
            ClientIdInUseError: If TWS serves another program under this client id.
            ConfigError: If the account may not be traded with these settings.
        """
        await self._manager.connect()

    async def run(self) -> None:
        """Keep the link: reconnect, compare, subscribe again. It ends only by being cancelled, and closes the socket.

        Raises:
            Exception: What `on_event` raised.
            ConfigError: If TWS comes back with an account that may not be traded.
        """
        await self._manager.run()

    async def _qualify_resumed(self) -> None:
        while self._resumed:
            instrument = self._resumed[0]
            try:
                await self._queries.qualify(instrument)
            except InstrumentError as error:
                text = f"{instrument.id}, traded before the restart, is not known any more: {error}"
                self._tell(Notice(text, self._stamp.now_ns(), Severity.WARNING))
            del self._resumed[0]

    def _tell(self, event: Event) -> None:
        self._manager.tell(event)

    # ---- orders

    def place(self, order: Order) -> None:
        """Send an order: its bytes leave in this call while there is budget, else as soon as there is.

        With the link not UP nothing leaves, and the order is reported rejected in the next turn of the loop.

        Raises:
            OrderError: If it was placed before.
        """
        self._dispatch.place(order)

    def refuse(self, order: Order, reason: str) -> None:
        """Report an order rejected that is not to leave; what is asked of it later is answered like of any that ended.

        Raises:
            OrderError: If it was placed before.
        """
        self._dispatch.refuse(order, reason)

    def keep_terms(self, order_id: str, reason: str) -> None:
        """Report that an order stays as it is, for a change of it is not to leave.

        Raises:
            OrderError: If it was never placed here.
        """
        self._dispatch.keep_terms(order_id, reason)

    def modify(self, order: Order) -> None:
        """Send the new terms of an order; a refusal leaves the order as it is.

        Raises:
            OrderError: If it was never placed here.
        """
        self._dispatch.modify(order)

    def cancel(self, order_id: str) -> None:
        """Withdraw what is left of an order; asked for while the link is not UP, it is sent when it is.

        Raises:
            OrderError: If it was never placed here.
        """
        self._dispatch.cancel(order_id)

    # ---- market data

    def subscribe_bars(self, instrument: AnyInstrument) -> None:
        """Ask for 5-second bars, over all reconnections.

        Raises:
            InstrumentError: If it is not qualified.
        """
        self._books.market.want(Kind.BARS, instrument.id)

    def unsubscribe_bars(self, instrument: AnyInstrument) -> None:
        """Ask for no more bars."""
        self._books.market.drop(Kind.BARS, instrument.id)

    def subscribe_quotes(self, instrument: AnyInstrument) -> None:
        """Ask for quotes and trade prints, over all reconnections.

        Raises:
            InstrumentError: If it is not qualified.
        """
        self._books.market.want(Kind.QUOTES, instrument.id)

    def unsubscribe_quotes(self, instrument: AnyInstrument) -> None:
        """Ask for no more quotes."""
        self._books.market.drop(Kind.QUOTES, instrument.id)

    def knows(self, instrument_id: str) -> bool:
        """Return whether an instrument was qualified in this life."""
        return instrument_id in self._books.contracts

    def contract_number(self, instrument_id: str) -> int:
        """Return IB's number of the instrument's contract, 0 while it is not known."""
        return self._books.contracts.number_of(instrument_id)

    def instrument(self, instrument_id: str) -> AnyInstrument:
        """Return an instrument that was qualified, with what TWS told of it then.

        Raises:
            InstrumentError: If it was not.
        """
        return self._books.contracts.of(instrument_id)[0]

    def trading_hours(self, instrument_id: str) -> TradingHours | None:
        """Return the sessions of the coming days of a qualified instrument, None where TWS told none."""
        return self._books.contracts.hours_of(instrument_id, self._stamp.now_ns())

    async def qualify(self, instrument: AnyInstrument) -> AnyInstrument:
        """Return the instrument with what TWS knows of it: tick size, multiplier, exchange, regular hours.

        Raises:
            InstrumentError: If TWS knows none, or several.
            LinkError: If there is no connection, or no answer.
        """
        return await self._queries.qualify(instrument)

    async def qualify_unlisted(self, symbol: str, expiry: str) -> AnyInstrument:
        """Return a future that is not in the shipped table, with the exchange and the terms that TWS tells.

        Raises:
            InstrumentError: If TWS knows none, or several.
            LinkError: If there is no connection, or no answer.
        """
        return await self._queries.qualify_unlisted(symbol, expiry)

    async def search(self, text: str) -> list[Match]:
        """Return what TWS has whose symbol or name is like the text; TWS takes one such question a second.

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
            instrument: A qualified one.
            interval_ns: Length of a bar; TWS serves from a second to a day.
            count: How many bars, the latest ones; or
            seconds: how far back.
            end_ns: Where the history ends, ns UTC; now when left out.

        Raises:
            HistoryError: If TWS has none; the sentence carries its reason.
            InstrumentError: If the instrument is not qualified.
            LinkError: If there is no connection, or no answer.
        """
        return await self._queries.history(
            instrument, interval_ns=interval_ns, count=count, seconds=seconds, end_ns=end_ns
        )
