"""TWS's callbacks: each message becomes a value of ours and goes to the book it concerns."""

# Names and parameters are those with which ib_async's decoder calls.
# ruff: noqa: N802, N803

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import msgspec
from ib_async.contract import Contract, ContractDescription, ContractDetails
from ib_async.objects import BarData, Execution, PriceIncrement
from ib_async.order import Order as IbOrder
from ib_async.order import OrderState

from ibdesk.errors import DataError
from ibdesk.model import Commission, Event, Fill, Notice, PositionReport, Severity, nanoseconds
from ibdesk.tws import codes
from ibdesk.tws.account import AccountBook
from ibdesk.tws.contracts import Contracts, cash_currency
from ibdesk.tws.executions import Executions
from ibdesk.tws.figures import is_known, known
from ibdesk.tws.foreign_orders import ForeignOrders
from ibdesk.tws.lost_orders import LostOrders
from ibdesk.tws.orderbook import OrderBook
from ibdesk.tws.orders import side_of_execution
from ibdesk.tws.requests import Requests, market_rule
from ibdesk.tws.set_aside import (
    ABOUT_ORDERS,
    COMPLETED_ORDER,
    OPEN_ORDER,
    POSITION,
    REQUEST_AT,
    SetAside,
    kind_of,
    may_hide_execution,
)
from ibdesk.tws.stamp import Stamp
from ibdesk.tws.subscriptions import Subscriptions
from ibdesk.tws.wire import Wire

# Names of the requests whose answers carry no request id.
OPEN_ORDERS, COMPLETED_ORDERS, POSITIONS, ACCOUNT, TIME = (
    "open orders",
    "completed orders",
    "positions",
    "account figures",
    "time",
)


class TwsBooks(msgspec.Struct, frozen=True):
    """The books that TWS's messages are written into; they outlive a connection."""

    contracts: Contracts
    orders: OrderBook
    lost: LostOrders
    foreign: ForeignOrders
    executions: Executions
    account: AccountBook
    market: Subscriptions
    aside: SetAside


class ConnectionHooks(msgspec.Struct, frozen=True):
    """The functions with which the callbacks report to the owner of the connection."""

    stamp: Stamp
    tell: Callable[[Event], None]
    connectivity: Callable[[int, str], None]
    compare_soon: Callable[[], None]
    compare_account_soon: Callable[[], None]
    number_proposed: Callable[[int], None]
    lost: Callable[[str], None]
    failed: Callable[[Exception], None]
    is_away: Callable[[], bool]
    """Whether TWS is expected to be away now, so that its absence needs no warning."""


