"""The embedded TWS as a whole: the listening socket, the sessions, and what outlives them."""

from __future__ import annotations

import asyncio
import datetime as dt
import errno
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec

from ibdesk.clock import SECOND, Clock, ManualClock, SystemClock
from ibdesk.errors import AddressInUseError, ConfigError
from ibdesk.exchange import CommissionSchedule, FixedCommission
from ibdesk.gateway.account.accounts import Accounts
from ibdesk.gateway.contracts.book import ContractBook, ContractData
from ibdesk.gateway.contracts.combo_quotes import ComboQuotes
from ibdesk.gateway.contracts.hours import Hours
from ibdesk.gateway.contracts.option_quotes import OptionQuotes
from ibdesk.gateway.faults.faults import Faults
from ibdesk.gateway.faults.script import Script
from ibdesk.gateway.listening import Listener
from ibdesk.gateway.market.control import Market
from ibdesk.gateway.market.phases import Phases
from ibdesk.gateway.market.sessions import Sessions
from ibdesk.gateway.market.source import MarketSource
from ibdesk.gateway.market.tape import BAR_NS, Tape
from ibdesk.gateway.market.trading_time import TradingTime
from ibdesk.gateway.market.walk import RandomWalk
from ibdesk.gateway.pacing import Allowances, Pacing
from ibdesk.gateway.rooms.depth import Depth
from ibdesk.gateway.rooms.history import Archive, History
from ibdesk.gateway.rooms.market_data import MarketData
from ibdesk.gateway.rooms.orders import Orders
from ibdesk.gateway.rooms.past_ticks import PastTicks
from ibdesk.gateway.rooms.portfolio import Portfolio
from ibdesk.gateway.rooms.profits import Profits
from ibdesk.gateway.rooms.quotes import QuoteFeeds
from ibdesk.gateway.rooms.reference import Reference
from ibdesk.gateway.rooms.services import Services
from ibdesk.gateway.rooms.summaries import Summaries
from ibdesk.gateway.schedule import Schedule
from ibdesk.gateway.session import Room, Session
from ibdesk.gateway.state import Keeper
from ibdesk.gateway.times import greeting, local
from ibdesk.gateway.turnstile import Turnstile
from ibdesk.gateway.venue.venue import Audience, Execution, OrderRecord, Venue
from ibdesk.model import Instrument, Quote

_log = logging.getLogger(__name__)

_TURNS_TO_ARRIVE = 5

