"""The embedded TWS as a whole: the listening socket, the sessions, and the state that outlives them."""

from __future__ import annotations

import asyncio
import datetime as dt
import errno
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from ibdesk.clock import SECOND, Clock, ManualClock, SystemClock
from ibdesk.errors import AddressInUseError, ConfigError
from ibdesk.exchange import CommissionSchedule, FixedCommission
from ibdesk.gateway.account.accounts import Accounts
from ibdesk.gateway.account.day import DayScheduler
from ibdesk.gateway.account.ledger import CashMove
from ibdesk.gateway.contracts.book import ContractBook
from ibdesk.gateway.faults.faults import Faults
from ibdesk.gateway.faults.script import FaultScript
from ibdesk.gateway.handlers.history import HistoryService
from ibdesk.gateway.handlers.manual_orders import TwsUserOrders
from ibdesk.gateway.handlers.past_ticks import PastTicks
from ibdesk.gateway.handlers.portfolio import position_row
from ibdesk.gateway.handlers.quotes import QuoteFeeds
from ibdesk.gateway.listening import MessageListener
from ibdesk.gateway.listing import MarketListing
from ibdesk.gateway.market.control import MarketControl
from ibdesk.gateway.market.source import MarketSource
from ibdesk.gateway.market.tape import BAR_NS, Tape
from ibdesk.gateway.market.trading_time import TradingTime
from ibdesk.gateway.market.walk import RandomWalk
from ibdesk.gateway.pacing import Allowances, Pacing
from ibdesk.gateway.protocol.codec import Scalar, Value
from ibdesk.gateway.schedule import Schedule
from ibdesk.gateway.session import Session
from ibdesk.gateway.session_registry import GatewayContext, SessionRegistry
from ibdesk.gateway.state import StateStore
from ibdesk.gateway.statement import flex_statement
from ibdesk.gateway.venue.records import VenueListener
from ibdesk.gateway.venue.venue import Venue

_log = logging.getLogger(__name__)

_TURNS_TO_ARRIVE = 5


