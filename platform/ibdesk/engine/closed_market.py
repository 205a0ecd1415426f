"""Orders that are made while the market of their instrument is closed: denied, held here, or sent.

With `WhenClosed.USUAL` a market order that opens a position is held: it has no price of its own, so it passes the risk
gate again at the first price after the open. Everything else is sent, and the venue holds it until the open: an exit
must leave because this program may not be running then, and a limit or a stop states its price.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from ibdesk.errors import OrderDeniedError
from ibdesk.model import (
    ClockChecked,
    Order,
    OrderQueued,
    OrderStatus,
    OrderType,
    SetTimer,
    TradingHours,
    VenueWindow,
    WhenClosed,
)

if TYPE_CHECKING:
    from ibdesk.engine.order_flow import OrderFlow

OPEN_TIMER = "/open/"
"""The prefix of the ids of timers that release held orders at an open."""

_HELD = "held until its market opens"
_SECOND = 1_000_000_000


class Sessions:
    """The sessions of one kind, regular or extended, of one instrument."""

    __slots__ = ("_closes", "_known_until_ns", "_opens")

    def __init__(self, spans: list[tuple[int, int]], known_until_ns: int) -> None:
        self._opens = [opens_ns for opens_ns, _ in spans]
        self._closes = [closes_ns for _, closes_ns in spans]
        self._known_until_ns = known_until_ns

    def opens_at(self, now_ns: int) -> int:
        """Return the time of the next open; 0 if it is open, or if the hours are not known."""
        at = bisect.bisect_right(self._closes, now_ns)
        if at < len(self._opens):
            return self._opens[at] if self._opens[at] > now_ns else 0
        return self._known_until_ns if now_ns < self._known_until_ns else 0


class ClosedMarket:
    """The hours of the instruments, and the orders that wait for an open, by id with its time.

    With `waits` False a held order leaves at the open itself: that is for a driver whose prices are bars, which are
    known only at their end.
    """

    def __init__(self, flow: OrderFlow, *, waits: bool) -> None:
        self._flow, self._waits = flow, waits
        self._hours: dict[str, tuple[Sessions, Sessions]] = {}
        # By instrument: the ids of the held orders, with the time at which each may leave.
        self.held: dict[str, dict[str, int]] = {}
        # The instruments whose market has opened and whose first price is awaited.
        self.due: set[str] = set()

    def take_hours(self, hours: TradingHours) -> None:
        """Replace the sessions of an instrument in the coming days."""
        until_ns = hours.known_until_ns
        self._hours[hours.instrument] = Sessions(hours.regular, until_ns), Sessions(hours.extended, until_ns)

    def opens_at(self, order: Order) -> int:
        """Return the next open of an order's market; 0 if it is open, or if the hours are not known."""
        hours = self._hours.get(order.instrument)
        return 0 if hours is None else hours[order.outside_regular_hours].opens_at(self._flow.now_ns)

    def keeps(self, order: Order, *, reduces: bool) -> bool:
        """Hold an order that has passed the gate if its market is closed; return whether it is held.

        Raises:
            OrderDeniedError: If its market is closed and its `when_closed` is DENY.
        """
        hours = self._hours.get(order.instrument)
        if hours is None or not (opens_ns := hours[order.outside_regular_hours].opens_at(self._flow.now_ns)):
            return False
        if order.when_closed is WhenClosed.DENY:
            raise OrderDeniedError(order.id, "market_closed", opens_ns / _SECOND, self._flow.now_ns / _SECOND)
        if order.when_closed is WhenClosed.SEND or (
            order.when_closed is WhenClosed.USUAL and (order.type is not OrderType.MARKET or reduces)
        ):
            return False
        self._hold(msgspec.structs.replace(order, reason=_HELD), opens_ns)
        return True

    def drop(self, order: Order) -> None:
        """Stop holding an order."""
        held = self.held.get(order.instrument)
        if held is not None and held.pop(order.id, None) is not None and not held:
            del self.held[order.instrument]
            self.due.discard(order.instrument)

    def on_timer(self, timer_id: str) -> None:
        """Note that the market of an instrument opens now."""
        if not timer_id.startswith(OPEN_TIMER):
            return
        instrument, flow = timer_id.removeprefix(OPEN_TIMER), self._flow
        if instrument not in self.held:
            return
        self.due.add(instrument)
        if not self._waits:
            self.release(instrument, flow.now_ns)
        elif not flow.freshness.holds_back:
            # The first price after the open can come before this timer.
            self.release(instrument, flow.markets[instrument].price_at_ns)

    def release(self, instrument: str, priced_ns: int) -> None:
        """Pass the orders that waited for an open through the gate again; `priced_ns` is the time of a price."""
        flow = self._flow
        if not flow.link_up:
            return
        self.due.discard(instrument)
        for order_id, opens_ns in list(self.held.get(instrument, {}).items()):
            order = flow.blotter.orders[order_id]
            # One of them may have caused another to be withdrawn.
            if order.status is OrderStatus.CREATED and opens_ns <= priced_ns:
                self.drop(order)
                self._let_go(msgspec.structs.replace(order, reason=""))
        if any(opens_ns <= flow.now_ns for opens_ns in self.held.get(instrument, {}).values()):
            self.due.add(instrument)

    def _let_go(self, order: Order) -> None:
        flow = self._flow
        try:
            reduces = flow.examine(order, flow.blotter.sums_without(order))
            # New hours may have arrived meanwhile, by which it is still closed.
            if not self.keeps(order, reduces=reduces):
                flow.send_or_queue(order, reduces=reduces)
        except OrderDeniedError as denial:
            flow.deny(order, denial)

    def _hold(self, order: Order, opens_ns: int) -> None:
        flow = self._flow
        # First, so that it is found if the rest has to be undone.
        flow.add(OrderQueued(order))
        flow.blotter.put(order)
        flow.refresh(order)
        self.held.setdefault(order.instrument, {})[order.id] = opens_ns
        flow.add(SetTimer(f"{OPEN_TIMER}{order.instrument}", opens_ns))


def day_handlers(flow: OrderFlow) -> dict[type, Callable[[Any], None]]:
    """Return the handlers of the events of the venue's day, by kind."""
    return {
        VenueWindow: flow.venue_day.take_window,
        ClockChecked: flow.venue_day.take_clock,
        TradingHours: flow.closed.take_hours,
    }
