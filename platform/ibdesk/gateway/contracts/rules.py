"""Market rules by IB's number: the price increment from each price on."""

from __future__ import annotations

from ibdesk.model import PriceIncrements
from ibdesk.model.future_roots import ROOTS
from ibdesk.model.price_grid import US_SHARE_INCREMENTS

MARKET_RULES: dict[int, PriceIncrements] = {
    26: ((0.0, 0.01),),
    32: ((0.0, 0.01),),
    59: ((0.0, 0.005),),
    67: ((0.0, 0.25),),
    68: ((0.0, 1.0),),
    69: ((0.0, 0.1),),
    70: ((0.0, 1 / 64),),
    109: ((0.0, 0.01), (3.0, 0.05)),
    110: ((0.0, 0.05), (3.0, 0.1)),
    557: US_SHARE_INCREMENTS,
    239: ((0.0, 0.00005),),
    2022: ((0.0, 0.02),),
}
"""Increments as pairs of lowest price and step. 26 (shares) is captured; 557 (shares that may trade below a dollar) and
110 (options on indices) are reported. 67, 32 and 109 are numbers seen with futures and options; their steps and the
other rules are those of the exchanges.
"""
# Numbers of rules for the ticks of other futures. IB has such rules, but their numbers are unknown here.
_FIRST_MADE_UP = 9001


def _add_ticks_of_futures() -> None:
    known = {increments[0][1] for increments in MARKET_RULES.values() if len(increments) == 1}
    for tick in sorted({root.tick_size for root in ROOTS.values()} - known):
        MARKET_RULES[_FIRST_MADE_UP + len(MARKET_RULES)] = ((0.0, tick),)


_add_ticks_of_futures()
_BY_TICK = {increments[0][1]: number for number, increments in MARKET_RULES.items() if len(increments) == 1}


def rule_of(tick_size: float) -> int:
    """Return the number of the market rule with this tick size, for a future of the table."""
    return _BY_TICK[tick_size]
