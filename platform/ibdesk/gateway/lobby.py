"""Who is connected: clients are received here, given their rooms, and told what happens at the venue."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import msgspec

from ibdesk.gateway.account.accounts import Accounts
from ibdesk.gateway.contracts.book import ContractBook
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.faults.faults import Faults
from ibdesk.gateway.listening import Listener
from ibdesk.gateway.market.tape import Tape
from ibdesk.gateway.pacing import Allowances
from ibdesk.gateway.rooms.depth import Depth
from ibdesk.gateway.rooms.history import Archive, History
from ibdesk.gateway.rooms.market_data import MarketData
from ibdesk.gateway.rooms.orders import Orders
from ibdesk.gateway.rooms.portfolio import Portfolio
from ibdesk.gateway.rooms.profits import Profits
from ibdesk.gateway.rooms.quotes import QuoteFeeds
from ibdesk.gateway.rooms.reference import Reference
from ibdesk.gateway.rooms.services import Services
from ibdesk.gateway.rooms.summaries import Summaries
from ibdesk.gateway.schedule import Schedule
from ibdesk.gateway.session import Room, Session
from ibdesk.gateway.times import greeting, local
from ibdesk.gateway.turnstile import Turnstile
from ibdesk.gateway.venue.venue import Audience, Execution, OrderRecord, Venue

_log = logging.getLogger(__name__)

FARMS = (
    (2104, "Market data farm connection is OK:usfarm"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefnj"),
)


class House(msgspec.Struct, frozen=True, kw_only=True):
    """What all sessions share."""

    schedule: Schedule
    contracts: ContractBook
    accounts: Accounts
    tape: Tape
    venue: Venue
    feeds: QuoteFeeds
    archive: Archive
    allowances: Allowances
    is_delayed: bool
    tells_preset: bool

    def now_ns(self) -> int:
        """Return the time on the gateway's clock, ns UTC."""
        return self.schedule.now_ns

    def clock_text(self) -> str:
        """Return hours and minutes of the gateway's zone."""
        return f"{local(self.schedule.now_ns):%H:%M}"


class Guest(msgspec.Struct, frozen=True):
    """One open session, and the rooms of it that are told what happens."""

    session: Session
    orders: Orders
    portfolio: Portfolio
    market_data: MarketData
    history: History
    depth: Depth

    @staticmethod
    def of(session: Session, house: House) -> Guest:
        """Return the guest with rooms of its own."""
        return Guest(
            session,
            Orders(session, house.venue, house.contracts, house.accounts, tells_preset=house.tells_preset),
            Portfolio(session, house.accounts, house.schedule, house.clock_text),
            MarketData(
                session,
                house.tape,
                house.contracts,
                feeds=house.feeds,
                past=house.archive.past_ticks,
                now_ns=house.now_ns,
                is_delayed=house.is_delayed,
            ),
            History(session, house.archive, house.contracts, house.now_ns),
            Depth(session, house.tape, house.contracts),
        )

    def rooms(self, house: House) -> list[Room]:
        """Return everything that answers the session's requests."""
        most = self.session.allowance.account_summaries
        return [
            Reference(
                self.session,
                house.contracts,
                house.now_ns,
                house.accounts.ids,
                house.archive.labor,
                keeps_hours=house.archive.time.keeps_hours,
            ),
            Services(self.session),
            self.orders,
            self.portfolio,
            Summaries(self.session, house.accounts, house.schedule, most=most),
            Profits(self.session, house.accounts, house.schedule),
            self.market_data,
            self.history,
            self.depth,
        ]


class Lobby:
    """Receives sessions, and is the audience of the venue.

    `settle` is called before anything leaves for a client; `listener` hears every message.
    """

    def __init__(self, house: House, faults: Faults, settle: Callable[[], None], listener: Listener | None) -> None:
        self._house = house
        self._faults = faults
        self._listener = listener
        self._guests: dict[int, Guest] = {}
        self._connections: dict[Session, None] = {}
        self.settle = settle

    # ---- reception of clients ---------------------------------------------------------------------------------

    def greets(self, session: Session) -> bool:
        """Return whether connections are taken now, and note this one."""
        self._connections[session] = None
        session.listener = self._listener
        return not self._faults.refuses_connections

    def time_text(self) -> str:
        """Return the time as the handshake carries it."""
        return greeting(self._house.now_ns())

    def clock_text(self) -> str:
        """Return hours and minutes of the gateway's zone."""
        return self._house.clock_text()

    def admit(self, session: Session) -> list[Room] | None:
        """Register a session and send what TWS sends first; nothing when its client id is in use."""
        client_id, house = session.client_id, self._house
        if client_id in self._guests or self._faults.holds_id(client_id):
            return None
        session.allowance = allowance = house.allowances.for_session()
        session.turnstile = Turnstile(session, allowance.messages, house.schedule)
        guest = self._guests[client_id] = Guest.of(session, house)
        self._faults.attach(session)
        session.open()
        session.send("managedAccounts", accounts=house.accounts.ids)
        session.send("nextValidId", orderId=house.venue.next_order_id(client_id))
        for code, text in FARMS:
            session.error(-1, code, text)
        _log.info("client %d connected at server version %d", client_id, session.version)
        return guest.rooms(house)

    def leave(self, session: Session) -> None:
        """Forget a session; its orders stay."""
        self._connections.pop(session, None)
        self._faults.detach(session)
        guest = self._guests.get(session.client_id)
        if guest is not None and guest.session is session:
            del self._guests[session.client_id]
            _log.info("client %d disconnected", session.client_id)

    # ---- who is here ------------------------------------------------------------------------------------------

    @property
    def client_ids(self) -> tuple[int, ...]:
        """Return the clients that are connected now."""
        return tuple(self._guests)

    def connected(self, client_id: int | None = None) -> Iterator[Session]:
        """Yield the open sessions, of one client or of all."""
        return (guest.session for guest in self._all() if client_id in (None, guest.session.client_id))

    def hang_up(self, client_id: int | None) -> None:
        """Close the socket of one client, or of everybody who is connected."""
        for session in tuple(self._connections):
            if client_id in (None, session.client_id):
                session.hang_up()

    def tell_all(self, code: int, text: str) -> None:
        """Send an error that concerns no request to every client."""
        for guest in self._all():
            guest.session.error(-1, code, text)

    def reset_depth(self) -> None:
        """Have every client begin its market depth anew."""
        for guest in self._all():
            guest.depth.reset()

    def end_market_data(self) -> None:
        """End every client's subscriptions to market data, without a word."""
        for guest in self._all():
            guest.market_data.close()
            guest.history.close()
            guest.depth.close()

    def _all(self) -> Iterator[Guest]:
        return iter(tuple(self._guests.values()))

    # ---- what the venue tells ---------------------------------------------------------------------------------

    def audience(self) -> Audience:
        """Return what the venue is to tell; while the link to the market is cut, nobody hears it."""
        return Audience(
            order=self._tell_order,
            status=self._tell_status,
            execution=self._tell_execution,
            commission=self._tell_commission,
            error=self._tell_error,
            account=self._tell_account,
        )

    def _owner(self, client_id: int) -> Orders | None:
        guest = self._guests.get(client_id)
        return guest.orders if guest is not None and self._house.tape.live else None

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
            self._guests[client_id].session.error(request_id, code, text)

    def _tell_account(self, account: str, contract: ContractData) -> None:
        if self._house.tape.live:
            for guest in self._all():
                guest.portfolio.changed(account, contract.id)
