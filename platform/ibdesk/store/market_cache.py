"""The newest quotes and closed bars, cached outside the desk for readers that accept their age.

One coroutine of the engine's process follows the feed and writes; any process reads. The desk's thread takes no part,
and a slow or missing Redis delays only the writer itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import msgspec

from ibdesk.store.batches import Batch, BatchSource, FeedState
from ibdesk.store.cache import Cache, Cached
from ibdesk.store.feed import Row, Topic

# The least time between writes; rows in between go with the next one.
_FLUSH_SECONDS = 0.05
_KEEP_SECONDS = 86_400.0
_QUOTES = "quotes"

KEPT_BARS = 300
"""The most bars of a symbol and length in the cache."""


class MarketCache:
    """Writes and reads the market in a cache: all quotes in one value, the bars of a symbol and length in another.

    The age of a value is the time since it was last confirmed as the newest; `at_ns` of a quote and `opened_ns` of a
    bar say when it was received, which in a quiet market can be longer ago.
    """

    def __init__(self, cache: Cache, *, repeat_seconds: float = 10.0) -> None:
        """Make a market cache on `cache`.

        Args:
            cache: The cache to write and read.
            repeat_seconds: The interval at which all values are written again, so that a Redis that was away or was
                restarted soon has them, and they stay young in a quiet market.
        """
        self._cache = cache
        self._repeat_seconds = repeat_seconds
        # The content of the cache: rows by symbol, and bars by key in the order in which they opened.
        self._quotes: dict[str, Row] = {}
        self._bars: dict[str, dict[int, Row]] = {}
        # The arrival of the rows that are being written; 0 if all rows are written.
        self._taken_ns = 0

    async def keep_up_with(self, source: BatchSource) -> None:
        """Write the rows of the source, until cancelled."""
        try:
            state = await source.open()
            self._taken_ns = time.time_ns()
            await self._take(_rows_of_state(state))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(source), name="cache follows")
                tasks.create_task(self._repeat(), name="cache repeats")
        finally:
            await source.close()

    async def quotes(self, *, max_age_seconds: float) -> Cached | None:
        """Return the last quote of each symbol, a list of rows, if they are no older than `max_age_seconds`."""
        return await self._cache.get(_QUOTES, max_age_seconds=max_age_seconds)

    async def bars(self, symbol: str, *, interval_ns: int, max_age_seconds: float) -> Cached | None:
        """Return the newest closed bars, a list of rows, oldest first, if they are no older than `max_age_seconds`.

        There are `KEPT_BARS` of them at most.
        """
        cached = await self._cache.get(_bars_key(symbol, interval_ns), max_age_seconds=max_age_seconds)
        if cached is None:
            return None
        names = cached.value["names"]
        rows = [dict(zip(names, figures, strict=True)) for figures in zip(*cached.value["columns"], strict=True)]
        return msgspec.structs.replace(cached, value=[row | {"symbol": symbol} for row in rows])

    async def _follow(self, source: BatchSource) -> None:
        while True:
            self._taken_ns = 0
            news = await source.next()
            self._taken_ns = time.time_ns()
            await self._take(_rows_of_state(news) if isinstance(news, FeedState) else _rows_of(news))
            await asyncio.sleep(_FLUSH_SECONDS)

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(self._repeat_seconds)
            await self._write_quotes()
            for key in list(self._bars):
                await self._write_bars(key)

    async def _take(self, rows: dict[Topic, list[Row]]) -> None:
        """Store rows, and write the values that they change."""
        if quotes := rows.get(Topic.QUOTES):
            for row in quotes:
                self._quotes[row["symbol"]] = row
            await self._write_quotes()
        for key in self._take_bars(rows.get(Topic.BARS, [])):
            await self._write_bars(key)

    async def _write_quotes(self) -> None:
        if self._quotes:
            await self._put(_QUOTES, list(self._quotes.values()))

    async def _write_bars(self, key: str) -> None:
        await self._put(key, _columns(self._bars[key].values()))

    async def _put(self, key: str, value: object) -> None:
        await self._cache.put(key, value, at_ns=self._taken_ns or time.time_ns(), keep_seconds=_KEEP_SECONDS)

    def _take_bars(self, rows: list[Row]) -> set[str]:
        """Store bars, repeated ones once; return the keys that have new ones."""
        changed = set()
        for row in rows:
            key = _bars_key(row["symbol"], row["interval_ns"])
            self._bars.setdefault(key, {})[row["opened_ns"]] = row
            changed.add(key)
        for key in changed:
            self._bars[key] = dict(sorted(self._bars[key].items())[-KEPT_BARS:])
        return changed


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
