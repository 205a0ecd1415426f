"""Price grids: the steps of an instrument's prices, which may depend on the price."""

from __future__ import annotations

import enum
import functools
import math

PriceIncrements = tuple[tuple[float, float], ...]
"""Pairs of lowest price and step, ascending, as a market rule of IB states them."""

# Sub-penny rule: a US share moves by 0.0001 below one dollar (SEC Rule 612 of Regulation NMS).
US_SHARE_INCREMENTS: PriceIncrements = ((0.0, 0.0001), (1.0, 0.01))

# The largest rounding error of a computed price, in units in the last place: 0.1 + 0.2 means 0.3.
_NOISE_ULPS = 8
# Below this number of steps, the rounding error of a price is far smaller than a step.
_SURE_STEPS = 2.0**40
# The rounding error of half a step, in steps.
_HALF_DUST = 1e-6


class Rounding(enum.Enum):
    """Which neighbor on the grid replaces a price between two of them."""

    NEAREST = "nearest"
    DOWN = "down"
    UP = "up"


def rounded(price: float, increments: PriceIncrements, rounding: Rounding) -> float:
    """Return the grid price of `price`, as the shortest float that prints so.

    With NEAREST, half a step rounds away from zero. A price below zero has the grid of its absolute value. A price
    whose number of steps overflows a float is returned unchanged.
    """
    point = on_grid(price, increments)
    if point is not None:
        return point
    if math.isinf(price / step_at(price, increments)) and math.isfinite(price):
        return price
    if rounding is Rounding.NEAREST:
        nearest = _nearest(abs(price), increments)
        return -nearest if price < 0 else nearest
    if price < 0:
        return 0.0 - (_up(-price, increments) if rounding is Rounding.DOWN else _down(-price, increments))
    return _down(price, increments) if rounding is Rounding.DOWN else _up(price, increments)


def on_grid(price: float, increments: PriceIncrements) -> float | None:
    """Return the grid price that `price` already is, which every rounding gives, or None.

    It is also None for a price of so many steps that its rounding error is not far smaller than a step.
    """
    edge, step = increments[-1]
    if price < edge:
        step = increments[_band(abs(price), increments)][1]
    steps = price / step
    if -_SURE_STEPS < steps < _SURE_STEPS and (point := round(round(steps) * step, _decimals(step))) == price:
        return point
    return None


def step_at(price: float, increments: PriceIncrements) -> float:
    """Return the step by which a price moves."""
    return increments[_band(abs(price), increments)][1]


def wrong_increments(increments: PriceIncrements) -> str:
    """Return the fault of a grid as a sentence, empty if it has none."""
    edges = [edge for edge, _ in increments]
    if not increments:
        return ""
    if edges != sorted(set(edges)) or edges[0] != 0.0:
        return f"price increments must begin at 0 and ascend, got {edges}"
    if not all(step > 0 and math.isfinite(step) for _, step in increments):
        return f"each price increment must be positive, got {[step for _, step in increments]}"
    return ""


@functools.cache
def _decimals(step: float) -> int:
    """Return the number of decimals that a grid needs (0.01 -> 2, 0.25 -> 2, 1/32 -> 5)."""
    for decimals in range(12):
        if math.isclose(round(step, decimals), step, rel_tol=1e-12):
            return decimals
    return 12


def _nearest(price: float, increments: PriceIncrements) -> float:
    if len(increments) == 1:
        step = increments[0][1]
        return _point(math.floor(price / step + 0.5 + _HALF_DUST), step)
    below, above = _down(price, increments), _up(price, increments)
    return above if price - below >= (above - below) * (0.5 - _HALF_DUST) else below


def _down(price: float, increments: PriceIncrements) -> float:
    edge, step = increments[_band(price, increments)]
    highest = price + _NOISE_ULPS * math.ulp(price)
    count = math.floor(price / step) + 1
    while (point := _point(count, step)) > highest:
        count -= 1
    # If an edge is off its own grid, the next lower price belongs to the band below.
    return point if point >= edge else _down(math.nextafter(edge, 0.0), increments)


def _up(price: float, increments: PriceIncrements) -> float:
    band = _band(price, increments)
    step = increments[band][1]
    lowest = price - _NOISE_ULPS * math.ulp(price)
    count = math.ceil(price / step) - 1
    while (point := _point(count, step)) < lowest:
        count += 1
    if band + 1 < len(increments) and point >= increments[band + 1][0]:
        return _up(increments[band + 1][0], increments)
    return point


def _band(price: float, increments: PriceIncrements) -> int:
    band = len(increments) - 1
    while band and price < increments[band][0]:
        band -= 1
    return band


def _point(count: int, step: float) -> float:
    return round(count * step, _decimals(step))
