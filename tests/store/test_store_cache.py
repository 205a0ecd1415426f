"""A value is never served older than its reader accepts, wherever it is kept and whatever Redis does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from tests.redis_server import RedisServer

from ibdesk.clock import SECOND, ManualClock
from ibdesk.store import Cache, MemoryCache, RedisCache
from ibdesk.store.redis import Circuit
from ibdesk.store.redis.pool import RedisPool

MakePool = Callable[..., RedisPool]

NOON = 1_773_144_000 * SECOND
QUOTE = {"bid": 1.5, "ask": None, "symbol": "AAPL"}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def make_cache(redis_server: RedisServer, make_pool: MakePool, clock: ManualClock) -> Callable[[], RedisCache]:
    """Makes what another process would have: a pool and a memory of its own."""
    return lambda: RedisCache(make_pool(redis_server.url), clock=clock)


@pytest.fixture(params=["memory", "redis"])
def cache(request: pytest.FixtureRequest, clock: ManualClock) -> Cache:
    if request.param == "memory":
        return MemoryCache(clock=clock)
    make: Callable[[], RedisCache] = request.getfixturevalue("make_cache")
    return make()


async def test_a_value_comes_with_its_age(cache: Cache, clock: ManualClock) -> None:
    await cache.put("quote", QUOTE, at_ns=NOON, keep_seconds=60)
    clock.advance(3 * SECOND)

    found = await cache.get("quote", max_age_seconds=3)

    assert found is not None
    assert (found.value, found.at_ns, found.age_seconds) == (QUOTE, NOON, 3.0)


async def test_a_value_older_than_accepted_is_none_and_stays_for_those_who_accept_it(
    cache: Cache, clock: ManualClock
) -> None:
    await cache.put("quote", QUOTE, at_ns=NOON, keep_seconds=60)
    clock.advance(3 * SECOND)

    assert await cache.get("quote", max_age_seconds=2.9) is None
    assert await cache.get("quote", max_age_seconds=10) is not None
    assert await cache.get("another", max_age_seconds=10) is None


async def test_a_value_leaves_when_its_time_is_over(cache: Cache) -> None:
    await cache.put("quote", QUOTE, at_ns=NOON, keep_seconds=0.05)

    async with asyncio.timeout(20):
        while True:
            if await cache.get("quote", max_age_seconds=10) is None:
                return
            await asyncio.sleep(0.01)


async def test_a_value_from_a_clock_that_is_ahead_is_new_and_not_younger(cache: Cache) -> None:
    await cache.put("quote", QUOTE, at_ns=NOON + SECOND, keep_seconds=60)

    found = await cache.get("quote", max_age_seconds=0)

    assert found is not None
    assert found.age_seconds == 0


async def test_memory_is_bounded_and_keeps_what_was_used_last() -> None:
    cache = MemoryCache(most=2)
    for key in ("a", "b"):
        await cache.put(key, key, at_ns=time.time_ns(), keep_seconds=60)
    await cache.get("a", max_age_seconds=60)

    await cache.put("c", "c", at_ns=time.time_ns(), keep_seconds=60)

    assert len(cache) == 2
    assert [await cache.get(key, max_age_seconds=60) is not None for key in "abc"] == [True, False, True]


async def test_what_one_process_puts_in_another_one_reads(make_cache: Callable[[], RedisCache]) -> None:
    writer, reader = make_cache(), make_cache()

    await writer.put("quote", QUOTE, at_ns=NOON, keep_seconds=60)

    found = await reader.get("quote", max_age_seconds=1)
    assert found is not None
    assert found.value == QUOTE


@pytest.mark.parametrize("fault", ["stop", "stall", "restart"])
async def test_with_redis_away_the_process_goes_on_from_its_memory_with_true_ages(
    fault: str, redis_server: RedisServer, make_cache: Callable[[], RedisCache], clock: ManualClock
) -> None:
    writer, reader = make_cache(), make_cache()
    await writer.put("quote", QUOTE, at_ns=NOON, keep_seconds=600)
    await reader.get("quote", max_age_seconds=1)

    await asyncio.to_thread(getattr(redis_server, fault))
    clock.advance(5 * SECOND)
    for cache in (writer, reader):
        began = time.monotonic()
        found = await cache.get("quote", max_age_seconds=5)
        assert time.monotonic() - began < 1.5
        assert found is not None
        assert found.age_seconds == 5.0
        assert await cache.get("quote", max_age_seconds=4.9) is None


async def test_when_redis_is_back_others_read_what_is_written_again(
    redis_server: RedisServer, make_pool: MakePool, clock: ManualClock
) -> None:
    pool = make_pool(redis_server.url)
    writer, reader = RedisCache(pool, clock=clock), RedisCache(make_pool(redis_server.url), clock=clock)
    redis_server.stop()
    for number in range(10):
        await writer.put("quote", number, at_ns=NOON, keep_seconds=60)
    assert pool.circuit is Circuit.OPEN
    redis_server.start()

    async with asyncio.timeout(20):
        while True:
            await writer.put("quote", 99, at_ns=NOON, keep_seconds=60)
            if await reader.get("quote", max_age_seconds=1) is not None:
                break
            await asyncio.sleep(0.02)

    found = await reader.get("quote", max_age_seconds=1)
    assert found is not None
    assert found.value == 99


async def test_what_redis_holds_in_another_form_counts_as_missing(
    redis_server: RedisServer, make_pool: MakePool
) -> None:
    pool = make_pool(redis_server.url)
    await pool.call(lambda client: client.set(pool.settings.key("cache", "quote"), b"\xc1 no msgpack"))

    assert await RedisCache(pool).get("quote", max_age_seconds=60) is None
