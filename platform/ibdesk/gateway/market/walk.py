"""A market of seeded random walks, the same on every run and every machine."""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec
import numpy as np

from ibdesk.clock import SECOND
from ibdesk.gateway.contracts.hours import Hours
from ibdesk.gateway.market.names import played_name
from ibdesk.gateway.market.shape import trading_days, volume_shape
from ibdesk.gateway.market.source import BarRow, Floats, Integers, Prints, Quotes, played, printed, quotes_of
from ibdesk.gateway.market.walks import WALKS, Walk
from ibdesk.model import Forex, Index, Instrument, Option, Quote, Tick

DAY = 86_400 * SECOND
# How far the past goes back. Bars of less than a day are made of steps of five seconds, longer ones of a walk of
# days.
PAST_STEP_NS = 5 * SECOND
PAST_STEPS = 10 * DAY // PAST_STEP_NS
PAST_DAYS = 3650
_DAY_SECONDS = 6.5 * 3600
_YEAR_SECONDS = 252 * _DAY_SECONDS
# Rows are made in chunks of this size; the past only as far back as requests go.
_CHUNK = 64
_PAST_CHUNK = 900
# The deviation of the logarithm of single rows' volumes.
_VOLUME_SPREAD = 0.6
PLAYED = ("AAPL", "GOOG", "IBM", "MSFT", "SPY", "EUR.USD")
"""The instruments that walk from the start by default; others begin on request."""


