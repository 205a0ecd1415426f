"""Messages of a stream are read in order and once, and losses are always reported."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
from tests.redis_server import RedisServer

from ibdesk.store.redis import RedisError
from ibdesk.store.redis.pool import RedisPool
from ibdesk.store.redis.stream import START, Gap, Stream, StreamReader

MakePool = Callable[..., RedisPool]
MakeStream = Callable[..., Stream]


@pytest.fixture
def stream(redis_server: RedisServer, make_pool: MakePool) -> Stream:
    return Stream(make_pool(redis_server.url), "test", keep=100)


@pytest.fixture
async def reader(stream: Stream) -> AsyncIterator[StreamReader]:
    reader = stream.read()
    yield reader
    await reader.close()


async def read(reader: StreamReader, *, at_most: int = 1_000) -> list[bytes]:
    found = await reader.next(wait_seconds=20, at_most=at_most)
    assert isinstance(found, list)
    return [message.data for message in found]


async def appended(stream: Stream, *messages: bytes) -> str:
    """Append as soon as Redis takes it, and return the id."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await stream.append(*messages)
            except RedisError:
                await asyncio.sleep(0.02)


async def test_messages_come_in_order_and_once(stream: Stream, reader: StreamReader) -> None:
    await stream.append(b"one", b"two")
    assert await read(reader) == [b"one", b"two"]

    await stream.append(b"three")

    assert await read(reader) == [b"three"]
    assert await reader.next(wait_seconds=0.05) == []


async def test_a_reader_waits_for_the_first_message_and_gets_it_at_once(stream: Stream, reader: StreamReader) -> None:
    waiting = asyncio.create_task(read(reader))
    await asyncio.sleep(0.1)
    began = time.monotonic()

    await stream.append(b"news")

    assert await waiting == [b"news"]
    assert time.monotonic() - began < 1.0


async def test_many_readers_wait_at_once_without_taking_the_pool_s_connections(
    redis_server: RedisServer, make_pool: MakePool
) -> None:
    pool = make_pool(redis_server.url, connections=2)
    stream = Stream(pool, "test")
    readers = [stream.read() for _ in range(20)]
    waiting = [asyncio.create_task(read(each)) for each in readers]
    await asyncio.sleep(0.1)

    await stream.append(b"news")

    assert await asyncio.gather(*waiting) == [[b"news"]] * 20
    for each in readers:
        await each.close()


async def test_a_reader_goes_on_where_another_one_stopped(stream: Stream, reader: StreamReader) -> None:
    await stream.append(b"one", b"two", b"three")
    assert await read(reader, at_most=2) == [b"one", b"two"]

    other = stream.read(reader.after)

    assert await read(other) == [b"three"]
    assert other.after == await stream.newest_id()
    await other.close()


async def test_a_reader_that_was_away_for_too_long_is_told_so(stream: Stream, reader: StreamReader) -> None:
    await stream.append(b"first")
    assert await read(reader) == [b"first"]
    was_at = reader.after
    for number in range(500):
        await stream.append(b"%d" % number)

    gap = await reader.next()

    assert isinstance(gap, Gap)
    assert gap.after == was_at
    assert gap.newest == reader.after == await stream.newest_id()
    await stream.append(b"next")
    assert await read(reader) == [b"next"]


async def test_a_reader_that_is_late_but_not_too_late_misses_nothing(stream: Stream, reader: StreamReader) -> None:
    await stream.append(b"first")
    assert await read(reader) == [b"first"]
    expected = [b"%d" % number for number in range(99)]
    for message in expected:
        await stream.append(message)

    assert await read(reader) == expected


async def test_a_new_reader_of_a_stream_that_has_lost_its_beginning_is_told_so(
    stream: Stream, reader: StreamReader
) -> None:
    for _ in range(500):
        await stream.append(b"old")

    assert isinstance(await reader.next(), Gap)


async def test_the_stream_keeps_a_bounded_number_of_messages(
    redis_server: RedisServer, make_pool: MakePool, stream: Stream
) -> None:
    for _ in range(100):
        await stream.append(*[b"message"] * 10)

    length = await make_pool(redis_server.url).call(lambda client: client.xlen(stream.key))
    assert 100 <= length <= 300


async def test_a_restart_of_redis_with_everything_lost_is_a_gap(
    redis_server: RedisServer, stream: Stream, reader: StreamReader
) -> None:
    await stream.append(b"before")
    assert await read(reader) == [b"before"]

    redis_server.restart()
    gap = await reader.next(wait_seconds=20)

    assert isinstance(gap, Gap)
    assert (gap.oldest, gap.newest) == (START, START)
    await appended(stream, b"after")
    assert await read(reader) == [b"after"]


async def test_what_was_appended_after_such_a_restart_is_not_taken_for_a_continuation(
    redis_server: RedisServer, stream: Stream, reader: StreamReader
) -> None:
    await stream.append(b"before")
    assert await read(reader) == [b"before"]

    redis_server.restart()
    await appended(stream, b"after")

    assert isinstance(await reader.next(wait_seconds=20), Gap)


async def test_a_stream_begun_anew_under_an_earlier_clock_is_a_gap(
    redis_server: RedisServer, make_pool: MakePool, stream: Stream, reader: StreamReader
) -> None:
    await stream.append(b"before")
    assert await read(reader) == [b"before"]
    await stream.delete()

    await make_pool(redis_server.url).call(lambda client: client.xadd(stream.key, {b"m": b"after"}, id="5-1"))

    assert isinstance(await reader.next(wait_seconds=0.5), Gap)


async def test_a_waiting_reader_outlives_a_redis_that_stalls(
    redis_server: RedisServer, stream: Stream, reader: StreamReader
) -> None:
    await stream.append(b"one")
    assert await read(reader) == [b"one"]
    waiting = asyncio.create_task(reader.next(wait_seconds=0.5))
    await asyncio.sleep(0.1)

    redis_server.stall()
    assert await waiting == []
    assert await reader.next(wait_seconds=0.1) == []
    failed_with = reader.failure
    redis_server.resume()
    await appended(stream, b"two")

    assert await read(reader) == [b"two"]
    assert str(failed_with).endswith("did not answer within 0.2 s")
    assert reader.failure is None


async def test_a_reader_says_why_nothing_comes_while_redis_is_gone(
    redis_server: RedisServer, reader: StreamReader
) -> None:
    redis_server.stop()

    assert await reader.next(wait_seconds=0.3) == []

    assert str(reader.failure).endswith("cannot be reached: is it running, and is redis.url right?")


async def test_appending_to_a_redis_that_is_gone_fails_in_time(redis_server: RedisServer, stream: Stream) -> None:
    redis_server.stop()
    began = time.monotonic()

    with pytest.raises(RedisError):
        await stream.append(b"lost")

    assert time.monotonic() - began < 1.5


async def test_a_cancelled_reader_loses_nothing(stream: Stream, reader: StreamReader) -> None:
    waiting = asyncio.create_task(reader.next(wait_seconds=20))
    await asyncio.sleep(0.1)
    waiting.cancel()
    await asyncio.wait([waiting])

    await stream.append(b"news")

    assert await read(reader) == [b"news"]


async def test_a_stream_that_nobody_appends_to_goes_away(
    redis_server: RedisServer, make_pool: MakePool, reader: StreamReader
) -> None:
    stream = Stream(make_pool(redis_server.url), "reply", idle_seconds=0.05)
    await stream.append(b"answer")
    assert await stream.newest_id() != START

    async with asyncio.timeout(20):
        while True:
            if await stream.newest_id() == START:
                return
            await asyncio.sleep(0.02)