class Gateway:
    """A TWS for tests, research and demonstrations: unmodified TWS clients connect to `host:port` and trade on paper.

    Args:
        market: Source of quotes and trades; by default a seeded `RandomWalk`.
        clock: The market's clock; a `ManualClock` is moved with `advance`.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one. After the start `port` is its number.
        seed: Seeds the default market and the ids of executions.
        account: Id of the paper account.
        accounts: Ids of several paper accounts in its place; then every order must name its own.
        cash: Initial cash of each account, in US dollars.
        strict: Whether only shipped contracts are known, not every symbol of the market.
        invent: Whether a share is made up for any other symbol that a client requests.
        partial: Whether an execution takes at most the displayed size.
        commissions: Commissions of trades; by default IB's fixed schedule.
        max_unsent_bytes: Unsent bytes after which a client that does not read is disconnected.
        hours: Whether the market trades day and night ("always"), or keeps the sessions of its exchanges ("exchange"):
            then nothing is quoted or traded outside them, and useRTH and outsideRth matter.
        data: Whether clients have live market data ("live"), or only delayed data, and only if they request it.
        tells_preset: Whether an order without a time in force is answered with warning 10349, as in newer TWS.
        state: File that keeps accounts, orders and executions between runs; created if needed.
        pacing: Limits of clients' requests; by default there are none.
        listener: Receives every message of every session, in both directions.
        faults: Faults to play from the start; see `Faults.play` for later.
    """

    def __init__(
        self,
        *,
        market: MarketSource | None = None,
        clock: Clock | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        account: str = "DU9000001",
        accounts: Sequence[str] = (),
        cash: float = 1_000_000.0,
        strict: bool = False,
        invent: bool = True,
        partial: bool = False,
        commissions: CommissionSchedule | None = None,
        max_unsent_bytes: int = 64 << 20,
        hours: Literal["always", "exchange"] = "always",
        data: Literal["live", "delayed"] = "live",
        tells_preset: bool = False,
        pacing: Pacing | None = None,
        state: Path | None = None,
        listener: MessageListener | None = None,
        faults: FaultScript | None = None,
    ) -> None:
        self._max_unsent_bytes = max_unsent_bytes
        self.host = host
        self.port = port
        self.schedule = Schedule(SystemClock() if clock is None else clock)
        self.market = RandomWalk(seed) if market is None else market
        now_ns = self.schedule.now_ns
        # The opening of the market, ns UTC; known once the gateway has started.
        self.opened_ns = now_ns
        today = dt.datetime.fromtimestamp(now_ns // SECOND, dt.UTC).date()
        self.contracts = ContractBook(today, self.market.symbols, strict=strict, invent=invent)
        self.tape = Tape(self.market, self.schedule)
        # The market's history, including the quotes and trades by hand.
        self._control = MarketControl(self.tape, self.contracts, self.schedule)
        self.accounts = Accounts(accounts or (account,), cash, self.tape.price)
        self.account = self.accounts.main.account
        self.faults = Faults(self)
        self._script = None if faults is None else faults.checked()
        self.venue = Venue(
            self.accounts,
            self.schedule,
            self.tape,
            started_ns=now_ns,
            seed=seed,
            commissions=FixedCommission() if commissions is None else commissions,
            partial=partial,
            always=hours == "always",
            listener=VenueListener.silent(),
        )
        keeps_hours = hours == "exchange"
        self._listing = MarketListing(self.contracts, self.tape, self.venue, self.schedule, keeps_hours=keeps_hours)
        self._state_store: StateStore | None = None
        if state is not None:
            self._state_store = StateStore(
                state, self.accounts, self.venue, self.contracts, lambda: self.schedule.now_ns
            )
        trading_time = TradingTime(keeps_hours=keeps_hours)
        past_ticks = PastTicks(self._control, trading_time)
        context = GatewayContext(
            schedule=self.schedule,
            contracts=self.contracts,
            accounts=self.accounts,
            tape=self.tape,
            venue=self.venue,
            feeds=QuoteFeeds(self.tape),
            history_service=HistoryService(self.tape, self._control, trading_time, past_ticks),
            allowances=Allowances(Pacing.off() if pacing is None else pacing, lambda: self.schedule.now_ns),
            is_delayed=data == "delayed",
            tells_preset=tells_preset,
        )
        self._sessions = SessionRegistry(context, self.faults, self._settle, listener)
        self.venue.listener = self._sessions.venue_listener()
        self._server: asyncio.Server | None = None
        self._stopped = asyncio.Event()

    # ---- start and stop ---------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the market and listen.

        Raises:
            AddressInUseError: If the port is taken.
            ConfigError: If the gateway cannot listen there for another reason, or its state cannot be read.
        """
        loop = asyncio.get_running_loop()
        if self._state_store is not None:
            self._state_store.load(loop)
        try:
            self._server = await loop.create_server(
                lambda: Session(self._sessions, max_unsent_bytes=self._max_unsent_bytes), self.host, self.port
            )
        except OSError as error:
            if self._state_store is not None:
                self._state_store.close()
            if error.errno == errno.EADDRINUSE:
                raise AddressInUseError(self.host, self.port, "gateway.port") from error
            reason = error.strerror or str(error)
            raise ConfigError(f"gateway.host {self.host}: the gateway cannot listen there: {reason}") from error
        self.port = self._server.sockets[0].getsockname()[1]
        self.faults.bind(loop)
        # A multiple of five seconds, so that a row of five seconds is a 5-second bar.
        self.opened_ns = self.schedule.now_ns // BAR_NS * BAR_NS
        self._listing.open(self.opened_ns)
        self.schedule.start(loop)
        if self._state_store is not None:
            self._state_store.restore()
        DayScheduler(self.accounts, self.schedule, self._day_begins).wait()
        if self._script is not None:
            self.faults.play(self._script)
        if isinstance(self.schedule.clock, ManualClock):
            self.schedule.advance(0)
        _log.info("gateway listens on %s:%d", self.host, self.port)

    def _day_begins(self) -> None:
        if self._state_store is not None:
            self._state_store.day()

    async def stop(self) -> None:
        """Close all connections and stop listening; further calls have no effect."""
        self.schedule.stop()
        if self._server is None:
            return
        server, self._server = self._server, None
        if self._state_store is not None:
            self._state_store.close()
        # A connection that was just accepted arrives within a few turns of the loop; Python 3.13.0 fails on one whose
        # server has been closed meanwhile.
        for _ in range(_TURNS_TO_ARRIVE):
            await asyncio.sleep(0)
        server.close()
        self.hang_up(None)
        await server.wait_closed()
        self._stopped.set()

    async def run(self) -> None:
        """Start, serve until cancelled, stop."""
        async with self:
            await self.served()

    async def served(self) -> None:
        """Wait until the gateway is stopped."""
        await self._stopped.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def advance(self, seconds: float) -> None:
        """Move a `ManualClock` forward, with everything that happens in that time."""
        self.schedule.advance(seconds)

    # ---- the market by hand -----------------------------------------------------------------------------------

    def quote(
        self, symbol: str, bid: float | None, ask: float | None, *, bid_size: float = 100.0, ask_size: float = 100.0
    ) -> None:
        """Quote an instrument now; `None` is a side without a price. See `MarketControl.quote`."""
        self._control.quote(symbol, bid, ask, bid_size=bid_size, ask_size=ask_size)

    def trade(self, symbol: str, price: float, size: float = 100.0) -> None:
        """Trade an instrument now. See `MarketControl.trade`."""
        self._control.trade(symbol, price, size)

    def place_by_hand(self, symbol: str, action: str, quantity: float, kind: str = "MKT", **terms: Scalar) -> int:
        """Place an order like a person at TWS, and return its permanent id; `terms` have placeOrder's names.

        Raises:
            RefusedError: If the venue cannot take such an order.
        """
        asked: dict[str, Scalar] = {
            "symbol": symbol,
            "secType": "STK",
            "action": action,
            "totalQuantity": quantity,
            "orderType": kind,
        }
        return self.by_hand.place_order({**asked, **terms}).permanent_id

    @property
    def by_hand(self) -> TwsUserOrders:
        """Return the actions of a person at TWS on orders, their own and those of clients."""
        return TwsUserOrders(self.venue, self.contracts, self.accounts)

    def position_rows(self) -> list[dict[str, Value]]:
        """Return the accounts' holdings as fields of position messages."""
        return [position_row(ledger, holding) for ledger in self.accounts for holding in ledger.held()]

    # ---- the account ------------------------------------------------------------------------------------------

    def move_cash(
        self, amount: float, kind: str, *, currency: str = "USD", description: str = "", account: str = ""
    ) -> None:
        """Book cash that arrives (positive) or leaves without a trade; `kind` is one of `CashMove`'s.

        Clients receive it with the next figures of the account.

        Raises:
            ConfigError: If the amount is not finite, or the market has no rate of the currency.
            RefusedError: If there is no such account.
        """
        if not math.isfinite(amount) or self.accounts.rates.to_base(currency) is None:
            raise ConfigError(
                f"{amount:g} {currency} cannot be moved: name a finite amount, of a currency whose rate is known"
            )
        ledger = self.accounts.named(account) if account else self.accounts.main
        now_ns = self.schedule.now_ns
        ledger.move(CashMove(amount=amount, currency=currency, kind=kind, description=description, at_ns=now_ns))
        if self._state_store is not None:
            self._state_store.day()
        self._settle()

    def deposit(self, amount: float, currency: str = "USD") -> None:
        """Pay cash into the main account (positive) or out of it."""
        self.move_cash(amount, "Deposits/Withdrawals", currency=currency)

    def statement(self) -> str:
        """Return the Flex statement (XML) of all accounts: executions, commissions and cash since the start.

        A gateway restored from its state file has them since the beginning of that day.
        """
        return flex_statement(self.accounts, self.venue.executions, self.schedule.now_ns)

    # ---- clients ----------------------------------------------------------------------------------------------

    @property
    def client_ids(self) -> tuple[int, ...]:
        """Return the ids of the connected clients."""
        return self._sessions.client_ids

    def connected(self, client_id: int | None = None) -> Iterator[Session]:
        """Yield the open sessions, of one client or of all."""
        return self._sessions.connected(client_id)

    def known_clients(self) -> set[int]:
        """Return the clients that are connected or have placed orders."""
        return {*self.client_ids, *(key[0] for key in self.venue.records)}

    def tell_all(self, code: int, text: str) -> None:
        """Send every client an error that belongs to no request."""
        self._sessions.tell_all(code, text)

    def hang_up(self, client_id: int | None) -> None:
        """Close the sockets of one client or of all."""
        self._sessions.hang_up(client_id)

    def cut_link(self) -> None:
        """Stop reports of market and orders to clients until `restore_link`."""
        self.tape.live = False

    def restore_link(self, *, data_kept: bool) -> None:
        """Resume the reports; without `data_kept` the market-data subscriptions have ended."""
        self.tape.live = True
        if data_kept:
            self._sessions.reset_depth()
        else:
            self._sessions.end_market_data()

    def _settle(self) -> None:
        """Store pending changes before a client is told of them."""
        if self._state_store is not None:
            self._state_store.settle()
