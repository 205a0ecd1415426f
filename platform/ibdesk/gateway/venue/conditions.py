"""Order conditions, which must hold before an order works or before it is cancelled.

Conditions are read from left to right. Those joined by "and" form a set, and one fulfilled set is enough (believed).
"""

from __future__ import annotations

import math
from collections.abc import Set as AbstractSet

from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.market.instrument_state import InstrumentState
from ibdesk.gateway.market.tape import Tape
from ibdesk.gateway.venue.terms import Condition, ConditionKind

# Trigger methods by their wire numbers (documented); all others look at the last trade.
_BID_ASK = frozenset({1, 4})
_LAST_OR_BID_ASK = 7
_MIDPOINT = 8


def met(conditions: tuple[Condition, ...], tape: Tape, now_ns: int, executions_seen: AbstractSet[int]) -> bool:
    """Return whether the conditions of an order hold now.

    `executions_seen` holds the numbers of the execution conditions that have been fulfilled.
    """
    holds = True
    for number, condition in enumerate(conditions):
        holds = holds and (number in executions_seen or _holds(condition, tape, now_ns))
        if not condition.joins_and:
            if holds:
                return True
            holds = number < len(conditions) - 1
    return holds


def watched(conditions: tuple[Condition, ...]) -> set[str]:
    """Return the instruments whose market the conditions depend on."""
    return {condition.instrument for condition in conditions if condition.instrument}


def matches(condition: Condition, contract: ContractData) -> bool:
    """Return whether an execution in `contract` fulfils an execution condition."""
    return (
        condition.kind is ConditionKind.EXECUTION
        and condition.symbol == contract.symbol
        and condition.sec_type in ("", contract.sec_type)
        and condition.exchange in ("", "*", "ANY", contract.exchange)
    )


def _holds(condition: Condition, tape: Tape, now_ns: int) -> bool:
    match condition.kind:
        case ConditionKind.TIME:
            return (now_ns >= condition.at_ns) is condition.is_more
        case ConditionKind.PRICE:
            return any(_passes(condition, price) for price in _prices(condition, tape.state(condition.instrument)))
        case ConditionKind.VOLUME:
            day = tape.state(condition.instrument).day
            return _passes(condition, 0.0 if day is None else day.volume)
        case ConditionKind.CHANGE:
            state = tape.state(condition.instrument)
            price = tape.price(condition.instrument)
            if price is None or not state.previous_close:
                return False
            return _passes(condition, (price / state.previous_close - 1) * 100)
        case _:
            return False


def _passes(condition: Condition, value: float) -> bool:
    return value >= condition.value if condition.is_more else value <= condition.value


def _prices(condition: Condition, state: InstrumentState) -> list[float]:
    """Return the prices of a trigger method; of bid and ask, the one that is harder to satisfy."""
    quote, last = state.quote, state.last
    harder = math.nan if quote is None else quote.bid if condition.is_more else quote.ask
    if condition.method in _BID_ASK:
        prices = [harder]
    elif condition.method == _MIDPOINT:
        prices = [math.nan if quote is None else quote.mid]
    elif last is None:
        prices = [harder]
    else:
        prices = [last.price, harder] if condition.method == _LAST_OR_BID_ASK else [last.price]
    return [price for price in prices if not math.isnan(price)]
