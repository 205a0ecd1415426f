"""A market that never was: seeded random walks, the same on every run and every machine."""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from ibdesk.clock import SECOND
from ibdesk.gateway.market.source import Floats, Integers, Prints, Row, played, printed
from ibdesk.model import Forex, Instrument, Quote, Tick

DAY = 86_400 * SECOND
DEFAULT_PRICES = {"AAPL": 230.0, "GOOG": 170.0, "IBM": 220.0, "MSFT": 420.0, "SPY": 590.0, "EUR.USD": 1.08}
# How far the past goes back: bars of less than a day are cut from steps of five seconds, longer ones from a walk of
# days.
PAST_STEP_NS = 5 * SECOND
PAST_STEPS = 10 * DAY // PAST_STEP_NS
PAST_DAYS = 3650
YEARLY_VOLATILITY = 0.25
_YEAR_SECONDS = 252 * 6.5 * 3600
_CHUNK = 64
# The past is made in pieces of this many rows, as far back as it is asked for.
_PAST_CHUNK = 3600


class RandomWalk:
    """Log-normal walks around `prices` (instrument name to price at the start), `step_seconds` a row.

    The past is a walk backwards from the same price. Steps and days are separate walks that meet at the start, so
    that years of daily bars cost nothing; both depend on seed, name and start price alone. Trading goes on all day
    and night.
    """

    def __init__(
        self,
        seed: int = 0,
        prices: Mapping[str, float] | Iterable[str] = DEFAULT_PRICES,
        *,
        step_seconds: float = 1.0,
        yearly_volatility: float = YEARLY_VOLATILITY,
    ) -> None:
        if not isinstance(prices, Mapping):
            prices = {name: DEFAULT_PRICES.get(name, 100.0) for name in prices}
        self._prices = dict(prices)
        self._seed = seed
        self._volatility = yearly_volatility
        self.step_ns = int(step_seconds * SECOND)
        self._opened_ns = 0
        self._instruments: dict[str, Instrument] = {}
        self._live: dict[str, list[Floats]] = {name: [] for name in self._prices}
        self._past: dict[tuple[str, int], Floats] = {}
        self._past_makers: dict[tuple[str, int], np.random.Generator] = {}

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the names that walk."""
        return tuple(self._prices)

    def open(self, at_ns: int, instruments: dict[str, Instrument]) -> None:
        """Take `at_ns` as the start of the walk."""
        self._opened_ns, self._instruments = at_ns, instruments

    def events(self) -> Iterator[tuple[int, Iterable[Quote | Tick]]]:
        """Yield the quotes and trades of all names in order of time, without end."""
        makers = {name: self._rng(name, "live") for name in self._prices}
        last = dict(self._prices)
        at_ns = self._opened_ns
        while True:
            chunks = {name: self._bars(name, makers[name], _CHUNK, last[name], self.step_ns) for name in self._prices}
            for index in range(_CHUNK):
                moments = []
                for name, bars in chunks.items():
                    self._live[name].append(bars[index])
                    row = Row(name, *(float(figure) for figure in bars[index]))
                    moments.append(played(row, at_ns, self.step_ns, self._instruments[name]))
                yield from heapq.merge(*moments, key=lambda event: event[0])
                at_ns += self.step_ns
            last = {name: float(bars[-1, 3]) for name, bars in chunks.items()}

    def prints(self, symbol: str, start_ns: int, end_ns: int) -> Prints:
        """Return trades of the last ten days and of what was played."""
        before = max(0, min(PAST_STEPS, -((start_ns - self._opened_ns) // PAST_STEP_NS)))
        starts = self._opened_ns - np.arange(before, 0, -1, dtype=np.int64) * PAST_STEP_NS
        past = self._past_bars(symbol, before, PAST_STEP_NS)
        old = printed(starts, past, PAST_STEP_NS).between(start_ns, min(end_ns, self._opened_ns))
        live = self._live[symbol]
        first = max(0, (start_ns - self._opened_ns) // self.step_ns)
        last = max(first, min(len(live), (end_ns - self._opened_ns) // self.step_ns + 1))
        bars = np.array(live[first:last]).reshape(-1, 5)
        starts = self._opened_ns + np.arange(first, first + len(bars), dtype=np.int64) * self.step_ns
        new = printed(starts, bars, self.step_ns).between(start_ns, end_ns)
        return Prints(*(np.concatenate(pair) for pair in zip(_columns(old), _columns(new), strict=True)))

    def recorded(
        self, symbol: str, *, end_ns: int | None, now_ns: int, span_ns: int, interval_ns: int
    ) -> Prints | None:
        """Return the walk of days for bars of a day and longer."""
        if interval_ns < DAY:
            return None
        last_ns = (now_ns if end_ns is None else end_ns) // DAY * DAY
        starts = self._opened_ns // DAY * DAY - np.arange(PAST_DAYS, 0, -1, dtype=np.int64) * DAY
        chosen = (starts < last_ns) & (starts >= last_ns - span_ns)
        weekday = (starts // DAY + 3) % 7 < 5
        chosen &= weekday
        return printed(starts[chosen], self._past_bars(symbol, PAST_DAYS, DAY)[chosen], DAY)

    def first_ns(self, symbol: str) -> int | None:
        """Return when the walk of days begins."""
        return self._opened_ns // DAY * DAY - PAST_DAYS * DAY if symbol in self._prices else None

    def _past_bars(self, name: str, count: int, step_ns: int) -> Floats:
        """Return the last `count` bars before the start, oldest first; they end at the start price."""
        key = (name, step_ns)
        made = self._past.get(key, np.empty((0, 5)))
        if len(made) < count:
            maker = self._past_makers.setdefault(key, self._rng(name, f"past {step_ns}"))
            pieces = [made]
            while sum(map(len, pieces)) < count:
                price = float(pieces[-1][0, 0]) if len(pieces[-1]) else self._prices[name]
                # A walk read backwards is a walk; open and close change places.
                pieces.append(self._bars(name, maker, _PAST_CHUNK, price, step_ns)[::-1][:, [3, 1, 2, 0, 4]])
            made = self._past[key] = np.concatenate(pieces[::-1])
        return made[len(made) - count :]

    def _bars(self, name: str, rng: np.random.Generator, count: int, price: float, step_ns: int) -> Floats:
        instrument = self._instruments[name]
        seconds = min(step_ns / SECOND, 6.5 * 3600)
        deviation = self._volatility * (seconds / _YEAR_SECONDS) ** 0.5
        moves = rng.standard_normal((count, 3)) * deviation
        closes = price * np.exp(np.cumsum(moves[:, 0]))
        opens = np.concatenate(((price,), closes[:-1]))
        highs = np.maximum(opens, closes) * np.exp(np.abs(moves[:, 1]) / 2)
        lows = np.minimum(opens, closes) * np.exp(-np.abs(moves[:, 2]) / 2)
        volumes = np.round(rng.lognormal(5.0, 0.6, count) * max(1.0, seconds / 5))
        if isinstance(instrument, Forex):
            volumes[:] = 0.0
        grid = _on_grid(np.column_stack((opens, highs, lows, closes)), instrument.tick_size)
        return np.column_stack((grid, volumes))

    def _rng(self, name: str, part: str) -> np.random.Generator:
        return np.random.default_rng([self._seed, zlib.crc32(f"{name} {part}".encode())])


def _on_grid(prices: Floats, tick: float) -> Floats:
    rounded: Floats = np.round(np.maximum(np.round(prices / tick), 1.0) * tick, 10)
    return rounded


def _columns(prints: Prints) -> tuple[Integers, Floats, Floats]:
    return prints.times, prints.prices, prints.sizes
