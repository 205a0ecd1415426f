"""The embedded TWS as a whole: the listening socket, the sessions, and what outlives them."""

from __future__ import annotations

import asyncio
import datetime as dt
import errno
import logging
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import msgspec

from ibdesk.clock import SECOND, Clock, ManualClock, SystemClock
from ibdesk.errors import AddressInUseError, ConfigError
from ibdesk.exchange import CommissionSchedule, FixedCommission
from ibdesk.gateway.account.ledger import Ledger
from ibdesk.gateway.contracts.book import ContractBook, ContractData
from ibdesk.gateway.faults.faults import Faults
from ibdesk.gateway.market.source import MarketSource
from ibdesk.gateway.market.tape import BAR_NS, Tape
from ibdesk.gateway.market.walk import RandomWalk
from ibdesk.gateway.rooms.history import History
from ibdesk.gateway.rooms.market_data import MarketData
from ibdesk.gateway.rooms.orders import Orders
from ibdesk.gateway.rooms.portfolio import Portfolio
from ibdesk.gateway.rooms.reference import Reference
from ibdesk.gateway.schedule import Schedule
from ibdesk.gateway.session import Room, Session
from ibdesk.gateway.times import greeting, local
from ibdesk.gateway.venue.venue import Audience, Execution, OrderRecord, Venue

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