FARMS = (
    (2104, "Market data farm connection is OK:usfarm"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefnj"),
)


class Rooms(msgspec.Struct, frozen=True):
    """One open session, and the rooms of it that others tell things."""

    session: Session
    orders: Orders
    portfolio: Portfolio
    market_data: MarketData
    history: History
    depth: Depth


class Gateway:
    """A TWS for tests, research and demonstrations: unmodified TWS clients connect to `host:port` and trade on paper.

    Args:
        market: Where quotes and trades come from; a seeded `RandomWalk` when not given.
        clock: What time it is in that market; a `ManualClock` is moved with `advance`.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one, which `port` tells once started.
        seed: Seeds the default market and the ids of executions.
        account: Id of the paper account.
        accounts: Ids of several paper accounts in its place; then every order must name its own.
        cash: What each account begins with, in US dollars.
        strict: Whether only shipped contracts are known, not every symbol of the market.
        partial: Whether an execution takes no more than the displayed size.
        commissions: What trading costs; IB's fixed schedule when not given.
        max_unsent_bytes: How much may wait for a client that does not read, before it is cut off.
        hours: Whether the market trades day and night ("always"), or keeps the sessions of its exchanges ("exchange"):
            then nothing is quoted or traded outside them, and useRTH and outsideRth matter.
        data: Whether clients have live market data ("live"), or only delayed data, and only those that ask for it.
        tells_preset: Whether an order without a time in force is answered with the remark 10349, as newer TWS do.
        state: File in which accounts, orders and executions outlive the gateway; made when it is not there.
        pacing: How much clients may ask; without it as much as they like.
        listener: Hears every message of every session, both ways.
        faults: What is to go wrong and when, from the start on; see `Faults.play` for later.
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
        partial: bool = False,
        commissions: CommissionSchedule | None = None,
        max_unsent_bytes: int = 64 << 20,
        hours: Literal["always", "exchange"] = "always",
        data: Literal["live", "delayed"] = "live",
        tells_preset: bool = False,
        pacing: Pacing | None = None,
        state: Path | None = None,
        listener: Listener | None = None,
        faults: Script | None = None,
    ) -> None:
        self._listener = listener
        self._max_unsent_bytes = max_unsent_bytes
        self.hours = hours
        self.data = data
        self.tells_preset = tells_preset
        self.host = host
        self.port = port
        self.schedule = Schedule(SystemClock() if clock is None else clock)
        self.market = RandomWalk(seed) if market is None else market
        now_ns = self.schedule.now_ns
        # opened_ns: when the market begins or began, ns UTC; known once the gateway has started.
        self.opened_ns = now_ns
        today = dt.datetime.fromtimestamp(now_ns // SECOND, dt.UTC).date()
        self.contracts = ContractBook(today, self.market.symbols, strict=strict)
        self.tape = Tape(self.market, self.schedule)
        self.option_quotes = OptionQuotes(self.tape.take)
        self.combo_quotes = ComboQuotes(self.tape.take, self.tape.quote)
        self.contracts.spot_of = self._spot
        self.contracts.on_new = self._meet
        # by_hand: the market as history tells it, with what `quote` and `trade` said.
        self.by_hand = Market(self.tape, self.contracts, self.schedule)
        # sessions: calls back at opens and closes of the exchanges that somebody follows.
        self.sessions = Sessions(self.schedule)
        self.phases = Phases(self.tape, self.sessions, self.schedule)
        self.trading_time = TradingTime(keeps_hours=hours == "exchange")
        self.feeds = QuoteFeeds(self.tape)
        self.past_ticks = PastTicks(self.by_hand, self.trading_time)
        self.archive = Archive(self.tape, self.by_hand, self.trading_time, self.past_ticks)
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
            audience=Audience(
                order=self._tell_order,
                status=self._tell_status,
                execution=self._tell_execution,
                commission=self._tell_commission,
                error=self._tell_error,
                account=self._tell_account,
            ),
        )
        self._keeper: Keeper | None = None
        if state is not None:
            self._keeper = Keeper(state, self.accounts, self.venue, self.contracts, lambda: self.schedule.now_ns)
        self._allowances = Allowances(Pacing.off() if pacing is None else pacing, lambda: self.schedule.now_ns)
        self._sessions: dict[int, Rooms] = {}
        self._connections: set[Session] = set()
        self._server: asyncio.Server | None = None
        self._stopped = asyncio.Event()
        for contract in self.contracts:
            self.venue.exchange.add(contract.instrument)
        self.tape.on_new.append(self._list)

    # ---- life -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the market and listen.

        Raises:
            AddressInUseError: If the port is taken.
            ConfigError: If the gateway cannot listen there for another reason, or its state cannot be read.
        """
        loop = asyncio.get_running_loop()
        if self._keeper is not None:
            self._keeper.load(loop)
        try:
            self._server = await loop.create_server(
                lambda: Session(self, max_unsent_bytes=self._max_unsent_bytes), self.host, self.port
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise AddressInUseError(self.host, self.port, "gateway.port") from error
            reason = error.strerror or str(error)
            raise ConfigError(f"gateway.host {self.host}: the gateway cannot listen there: {reason}") from error
        self.port = self._server.sockets[0].getsockname()[1]
        self.faults.bind(loop)
        self._open_market(loop)
        if self._keeper is not None:
            self._keeper.restore()
        if self._script is not None:
            self.faults.play(self._script)
        if isinstance(self.schedule.clock, ManualClock):
            self.schedule.advance(0)
        _log.info("gateway listens on %s:%d", self.host, self.port)

    def _open_market(self, loop: asyncio.AbstractEventLoop) -> None:
        instruments = {
            name: contract.instrument
            for name in self.market.symbols
            if (contract := self.contracts.named(name)) is not None
        }
        # On a multiple of five seconds, so that a row of five seconds is a 5-second bar.
        self.opened_ns = self.schedule.now_ns // BAR_NS * BAR_NS
        if self.hours == "exchange" and isinstance(self.market, RandomWalk):
            self.market.keep_hours(self._hours_of)
        self.market.open(self.opened_ns, dict(instruments))
        self.schedule.start(loop)
        self.tape.open(self.opened_ns, self._on_quote)
        if self.hours == "exchange":
            for name in instruments:
                self._keep_hours(name)

    async def stop(self) -> None:
        """Hang up on all clients and listen no more; doing so twice changes nothing."""
        self.schedule.stop()
        if self._server is None:
            return
        server, self._server = self._server, None
        if self._keeper is not None:
            self._keeper.close()
        # A connection that was just accepted arrives within a few turns of the loop; Python 3.13.0 stumbles over one
        # whose server has been closed meanwhile.
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
        """Let this much time pass on a `ManualClock`, with everything that happens in it."""
        self.schedule.advance(seconds)

    # ---- the market by hand -----------------------------------------------------------------------------------

    def quote(
        self, symbol: str, bid: float | None, ask: float | None, *, bid_size: float = 100.0, ask_size: float = 100.0
    ) -> None:
        """Quote an instrument now; `None` is no price on that side. See `Market.quote`."""
        self.by_hand.quote(symbol, bid, ask, bid_size=bid_size, ask_size=ask_size)

    def trade(self, symbol: str, price: float, size: float = 100.0) -> None:
        """Let a trade happen now. See `Market.trade`."""
        self.by_hand.trade(symbol, price, size)

    def _on_quote(self, quote: Quote) -> None:
        self.venue.on_quote(quote)
        self.option_quotes.on_quote(quote)
        self.combo_quotes.on_quote(quote)

    def _spot(self, underlying: ContractData) -> float | None:
        """Return the price around which options are listed."""
        self.tape.play(underlying.instrument)
        return self.tape.price(underlying.id) or self.tape.line(underlying.id).previous_close

    def _meet(self, contract: ContractData) -> None:
        """List a contract that a client has singled out, and have its market played."""
        self.venue.exchange.add(contract.instrument)
        if contract.sec_type == "OPT":
            if self.hours == "exchange":
                self._keep_hours(contract.id)
            self.option_quotes.begin(contract, self.tape.quote(contract.under_symbol))
        elif contract.legs:
            for leg in contract.legs:
                self.contracts.single_out(leg.contract)
            self.combo_quotes.begin(contract, self.schedule.now_ns)
        else:
            self.tape.play(contract.instrument)

    def _list(self, instrument: Instrument) -> None:
        """List an instrument that the market has just begun to play."""
        contract = self.contracts.named(instrument.id)
        if contract is not None:
            self.venue.exchange.add(contract.instrument)
            if self.hours == "exchange":
                self._keep_hours(contract.id)

    def _hours_of(self, name: str) -> Hours | None:
        contract = self.contracts.named(name)
        return None if contract is None else contract.hours

    def _keep_hours(self, name: str) -> None:
        contract = self.contracts.named(name)
        if contract is not None:
            self.phases.follow(contract)

    @property
    def client_ids(self) -> tuple[int, ...]:
        """Return the clients that are connected now."""
        return tuple(self._sessions)

    # ---- reception of clients ---------------------------------------------------------------------------------

    def greets(self, session: Session) -> bool:
        """Return whether connections are taken now, and note this one."""
        self._connections.add(session)
        session.listener = self._listener
        return not self.faults.refuses_connections

    def time_text(self) -> str:
        """Return the time as the handshake carries it."""
        return greeting(self.schedule.now_ns)

    def clock_text(self) -> str:
        """Return hours and minutes of the gateway's zone."""
        return f"{local(self.schedule.now_ns):%H:%M}"

    def settle(self) -> None:
        """Let what has changed be in the state's file before a client hears of it."""
        if self._keeper is not None:
            self._keeper.settle()

    def admit(self, session: Session) -> list[Room] | None:
        """Register a session and send what TWS sends first; nothing when its client id is in use."""
        client_id = session.client_id
        if client_id in self._sessions or self.faults.holds_id(client_id):
            return None
        session.allowance = allowance = self._allowances.for_session()
        session.turnstile = Turnstile(session, allowance.messages, self.schedule)
        rooms = Rooms(
            session,
            Orders(session, self.venue, self.contracts, self.accounts, tells_preset=self.tells_preset),
            Portfolio(session, self.accounts, self.schedule, self.clock_text),
            MarketData(
                session,
                self.tape,
                self.contracts,
                feeds=self.feeds,
                past=self.past_ticks,
                now_ns=lambda: self.schedule.now_ns,
                is_delayed=self.data == "delayed",
            ),
            History(session, self.archive, self.contracts, lambda: self.schedule.now_ns),
            Depth(session, self.tape, self.contracts),
        )
        self._sessions[client_id] = rooms
        self.faults.attach(session)
        session.open()
        session.send("managedAccounts", accounts=self.accounts.ids)
        session.send("nextValidId", orderId=self.venue.next_order_id(client_id))
        for code, text in FARMS:
            session.error(-1, code, text)
        _log.info("client %d connected at server version %d", client_id, session.version)
        reference = Reference(session, self.contracts, lambda: self.schedule.now_ns, self.accounts.ids)
        summaries = Summaries(session, self.accounts, self.schedule, most=allowance.account_summaries)
        profits = Profits(session, self.accounts, self.schedule)
        return [
            reference,
            Services(session),
            rooms.orders,
            rooms.portfolio,
            summaries,
            profits,
            rooms.market_data,
            rooms.history,
            rooms.depth,
        ]

    def leave(self, session: Session) -> None:
        """Forget a session; its orders stay."""
        self._connections.discard(session)
        self.faults.detach(session)
        rooms = self._sessions.get(session.client_id)
        if rooms is not None and rooms.session is session:
            del self._sessions[session.client_id]
            _log.info("client %d disconnected", session.client_id)

    # ---- what the venue tells ---------------------------------------------------------------------------------

    def _owner(self, client_id: int) -> Orders | None:
        rooms = self._sessions.get(client_id)
        return rooms.orders if rooms is not None and self.tape.live else None

    def _tell_order(self, record: OrderRecord) -> None:
        if owner := self._owner(record.client_id):
            owner.show(record)

    def _tell_status(self, record: OrderRecord) -> None:
        for client_id in record.hearers:
            if owner := self._owner(client_id):
                owner.show_status(record)

    def _tell_execution(self, done: Execution) -> None:
        if owner := self._owner(done.record.client_id):
            owner.show_execution(done)

    def _tell_commission(self, done: Execution) -> None:
        if owner := self._owner(done.record.client_id):
            owner.show_commission(done)

    def _tell_error(self, client_id: int, request_id: int, code: int, text: str) -> None:
        if self._owner(client_id):
            self._sessions[client_id].session.error(request_id, code, text)

    def _tell_account(self, account: str, contract: ContractData) -> None:
        if self.tape.live:
            for rooms in self._all():
                rooms.portfolio.changed(account, contract.id)

    def _all(self) -> Iterator[Rooms]:
        return iter(tuple(self._sessions.values()))

    # ---- faults -----------------------------------------------------------------------------------------------

    def hang_up(self, client_id: int | None) -> None:
        """Close the socket of one client, or of everybody who is connected."""
        for session in tuple(self._connections):
            if client_id in (None, session.client_id):
                session.hang_up()

    def cut_link(self) -> None:
        """Tell clients nothing of market and orders until `restore_link`."""
        self.tape.live = False

    def restore_link(self, *, data_kept: bool) -> None:
        """Tell them again; without `data_kept` their market-data subscriptions are gone."""
        self.tape.live = True
        for rooms in self._all():
            if data_kept:
                rooms.depth.reset()
            else:
                rooms.market_data.close()
                rooms.history.close()
                rooms.depth.close()

    def tell_all(self, code: int, text: str) -> None:
        """Send an error that concerns no request to every client."""
        for rooms in self._all():
            rooms.session.error(-1, code, text)

    def connected(self, client_id: int | None = None) -> Iterator[Session]:
        """Yield the open sessions, of one client or of all."""
        return (rooms.session for rooms in self._all() if client_id in (None, rooms.session.client_id))

    def known_clients(self) -> set[int]:
        """Return the clients that are connected or have placed orders."""
        return {*self._sessions, *(key[0] for key in self.venue.records)}
