"""The cached market equals the last rows of the feed, and its age is the time since they were last confirmed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.redis_server import RedisServer

from ibdesk.clock import SECOND, SystemClock
from ibdesk.store import Feed, MarketCache, MemoryCache, RedisCache, Row, Sequencer, Topic
from ibdesk.store.redis.pool import RedisPool

MakePool = Callable[..., RedisPool]

FIVE = 5 * SECOND
HOUR = 3_600.0


def quote(symbol: str, bid: float, at_ns: int) -> dict[str, Any]:
    return {"symbol": symbol, "at_ns": at_ns, "bid": bid, "ask": bid + 1, "bid_size": 1.0, "ask_size": 1.0}


def bar(symbol: str, opened_ns: int, close: float) -> dict[str, Any]:
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    return {"symbol": symbol, "opened_ns": opened_ns, "interval_ns": FIVE, **prices, "volume": 10.0}


async def read(market: MarketCache, *, max_age_seconds: float = HOUR, **wanted: Any) -> list[Row]:
    """Read bars of the symbol wanted, else quotes; nothing when they are too old."""
    if "symbol" in wanted:
        found = await market.bars(max_age_seconds=max_age_seconds, **wanted)
    else:
        found = await market.quotes(max_age_seconds=max_age_seconds)
    return [] if found is None else list(found.value)


async def until(market: MarketCache, look: Callable[[list[Row]], bool], **wanted: Any) -> list[Row]:
    """Read until what is read looks right."""
    async with asyncio.timeout(20):
        while True:
            rows = await read(market, **wanted)
            if look(rows):
                return rows
            await asyncio.sleep(0.01)


class Later(SystemClock):
    """A clock that can be put ahead of the wall's."""

    def __init__(self) -> None:
        self.by_seconds = 0.0

    def now_ns(self) -> int:
        return time.time_ns() + int(self.by_seconds * SECOND)


@pytest.fixture
async def feed() -> Feed:
    return Feed()


@pytest.fixture
async def market(feed: Feed) -> AsyncIterator[MarketCache]:
    market = MarketCache(MemoryCache())
    writing = asyncio.create_task(market.keep_up_with(Sequencer(feed)))
    yield market
    writing.cancel()
    await asyncio.wait([writing])


async def test_the_last_quote_of_each_symbol_is_there(feed: Feed, market: MarketCache) -> None:
    now_ns = time.time_ns()
    for symbol, bid in (("AAPL", 1.0), ("IBM", 2.0), ("AAPL", 3.0)):
        feed.publish(Topic.QUOTES, symbol, quote(symbol, bid, now_ns))

    rows = await until(market, lambda rows: len(rows) == 2)

    assert {row["symbol"]: row["bid"] for row in rows} == {"AAPL": 3.0, "IBM": 2.0}


async def test_a_market_that_nobody_tells_of_any_more_grows_old(feed: Feed) -> None:
    later = Later()
    market = MarketCache(MemoryCache(clock=later))
    writing = asyncio.create_task(market.keep_up_with(Sequencer(feed)))
    feed.publish(Topic.QUOTES, "AAPL", quote("AAPL", 1.0, time.time_ns()))
    await until(market, lambda rows: len(rows) == 1)
    writing.cancel()
    await asyncio.wait([writing])

    later.by_seconds = 100

    found = await market.quotes(max_age_seconds=HOUR)
    assert found is not None
    assert found.age_seconds == pytest.approx(100, abs=15)
    assert await market.quotes(max_age_seconds=99) is None


async def test_a_quiet_market_stays_young_and_tells_when_its_quotes_were_heard(feed: Feed) -> None:
    heard_ns = time.time_ns() - 60 * SECOND
    feed.publish(Topic.QUOTES, "AAPL", quote("AAPL", 1.0, heard_ns))
    market = MarketCache(MemoryCache(), repeat_seconds=0.01)
    writing = asyncio.create_task(market.keep_up_with(Sequencer(feed)))
    await until(market, lambda rows: len(rows) == 1)
    first = await market.quotes(max_age_seconds=HOUR)
    assert first is not None

    async with asyncio.timeout(20):
        while True:
            again = await market.quotes(max_age_seconds=HOUR)
            if again is not None and again.at_ns > first.at_ns:
                break
            await asyncio.sleep(0.005)

    assert again.value[0]["at_ns"] == heard_ns
    writing.cancel()
    await asyncio.wait([writing])


async def test_bars_come_oldest_first_and_each_once(feed: Feed, market: MarketCache) -> None:
    began_ns = time.time_ns() - 4 * FIVE
    for number in (1, 2, 0, 2):
        feed.publish(Topic.BARS, "AAPL", bar("AAPL", began_ns + number * FIVE, 100.0 + number))

    rows = await until(market, lambda rows: len(rows) == 3, symbol="AAPL", interval_ns=FIVE)

    assert rows == [bar("AAPL", began_ns + number * FIVE, 100.0 + number) for number in range(3)]
    assert await market.bars("IBM", interval_ns=FIVE, max_age_seconds=HOUR) is None


async def test_no_more_than_the_newest_bars_are_kept(feed: Feed, market: MarketCache) -> None:
    began_ns = time.time_ns() - 1_000 * FIVE
    for number in range(999):
        feed.publish(Topic.BARS, "AAPL", bar("AAPL", began_ns + number * FIVE, float(number)))

    rows = await until(market, lambda rows: bool(rows) and rows[-1]["close"] == 998, symbol="AAPL", interval_ns=FIVE)

    assert [row["close"] for row in rows] == [float(number) for number in range(699, 999)]


async def test_another_process_reads_the_market_and_goes_on_without_redis(
    feed: Feed, redis_server: RedisServer, make_pool: MakePool
) -> None:
    writer = MarketCache(RedisCache(make_pool(redis_server.url)), repeat_seconds=0.1)
    reader = MarketCache(RedisCache(make_pool(redis_server.url)))
    writing = asyncio.create_task(writer.keep_up_with(Sequencer(feed)))
    feed.publish(Topic.QUOTES, "AAPL", quote("AAPL", 1.0, time.time_ns()))
    await until(reader, lambda rows: len(rows) == 1)

    redis_server.stop()
    feed.publish(Topic.QUOTES, "AAPL", quote("AAPL", 2.0, time.time_ns()))
    await until(writer, lambda rows: rows[0]["bid"] == 2.0)
    known = await read(reader)
    redis_server.start()

    assert known[0]["bid"] == 1.0
    # Nothing new comes: what Redis missed is written again.
    await until(reader, lambda rows: rows[0]["bid"] == 2.0)
    writing.cancel()
    await asyncio.wait([writing])
