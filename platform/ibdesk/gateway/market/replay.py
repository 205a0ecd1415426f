"""A market of real bars: the rows of a bar frame, played one after another on the gateway's clock."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl

from ibdesk.clock import SECOND
from ibdesk.errors import DataError
from ibdesk.gateway.market.names import may_be_worthless, played_name
from ibdesk.gateway.market.source import INSTANT_NS, BarRow, Floats, Integers, Prints, played, printed
from ibdesk.model import Instrument, Quote, Tick

_PRICES = ["open", "high", "low", "close", "volume"]
_COLUMNS = ["symbol", "opened_at", *_PRICES]


class Replay:
    """Plays a bar frame: row i lasts from T0 + i steps, where T0 is the opening of the gateway.

    A step is the bars' own interval, or `play_each_over_seconds`: with 5, each bar, whatever its length, is played so
    that the client's 5-second bar has exactly its prices and volume. Rows before `start` (an index of distinct times,
    not per symbol) are the past. With `loop` the replay returns to `start` at its end; without, the market stands
    still and the last quote stays.

    Raises:
        DataError: If the frame lacks a column, holds a price that is not positive and finite, or has no row to play.
    """

    def __init__(
        self,
        bars: pl.DataFrame,
        *,
        play_each_over_seconds: float | None = None,
        start: int = 0,
        loop: bool = False,
    ) -> None:
        _check(bars)
        names = {name: played_name(name) for name in bars["symbol"].unique()}
        bars = bars.with_columns(pl.col("symbol").replace(names))
        bars = bars.sort("opened_at", "symbol")
        line = bars["opened_at"].unique().sort()
        self._line: Integers = line.dt.epoch("ns").to_numpy()
        if not 0 <= start < len(self._line):
            raise DataError(f"start={start} leaves no row to play: the frame has {len(self._line)} distinct times")
        self._start = start
        self._loop = loop
        self._interval_ns = int(np.diff(self._line).min()) if len(self._line) > 1 else 60 * SECOND
        step = play_each_over_seconds
        self.step_ns = self._interval_ns if step is None else int(step * SECOND)
        if self.step_ns <= 0:
            raise DataError(f"play_each_over_seconds must be positive, got {step:g}")
        self._rows: dict[str, Integers] = {}
        self._bars: dict[str, Floats] = {}
        for (symbol,), part in bars.partition_by("symbol", as_dict=True).items():
            self._rows[symbol] = np.searchsorted(self._line, part["opened_at"].dt.epoch("ns").to_numpy())
            self._bars[symbol] = part.select(_PRICES).to_numpy()
        self._opened_ns = 0
        self._instruments: dict[str, Instrument] = {}

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the symbols of the frame."""
        return tuple(self._rows)

    def open(self, at_ns: int, instruments: dict[str, Instrument]) -> None:
        """Begin row `start` at `at_ns`."""
        self._opened_ns, self._instruments = at_ns, instruments

    def events(self) -> Iterator[tuple[int, Iterable[Quote | Tick]]]:
        """Yield the quotes and trades of every row from `start`, in order of time."""
        at_ns = self._opened_ns
        while True:
            for index in range(self._start, len(self._line)):
                yield from heapq.merge(*self._row_events(index, at_ns), key=lambda event: event[0])
                at_ns += self.step_ns
            if not self._loop:
                return

    def _row_events(self, index: int, at_ns: int) -> Iterator[Iterator[tuple[int, list[Quote | Tick]]]]:
        for symbol, rows in self._rows.items():
            place = int(np.searchsorted(rows, index))
            if place < len(rows) and rows[place] == index:
                row = BarRow(symbol, *(float(figure) for figure in self._bars[symbol][place]))
                yield played(row, at_ns, self.step_ns, self._instruments[symbol])

    def prints(self, symbol: str, start_ns: int, end_ns: int) -> Prints:
        """Return the trades of past and played rows; further rounds of a loop are not history."""
        rows, bars = self._rows[symbol], self._bars[symbol]
        lowest, highest = (self._start + (ns - self._opened_ns) // self.step_ns for ns in (start_ns, end_ns))
        first, last = np.searchsorted(rows, (lowest, highest + 1))
        starts = self._opened_ns + (rows[first:last].astype(np.int64) - self._start) * self.step_ns
        return printed(starts, bars[first:last], self.step_ns).between(start_ns, end_ns)

    def recorded(
        self, symbol: str, *, end_ns: int | None, now_ns: int, span_ns: int, interval_ns: int
    ) -> Prints | None:
        """Return the frame's own history if its own bars, or longer ones, are requested of a compressed replay.

        These bars keep their dates. They end before the row that is being played, or before the row at `end_ns`: by the
        frame's dates if `end_ns` is within them, else by the gateway's clock.
        """
        if self.step_ns == self._interval_ns or interval_ns < self._interval_ns:
            return None
        if end_ns is not None and end_ns <= int(self._line[-1]):
            present = int(np.searchsorted(self._line, end_ns))
        else:
            played = ((now_ns if end_ns is None else end_ns) - self._opened_ns) // self.step_ns
            present = max(0, min(self._start + played, len(self._line)))
        rows, bars = self._rows[symbol], self._bars[symbol]
        past = int(np.searchsorted(rows, present))
        times = self._line[rows[:past]]
        last_ns = int(self._line[present]) if present < len(self._line) else int(self._line[-1]) + self._interval_ns
        recent = times >= last_ns - span_ns
        return printed(times[recent], bars[:past][recent], INSTANT_NS)

    def first_ns(self, symbol: str) -> int | None:
        """Return the time on the gateway's clock at which the symbol's first row began."""
        rows = self._rows.get(symbol)
        return None if rows is None else self._opened_ns + (int(rows[0]) - self._start) * self.step_ns


def _check(bars: pl.DataFrame) -> None:
    missing = [name for name in _COLUMNS if name not in bars.columns]
    if missing:
        raise DataError(f"the replay's frame lacks {', '.join(missing)}; it needs {', '.join(_COLUMNS)}")
    figures = bars.select(_PRICES).to_numpy()
    worthless = [name for name in bars["symbol"].unique() if may_be_worthless(name)]
    priced = bars.filter(~pl.col("symbol").is_in(worthless)).select(_PRICES[:4]).to_numpy()
    if not (np.isfinite(figures).all() and (priced > 0).all()):
        raise DataError(
            "the replay's frame holds a price or volume that is missing, infinite or not positive: "
            "only futures trade at zero or below"
        )
    if not bars.select((pl.struct("symbol", "opened_at").is_duplicated()).any().not_()).item():
        raise DataError("the replay's frame holds two bars of one symbol at one time")
