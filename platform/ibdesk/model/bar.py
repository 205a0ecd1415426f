"""Bars: the open, high, low, close and volume of an interval."""

from __future__ import annotations

import datetime as dt

import msgspec

from ibdesk.model.moment import moment


class Bar(msgspec.Struct, frozen=True, gc=False, tag="bar"):
    """The final OHLCV of one interval of one instrument.

    `opened_ns` is the start of the interval, ns UTC; the bar is known only at `closed_ns`. Prices are in the
    instrument's currency, `volume` in shares or contracts.
    """

    instrument: str
    opened_ns: int
    interval_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0

    @property
    def at_ns(self) -> int:
        """Return the time at which the bar became known: its close, ns UTC."""
        return self.opened_ns + self.interval_ns

    closed_ns = at_ns

    @property
    def opened_at(self) -> dt.datetime:
        """Return the start of the interval, UTC."""
        return moment(self.opened_ns)

    @property
    def closed_at(self) -> dt.datetime:
        """Return the end of the interval, UTC."""
        return moment(self.at_ns)
