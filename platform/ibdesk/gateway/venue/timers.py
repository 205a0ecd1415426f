"""The times of an order on the gateway's clock: good-after and good-till, openings, closes and auctions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol

from ibdesk.gateway.market.sessions import late_close_ns
from ibdesk.gateway.schedule import Schedule, ScheduledAction
from ibdesk.gateway.times import ZONE_NAME, local
from ibdesk.gateway.venue import algorithms
from ibdesk.gateway.venue.records import Hold, Key, OrderRecord
from ibdesk.gateway.venue.terms import ConditionKind, TimeInForce
from ibdesk.model import Side

IGNORES_HOURS = frozenset({"MKT", "MOC", "LOC", "MTL"})
"""Order types for which TWS ignores outsideRth (documented for MKT, believed for the others)."""
RTH_IGNORED = (
    "Order Event Warning: Attribute 'Outside Regular Trading Hours' is ignored based on the order type and "
    "destination. PlaceOrder is now being processed."
)


class TimerActions(Protocol):
    """The operations that timers need of the order handler."""

    def release(self, record: OrderRecord, hold: Hold) -> None:
        """Lift one hold."""

    def suspend(self, record: OrderRecord, hold: Hold) -> None:
        """Withdraw an order from the exchange until a hold is lifted."""

    def expire_order(self, record: OrderRecord, reason: str) -> None:
        """End an order whose time has passed."""

    def look(self, record: OrderRecord) -> None:
        """Check the market and the conditions of an order."""

    def release_quantity(self, record: OrderRecord, released: float) -> None:
        """Allow `released` of an order's quantity, in total, to trade."""


class OrderTimers:
    """Sets the holds of orders that depend on time, and schedules their times.

    With `always` the market never closes: DAY orders do not end, and no order waits for an opening. Auctions still take
    place at the opens and closes of the contract's calendar.
    """

    def __init__(self, schedule: Schedule, actions: TimerActions, *, always: bool) -> None:
        self._schedule = schedule
        self._actions = actions
        self._always = always
        self._made: dict[Key, list[ScheduledAction]] = {}

    def is_regular(self, record: OrderRecord) -> bool:
        """Return whether the order's market is within its regular hours."""
        return self._always or record.contract.hours.is_open(self._schedule.now_ns)

    def begin(self, record: OrderRecord) -> None:
        """Set an order's initial holds, and schedule its times in place of earlier ones."""
        self.drop(record)
        terms, now_ns = record.terms, self._schedule.now_ns
        record.holds -= {Hold.TIME, Hold.HOURS, Hold.AUCTION}
        if terms.time_in_force is TimeInForce.GTD:
            self._at(
                record, terms.until_ns, lambda: self._actions.expire_order(record, "its good-till date has passed")
            )
        if terms.from_ns > now_ns:
            self._hold(record, Hold.TIME, terms.from_ns)
        for condition in terms.conditions:
            if condition.kind is ConditionKind.TIME:
                self._at(record, condition.at_ns, lambda: self._actions.look(record))
        hours = record.contract.hours
        if record.kind.in_auction:
            self._hold(record, Hold.AUCTION, hours.next_close_ns(now_ns), first=True)
        elif terms.time_in_force is TimeInForce.OPG:
            self._hold(record, Hold.AUCTION, hours.next_open_ns(now_ns))
        elif not self._always:
            self._keep_hours(record)
        self._spread(record, max(now_ns, terms.from_ns))

    def day_has_ended(self, record: OrderRecord, since_ns: int) -> bool:
        """Return whether the trading day of a DAY order that was open at `since_ns` has ended."""
        if self._always or record.terms.time_in_force is not TimeInForce.DAY:
            return False
        hours, outside = record.contract.hours, _outside(record)
        closes_ns = late_close_ns(hours, since_ns) if outside else hours.next_close_ns(since_ns)
        return closes_ns <= self._schedule.now_ns

    def warnings(self, record: OrderRecord) -> list[tuple[int, str]]:
        """Return code and text of TWS's warnings about a new order: 2109 (documented) and 399 (reported).

        The time in 399 has dashes in its date, unlike other times (reported).
        """
        told = []
        if record.terms.outside_rth and record.terms.kind in IGNORES_HOURS:
            told.append((2109, RTH_IGNORED))
        if Hold.HOURS in record.holds:
            opens_ns = record.contract.hours.next_open_ns(self._schedule.now_ns, outside_rth=_outside(record))
            side = "BUY" if record.order.side is Side.BUY else "SELL"
            contract = record.contract
            venue = contract.primary_exchange or contract.exchange
            told.append(
                (
                    399,
                    f"Order Message:\n{side} {record.order.quantity:g} {contract.symbol} {venue}\nWarning: "
                    f"Your order will not be placed at the exchange until {local(opens_ns):%Y-%m-%d %H:%M:%S} "
                    f"{ZONE_NAME}",
                )
            )
        return told

    def drop(self, record: OrderRecord) -> None:
        """Cancel all scheduled times of an order."""
        for scheduled in self._made.pop(record.key, ()):
            scheduled.cancel()

    def _keep_hours(self, record: OrderRecord) -> None:
        hours, now_ns = record.contract.hours, self._schedule.now_ns
        outside = _outside(record)
        if hours.is_open(now_ns, outside_rth=outside):
            closes_ns = late_close_ns(hours, now_ns) if outside else hours.next_close_ns(now_ns)
            self._at(record, closes_ns, lambda: self._closed(record))
            return
        record.holds.add(Hold.HOURS)
        self._at(record, hours.next_open_ns(now_ns, outside_rth=outside), lambda: self._opened(record))

    def _opened(self, record: OrderRecord) -> None:
        self._keep_hours(record)
        self._actions.release(record, Hold.HOURS)

    def _closed(self, record: OrderRecord) -> None:
        if record.terms.time_in_force is TimeInForce.DAY:
            self._actions.expire_order(record, "the trading day is over")
            return
        self._actions.suspend(record, Hold.HOURS)
        self._keep_hours(record)

    def _spread(self, record: OrderRecord, from_ns: int) -> None:
        """Release the parts of an algorithm's order one by one."""
        algorithm, quantity = record.terms.algorithm, record.order.quantity
        record.released = quantity
        if algorithm is None or algorithm.name not in algorithms.WEIGHTS:
            return
        record.released = 0.0
        for at_ns, part in algorithms.parts(algorithm, quantity, record.contract.instrument.size_increment, from_ns):
            if at_ns <= self._schedule.now_ns:
                record.released = part
            else:
                self._at(record, at_ns, functools.partial(self._actions.release_quantity, record, part))

    def _hold(self, record: OrderRecord, hold: Hold, until_ns: int, *, first: bool = False) -> None:
        record.holds.add(hold)
        self._at(record, until_ns, lambda: self._actions.release(record, hold), first=first)

    def _at(self, record: OrderRecord, at_ns: int, action: Callable[[], None], *, first: bool = False) -> None:
        self._made.setdefault(record.key, []).append(self._schedule.at(at_ns, action, first=first))


def _outside(record: OrderRecord) -> bool:
    return record.terms.outside_rth and record.terms.kind not in IGNORES_HOURS
