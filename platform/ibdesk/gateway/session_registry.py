"""The connected clients: their sessions, their request handlers, and the venue's reports to them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import msgspec

from ibdesk.gateway.account.accounts import Accounts
from ibdesk.gateway.contracts.book import ContractBook
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.faults.faults import Faults
from ibdesk.gateway.handlers.depth import DepthRequests
from ibdesk.gateway.handlers.history import HistoryRequests, HistoryService
from ibdesk.gateway.handlers.market_data import MarketDataRequests
from ibdesk.gateway.handlers.orders import OrderRequests
from ibdesk.gateway.handlers.portfolio import PortfolioRequests
from ibdesk.gateway.handlers.profits import ProfitRequests
from ibdesk.gateway.handlers.quotes import QuoteFeeds
from ibdesk.gateway.handlers.reference import ReferenceRequests
from ibdesk.gateway.handlers.services import ServiceRequests
from ibdesk.gateway.handlers.summaries import SummaryRequests
from ibdesk.gateway.listening import MessageListener
from ibdesk.gateway.market.tape import Tape
from ibdesk.gateway.pacing import Allowances
from ibdesk.gateway.schedule import Schedule
from ibdesk.gateway.session import RequestHandler, Session
from ibdesk.gateway.throttle import MessageThrottle
from ibdesk.gateway.times import greeting, local
from ibdesk.gateway.venue.venue import Execution, OrderRecord, Venue, VenueListener

_log = logging.getLogger(__name__)

FARMS = (
    (2104, "Market data farm connection is OK:usfarm"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefnj"),
)


class GatewayContext(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the gateway that all sessions share."""

    schedule: Schedule
    contracts: ContractBook
    accounts: Accounts
    tape: Tape
    venue: Venue
    feeds: QuoteFeeds
    history_service: HistoryService
    allowances: Allowances
    is_delayed: bool
    tells_preset: bool

    def now_ns(self) -> int:
        """Return the time on the gateway's clock, ns UTC."""
        return self.schedule.now_ns

    def clock_text(self) -> str:
        """Return hours and minutes of the gateway's zone."""
        return f"{local(self.schedule.now_ns):%H:%M}"


class ClientSession(msgspec.Struct, frozen=True):
    """One open session, and its request handlers that receive events."""

    session: Session
    orders: OrderRequests
    portfolio: PortfolioRequests
    market_data: MarketDataRequests
    history: HistoryRequests
    depth: DepthRequests

    @staticmethod
    def of(session: Session, context: GatewayContext) -> ClientSession:
        """Return the client session with handlers of its own."""
        return ClientSession(
            session,
            OrderRequests(
                session, context.venue, context.contracts, context.accounts, tells_preset=context.tells_preset
            ),
            PortfolioRequests(session, context.accounts, context.schedule, context.clock_text),
            MarketDataRequests(
                session,
                context.tape,
                context.contracts,
                feeds=context.feeds,
                past=context.history_service.past_ticks,
                now_ns=context.now_ns,
                is_delayed=context.is_delayed,
            ),
            HistoryRequests(session, context.history_service, context.contracts, context.now_ns),
            DepthRequests(session, context.tape, context.contracts),
        )

    def request_handlers(self, context: GatewayContext) -> list[RequestHandler]:
        """Return all request handlers of the session."""
        most = self.session.allowance.account_summaries
        return [
            ReferenceRequests(
                self.session,
                context.contracts,
                context.now_ns,
                context.accounts.ids,
                context.history_service.time_slicer,
                keeps_hours=context.history_service.time.keeps_hours,
            ),
            ServiceRequests(self.session),
            self.orders,
            self.portfolio,
            SummaryRequests(self.session, context.accounts, context.schedule, most=most),
            ProfitRequests(self.session, context.accounts, context.schedule),
            self.market_data,
            self.history,
            self.depth,
        ]


