"""Quotes (the best bid and ask) and ticks (single trade prints)."""

from __future__ import annotations

import msgspec


class Quote(msgspec.Struct, frozen=True, gc=False, tag="quote"):
    """The best bid and ask of one instrument.

    `at_ns` is ns UTC. A side without a price is NaN with size zero; sizes are shares or contracts.
    """

    instrument: str
    at_ns: int
    bid: float
    ask: float
    bid_size: float = 0.0
    ask_size: float = 0.0

    @property
    def mid(self) -> float:
        """Return the mean of bid and ask; NaN when a side is missing."""
        return (self.bid + self.ask) / 2

    @property
    def spread(self) -> float:
        """Return ask less bid; negative when crossed, NaN when a side is missing."""
        return self.ask - self.bid


class Tick(msgspec.Struct, frozen=True, gc=False, tag="tick"):
    """One trade print; `at_ns` is ns UTC, `size` shares or contracts."""

    instrument: str
    at_ns: int
    price: float
    size: float
