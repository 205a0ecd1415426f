"""The order in which a bar reaches the orders that it fills.

From its open a bar goes up to its high and down to its low, in an unknown order. On the way up it reaches buy stops and
sale limits, nearest first; on the way down sell stops and buy limits. Of the two ways, the one that is worse for the
trader comes first: the one with a stop, as far as that stop; if both or neither have a stop, the one whose order has
the greater loss at the bar's close.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ibdesk.exchange.ticket import Ticket, TouchPoint
from ibdesk.model import Side


class Reached(NamedTuple):
    """An order, and the point at which the bar reaches it."""

    ticket: Ticket
    reach: TouchPoint


def in_market_order(reached: Sequence[Reached], close: float) -> list[Reached]:
    """Return the orders in the order in which the market reaches them; `reached` has the oldest order first."""
    if len(reached) < 2:
        return list(reached)
    inside = [one for one in reached if not one.reach.at_once]
    up = collections.deque(_stretches(sorted((one for one in inside if _is_up(one)), key=_height)))
    down = collections.deque(_stretches(sorted((one for one in inside if not _is_up(one)), key=_depth)))
    ordered = [one for one in reached if one.reach.at_once]
    while up and down:
        first = down if _urgency(down[0][-1], close) >= _urgency(up[0][-1], close) else up
        ordered += first.popleft()
    for stretch in up or down:
        ordered += stretch
    return ordered


def _stretches(way: Sequence[Reached]) -> Iterator[list[Reached]]:
    """Split the way into parts that each end with a stop; each limit after the last stop is a part of its own."""
    stretch: list[Reached] = []
    for one in way:
        stretch.append(one)
        if one.reach.by_stop:
            yield stretch
            stretch = []
    for one in stretch:
        yield [one]


def _is_up(one: Reached) -> bool:
    return (one.ticket.order.side is Side.BUY) is one.reach.by_stop


def _height(one: Reached) -> tuple[float, bool]:
    # At the same price a stop comes first: touching it is enough.
    return one.reach.level, not one.reach.by_stop


def _depth(one: Reached) -> tuple[float, bool]:
    return -one.reach.level, not one.reach.by_stop


def _urgency(one: Reached, close: float) -> tuple[bool, float]:
    """Return the rank of an order by its harm to the trader: whether it is a stop, and its loss at the close."""
    return one.reach.by_stop, one.ticket.order.side.sign * (one.reach.level - close)
