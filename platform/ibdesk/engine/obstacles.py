"""Obstacles: the orders that conflict with a target, and the quantity to which each must be cut (`engine.aims`)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ibdesk.engine.open_orders import OpenOrders, Sort, sort_of
from ibdesk.model import Order

if TYPE_CHECKING:
    from ibdesk.engine.blotter import Blotter

ANSWERED = math.inf
"""The quantity to keep of an order for which only an answer is awaited: all."""

# The rounding error of binary fractions, as a part of a quantity.
_DUST = 1e-9


def is_answered(order: Order, keep: float, blotter: Blotter) -> bool:
    """Return whether an order no longer conflicts: it has ended, or its remainder is at most `keep`."""
    if not order.is_open:
        return True
    if keep == ANSWERED:
        return not blotter.is_changing(order.id)
    return keep > 0 and _at_most(blotter.counted(order), keep)


def _turns(held: float, target: float) -> bool:
    """Return whether the target closes the whole position."""
    return target == 0 or target * held < 0


def is_clear(sums: OpenOrders, held: float, target: float) -> bool:
    """Return whether no order conflicts with the target, by the sums alone."""
    way = target - held
    onward, back = (sums.buys, sums.sells) if way > 0 else (sums.sells, sums.buys)
    if back[0] or (onward[0] and not _at_most(onward[0], abs(way))):
        return False
    if not sums.rest:
        return True
    if _turns(held, target):
        return False
    entries, protection = (sums.buys, sums.sells) if target > 0 else (sums.sells, sums.buys)
    size, adds = abs(target), abs(target) - abs(held)
    if adds < 0:
        return not (entries[1] or entries[2]) and _at_most(max(protection[1], protection[2]), size)
    return not (entries[1] or entries[2]) or _at_most(entries[0] + entries[1] + entries[2], adds)


def missing_to(sums: OpenOrders, held: float, target: float) -> float:
    """Return the signed quantity to order once no order conflicts; zero if it is a rounding error."""
    missing = target - sums.base(held)
    if not _turns(held, target) and abs(target) > abs(held):
        entries = sums.buys if target > 0 else sums.sells
        missing -= math.copysign(entries[1] + entries[2], target)
    return 0.0 if abs(missing) <= _DUST * max(abs(target), abs(held)) else missing


def obstacles_to(orders: list[Order], held: float, target: float, blotter: Blotter) -> dict[str, float]:
    """Return the quantity to which each conflicting order must be cut; zero means withdrawn.

    Orders with a pending cancel conflict while they could still fill in that direction, and entries with a pending
    change until it is answered.
    """
    way, turns = target - held, _turns(held, target)
    going = [order for order in orders if blotter.is_withdrawn(order.id)]
    staying = [order for order in orders if not blotter.is_withdrawn(order.id)] if going else orders
    found = {order.id: 0.0 for order in going if turns or sort_of(order) is Sort.MARKET or order.side.sign * way > 0}
    market = [order for order in staying if sort_of(order) is Sort.MARKET]
    resting = [order for order in staying if sort_of(order) is not Sort.MARKET]
    onward = [order for order in market if order.side.sign * way > 0]
    found |= {order.id: 0.0 for order in market if order.side.sign * way <= 0}
    found |= _cut(onward, abs(way), blotter, whole=True)
    if turns:
        return found | {order.id: 0.0 for order in resting}
    entries = [order for order in resting if order.side.sign * target > 0]
    adds = abs(target) - abs(held)
    at_market = sum(order.remaining for order in onward if order.id not in found)
    found |= {order.id: ANSWERED for order in entries if blotter.is_changing(order.id)}
    found |= _cut(entries, max(0.0, adds - at_market), blotter)
    if adds < 0:
        protection = [order for order in resting if order.side.sign * target < 0]
        for sort in (Sort.LIMIT, Sort.STOP):
            found |= _cut((order for order in protection if sort_of(order) is sort), abs(target), blotter)
    return found


def _cut(orders: Iterable[Order], allowed: float, blotter: Blotter, *, whole: bool = False) -> dict[str, float]:
    """Return the quantity to keep of each order, oldest first, so that together they keep at most `allowed`."""
    cut = {}
    for order in orders:
        quantity = blotter.counted(order)
        if _at_most(quantity, allowed):
            allowed -= quantity
        else:
            cut[order.id] = 0.0 if whole or allowed <= _DUST else allowed
            allowed = allowed if whole else 0.0
    return cut


def _at_most(quantity: float, limit: float) -> bool:
    """Return whether a quantity is within a limit, up to rounding errors."""
    return quantity <= limit + _DUST * max(quantity, limit)
