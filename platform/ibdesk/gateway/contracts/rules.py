"""Market rules: from which price on prices move by which increment, by the rule's number at IB."""

from __future__ import annotations

# MARKET_RULES: increments as pairs of lowest price and step. 26 (shares) is captured; 67, 32 and 109 are numbers seen
# with futures and options, their steps and the other rules are those of the exchanges.
MARKET_RULES: dict[int, tuple[tuple[float, float], ...]] = {
    26: ((0.0, 0.01),),
    32: ((0.0, 0.01),),
    59: ((0.0, 0.005),),
    67: ((0.0, 0.25),),
    68: ((0.0, 1.0),),
    69: ((0.0, 0.1),),
    70: ((0.0, 1 / 64),),
    109: ((0.0, 0.01), (3.0, 0.05)),
    110: ((0.0, 0.05), (3.0, 0.1)),
    239: ((0.0, 0.00005),),
    2022: ((0.0, 0.02),),
}
