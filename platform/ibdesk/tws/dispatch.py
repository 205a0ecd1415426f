"""Sending orders: what leaves, under which number, and what is reported about an order that could not leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ibdesk.model import Order, OrderStatus
from ibdesk.tws.contracts import Contracts
from ibdesk.tws.ids import Ids
from ibdesk.tws.order_messages import OrderMessages
from ibdesk.tws.orderbook import OrderBook
from ibdesk.tws.tracked import Tracked
from ibdesk.tws.wire import Wire

_NOT_SENT = "never sent: the link to TWS is {}"


class Dispatch:
    """Places, modifies and cancels orders over the current wire; without one nothing leaves.

    Its own reports follow in the next turn of the loop, never inside the call, so that the caller finishes its own
    event first. Only orders and changes that the caller itself holds back are reported at once.
    """

    def __init__(self, *, book: OrderBook, contracts: Contracts, ids: Ids, link: Callable[[], str]) -> None:
        self._book = book
        self._contracts = contracts
        self._ids = ids
        self._link = link
        self._wire: Wire | None = None
        # Exists while `_wire` does.
        self._messages: OrderMessages
        # Send times of the orders that TWS has not mentioned yet, oldest first.
        self._unanswered: dict[str, float] = {}

    def open(self, wire: Wire, account: str) -> None:
        """Let orders leave over this wire; unanswered cancels are sent again first."""
        self._wire, self._messages = wire, OrderMessages(wire.serverVersion(), account)
        for tracked in self._book.to_cancel():
            self.cancel(tracked.order.id)

    def close(self) -> None:
        """Let no order leave."""
        self._wire = None

    def place(self, order: Order) -> None:
        """Send an order. If it cannot leave, report it rejected: it is certainly not at the venue.

        Raises:
            OrderError: If it was placed before.
        """
        number = self._ids.take()
        tracked = self._book.add(order, number)
        if self._wire is None:
            self._refuse(tracked, OrderStatus.REJECTED, _NOT_SENT.format(self._link()))
        elif order.instrument not in self._contracts:
            self._refuse(tracked, OrderStatus.REJECTED, f"never sent: {order.instrument} is not qualified")
        else:
            self._send(self._wire, tracked)
            # Bookkeeping that only comparisons need comes after the bytes.
            self._unanswered[order.id] = asyncio.get_running_loop().time()
            self._book.note_sent(tracked)

    def refuse(self, order: Order, reason: str) -> None:
        """Report an order rejected without sending it.

        Raises:
            OrderError: If it was placed before.
        """
        tracked = self._book.add(order, self._ids.take())
        self._book.never_sent(tracked, OrderStatus.REJECTED, f"never sent: {reason}")

    def keep_terms(self, order_id: str, reason: str) -> None:
        """Report that an order keeps its terms, without sending the change.

        Raises:
            OrderError: If it was never placed here.
        """
        self._book.tell_kept_terms(self._book.of(order_id), reason)

    def modify(self, order: Order) -> None:
        """Send the new terms of an open order.

        Raises:
            OrderError: If it was never placed here.
        """
        tracked = self._book.of(order.id)
        reason = self._why_not(tracked)
        if self._wire is None or reason:
            self._say(self._book.modification_not_sent, tracked, reason)
            return
        tracked.ask(order)
        self._send(self._wire, tracked)

    def cancel(self, order_id: str) -> None:
        """Cancel an order. If it still waits for budget, it never leaves; without a link, the cancel is sent later.

        Raises:
            OrderError: If it was never placed here.
        """
        tracked = self._book.of(order_id)
        if tracked.is_done:
            return
        tracked.cancel_wanted = True
        if self._wire is None:
            return
        if self._book.missing.is_nowhere(tracked):
            # There is nothing to cancel: TWS was asked twice and does not know the order.
            asyncio.get_running_loop().call_soon(self._book.missing.strike_off, tracked)
            return
        if not tracked.number or not self._book.is_mine(tracked):
            self._say(self._book.cancel_not_sent, tracked, self._why_not(tracked))
            return
        never_left = not self._has_left(self._wire, tracked)
        if self._wire.pacer.withdraw(tracked.number) and never_left:
            self._refuse(tracked, OrderStatus.CANCELLED, "withdrawn before it was sent")
            return
        self._wire.cancelOrder(tracked.number)

    def left_behind(self, wire: Wire, numbers: list[int], reason: str) -> None:
        """Settle the orders whose messages still waited for budget when the wire was closed."""
        for number in numbers:
            tracked = self._book.with_number(number)
            if tracked is None:
                continue
            if self._has_left(wire, tracked):
                self._say(self._book.modification_not_sent, tracked, reason)
            else:
                self._refuse(tracked, OrderStatus.REJECTED, f"never sent: {reason}")

    def overdue(self, seconds: float) -> list[Tracked]:
        """Return the orders that left at least `seconds` ago and were never answered; each is returned once."""
        late, now = [], asyncio.get_running_loop().time()
        for order_id, sent in list(self._unanswered.items()):
            tracked = self._book.of(order_id)
            answered = tracked.acknowledged or tracked.was_refused
            if not answered and now - sent < seconds:
                break
            if not answered and self._wire is not None and not self._has_left(self._wire, tracked):
                continue
            del self._unanswered[order_id]
            if not answered:
                late.append(tracked)
        return late

    def _send(self, wire: Wire, tracked: Tracked) -> None:
        _, contract = self._contracts.of(tracked.order.instrument)
        wire.place(tracked.number, self._messages.write(tracked.number, contract, tracked.order))

    def _has_left(self, wire: Wire, tracked: Tracked) -> bool:
        return tracked.acknowledged or tracked.is_unknown or wire.pacer.has_left(tracked.number)

    def _why_not(self, tracked: Tracked) -> str:
        if self._wire is None:
            return _NOT_SENT.format(self._link())
        if tracked.is_done:
            return "it is done"
        if not tracked.number:
            return "TWS has not named it since this program started"
        if not self._book.is_mine(tracked):
            return f"it was placed under client id {tracked.client_id}, connect with that one to change it"
        if tracked.order.instrument not in self._contracts:
            return f"{tracked.order.instrument} is not qualified"
        return ""

    def _refuse(self, tracked: Tracked, status: OrderStatus, reason: str) -> None:
        # Marked at once, so that a cancel or a second look in this turn finds it done; reported in the next.
        tracked.was_refused, tracked.refusal = True, reason
        asyncio.get_running_loop().call_soon(self._book.never_sent, tracked, status, reason)

    def _say(self, what: Callable[[Tracked, str], None], tracked: Tracked, reason: str) -> None:
        asyncio.get_running_loop().call_soon(what, tracked, reason)
