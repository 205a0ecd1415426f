"""The newest quotes and closed bars, kept outside the desk for those who can live with their age.

One coroutine of the engine's process follows the feed and writes; any process reads. The desk's thread has no part in
it, and a Redis that is slow or gone delays nobody but the writer itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import msgspec

from ibdesk.clock import SECOND, Clock, SystemClock
from ibdesk.store.batches import Batch, BatchSource, FeedState
from ibdesk.store.cache import Cache
from ibdesk.store.feed import Row, Topic

# Writes at most so often; what comes in between goes with the next one.
_FLUSH_SECONDS = 0.05
_KEEP_SECONDS = 86_400.0
_KEPT_BARS = 300
_QUOTES = "quotes"


class CachedRow(msgspec.Struct, frozen=True):
    """A row of the feed and how old it was when it was read; of a bar, how long ago it closed."""

    row: Row
    age_seconds: float


class MarketCache:
    """Writes and reads the market in a cache: all quotes in one value, the bars of a symbol and length in another."""

    def __init__(self, cache: Cache, *, clock: Clock | None = None, repeat_seconds: float = 10.0) -> None:
        """Make one on a cache.

        Args:
            cache: Where to write and read.
            clock: The one that the feed's rows are stamped by.
            repeat_seconds: All is written again so often: what a Redis missed while it was away, or forgot when it
                was started again, is there soon also when the market is quiet.
        """
        self._cache = cache
        self._repeat_seconds = repeat_seconds
        self._clock = clock or SystemClock()
        # What is to be in the cache: symbol to the wall's time and row, and bars by key in the order they opened in.
        self._quotes: dict[str, tuple[int, Row]] = {}
        self._bars: dict[str, dict[int, Row]] = {}

    async def keep_up_with(self, source: BatchSource) -> None:
        """Write what the source tells, until cancelled."""
        try:
            await self._take(_rows_of_state(await source.open()))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(source), name="cache follows")
                tasks.create_task(self._repeat(), name="cache repeats")
        finally:
            await source.close()

    async def quotes(self, *, max_age_seconds: float) -> list[CachedRow]:
        """Return the last quote of each symbol, of those that are no older than `max_age_seconds`."""
        cached = await self._cache.get(_QUOTES, max_age_seconds=max_age_seconds)
        if cached is None:
            return []
        now_ns = cached.at_ns + cached.age_seconds * SECOND
        rows = (CachedRow(row, max(0.0, (now_ns - at_ns) / SECOND)) for at_ns, row in cached.value)
        return [each for each in rows if each.age_seconds <= max_age_seconds]

    async def bars(self, symbol: str, *, interval_ns: int, max_age_seconds: float) -> list[CachedRow]:
        """Return the newest closed bars, oldest first, if the newest closed no longer than `max_age_seconds` ago."""
        cached = await self._cache.get(_bars_key(symbol, interval_ns), max_age_seconds=max_age_seconds)
        if cached is None:
            return []
        names, newest_ns = cached.value["names"], cached.value["columns"][0][-1]
        rows = [dict(zip(names, figures, strict=True)) for figures in zip(*cached.value["columns"], strict=True)]
        return [
            CachedRow(row | {"symbol": symbol}, cached.age_seconds + (newest_ns - row["opened_ns"]) / SECOND)
            for row in rows
        ]

    async def _follow(self, source: BatchSource) -> None:
        while True:
            news = await source.next()
            await self._take(_rows_of_state(news) if isinstance(news, FeedState) else _rows_of(news))
            await asyncio.sleep(_FLUSH_SECONDS)

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(self._repeat_seconds)
            await self._write_quotes()
            for key in list(self._bars):
                await self._write_bars(key)

    async def _take(self, rows: dict[Topic, list[Row]]) -> None:
        """Remember rows, and write what they changed."""
        if quotes := rows.get(Topic.QUOTES):
            for row in quotes:
                self._quotes[row["symbol"]] = (self._on_the_wall(row["at_ns"]), row)
            await self._write_quotes()
        for key in self._take_bars(rows.get(Topic.BARS, [])):
            await self._write_bars(key)

    async def _write_quotes(self) -> None:
        if self._quotes:
            newest_ns = max(at_ns for at_ns, _ in self._quotes.values())
            await self._cache.put(_QUOTES, list(self._quotes.values()), at_ns=newest_ns, keep_seconds=_KEEP_SECONDS)

    async def _write_bars(self, key: str) -> None:
        bars = self._bars[key]
        newest = bars[max(bars)]
        closed_ns = self._on_the_wall(newest["opened_ns"] + newest["interval_ns"])
        await self._cache.put(key, _columns(bars.values()), at_ns=closed_ns, keep_seconds=_KEEP_SECONDS)

    def _take_bars(self, rows: list[Row]) -> set[str]:
        """Keep bars, each once however often it was told; return the keys that have new ones."""
        changed = set()
        for row in rows:
            key = _bars_key(row["symbol"], row["interval_ns"])
            self._bars.setdefault(key, {})[row["opened_ns"]] = row
            changed.add(key)
        for key in changed:
            self._bars[key] = dict(sorted(self._bars[key].items())[-_KEPT_BARS:])
        return changed

    def _on_the_wall(self, at_ns: int) -> int:
        """Return when, by the wall's clock, the feed's clock stood at `at_ns`: a replayed market's runs faster."""
        return time.time_ns() - int((self._clock.now_ns() - at_ns) / self._clock.speed)


def _bars_key(symbol: str, interval_ns: int) -> str:
    return f"bars:{symbol}:{interval_ns}"


def _columns(bars: Iterable[Row]) -> dict[str, list[object]]:
    """Return bars by column, which is half the size of rows; ``opened_ns`` comes first."""
    names = ["opened_ns", "interval_ns", "open", "high", "low", "close", "volume"]
    rows = list(bars)
    return {"names": list(names), "columns": [[row[name] for row in rows] for name in names]}


def _rows_of(batches: list[Batch]) -> dict[Topic, list[Row]]:
    rows: dict[Topic, list[Row]] = {}
    for batch in batches:
        rows.setdefault(batch.topic, []).extend(batch.rows)
    return rows


def _rows_of_state(state: FeedState) -> dict[Topic, list[Row]]:
    return {topic: topic_state.rows for topic, topic_state in state.topics.items()}
