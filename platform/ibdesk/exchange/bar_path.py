"""The order in which a bar reaches the orders that it fills.

From its open a bar goes up to its high and down to its low, and does not say which first. On the way up it reaches buy
stops and limits of sales, the nearest first; on the way down sell stops and limits of purchases. Between the two
ways the worse for the trader comes first: the one with a stop on it, as far as that stop; of two such ways, or two
without, the one whose order looks worse at the bar's close.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ibdesk.exchange.ticket import Reach, Ticket
from ibdesk.model import Side


class Reached(NamedTuple):
    """An order, and where the bar reaches it."""

    ticket: Ticket
    reach: Reach


def in_market_order(reached: Sequence[Reached], close: float) -> list[Reached]:
    """Return the orders as the market comes to them; `reached` has the oldest order first."""
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
    """Yield the way in parts that each end with a stop; limits after the last stop come one by one."""
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
    # At one price a stop comes first: it need only be touched.
    return one.reach.level, not one.reach.by_stop


def _depth(one: Reached) -> tuple[float, bool]:
    return -one.reach.level, not one.reach.by_stop


def _urgency(one: Reached, close: float) -> tuple[bool, float]:
    """Return what ranks an order by how bad it is for the trader: by a stop, and by its loss at the close."""
    return one.reach.by_stop, one.ticket.order.side.sign * (one.reach.level - close)