class SessionRegistry:
    """Accepts sessions, and forwards the venue's reports to them.

    `settle` is called before anything is sent to a client; `listener` receives every message.
    """

    def __init__(
        self, context: GatewayContext, faults: Faults, settle: Callable[[], None], listener: MessageListener | None
    ) -> None:
        self._context = context
        self._faults = faults
        self._listener = listener
        self._clients: dict[int, ClientSession] = {}
        self._connections: dict[Session, None] = {}
        self.settle = settle

    # ---- connections ------------------------------------------------------------------------------------------

    def greets(self, session: Session) -> bool:
        """Add a connection; return whether connections are accepted now."""
        self._connections[session] = None
        session.listener = self._listener
        return not self._faults.refuses_connections

    def time_text(self) -> str:
        """Return the time in the format of the handshake."""
        return greeting(self._context.now_ns())

    def clock_text(self) -> str:
        """Return hours and minutes of the gateway's zone."""
        return self._context.clock_text()

    def admit(self, session: Session) -> list[RequestHandler] | None:
        """Register a session and send TWS's first messages; None if its client id is in use."""
        client_id, context = session.client_id, self._context
        if client_id in self._clients or self._faults.holds_id(client_id):
            return None
        session.allowance = allowance = context.allowances.for_session()
        session.throttle = MessageThrottle(session, allowance.messages, context.schedule)
        client = self._clients[client_id] = ClientSession.of(session, context)
        self._faults.attach(session)
        session.open()
        session.send("managedAccounts", accounts=context.accounts.ids)
        session.send("nextValidId", orderId=context.venue.next_order_id(client_id))
        for code, text in FARMS:
            session.error(-1, code, text)
        _log.info("client %d connected at server version %d", client_id, session.version)
        return client.request_handlers(context)

    def leave(self, session: Session) -> None:
        """Remove a session; its orders stay."""
        self._connections.pop(session, None)
        self._faults.detach(session)
        client = self._clients.get(session.client_id)
        if client is not None and client.session is session:
            del self._clients[session.client_id]
            _log.info("client %d disconnected", session.client_id)

    # ---- connected clients ------------------------------------------------------------------------------------

    @property
    def client_ids(self) -> tuple[int, ...]:
        """Return the ids of the connected clients."""
        return tuple(self._clients)

    def connected(self, client_id: int | None = None) -> Iterator[Session]:
        """Yield the open sessions, of one client or of all."""
        return (client.session for client in self._all() if client_id in (None, client.session.client_id))

    def hang_up(self, client_id: int | None) -> None:
        """Close the sockets of one client or of all."""
        for session in tuple(self._connections):
            if client_id in (None, session.client_id):
                session.hang_up()

    def tell_all(self, code: int, text: str) -> None:
        """Send every client an error that belongs to no request."""
        for client in self._all():
            client.session.error(-1, code, text)

    def reset_depth(self) -> None:
        """Make every client restart its market depth."""
        for client in self._all():
            client.depth.reset()

    def end_market_data(self) -> None:
        """End all market-data subscriptions without a message."""
        for client in self._all():
            client.market_data.end_subscriptions()
            client.history.end_subscriptions()
            client.depth.end_subscriptions()

    def _all(self) -> Iterator[ClientSession]:
        return iter(tuple(self._clients.values()))

    # ---- reports of the venue ---------------------------------------------------------------------------------

    def venue_listener(self) -> VenueListener:
        """Return the receiver of the venue's reports; they are dropped while the link to the market is cut."""
        return VenueListener(
            order=self._report_order,
            status=self._report_status,
            execution=self._report_execution,
            commission=self._report_commission,
            error=self._report_error,
            account=self._report_account,
        )

    def _owner(self, client_id: int) -> OrderRequests | None:
        client = self._clients.get(client_id)
        return client.orders if client is not None and self._context.tape.live else None

    def _report_order(self, record: OrderRecord) -> None:
        if owner := self._owner(record.client_id):
            owner.show(record)

    def _report_status(self, record: OrderRecord) -> None:
        for client_id in record.informed_clients:
            if owner := self._owner(client_id):
                owner.show_status(record)

    def _report_execution(self, done: Execution) -> None:
        if owner := self._owner(done.record.client_id):
            owner.show_execution(done)

    def _report_commission(self, done: Execution) -> None:
        if owner := self._owner(done.record.client_id):
            owner.show_commission(done)

    def _report_error(self, client_id: int, request_id: int, code: int, text: str) -> None:
        if self._owner(client_id):
            self._clients[client_id].session.error(request_id, code, text)

    def _report_account(self, account: str, contract: ContractData) -> None:
        if self._context.tape.live:
            for client in self._all():
                client.portfolio.changed(account, contract.id)
