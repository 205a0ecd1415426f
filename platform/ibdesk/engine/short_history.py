"""Warnings about instruments whose warm-up is too short for a strategy to decide at its first bar."""

from __future__ import annotations

import collections

from ibdesk.model import StartStrategy
from ibdesk.strategy import Strategy, bars_needed


def short_histories(strategy: Strategy, start: StartStrategy) -> list[str]:
    """Return a sentence for each instrument that starts with fewer bars than the strategy needs.

    A run that starts without any history, such as one over past bars, gets no warning.
    """
    if not start.history:
        return []
    needed, known = bars_needed(strategy), collections.Counter[str]()
    for history in start.history:
        if history.interval_ns == start.interval_ns:
            known[history.instrument] += len(history.opened_ns)
    return [
        f"{instrument.id}: {start.source.class_name} needs {needed:,} bars before it can decide, and its warm-up has "
        f"{known[instrument.id]:,}: it waits for {needed - known[instrument.id]:,} more bars of "
        f"{start.interval_ns / 1e9:g} s; start it with warm_up={needed}, if that much history exists"
        for instrument in start.instruments
        # The first new bar is one of the needed bars.
        if known[instrument.id] + 1 < needed
    ]
