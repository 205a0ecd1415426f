"""What the engine knows of one instrument's market."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ibdesk.model import AnyInstrument, Quote

if TYPE_CHECKING:
    from ibdesk.engine.run import Lane


class Market:
    """The last price and quote of an instrument, and the lanes of the runs that watch it."""

    __slots__ = ("instrument", "lanes", "price", "quote")

    def __init__(self, instrument: AnyInstrument) -> None:
        self.instrument = instrument
        self.price: float | None = None
        self.quote: Quote | None = None
        self.lanes: list[Lane] = []
