"""Aims: leading a run to its target position, after the orders that conflict with it are withdrawn.

Market orders lead to a target. Before one leaves, no other order may be able to carry the position beyond the target,
or through zero:

* A target of zero, or on the other side of zero, withdraws all orders of the run in the instrument.
* A target that reduces the position withdraws pending entries, and cuts the orders that protect the position down to
  its remaining size: the stops together and the limits together, the newest first.
* A target that adds to the position cuts pending entries down to the missing quantity, the newest first, and leaves
  the orders that protect the position unchanged.
* A pending market order that leads away from the target, or beyond it, is withdrawn.

If nothing needs to be withdrawn, the market order leaves in the same event. Otherwise the run has an `Aim`: the order
leaves once the venue has answered, for the quantity missing then, whatever has filled meanwhile. An aim is recorded in
the journal, and a new one replaces it. Orders that the strategy makes by itself meanwhile, such as one that opens the
other way right after `close`, are not part of it. But if a limit closes a position, the strategy's own market orders
that reduce it count, so that no more is closed than is held. An aim of zero outlasts a halt, a lost link and a restart.
While the guardian cancels orders or closes positions, it waits.
"""

from __future__ import annotations

import math
from collections.abc import Container
from typing import TYPE_CHECKING

import msgspec

from ibdesk.engine.closing_retries import RETRY_TIMER, after_failure
from ibdesk.engine.obstacles import ANSWERED, is_answered, is_clear, missing_to, obstacles_to
from ibdesk.engine.open_orders import OpenOrders, Sort, sort_of
from ibdesk.errors import OrderDeniedError, StrategyError
from ibdesk.model import Aim, AimChanged, Fill, Order, OrderStatus, SetTimer, Severity, Side

if TYPE_CHECKING:
    from ibdesk.engine.holdings import Holding
    from ibdesk.engine.lane import Lane
    from ibdesk.engine.order_flow import OrderFlow
    from ibdesk.engine.run import Run

AIM_TIMER = "/aim/"
"""The prefix of the ids of timers for aims; those of runs begin with the run's id."""

_SECOND = 1_000_000_000
# After this time without an answer, cancels are repeated and a person is notified.
_PATIENCE_SECONDS = 10
# The most rounds of withdrawing in one event: a strategy may order again after each withdrawn order.
_MOST_LOOKS = 20