class RandomWalk:
    """Log-normal walks, `step_seconds` a row.

    `prices` names the instruments that walk from the start: at the usual price, or each with its start price or its
    `Walk`; others are added on request. `yearly_volatility` applies to all without a `Walk` of their own.

    The past is a walk backwards from the start price. Steps and days are separate walks that meet at the start, so
    that years of daily bars cost nothing. Everything depends only on seed, name and `Walk`, not on the time at which an
    instrument is added: its walk began with the market.
    """

    def __init__(
        self,
        seed: int = 0,
        prices: Mapping[str, float | Walk] | Iterable[str] = PLAYED,
        *,
        step_seconds: float = 1.0,
        yearly_volatility: float | None = None,
    ) -> None:
        self._volatility = yearly_volatility
        if not isinstance(prices, Mapping):
            prices = {name: self._usual(name) for name in map(played_name, prices)}
        named = {played_name(name): price for name, price in prices.items()}
        self._walks = {name: self._walk(name, price).checked(name) for name, price in named.items()}
        self._seed = seed
        self.step_ns = int(step_seconds * SECOND)
        self._opened_ns = 0
        self._instruments: dict[str, Instrument] = {}
        self._lines: dict[str, _WalkRows] = {}
        # The trading hours of an instrument, in a market that keeps hours.
        self._hours_of: Callable[[str], Hours | None] = _no_hours
        # The number of rows played so far.
        self._index = 0

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the names of the instruments."""
        return tuple(self._walks)

    def open(self, at_ns: int, instruments: dict[str, Instrument]) -> None:
        """Start the walk at `at_ns`."""
        self._opened_ns, self._instruments = at_ns, dict(instruments)
        self._lines = {name: self._line(name) for name in self._walks}

    def keep_hours(self, hours_of: Callable[[str], Hours | None]) -> None:
        """Shape each trading day's volume like its exchange's session; the tape drops volume outside it."""
        self._hours_of = hours_of

    def add(self, instrument: Instrument) -> bool:
        """Add an instrument as if it had always walked. Options are refused: their prices follow the underlying."""
        if isinstance(instrument, Option):
            return False
        name = instrument.id
        self._walks[name] = self._usual(name)
        self._instruments[name] = instrument
        line = self._lines[name] = self._line(name)
        if self._index:
            line.row(self._index - 1)
        return True

    def events(self) -> Iterator[tuple[int, Iterable[Quote | Tick]]]:
        """Yield the quotes and trades of all instruments in order of time, without end."""
        while True:
            at_ns = self._opened_ns + self._index * self.step_ns
            moments = []
            for name, line in self._lines.items():
                opening, high, low, close, volume = line.row(self._index)
                volume *= self._shape(name, np.array([at_ns]))[0]
                row = BarRow(name, opening, high, low, close, float(np.round(volume)))
                moments.append(played(row, at_ns, self.step_ns, self._instruments[name], self._walks[name].spread))
            self._index += 1
            yield from heapq.merge(*moments, key=lambda event: event[0])

    def prints(self, symbol: str, start_ns: int, end_ns: int) -> Prints:
        """Return the trades of the last ten days and of the rows played so far."""
        line = self._lines[symbol]
        first, last = _rows_between(start_ns - self._opened_ns, end_ns - self._opened_ns, PAST_STEP_NS)
        before = max(0, min(PAST_STEPS, -first)), max(0, min(PAST_STEPS, -last))
        starts = self._opened_ns + np.arange(-before[0], -before[1], dtype=np.int64) * PAST_STEP_NS
        old = printed(starts, self._shaped(symbol, starts, line.steps.between(*before)), PAST_STEP_NS)
        first, last = _rows_between(start_ns - self._opened_ns, end_ns - self._opened_ns, self.step_ns)
        first = max(0, first)
        bars = line.played(first, min(last, self._index))
        starts = self._opened_ns + np.arange(first, first + len(bars), dtype=np.int64) * self.step_ns
        new = printed(starts, self._shaped(symbol, starts, bars), self.step_ns)
        return Prints(
            np.concatenate((old.times, new.times)),
            np.concatenate((old.prices, new.prices)),
            np.concatenate((old.sizes, new.sizes)),
        ).between(start_ns, end_ns)

    def quotes(self, symbol: str, start_ns: int, end_ns: int) -> Quotes:
        """Return the quotes around the trades, with the walk's spread."""
        instrument = self._instruments[symbol]
        return quotes_of(self.prints(symbol, start_ns, end_ns), instrument, self._walks[symbol].spread)

    def recorded(
        self, symbol: str, *, end_ns: int | None, now_ns: int, span_ns: int, interval_ns: int
    ) -> Prints | None:
        """Return the walk of days, for bars of a day and longer."""
        if interval_ns < DAY:
            return None
        last_ns = (now_ns if end_ns is None else end_ns) // DAY * DAY
        starts = self._opened_ns // DAY * DAY - np.arange(PAST_DAYS, 0, -1, dtype=np.int64) * DAY
        chosen = (starts < last_ns) & (starts >= last_ns - span_ns)
        hours = self._hours_of(symbol)
        chosen &= (starts // DAY + 3) % 7 < 5
        if hours is not None:
            chosen[chosen] = trading_days(hours, starts[chosen])
        return printed(starts[chosen], self._lines[symbol].days.between(PAST_DAYS, 0)[chosen], DAY)

    def first_ns(self, symbol: str) -> int | None:
        """Return the start of the walk of days."""
        return self._opened_ns // DAY * DAY - PAST_DAYS * DAY if symbol in self._walks else None

    def _shape(self, name: str, times: Integers) -> Floats:
        hours = self._hours_of(name)
        return np.ones(len(times)) if hours is None else volume_shape(hours, times)

    def _shaped(self, name: str, starts: Integers, bars: Floats) -> Floats:
        if self._hours_of(name) is None:
            return bars
        shaped = bars.copy()
        shaped[:, 4] = np.round(bars[:, 4] * self._shape(name, starts))
        return shaped

    # ---- walks ------------------------------------------------------------------------------------------------

    def _usual(self, name: str) -> Walk:
        """Return the usual walk of an instrument."""
        walk = WALKS.get(name) or WALKS.get(name.partition("-")[0]) or Walk()
        return walk if self._volatility is None else msgspec.structs.replace(walk, yearly_volatility=self._volatility)

    def _walk(self, name: str, price: float | Walk) -> Walk:
        return price if isinstance(price, Walk) else msgspec.structs.replace(self._usual(name), price=float(price))

    def _line(self, name: str) -> _WalkRows:
        makers = {
            part: np.random.default_rng([self._seed, zlib.crc32(f"{name} {part}".encode())])
            for part in ("live", f"past {PAST_STEP_NS}", f"past {DAY}")
        }
        return _WalkRows(self._walks[name], self._instruments[name], self.step_ns, *makers.values())


class _WalkRows:
    """The rows of one instrument: those played, future ones, and its two pasts."""

    def __init__(
        self,
        walk: Walk,
        instrument: Instrument,
        step_ns: int,
        live: np.random.Generator,
        steps: np.random.Generator,
        days: np.random.Generator,
    ) -> None:
        self._walk = walk
        self._instrument = instrument
        self._step_ns = step_ns
        self._maker = live
        self._chunks: list[Floats] = []
        self.steps = _Past(walk, instrument, PAST_STEP_NS, steps)
        self.days = _Past(walk, instrument, DAY, days)

    def row(self, index: int) -> tuple[float, float, float, float, float]:
        """Return row `index`, making the walk up to it."""
        while len(self._chunks) * _CHUNK <= index:
            price = float(self._chunks[-1][-1, 3]) if self._chunks else self._walk.price
            self._chunks.append(_bars(self._walk, self._instrument, self._maker, _CHUNK, price, self._step_ns))
        opening, high, low, close, volume = self._chunks[index // _CHUNK][index % _CHUNK].tolist()
        return opening, high, low, close, volume

    def played(self, first: int, last: int) -> Floats:
        """Return the rows from `first` until before `last` that are already made."""
        if last <= first:
            return np.empty((0, 5))
        skipped = first // _CHUNK
        chunks = self._chunks[skipped : -(-last // _CHUNK)]
        rows = np.concatenate(chunks) if chunks else np.empty((0, 5))
        return rows[first - skipped * _CHUNK : last - skipped * _CHUNK]


class _Past:
    """A walk backwards from the start price, made in chunks as far as needed."""

    def __init__(self, walk: Walk, instrument: Instrument, step_ns: int, maker: np.random.Generator) -> None:
        self._walk = walk
        self._instrument = instrument
        self._step_ns = step_ns
        self._maker = maker
        # The chunk that ends at the start comes first; each has its oldest row first.
        self._chunks: list[Floats] = []

    def between(self, first: int, last: int) -> Floats:
        """Return the rows from `first` to `last` steps before the start, oldest first."""
        if first <= last:
            return np.empty((0, 5))
        while len(self._chunks) * _PAST_CHUNK < first:
            price = float(self._chunks[-1][0, 0]) if self._chunks else self._walk.price
            made = _bars(self._walk, self._instrument, self._maker, _PAST_CHUNK, price, self._step_ns)
            # A walk read backwards is a walk; open and close swap places.
            self._chunks.append(made[::-1][:, [3, 1, 2, 0, 4]])
        nearest, furthest = last // _PAST_CHUNK, -(-first // _PAST_CHUNK)
        rows = np.concatenate(self._chunks[nearest:furthest][::-1])
        return rows[len(rows) - (first - nearest * _PAST_CHUNK) : len(rows) - (last - nearest * _PAST_CHUNK)]


def _bars(
    walk: Walk, instrument: Instrument, rng: np.random.Generator, count: int, price: float, step_ns: int
) -> Floats:
    seconds = min(step_ns / SECOND, _DAY_SECONDS)
    deviation = walk.yearly_volatility * (seconds / _YEAR_SECONDS) ** 0.5
    moves = rng.standard_normal((count, 3)) * deviation
    closes = price * np.exp(np.cumsum(moves[:, 0]))
    opens = np.concatenate(((price,), closes[:-1]))
    highs = np.maximum(opens, closes) * np.exp(np.abs(moves[:, 1]) / 2)
    lows = np.minimum(opens, closes) * np.exp(-np.abs(moves[:, 2]) / 2)
    # The mean of a lognormal is above its median: this one's mean is the walk's volume.
    mean = walk.volume * seconds / _DAY_SECONDS
    volumes = np.round(rng.lognormal(-(_VOLUME_SPREAD**2) / 2, _VOLUME_SPREAD, count) * mean)
    if isinstance(instrument, Forex | Index):
        volumes[:] = 0.0
    grid = _on_grid(np.column_stack((opens, highs, lows, closes)), instrument.tick_size)
    return np.column_stack((grid, volumes))


def _no_hours(_name: str) -> None:
    """Return None: trading continues day and night."""


def _rows_between(start_ns: int, end_ns: int, step_ns: int) -> tuple[int, int]:
    """Return the first row that touches a span, and the row after its last, counted from the opening."""
    return start_ns // step_ns, -(-end_ns // step_ns)


def _on_grid(prices: Floats, tick: float) -> Floats:
    rounded: Floats = np.round(np.maximum(np.round(prices / tick), 1.0) * tick, 10)
    return rounded
