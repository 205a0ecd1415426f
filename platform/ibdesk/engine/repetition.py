"""Repetition: a run that repeats the same order without effect is halted until a person lifts the halt.

An order has no effect if our own gate denied it, the venue rejected it, it was cancelled without an execution, or its
executions reversed those of the order before it. The first three are counted by their terms: side, quantity, limit and
stop. A strategy that moves its quote with the market has other terms each time. Reasons outside the run do not count: a
lost link, a halt, a desk that catches up, the wait for its turn, a window of the venue, a closed market.

At `risk.max_repeated_orders` of one kind in one instrument within `risk.repeat_window_seconds`, or at
`risk.max_consecutive_rejections` of the venue in a row, the run gets its own halt in state REDUCING: it may still close
its positions.
"""

from __future__ import annotations

import collections
import math
from typing import TYPE_CHECKING

from ibdesk.engine.freshness import CATCHING_UP
from ibdesk.engine.order_queue import WAIT_RULE
from ibdesk.errors import DAY_RULES
from ibdesk.model import Halt, Order, OrderStatus, TradingState, run_scope

if TYPE_CHECKING:
    from ibdesk.engine.order_flow import OrderFlow

REPETITION = "repetition"
"""The value of `Halt.by` for a run that repeats itself."""

_SECOND = 1_000_000_000
_NOT_ITS_DOING = frozenset({"link", "halt", CATCHING_UP, WAIT_RULE}) | DAY_RULES
_TAKEN_BACK = "taken back"

_Intent = tuple[object, ...]


class Repetition:
    """Counts of each owner's orders without effect, in the present window and the one before it."""

    def __init__(self, flow: OrderFlow) -> None:
        self._flow = flow
        # The last times without effect, by intent. Intents not seen for a window are dropped with `_before`.
        self._now: dict[_Intent, collections.deque[int]] = {}
        self._before: dict[_Intent, collections.deque[int]] = {}
        self._window_began_ns = 0
        # By owner: the venue's rejections in a row, and the last order that was rejected.
        self._rejections: dict[str, tuple[int, str]] = {}
        # By owner and instrument: the signed quantity of the last order that filled.
        self._last_filled: dict[tuple[str, str], float] = {}

    def denied(self, order: Order, rule: str) -> None:
        """Count an order that the gate denied."""
        if rule not in _NOT_ITS_DOING:
            self._count(order, "denied")

    def changed(self, order: Order) -> None:
        """Count by an order's new state."""
        match order.status:
            case OrderStatus.REJECTED:
                self._rejected(order)
            case OrderStatus.CANCELLED if not order.filled:
                self._count(order, "cancelled")
            case OrderStatus.WORKING | OrderStatus.HELD | OrderStatus.FILLED:
                self._rejections.pop(order.owner, None)

    def filled(self, order: Order) -> None:
        """Count a filled order if it reversed the one before it."""
        lane, quantity = (order.owner, order.instrument), order.side.sign * order.filled
        if self._last_filled.get(lane) == -quantity:
            # The pair is complete; the next order begins another one.
            self._last_filled[lane] = 0.0
            self._repeated((*lane, _TAKEN_BACK), order, "filled and taken back")
        else:
            self._last_filled[lane] = quantity

    def forgive(self, halt: Halt) -> None:
        """Reset the counts of a run whose halt a person has lifted."""
        if halt.by == REPETITION:
            self.forget(halt.scope)

    def forget(self, scope: str) -> None:
        """Reset the counts of the run of a scope."""
        for counted in (self._now, self._before):
            for intent in [each for each in counted if run_scope(str(each[0])) == scope]:
                del counted[intent]
        for owner in [each for each in self._rejections if run_scope(each) == scope]:
            del self._rejections[owner]

    def _rejected(self, order: Order) -> None:
        count, last = self._rejections.get(order.owner, (0, ""))
        if last == order.id:
            # Another message about the same rejection.
            return
        self._rejections[order.owner] = count + 1, order.id
        limit = self._flow.gate.limits.max_consecutive_rejections
        if count + 1 >= limit:
            self._halt(
                order.owner,
                f"{order.owner} was rejected {count + 1} times in a row by the venue, the last time {order.id} "
                f"({order.reason}); risk.max_consecutive_rejections is {limit:g}",
            )
        self._count(order, "rejected")

    def _count(self, order: Order, what: str) -> None:
        terms = order.side, order.quantity, order.limit_price, order.stop_price
        self._repeated((order.owner, order.instrument, *terms), order, what)

    def _repeated(self, intent: _Intent, order: Order, what: str) -> None:
        limits = self._flow.gate.limits
        limit, seconds = limits.max_repeated_orders, limits.repeat_window_seconds
        if math.inf in (limit, seconds) or not self._flow.gate.decides:
            return
        now_ns = self._flow.freshness.now_ns
        # Seconds of the market, as for the rate: limits that suit wall time also suit a faster market.
        window_ns = int(seconds * _SECOND)
        if now_ns - self._window_began_ns > window_ns:
            self._before, self._now, self._window_began_ns = self._now, {}, now_ns
        times = self._now.get(intent) or self._before.pop(intent, None)
        if times is None or times.maxlen != int(limit):
            times = collections.deque(times or (), maxlen=max(1, int(limit)))
        self._now[intent] = times
        times.append(now_ns)
        if len(times) == times.maxlen and now_ns - times[0] <= window_ns:
            self._halt(
                order.owner,
                f"{order.owner} asked for the same in {order.instrument} {len(times)} times within {seconds:g} s "
                f"without effect, the last time {order.id} was {what}; risk.max_repeated_orders is {limit:g}",
            )

    def _halt(self, owner: str, reason: str) -> None:
        scope = run_scope(owner)
        if not any(halt.by == REPETITION and halt.scope == scope for halt in self._flow.gate.halts.values()):
            self._flow.halting.halt(reason, REPETITION, scope=scope, state=TradingState.REDUCING)