class Aims:
    """Leads runs to their target positions."""

    def __init__(self, flow: OrderFlow) -> None:
        self._flow = flow
        # The lanes whose aims this event may have changed.
        self.changed: dict[tuple[str, str], Lane] = {}

    def aim(self, lane: Lane, target: float, *, flattens: bool = False) -> str | None:
        """Lead a run to a target; return the id of the order, or None if none leaves now.

        With `flattens` a person or a limit wants the position closed. Under a halt such an aim is recorded, always
        passes the gate, and cannot be changed by strategies.
        """
        flow = self._flow
        if lane.aim is not None and lane.aim.flattens:
            return None
        if (flattens and flow.gate.halts) or (flow.gate.halts.is_exclusive and not lane.run.is_running):
            lane.is_closed = True
            self._set(lane, Aim(target=0.0, flattens=True))
            return self._pursue(lane, is_new=True)
        lane.is_closed = target == 0
        is_known = lane.aim is not None and lane.aim.target == target and not lane.aim.apart
        if is_known and (lane.waiting or not flow.link_up):
            # It is already in progress.
            return None
        held, sums = flow.held(lane), flow.blotter.sums(lane.run.id, lane.instrument)
        if lane.aim is None and flow.blotter.is_settled and is_clear(sums, held, target):
            missing = self._rounded(lane, missing_to(sums, held, target))
            if missing == 0:
                return None
            if flow.link_up or abs(target) > abs(held) or target * held < 0:
                return self._order(lane, missing)
        self._set(lane, Aim(target=target))
        return self._pursue(lane, is_new=True)

    def is_exit(self, order_id: str, holding: Holding) -> bool:
        """Return whether an order closes a position for a person or a limit."""
        run = self._flow.runs.get(holding.owner)
        lane = None if run is None else run.lanes.get(holding.total.instrument)
        if lane is None or lane.aim is None or not lane.aim.flattens:
            return False
        # The first is recorded; the second is that of an order which is passing the gate.
        return order_id in (lane.aim.order_id, lane.aimed_order)

    def flatten(self, run: Run) -> None:
        """Close the positions of a run, which may have ended; one instrument does not wait for another."""
        for lane in run.lanes.values():
            self._flow.call(run, self._flatten, lane)

    def _flatten(self, lane: Lane) -> None:
        self.aim(lane, 0.0, flattens=True)

    def note_apart(self, lane: Lane, order_id: str) -> None:
        """Note an order that a strategy is about to make by itself: it is not part of an aim."""
        lane.is_closed = False
        if lane.aim is not None:
            self._set(lane, msgspec.structs.replace(lane.aim, apart=[*lane.aim.apart, order_id]))

    def note_fill(self, lane: Lane, fill: Fill) -> None:
        """Note an execution that has just been booked."""
        aim = lane.aim
        if aim is not None and fill.order_id in aim.apart:
            filled = aim.apart_filled + fill.signed_quantity
            if aim.flattens and filled * (self._flow.held(lane) - filled) < 0:
                # A quantity that closes the position is not closed again.
                filled = 0.0
            self._set(lane, msgspec.structs.replace(aim, apart_filled=filled))
            if lane.kept_aim is not None and fill.order_id in lane.kept_aim.apart:
                lane.kept_aim = msgspec.structs.replace(lane.kept_aim, apart_filled=filled)

    def settle(self, lane: Lane, order: Order, news: str = "") -> None:
        """Continue after an order of a lane has changed, once its strategy knows; `news` is the venue's new reason."""
        aim, waiting = lane.aim, lane.waiting
        if aim is None or (order.id in aim.apart and not aim.flattens):
            return
        if order.id in waiting:
            keep = waiting[order.id]
            if is_answered(order, keep, self._flow.blotter):
                del waiting[order.id]
            elif 0 < keep < ANSWERED and news:
                # The venue keeps the order's quantity, so all of it must be cancelled.
                waiting[order.id] = 0.0
                self._flow.cancel(order.id)
        elif order.id == aim.order_id and order.status in _ENDED_OTHERWISE:
            self._fail(lane, aim, order)
            return
        if not waiting:
            self._pursue(lane)

    def reopen(self, lane: Lane) -> None:
        """Close the position again: an ended order has filled, and the last target was zero."""
        if lane.is_closed and lane.aim is None and self._flow.gate.decides:
            self.aim(lane, 0.0)

    def pursue_all(self) -> None:
        """Continue all aims, after the link is back or a restart; repeat the requests to the venue."""
        for run in self._flow.runs.values():
            for lane in run.lanes.values():
                if lane.aim is not None:
                    self._flow.call(run, self._ask_again, lane)
        self._flow.manual_exits.pursue_all()

    def on_timer(self, timer_id: str) -> None:
        """Repeat requests that have not been answered for a while, and report it."""
        _, _, run_id, instrument = timer_id.split("/", 3)
        run = self._flow.runs.get(run_id)
        lane = None if run is None else run.lanes.get(instrument)
        if lane is None or run is None:
            return
        if timer_id.startswith(RETRY_TIMER):
            if lane.is_paused and lane.aim is not None:
                self._flow.call(run, self._ask_again, lane)
            return
        lane.is_timed = False
        if lane.aim is None or not lane.waiting:
            return
        self._flow.alert(
            run.id,
            f"{instrument}: the target {lane.aim.target:g} has waited {_PATIENCE_SECONDS} s for the venue to withdraw "
            f"{', '.join(lane.waiting)}: asked again; check the orders in TWS if this alert is repeated",
            Severity.WARNING,
        )
        self._flow.call(run, self._ask_again, lane)

    def _fail(self, lane: Lane, aim: Aim, order: Order) -> None:
        """Give up an aim whose order had no effect; one of a limit is tried again after a pause."""
        if self._is_put_off(lane, aim):
            self._set(lane, msgspec.structs.replace(aim, order_id=""))
            return
        self._set(lane, after_failure(self._flow, aim, order) if aim.flattens else None)
        lane.is_paused = lane.aim is not None

    def let_go(self, order: Order) -> None:
        """Stop closing a position for a limit: a person has cancelled the closing order."""
        run = self._flow.runs.get(order.owner)
        lane = None if run is None else run.lanes.get(order.instrument)
        closes = lane is not None and lane.aim is not None and lane.aim.flattens and lane.aim.order_id == order.id
        if not closes and not self._flow.manual_exits.let_go(order):
            return
        text = f"{order.instrument}: {order.id} was cancelled by a person, so it does not close the position"
        self._flow.alert(order.owner, text, Severity.WARNING)
        if lane is not None:
            self._set(lane, None)

    def _ask_again(self, lane: Lane) -> None:
        lane.waiting, lane.is_paused = {}, False
        self._pursue(lane, again=True)

    def take_back(self, run: Run, made: Container[str]) -> None:
        """Undo the aims that a run has set in the current event, with the orders that it has `made`.

        An aim of a person or a limit to close a position stays: its order is made again (`go_on`).
        """
        for lane in run.lanes.values():
            aim = lane.aim
            if aim is lane.kept_aim:
                continue
            if aim is None or not aim.flattens:
                self._set(lane, lane.kept_aim)
                continue
            order_id = "" if aim.order_id in made else aim.order_id
            apart = [each for each in aim.apart if each not in made]
            self._set(lane, msgspec.structs.replace(aim, order_id=order_id, apart=apart))

    def go_on(self, run: Run) -> None:
        """Continue the aims of a run that has ended."""
        for lane in run.lanes.values():
            if lane.aim is not None:
                lane.waiting = {}
                self._pursue(lane)

    def record(self) -> None:
        """Record the aims that this event has changed."""
        if not self.changed:
            return
        for (run_id, instrument), lane in self.changed.items():
            lane.kept_aim = lane.aim
            if lane.aim != lane.recorded_aim:
                lane.recorded_aim = lane.aim
                self._flow.add(AimChanged(run_id, instrument, lane.aim))
        self.changed.clear()

    def _set(self, lane: Lane, aim: Aim | None) -> None:
        lane.aim = aim
        if aim is None:
            lane.waiting, lane.is_paused = {}, False
        self.changed[lane.run.id, lane.instrument] = lane

    def _pursue(self, lane: Lane, *, is_new: bool = False, again: bool = False) -> str | None:
        """Withdraw conflicting orders; if there are none, send the order. With `again` repeat the requests."""
        if lane.is_pursued or lane.is_paused or not self._flow.gate.decides:
            return None
        if lane.aim is not None and lane.aim.target != 0 and not lane.run.is_running:
            # Without its strategy, only a target of zero is pursued.
            self._set(lane, None)
            return None
        lane.is_pursued, order_id = True, None
        try:
            for _ in range(_MOST_LOOKS):
                if lane.aim is not None and self._clear_the_way(lane, lane.aim, is_new=is_new, again=again):
                    is_new = again = False
                    continue
                order_id = None if lane.aim is None or lane.waiting else self._arrive(lane, lane.aim)
                if order_id is None or lane.aim is None or lane.aim.order_id or lane.is_paused:
                    break
                # The strategy received the order's change, and now wants another position.
                is_new = True
            else:
                raise StrategyError(
                    f"{lane.run.id}: its on_order has ordered again after an order was withdrawn or denied "
                    f"{_MOST_LOOKS} times in one event: do not order there while a target is pursued"
                )
        finally:
            lane.is_pursued = False
        self._look_after(lane)
        return order_id

    def _clear_the_way(self, lane: Lane, aim: Aim, *, is_new: bool, again: bool) -> bool:
        """Request the withdrawals; return whether all took effect at once, so that another round is due."""
        flow, held = self._flow, self._flow.held(lane) - aim.apart_filled
        obstacles = obstacles_to(self._orders(lane, aim), held, aim.target, flow.blotter)
        fresh = {order_id: keep for order_id, keep in obstacles.items() if lane.waiting.get(order_id) != keep}
        if fresh and is_new and aim.target * held < 0 and self._is_denied(lane, aim.target - held):
            return False
        lane.waiting = obstacles
        for order_id, keep in fresh.items():
            order = flow.blotter.orders[order_id]
            if 0 < keep < ANSWERED and flow.link_up:
                flow.modifications.modify(
                    order_id, quantity=order.filled + self._rounded(lane, keep), limit_price=None, stop_price=None
                )
            elif not keep and (again or not flow.blotter.is_withdrawn(order_id)):
                flow.cancel(order_id)
        # Orders that had not left have already changed.
        for order_id, keep in fresh.items():
            order = flow.blotter.orders[order_id]
            if is_answered(order, keep, flow.blotter):
                lane.waiting.pop(order_id, None)
        return bool(fresh) and not lane.waiting

    def _arrive(self, lane: Lane, aim: Aim) -> str | None:
        """Order the missing quantity; the aim is reached if there is none."""
        flow = self._flow
        held, sums = flow.held(lane) - aim.apart_filled, OpenOrders()
        for order in self._orders(lane, aim):
            sums.add(order, order.remaining)
        missing = missing_to(sums, held, aim.target)
        if aim.flattens:
            missing = _closing(missing, flow.held(lane))
        missing = self._rounded(lane, missing)
        if missing == 0:
            # An order of the run that closes the position can still fail.
            is_on_its_way = aim.flattens and sums.base(held) != held
            if not is_on_its_way and not flow.blotter.is_open(aim.order_id):
                self._set(lane, None)
            return None
        if not flow.link_up:
            text = f"{lane.instrument}: the link is down: {missing:+g} are ordered once it is up"
            flow.alert(lane.run.id, text, Severity.WARNING)
            return None
        if self._is_put_off(lane, aim):
            text = f"{lane.instrument}: {missing:+g} are ordered, if still held, once the guardian's halt is lifted"
            flow.alert(lane.run.id, text, Severity.WARNING)
            return None
        order_id = self._order(lane, missing)
        if flow.blotter.orders[order_id].status is OrderStatus.DENIED and aim.target * held < 0:
            # The orders that protected the position are gone, so it is closed anyway.
            order_id = self._order(lane, -held)
        if lane.aim is not None and lane.aim.target == aim.target:
            self._take(lane, lane.aim, flow.blotter.orders[order_id])
        return order_id

    def _take(self, lane: Lane, aim: Aim, order: Order) -> None:
        """Store the order that leads to a target in the aim, if it passed the gate."""
        flow = self._flow
        if not order.is_open:
            self._fail(lane, aim, order)
            return
        self._set(lane, msgspec.structs.replace(aim, order_id=order.id))
        if aim.flattens and not flow.gate.halts.is_empty:
            # Orders by which the strategy has protected the position meanwhile could open one.
            flow.halting.trim(flow.exposures.holding(lane.run.id, lane.instrument))

    def _is_put_off(self, lane: Lane, aim: Aim) -> bool:
        """Return whether closing must wait, because the guardian cancels orders or closes positions."""
        return self._flow.gate.halts.is_exclusive and (aim.flattens or not lane.run.is_running)

    def _rounded(self, lane: Lane, quantity: float) -> float:
        """Return the quantity on the size increment, rounded towards zero."""
        return self._flow.markets[lane.instrument].instrument.round_size(quantity) if quantity else 0.0

    def _order(self, lane: Lane, quantity: float) -> str:
        return lane.run.orders.send(
            lane, side=Side.BUY if quantity > 0 else Side.SELL, quantity=abs(quantity), aims=True
        )

    def _orders(self, lane: Lane, aim: Aim) -> list[Order]:
        """Return the open orders of an aim; if it closes a position, also own market orders that reduce it.

        Orders that wait for a price are not part: a strategy that protects its position again would prevent the close.
        """
        orders = self._flow.blotter.open_orders(lane.run.id, lane.instrument)
        if not aim.apart:
            return orders
        held = self._flow.held(lane) if aim.flattens else 0.0
        return [
            order
            for order in orders
            if order.id not in aim.apart or (sort_of(order) is Sort.MARKET and order.side.sign * held < 0)
        ]

    def _is_denied(self, lane: Lane, quantity: float) -> bool:
        """Return whether the gate would deny an order that goes through zero; if so, nothing is withdrawn for it."""
        order = lane.run.orders.make(lane, side=Side.BUY if quantity > 0 else Side.SELL, quantity=abs(quantity))
        try:
            self._flow.examine(order, OpenOrders())
        except OrderDeniedError as denial:
            self._set(lane, None)
            lane.run.orders.deny(lane, order, denial)
            return True
        return False

    def _look_after(self, lane: Lane) -> None:
        """Set a timer that repeats requests which the venue does not answer."""
        if lane.waiting and not lane.is_timed:
            lane.is_timed = True
            timer_id = f"{AIM_TIMER}{lane.run.id}/{lane.instrument}"
            self._flow.add(SetTimer(timer_id, self._flow.now_ns + _PATIENCE_SECONDS * _SECOND))


def _closing(missing: float, held: float) -> float:
    """Return the part of a quantity that closes the position: never through zero."""
    return math.copysign(min(abs(missing), abs(held)), missing) if missing * held < 0 else 0.0


def leaves(lane: Lane, order: Order, *, made_before: int | None = None) -> bool:
    """Return whether an open order stays when its run ends: it closes the position, or was made in `on_stop`.

    The orders of `on_stop` are the market orders with numbers above `made_before`.
    """
    if lane.aim is not None and order.id == lane.aim.order_id:
        return True
    number = order.id.rpartition(".")[2]
    is_new = made_before is not None and number.isdigit() and int(number) > made_before
    return is_new and sort_of(order) is Sort.MARKET


_ENDED_OTHERWISE = frozenset({OrderStatus.DENIED, OrderStatus.REJECTED, OrderStatus.CANCELLED, OrderStatus.EXPIRED})
