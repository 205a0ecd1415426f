"""The market in the cache is what the feed told last, with the age it has on the wall."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.redis_server import RedisServer

from ibdesk.clock import SECOND, ScaledClock
from ibdesk.store import CachedRow, Feed, MarketCache, MemoryCache, RedisCache, Sequencer, Topic
from ibdesk.store.redis.pool import RedisPool

MakePool = Callable[..., RedisPool]

FIVE = 5 * SECOND
HOUR = 3_600.0


def quote(symbol: str, bid: float, at_ns: int) -> dict[str, Any]:
    return {"symbol": symbol, "at_ns": at_ns, "bid": bid, "ask": bid + 1, "bid_size": 1.0, "ask_size": 1.0}


def bar(symbol: str, opened_ns: int, close: float) -> dict[str, Any]:
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    return {"symbol": symbol, "opened_ns": opened_ns, "interval_ns": FIVE, **prices, "volume": 10.0}


async def until(market: MarketCache, look: Callable[[list[CachedRow]], bool], **wanted: Any) -> list[CachedRow]:
    """Read until what is read looks right: bars of the symbol wanted, else quotes."""
    async with asyncio.timeout(20):
        while True:
            rows = await (market.bars(**wanted) if "symbol" in wanted else market.quotes(**wanted))
            if look(rows):
                return rows
            await asyncio.sleep(0.01)


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

    rows = await until(market, lambda rows: len(rows) == 2, max_age_seconds=HOUR)

    assert {each.row["symbol"]: each.row["bid"] for each in rows} == {"AAPL": 3.0, "IBM": 2.0}


async def test_a_quote_that_is_too_old_is_left_out_beside_one_that_is_not(feed: Feed, market: MarketCache) -> None:
    now_ns = time.time_ns()
    feed.publish(Topic.QUOTES, "OLD", quote("OLD", 1.0, now_ns - 100 * SECOND))
    feed.publish(Topic.QUOTES, "NEW", quote("NEW", 1.0, now_ns))
    rows = await until(market, lambda rows: len(rows) == 2, max_age_seconds=HOUR)

    young = await market.quotes(max_age_seconds=50)

    assert [each.row["symbol"] for each in young] == ["NEW"]
    assert next(each.age_seconds for each in rows if each.row["symbol"] == "OLD") == pytest.approx(100, abs=15)


async def test_what_was_known_before_the_cache_came_is_in_it_with_its_true_age(feed: Feed) -> None:
    feed.publish(Topic.QUOTES, "AAPL", quote("AAPL", 1.0, time.time_ns() - 60 * SECOND))
    market = MarketCache(MemoryCache())
    writing = asyncio.create_task(market.keep_up_with(Sequencer(feed)))

    await until(market, lambda rows: len(rows) == 1, max_age_seconds=HOUR)

    assert await market.quotes(max_age_seconds=59) == []
    writing.cancel()
    await asyncio.wait([writing])


async def test_bars_come_oldest_first_and_each_once(feed: Feed, market: MarketCache) -> None:
    began_ns = time.time_ns() - 4 * FIVE
    for number in (1, 2, 0, 2):
        feed.publish(Topic.BARS, "AAPL", bar("AAPL", began_ns + number * FIVE, 100.0 + number))

    rows = await until(market, lambda rows: len(rows) == 3, symbol="AAPL", interval_ns=FIVE, max_age_seconds=HOUR)

    assert [each.row for each in rows] == [bar("AAPL", began_ns + number * FIVE, 100.0 + number) for number in range(3)]
    assert [round(each.age_seconds - rows[-1].age_seconds) for each in rows] == [10, 5, 0]
    assert await market.bars("AAPL", interval_ns=FIVE, max_age_seconds=1) == []
    assert await market.bars("IBM", interval_ns=FIVE, max_age_seconds=HOUR) == []


async def test_no_more_than_the_newest_bars_are_kept(feed: Feed, market: MarketCache) -> None:
    began_ns = time.time_ns() - 1_000 * FIVE
    for number in range(999):
        feed.publish(Topic.BARS, "AAPL", bar("AAPL", began_ns + number * FIVE, float(number)))

    rows = await until(
        market,
        lambda rows: bool(rows) and rows[-1].row["close"] == 998,
        symbol="AAPL",
        interval_ns=FIVE,
        max_age_seconds=HOUR,
    )

    assert [each.row["close"] for each in rows] == [float(number) for number in range(699, 999)]


async def test_in_a_market_that_runs_faster_ages_are_still_those_of_the_wall(feed: Feed) -> None:
    clock = ScaledClock(1_500 * SECOND, speed=50.0)
    market = MarketCache(MemoryCache(), clock=clock)
    feed.publish(Topic.QUOTES, "AAPL", quote("AAPL", 1.0, 1_500 * SECOND - 500 * SECOND))
    writing = asyncio.create_task(market.keep_up_with(Sequencer(feed)))

    rows = await until(market, lambda rows: len(rows) == 1, max_age_seconds=HOUR)

    assert rows[0].age_seconds == pytest.approx(10, abs=5)
    writing.cancel()
    await asyncio.wait([writing])


async def test_another_process_reads_the_market_and_goes_on_without_redis(
    feed: Feed, redis_server: RedisServer, make_pool: MakePool
) -> None:
    writer = MarketCache(RedisCache(make_pool(redis_server.url)), repeat_seconds=0.1)
    reader = MarketCache(RedisCache(make_pool(redis_server.url)))
    writing = asyncio.create_task(writer.keep_up_with(Sequencer(feed)))
    feed.publish(Topic.QUOTES, "AAPL", quote("AAPL", 1.0, time.time_ns()))
    await until(reader, lambda rows: len(rows) == 1, max_age_seconds=HOUR)

    redis_server.stop()
    feed.publish(Topic.QUOTES, "AAPL", quote("AAPL", 2.0, time.time_ns()))
    await until(writer, lambda rows: rows[0].row["bid"] == 2.0, max_age_seconds=HOUR)
    known = await reader.quotes(max_age_seconds=HOUR)
    redis_server.start()

    assert known[0].row["bid"] == 1.0
    # Nothing new comes: what Redis missed is written again.
    await until(reader, lambda rows: rows[0].row["bid"] == 2.0, max_age_seconds=HOUR)
    writing.cancel()
    await asyncio.wait([writing])
