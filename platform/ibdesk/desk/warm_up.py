"""The history from which a run starts, complete up to the bar before its first live one."""

from __future__ import annotations

import collections
import logging
from collections.abc import Sequence

import polars as pl

from ibdesk.errors import HistoryError
from ibdesk.model import AnyInstrument, Bar, BarHistory
from ibdesk.tws import TwsService

_log = logging.getLogger(__name__)

PART_NS = 5_000_000_000
"""Length of TWS's real-time bars, from which longer bars are built."""


async def fetch_histories(
    service: TwsService, instruments: Sequence[AnyInstrument], *, interval_ns: int, count: int
) -> list[BarHistory]:
    """Return the history of each instrument; an instrument without history starts with its first live bar.

    Raises:
        HistoryError: If TWS has no history of any of them.
        LinkError: If the link breaks meanwhile.
    """
    found, refusals = [], []
    for instrument in instruments:
        try:
            found += await _fetch_history(service, instrument, interval_ns=interval_ns, count=count)
        except HistoryError as error:
            refusals.append(error)
            _log.warning("%s starts without history: %s", instrument.id, error)
    if refusals and len(refusals) == len(instruments):
        raise refusals[0]
    return found


async def _fetch_history(
    service: TwsService, instrument: AnyInstrument, *, interval_ns: int, count: int
) -> list[BarHistory]:
    """Return the last `count` complete bars, and for longer bars the 5-second parts of the bar in progress.

    Raises:
        HistoryError: If TWS has no such history.
        LinkError: If the link breaks meanwhile.
    """
    if count == 0:
        return []
    whole = await service.history(instrument, interval_ns=interval_ns, count=count)
    histories = [to_history(instrument.id, interval_ns, whole)]
    if interval_ns > PART_NS and interval_ns % PART_NS == 0 and not whole.is_empty():
        since_ns = histories[0].opened_ns[-1] + interval_ns
        parts = await service.history(instrument, interval_ns=PART_NS, count=interval_ns // PART_NS)
        fresh = parts.filter(pl.col("opened_at").dt.epoch("ns") >= since_ns)
        histories.append(to_history(instrument.id, PART_NS, fresh))
    return histories


class RecentBars:
    """The newest live bars of the instruments that runs watch, so that a start misses none."""

    def __init__(self) -> None:
        self._bars: dict[str, collections.deque[Bar]] = {}

    def follow(self, instrument: str) -> bool:
        """Keep an instrument's bars from now on; return whether this is new."""
        if instrument in self._bars:
            return False
        self._bars[instrument] = collections.deque(maxlen=256)
        return True

    def note(self, bar: Bar) -> None:
        """Keep a live bar."""
        if bar.instrument in self._bars:
            self._bars[bar.instrument].append(bar)

    def after(self, histories: Sequence[BarHistory], *, interval_ns: int) -> list[BarHistory]:
        """Return the live bars after the ends of the histories, so that no bar is missing in between."""
        ends: dict[str, int] = {}
        for history in histories:
            if history.opened_ns:
                end = history.opened_ns[-1] + history.interval_ns
                ends[history.instrument] = max(ends.get(history.instrument, 0), end)
        late = []
        for instrument, end in ends.items():
            kept = self._bars.get(instrument, ())
            bars = [bar for bar in kept if bar.opened_ns >= end and bar.interval_ns <= interval_ns]
            if bars:
                late.append(_from_bars(instrument, bars))
        return late


def to_history(instrument: str, interval_ns: int, bars: pl.DataFrame) -> BarHistory:
    """Return a bar frame of one instrument as the engine's value."""
    opened_ns = bars["opened_at"].dt.epoch("ns").to_list()
    figures = [bars[name].to_list() for name in ("open", "high", "low", "close", "volume")]
    return BarHistory(instrument, interval_ns, opened_ns, *figures)


def _from_bars(instrument: str, bars: list[Bar]) -> BarHistory:
    return BarHistory(
        instrument,
        bars[0].interval_ns,
        [bar.opened_ns for bar in bars],
        [bar.open for bar in bars],
        [bar.high for bar in bars],
        [bar.low for bar in bars],
        [bar.close for bar in bars],
        [bar.volume for bar in bars],
    )