class TwsCallbacks:
    """The callbacks of one connection."""

    def __init__(self, books: TwsBooks, requests: Requests, hooks: ConnectionHooks) -> None:
        self._books = books
        self._market = books.market
        self._requests = requests
        self._hooks = hooks
        self._now_ns = hooks.stamp.now_ns()
        self.wire: Wire | None = None
        self.heard_ns = self._now_ns
        self.accounts: tuple[str, ...] = ()
        self._has_number = False
        # ib_async's decoder returns execution times in this zone.
        self.defaultTimezone = dt.UTC

    # ---- the socket

    def bytes_arrived(self) -> None:
        """Stamp all messages of one read with the same time."""
        self._now_ns = self.heard_ns = self._hooks.stamp.hold()

    def bytes_done(self) -> None:
        """Report what the messages of one read add up to."""
        self._market.tell_quotes(self._now_ns)
        self._books.account.tell_changes(self._now_ns)
        self._hooks.stamp.release()

    def failed(self, fields: list[str], error: Exception) -> None:
        """Set aside a message that cannot be read. If it may be an execution of ours, the service ends."""
        orders, account = self._books.orders, self._books.account
        if not may_hide_execution(fields, account=account.id, client_id=orders.client_id, orders=orders):
            self._set_aside(fields, error)
            return
        shown = " ".join(fields[:20])
        unreadable = DataError(f"TWS sent a message that cannot be read ({shown}): {error!r}")
        unreadable.__cause__ = error
        self._hooks.failed(unreadable)

    def _set_aside(self, fields: list[str], error: Exception) -> None:
        """Report that a row was set aside, and conclude nothing from its missing content."""
        kind, aside = kind_of(fields), self._books.aside
        if kind == POSITION:
            self._books.account.mention(aside.instrument_of(fields))
        elif kind in (OPEN_ORDER, COMPLETED_ORDER):
            self._books.orders.mention(fields)
        elif kind in REQUEST_AT:
            request = fields[REQUEST_AT[kind]] if len(fields) > REQUEST_AT[kind] else ""
            if request.isdecimal() and len(request) < 20:
                self._requests.refuse(int(request), 0, f"the answer cannot be read: {error}")
        aside.note(fields, error, self._now_ns)
        if kind in ABOUT_ORDERS and self.wire is not None and self.wire.ready.done():
            self._hooks.compare_soon()

    def lost(self, reason: str) -> None:
        """Report that the socket is closed."""
        self._hooks.lost(reason)

    # ---- the handshake

    def nextValidId(self, orderId: int) -> None:
        """Process the next order id that TWS proposes."""
        self._hooks.number_proposed(orderId)
        self._has_number = True
        self._handshake()

    def managedAccounts(self, accounts: str) -> None:
        """Store the accounts that TWS manages."""
        self.accounts = tuple(name for name in accounts.split(",") if name)
        self._handshake()

    def _handshake(self) -> None:
        if self.wire is not None and self._has_number and self.accounts:
            self.wire.become_ready()

    # ---- market data

    def priceSizeTick(self, reqId: int, tickType: int, price: float, size: float) -> None:
        """Process a price tick."""
        self._market.price(reqId, tickType, known(price), known(size), self._now_ns)

    def tickSize(self, reqId: int, tickType: int, size: float) -> None:
        """Process a size tick."""
        self._market.size(reqId, tickType, known(size), self._now_ns)

    def tickGeneric(self, reqId: int, tickType: int, value: float) -> None:
        """Process a tick without a size; only halts of trading are used."""
        self._market.generic(reqId, tickType, known(value), self._now_ns)

    def realtimeBar(
        self,
        reqId: int,
        time: int,
        open_: float,
        high: float,
        low: float,
        close: float,
        volume: float,
        _wap: float,
        _count: int,
    ) -> None:
        """Process a 5-second bar.

        Raises:
            DataError: If it lacks a price.
        """
        prices = known(open_), known(high), known(low), known(close)
        if not all(map(is_known, prices)):
            raise DataError("a bar without a price")
        self._market.bar(reqId, time, prices, known(volume))

    # ---- answers

    def contractDetails(self, reqId: int, details: ContractDetails) -> None:
        """Process one contract that matches a description."""
        self._requests.add(reqId, details)

    def contractDetailsEnd(self, reqId: int) -> None:
        """Process the end of the matching contracts."""
        self._requests.end(reqId)

    def marketRule(self, marketRuleId: int, increments: list[PriceIncrement]) -> None:
        """Process the price increments of a market rule."""
        for increment in increments:
            self._requests.add(market_rule(marketRuleId), increment)
        self._requests.end(market_rule(marketRuleId))

    def symbolSamples(self, reqId: int, samples: list[ContractDescription]) -> None:
        """Process all contracts that match a search."""
        for sample in samples:
            self._requests.add(reqId, sample)
        self._requests.end(reqId)

    def historicalData(self, reqId: int, bar: BarData) -> None:
        """Process one bar of history."""
        self._requests.add(reqId, bar)

    def historicalDataEnd(self, reqId: int, _start: str, _end: str) -> None:
        """Process the end of a history."""
        self._requests.end(reqId)

    def currentTime(self, time: int) -> None:
        """Process TWS's time, with the time of its arrival by our clock."""
        self._requests.add(TIME, (time, self._now_ns))
        self._requests.end(TIME)

    # ---- orders

    def openOrder(self, orderId: int, contract: Contract, order: IbOrder, _state: OrderState) -> None:
        """Process the working terms of an order."""
        if order.clientId == self._books.orders.client_id:
            # An order of an earlier desk, perhaps on another machine, may carry a number that is unknown here.
            self._hooks.number_proposed(orderId + 1)
        self._books.lost.check(order.orderRef, permanent_id=order.permId, client_id=order.clientId)
        if order.clientId in self._books.lost.clients:
            self._books.lost.look_at_order(contract, order)
        if not self._books.lost.is_looking:
            self._books.orders.open_order(orderId, order)
            if order.orderRef not in self._books.orders and order.account == self._books.account.id:
                self._books.foreign.note(contract, order)

    def openOrderEnd(self) -> None:
        """Process the end of the open orders."""
        self._requests.end(OPEN_ORDERS)

    def orderStatus(
        self,
        orderId: int,
        status: str,
        _filled: float,
        _remaining: float,
        _avgFillPrice: float,
        permId: int,
        _parentId: int,
        _lastFillPrice: float,
        clientId: int,
        whyHeld: str,
        _mktCapPrice: float = 0.0,
    ) -> None:
        """Process the state of an order. Its quantities are not used: executions report them."""
        if not self._books.lost.is_looking:
            self._books.orders.status(orderId, status, permanent_id=permId, client_id=clientId, why_held=whyHeld)

    def completedOrder(self, contract: Contract, order: IbOrder, state: OrderState) -> None:
        """Process an order that is no longer open; TWS does not report which client placed it."""
        self._books.lost.look_at_order(contract, order)
        if not self._books.lost.is_looking:
            self._books.orders.completed(order, state)

    def completedOrdersEnd(self) -> None:
        """Process the end of the completed orders."""
        self._requests.end(COMPLETED_ORDERS)

    def execDetails(self, reqId: int, contract: Contract, execution: Execution) -> None:
        """Process an execution: a new one, or a requested one of the day.

        Raises:
            DataError: If the instrument's multiplier is unknown.
        """
        if execution.acctNumber != self._books.account.id:
            return
        if execution.clientId == self._books.orders.client_id:
            self._hooks.number_proposed(execution.orderId + 1)
        instrument, multiplier = self._books.contracts.name_of(contract)
        if not is_known(multiplier) and execution.orderRef in self._books.orders:
            # The order is ours, so its instrument is known.
            instrument = self._books.orders.of(execution.orderRef).order.instrument
            multiplier = self._books.contracts.multiplier_of(instrument)
        if not is_known(multiplier):
            raise DataError(f"the contract of {instrument} is not known")
        self._books.lost.check(execution.orderRef, permanent_id=execution.permId, client_id=execution.clientId)
        self._books.lost.look_at_execution(contract, execution)
        was_asked_for = reqId in self._requests
        executed_ns = nanoseconds(execution.time)
        self._books.executions.newest_ns = max(self._books.executions.newest_ns, executed_ns)
        fill = Fill(
            execution_id=execution.execId,
            order_id=execution.orderRef if execution.orderRef in self._books.orders else "",
            instrument=instrument,
            side=side_of_execution(execution.side),
            quantity=execution.shares,
            price=execution.price,
            # TWS's execution time has whole seconds; for a live execution the arrival is more exact.
            at_ns=executed_ns if was_asked_for else self._now_ns,
            multiplier=multiplier,
            currency=cash_currency(contract),
        )
        for event in self._books.executions.take(fill):
            self._hooks.tell(event)
            if isinstance(event, Fill):
                self._books.orders.fill(event)
                self._books.account.fill(event)

    def execDetailsEnd(self, reqId: int) -> None:
        """Process the end of the day's executions."""
        self._requests.end(reqId)

    def commission(self, execution_id: str, amount: float, currency: str) -> None:
        """Process the commission of an execution; it stays unknown while TWS leaves it unset."""
        if not is_known(amount):
            return
        commission = Commission(execution_id=execution_id, amount=amount, at_ns=self._now_ns, currency=currency)
        for event in self._books.executions.take_commission(commission):
            self._hooks.tell(event)

    # ---- the account

    def updateAccountValue(self, tag: str, value: str, currency: str, account: str) -> None:
        """Process one figure of the account."""
        self._books.account.value(tag, value, currency, account)

    def accountDownloadEnd(self, _account: str) -> None:
        """Process the end of the account's figures."""
        self._requests.end(ACCOUNT)

    def position(self, account: str, contract: Contract, quantity: float, average_cost: float) -> None:
        """Process the position in one instrument; IB's average cost includes the multiplier.

        Raises:
            DataError: If TWS does not report the quantity or the multiplier.
        """
        if account != self._books.account.id:
            return
        instrument, multiplier = self._books.contracts.name_of(contract)
        if not is_known(multiplier):
            raise DataError(f"the contract of {instrument} is not known")
        if not is_known(quantity):
            raise DataError(f"the quantity of {instrument} is not known")
        self._books.account.position(PositionReport(instrument, quantity, average_cost / multiplier, self._now_ns))

    def positionEnd(self) -> None:
        """Process the end of the positions."""
        self._requests.end(POSITIONS)

    # ---- errors and notices, which share one message

    def error(self, reqId: int, errorCode: int, errorString: str, _reject: str = "") -> None:
        """Route a numbered message to the order, request or feed it concerns; report others as notices."""
        text = " ".join(errorString.split())
        order = self._books.orders.with_number(reqId)
        if errorCode == codes.CLIENT_ID_IN_USE and self.wire is not None:
            self.wire.refuse_client_id()
        elif errorCode in codes.CONNECTIVITY:
            self._hooks.connectivity(errorCode, text)
        elif order is not None:
            if errorCode == codes.DUPLICATE_ORDER_ID and self.wire is not None:
                self.wire.reqIds(1)
            if self._books.orders.error(order, errorCode, text):
                self._hooks.compare_soon()
            elif errorCode not in codes.ORDER_INFORMATION and errorCode != codes.CANCELLED:
                self._hooks.compare_account_soon()
        elif reqId in self._requests and errorCode not in codes.WARNINGS:
            self._requests.refuse(reqId, errorCode, text)
        elif reqId in self._market:
            self._market.error(reqId, errorCode, text, self._now_ns)
        else:
            is_expected = errorCode in codes.FARM_BROKEN and self._hooks.is_away()
            severity = Severity.INFO if is_expected or errorCode in codes.GOOD_NEWS else Severity.WARNING
            self._hooks.tell(Notice(f"{text} (TWS error {errorCode})", self._now_ns, severity))
