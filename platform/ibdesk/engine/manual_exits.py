"""Closing positions by hand for a limit: the book `manual` has no run whose aim could do it.

Its orders in the instrument are withdrawn; once the venue has answered, the position held then is closed at the market.
A closing order that fails is tried again like those of runs (see `engine.closing_retries`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ibdesk.engine.closing_retries import RETRY_TIMER, after_failure
from ibdesk.engine.portfolio import MANUAL
from ibdesk.model import Aim, AimChanged, Order, OrderStatus, OrderType, SetTimer, Severity, Side

if TYPE_CHECKING:
    from ibdesk.engine.order_flow import OrderFlow

MANUAL_RETRY_TIMER = f"{RETRY_TIMER}{MANUAL}/"
"""The prefix of the ids of timers after which such an order is tried again."""

MANUAL_CANCEL_TIMER = "/manual-cancels/"
"""The prefix of the ids of timers that repeat cancels which the venue does not answer."""

_SECOND = 1_000_000_000
# After this time without an answer, cancels are repeated.
_PATIENCE_SECONDS = 10


class ManualExits:
    """The instruments in which a position by hand is being closed, each with its aim."""

    def __init__(self, flow: OrderFlow) -> None:
        self._flow = flow
        self.aims: dict[str, Aim] = {}
        # The instruments whose next try waits for a timer, and those with a timer for cancels.
        self._paused: set[str] = set()
        self._timed: set[str] = set()
        # The instruments in which such an exit is done, and nothing was ordered by hand since.
        self._closed: set[str] = set()
        self._is_pursuing = False

    def close(self, instrument: str) -> None:
        """Close the position in an instrument, unless that is in progress."""
        if instrument not in self.aims:
            self._set(instrument, Aim(target=0.0, flattens=True))
            self._pursue(instrument)

    def begin_anew(self, instrument: str) -> None:
        """Note that a person orders in an instrument again."""
        self._closed.discard(instrument)

    def reopen(self, instrument: str) -> None:
        """Close the position again: an ended order has filled, and the last target was zero."""
        if instrument in self._closed and self._flow.gate.decides:
            self.close(instrument)

    def settle(self, order: Order) -> None:
        """Continue after an order by hand has changed or filled."""
        aim = self.aims.get(order.instrument)
        if aim is None:
            return
        if order.id == aim.order_id and not order.is_open:
            self._end(aim, order)
        else:
            self._pursue(order.instrument)

    def let_go(self, order: Order) -> bool:
        """Stop closing a position if a person cancelled its closing order; return whether that was so."""
        aim = self.aims.get(order.instrument)
        if aim is None or order.id != aim.order_id:
            return False
        self._set(order.instrument, None)
        return True

    def on_timer(self, timer_id: str) -> None:
        """Try again, or repeat requests that the venue has not answered."""
        if timer_id.startswith(MANUAL_RETRY_TIMER):
            instrument = timer_id.removeprefix(MANUAL_RETRY_TIMER)
            self._paused.discard(instrument)
        else:
            instrument = timer_id.removeprefix(MANUAL_CANCEL_TIMER)
            self._timed.discard(instrument)
        self._pursue(instrument, again=True)

    def pursue_all(self) -> None:
        """Continue all exits, after the link is back or a restart."""
        for instrument in list(self.aims):
            self._paused.discard(instrument)
            self._pursue(instrument, again=True)

    def take(self, instrument: str, aim: Aim | None) -> None:
        """Set a recorded aim."""
        if aim is None:
            self.aims.pop(instrument, None)
        else:
            self.aims[instrument] = aim

    # --- inside

    def _set(self, instrument: str, aim: Aim | None) -> None:
        self.take(instrument, aim)
        self._paused.discard(instrument)
        self._flow.add(AimChanged(MANUAL, instrument, aim))

    def _end(self, aim: Aim, order: Order) -> None:
        if order.status is OrderStatus.FILLED:
            self._set(order.instrument, msgspec.structs.replace(aim, order_id=""))
            self._pursue(order.instrument)
            return
        if self._flow.gate.halts.is_exclusive:
            # The guardian cancels all orders or closes positions: this waits until its halt is lifted.
            self._set(order.instrument, msgspec.structs.replace(aim, order_id=""))
            return
        self._set(order.instrument, after_failure(self._flow, aim, order))
        if order.instrument in self.aims:
            self._paused.add(order.instrument)

    def _pursue(self, instrument: str, *, again: bool = False) -> None:
        flow, aim = self._flow, self.aims.get(instrument)
        if aim is None or self._is_pursuing or instrument in self._paused or not flow.gate.decides:
            return
        self._is_pursuing = True
        try:
            self._clear_the_way(instrument, aim, again=again)
        finally:
            self._is_pursuing = False
        waiting = flow.blotter.open_orders(MANUAL, instrument)
        if not waiting:
            self._arrive(instrument, aim)
        elif instrument not in self._timed and any(order.id != aim.order_id for order in waiting):
            self._timed.add(instrument)
            flow.add(SetTimer(f"{MANUAL_CANCEL_TIMER}{instrument}", flow.now_ns + _PATIENCE_SECONDS * _SECOND))

    def _clear_the_way(self, instrument: str, aim: Aim, *, again: bool) -> None:
        """Withdraw other orders that could fill, and a closing order that would carry the position through zero."""
        flow, held = self._flow, self._held(instrument)
        for order in flow.blotter.open_orders(MANUAL, instrument):
            closes = order.id == aim.order_id and order.side.sign * held < 0 and order.remaining <= abs(held)
            if not closes and (again or not flow.blotter.is_withdrawn(order.id)):
                flow.cancel(order.id)

    def _arrive(self, instrument: str, aim: Aim) -> None:
        """Order the opposite of the position; the aim is reached if there is none."""
        flow, held = self._flow, self._held(instrument)
        if not held:
            self._set(instrument, None)
            self._closed.add(instrument)
            return
        if not flow.link_up:
            text = f"{instrument}: the link is down: the position by hand is closed once it is up"
            flow.alert(MANUAL, text, Severity.WARNING)
            return
        if flow.gate.halts.is_exclusive:
            text = (
                f"{instrument}: {held:g} ordered by hand are closed, if still held, once the guardian's halt is lifted"
            )
            flow.alert(MANUAL, text, Severity.WARNING)
            return
        order = self._order(instrument, held)
        # First, so that an answer to the order is recognized.
        self._set(instrument, msgspec.structs.replace(aim, order_id=order.id))
        flow.submit(order)

    def _order(self, instrument: str, held: float) -> Order:
        number, at_ns = self._flow.now_ns // 1_000, self._flow.now_ns
        while (order_id := f"{MANUAL}-x{number}") in self._flow.blotter.orders:
            number += 1
        return Order(
            id=order_id,
            owner=MANUAL,
            instrument=instrument,
            side=Side.SELL if held > 0 else Side.BUY,
            quantity=abs(held),
            type=OrderType.MARKET,
            created_ns=at_ns,
            updated_ns=at_ns,
            by="risk",
        )

    def _held(self, instrument: str) -> float:
        return self._flow.exposures.holding(MANUAL, instrument).position.quantity