class Gateway:
    """A TWS for tests, research and demonstrations: unmodified TWS clients connect to `host:port` and trade on paper.

    Args:
        market: Where quotes and trades come from; a seeded `RandomWalk` when not given.
        clock: What time it is in that market; a `ManualClock` is moved with `advance`.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one, which `port` tells once started.
        seed: Seeds the default market and the ids of executions.
        account: Id of the paper account.
        cash: What the account begins with, in US dollars.
        strict: Whether only shipped contracts are known, not every symbol of the market.
        partial: Whether an execution takes no more than the displayed size.
        commissions: What trading costs; IB's fixed schedule when not given.
        max_unsent_bytes: How much may wait for a client that does not read, before it is cut off.
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
        cash: float = 1_000_000.0,
        strict: bool = False,
        partial: bool = False,
        commissions: CommissionSchedule | None = None,
        max_unsent_bytes: int = 64 << 20,
    ) -> None:
        self._max_unsent_bytes = max_unsent_bytes
        self.host = host
        self.port = port
        self.account = account
        self.schedule = Schedule(SystemClock() if clock is None else clock)
        self.market = RandomWalk(seed) if market is None else market
        now_ns = self.schedule.now_ns
        # opened_ns: when the market begins or began, ns UTC; known once the gateway has started.
        self.opened_ns = now_ns
        today = dt.datetime.fromtimestamp(now_ns // SECOND, dt.UTC).date()
        self.contracts = ContractBook(today, self.market.symbols, strict=strict)
        self.tape = Tape(self.market, self.schedule)
        self.ledger = Ledger(account, cash, self.tape.price)
        self.faults = Faults(self)
        self.venue = Venue(
            self.ledger,
            lambda: self.schedule.now_ns,
            started_ns=now_ns,
            seed=seed,
            commissions=FixedCommission() if commissions is None else commissions,
            partial=partial,
            audience=Audience(
                order=self._tell_order,
                status=self._tell_status,
                execution=self._tell_execution,
                commission=self._tell_commission,
                error=self._tell_error,
                account=self._tell_account,
            ),
        )
        self._sessions: dict[int, Rooms] = {}
        self._connections: set[Session] = set()
        self._server: asyncio.Server | None = None
        self._stopped = asyncio.Event()
        for contract in self.contracts:
            self.venue.exchange.add(contract.instrument)

    # ---- life -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the market and listen.

        Raises:
            AddressInUseError: If the port is taken.
            ConfigError: If the gateway cannot listen there for another reason.
        """
        loop = asyncio.get_running_loop()
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
        instruments = {
            name: contract.instrument
            for name in self.market.symbols
            if (contract := self.contracts.named(name)) is not None
        }
        # On a multiple of five seconds, so that a row of five seconds is a 5-second bar.
        self.opened_ns = self.schedule.now_ns // BAR_NS * BAR_NS
        self.market.open(self.opened_ns, dict(instruments))
        self.schedule.start(loop)
        self.tape.open(self.opened_ns, self.venue.on_quote)
        if isinstance(self.schedule.clock, ManualClock):
            self.schedule.advance(0)
        _log.info("gateway listens on %s:%d", self.host, self.port)

    async def stop(self) -> None:
        """Hang up on all clients and listen no more; doing so twice changes nothing."""
        self.schedule.stop()
        if self._server is None:
            return
        server, self._server = self._server, None
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

    @property
    def client_ids(self) -> tuple[int, ...]:
        """Return the clients that are connected now."""
        return tuple(self._sessions)

    # ---- reception of clients ---------------------------------------------------------------------------------

    def greets(self, session: Session) -> bool:
        """Return whether connections are taken now, and note this one."""
        self._connections.add(session)
        return not self.faults.refuses_connections

    def time_text(self) -> str:
        """Return the time as the handshake carries it."""
        return greeting(self.schedule.now_ns)

    def clock_text(self) -> str:
        """Return hours and minutes of the gateway's zone."""
        return f"{local(self.schedule.now_ns):%H:%M}"

    def admit(self, session: Session) -> list[Room] | None:
        """Register a session and send what TWS sends first; nothing when its client id is in use."""
        client_id = session.client_id
        if client_id in self._sessions:
            return None
        rooms = Rooms(
            session,
            Orders(session, self.venue, self.contracts, self.ledger),
            Portfolio(session, self.ledger, self.schedule, self.clock_text),
            MarketData(session, self.tape, self.contracts),
            History(session, self.market, self.tape, self.contracts, lambda: self.schedule.now_ns),
        )
        self._sessions[client_id] = rooms
        session.open()
        session.send("managedAccounts", accounts=self.account)
        session.send("nextValidId", orderId=self.venue.next_order_id(client_id))
        for code, text in FARMS:
            session.error(-1, code, text)
        _log.info("client %d connected at server version %d", client_id, session.version)
        reference = Reference(session, self.contracts, lambda: self.schedule.now_ns, self.account)
        return [reference, rooms.orders, rooms.portfolio, rooms.market_data, rooms.history]

    def leave(self, session: Session) -> None:
        """Forget a session; its orders stay."""
        self._connections.discard(session)
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
        if owner := self._owner(record.client_id):
            owner.show_status(record)

    def _tell_execution(self, done: Execution) -> None:
        if owner := self._owner(done.record.client_id):
            for _ in range(1 + self.faults.duplicates_executions):
                owner.show_execution(done)

    def _tell_commission(self, done: Execution) -> None:
        if owner := self._owner(done.record.client_id):
            for _ in range(1 + self.faults.duplicates_executions):
                owner.show_commission(done)

    def _tell_error(self, client_id: int, request_id: int, code: int, text: str) -> None:
        if self._owner(client_id):
            self._sessions[client_id].session.error(request_id, code, text)

    def _tell_account(self, contract: ContractData) -> None:
        if self.tape.live:
            for rooms in self._all():
                rooms.portfolio.changed(contract.id)

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
        if not data_kept:
            for rooms in self._all():
                rooms.market_data.close()
                rooms.history.close()

    def tell_all(self, code: int, text: str) -> None:
        """Send an error that concerns no request to every client."""
        for rooms in self._all():
            rooms.session.error(-1, code, text)

    def reject_next(self, reason: str) -> None:
        """Refuse the next new order."""
        self.venue.refuse_next = reason

    def roll_back(self, order_id: int, client_id: int | None) -> None:
        """Take order ids from `order_id` on; of one client, or of all that are connected or have placed orders."""
        known = {*self._sessions, *(key[0] for key in self.venue.records)}
        for each in known if client_id is None else {client_id}:
            self.venue.set_next_order_id(each, order_id)
