"""Calls to Redis end in time whatever it does, the circuit opens and closes, and no message shows the password."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from operator import methodcaller

import pytest
from pydantic import ValidationError
from tests.conftest import MakeRedisServer
from tests.redis_server import RedisServer

from ibdesk.errors import ConfigError
from ibdesk.store.redis import Circuit, RedisError, RedisSettings
from ibdesk.store.redis.pool import RedisPool
from ibdesk.store.redis.stream import Stream

MakePool = Callable[..., RedisPool]

# What a call may take beyond its time-out on a machine that does other things too.
SLACK_SECONDS = 1.0


async def fails(pool: RedisPool) -> str:
    """Fail one call and return why, having seen that it ended in time."""
    began = time.monotonic()
    with pytest.raises(RedisError) as caught:
        await pool.call(lambda client: client.get("key"))
    assert time.monotonic() - began < pool.settings.timeout_seconds + SLACK_SECONDS
    return caught.value.reason


async def open_circuit(pool: RedisPool) -> None:
    for _ in range(pool.settings.failures_to_open):
        await fails(pool)
    await circuit_is(pool, Circuit.OPEN)


async def circuit_is(pool: RedisPool, wanted: Circuit) -> None:
    async with asyncio.timeout(20):
        while True:
            if pool.circuit is wanted:
                return
            await asyncio.sleep(0.005)


async def until(look: Callable[[], bool]) -> None:
    """Look until it is so."""
    async with asyncio.timeout(20):
        while not look():  # noqa: ASYNC110 - a pool tells nobody how often it has asked
            await asyncio.sleep(0.005)


@pytest.fixture
def pool(redis_server: RedisServer, make_pool: MakePool) -> RedisPool:
    return make_pool(redis_server.url)


async def test_calls_go_through_over_tcp_and_over_a_unix_socket(redis_server: RedisServer, make_pool: MakePool) -> None:
    by_tcp, by_socket = make_pool(redis_server.url), make_pool(redis_server.socket_url)

    await by_tcp.call(lambda client: client.set("key", b"value"))

    assert await by_socket.call(lambda client: client.get("key")) == b"value"
    assert by_socket.health.calls == 1
    assert by_socket.health.connections_made == 1
    assert not by_socket.health.is_degraded


async def test_a_hundred_calls_at_once_share_a_few_connections(redis_server: RedisServer, make_pool: MakePool) -> None:
    pool = make_pool(redis_server.url, connections=4, timeout_seconds=10)

    await asyncio.gather(*(pool.call(lambda client: client.incr("count")) for _ in range(100)))

    assert await pool.call(lambda client: client.get("count")) == b"100"
    assert 1 <= pool.health.connections_made <= 4
    assert pool.health.connections_in_use == 0


async def test_with_redis_gone_calls_fail_at_once_and_it_is_left_alone(
    redis_server: RedisServer, pool: RedisPool
) -> None:
    await pool.call(lambda client: client.ping())
    redis_server.stop()

    await open_circuit(pool)
    tried = pool.health.calls
    began = time.monotonic()
    reasons = {await fails(pool) for _ in range(50)}

    assert time.monotonic() - began < 0.5
    assert pool.health.calls == tried
    assert pool.health.refused == 50
    assert reasons == {
        "gets no calls for a moment, because it cannot be reached: is it running, and is redis.url right?"
    }


async def test_a_stalled_redis_holds_a_call_up_no_longer_than_its_time_out(
    redis_server: RedisServer, pool: RedisPool
) -> None:
    await pool.call(lambda client: client.ping())
    redis_server.stall()

    reasons = {await fails(pool) for _ in range(3)}

    assert reasons == {"did not answer within 0.2 s"}
    await circuit_is(pool, Circuit.OPEN)
    redis_server.resume()


async def test_the_circuit_closes_by_itself_when_redis_is_back(redis_server: RedisServer, pool: RedisPool) -> None:
    redis_server.stop()
    await open_circuit(pool)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(pool.run())

        redis_server.start()
        await circuit_is(pool, Circuit.CLOSED)
        watching.cancel()

    assert await pool.call(lambda client: client.get("key")) is None


@pytest.mark.parametrize("harm", ["stop", "stall"])
async def test_that_redis_went_and_that_it_came_back_is_told_once_each(
    harm: str, redis_server: RedisServer, make_pool: MakePool, caplog: pytest.LogCaptureFixture
) -> None:
    pool = make_pool(redis_server.url, rest_seconds=0.05, timeout_seconds=0.1)
    caplog.set_level(logging.WARNING, logger="ibdesk.store.redis.pool")
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(pool.run())
        await until(lambda: pool.health.calls > 1)

        getattr(redis_server, harm)()
        # It is tried again and again meanwhile, in vain.
        await until(lambda: pool.health.failures > pool.settings.failures_to_open + 5)
        {"stop": redis_server.start, "stall": redis_server.resume}[harm]()
        await circuit_is(pool, Circuit.CLOSED)
        calls = pool.health.calls
        await until(lambda: pool.health.calls > calls + 3)
        watching.cancel()

    told = [record.getMessage() for record in caplog.records]
    assert [text.endswith("continuing without it") for text in told] == [True, False]
    assert told[1].endswith("answers again")


async def test_connections_of_those_who_wait_are_counted_apart(redis_server: RedisServer, make_pool: MakePool) -> None:
    pool = make_pool(redis_server.url)
    waiting = pool.dedicated()
    await pool.call_dedicated(waiting, lambda client: client.ping(), seconds=5)
    reader = Stream(pool, "news").read()
    await reader.next(wait_seconds=0.01)

    both = pool.health
    await pool.release(waiting)
    await reader.close()

    assert (both.dedicated, both.connections_in_use, both.connections_made) == (2, 0, 2)
    assert pool.health.dedicated == 0


async def test_a_dedicated_connection_asks_also_while_redis_is_left_alone_and_its_failures_show(
    redis_server: RedisServer, make_pool: MakePool
) -> None:
    pool = make_pool(redis_server.url, rest_seconds=300)
    client = pool.dedicated()
    redis_server.stop()
    for _ in range(pool.settings.failures_to_open):
        with pytest.raises(RedisError, match="cannot be reached"):
            await pool.call_dedicated(client, lambda client: client.ping(), seconds=5)
    gone = pool.health
    redis_server.start()

    await pool.call_dedicated(client, lambda client: client.ping(), seconds=5)

    assert (gone.is_degraded, gone.circuit, gone.failures) == (True, Circuit.CLOSED, 3)
    assert not pool.health.is_degraded
    await pool.release(client)


async def test_while_one_call_tries_a_stalled_redis_the_others_fail_at_once(
    redis_server: RedisServer, make_pool: MakePool
) -> None:
    pool = make_pool(redis_server.url, rest_seconds=0.05, timeout_seconds=0.5)
    redis_server.stall()
    await open_circuit(pool)
    tried = pool.health.calls
    await asyncio.sleep(0.1)

    await asyncio.gather(*(fails(pool) for _ in range(20)))

    assert pool.health.calls == tried + 1
    redis_server.resume()


async def test_a_cancelled_call_leaves_no_answer_behind_for_the_next_one(
    redis_server: RedisServer, make_pool: MakePool
) -> None:
    pool = make_pool(redis_server.url, connections=2, timeout_seconds=10)
    await pool.call(lambda client: client.mset({f"key {number}": str(number) for number in range(20)}))
    redis_server.stall()
    calls = [asyncio.create_task(pool.call(lambda client: client.get("key 1"))) for _ in range(4)]
    await asyncio.sleep(0.05)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    redis_server.resume()

    for number in range(20):
        assert await pool.call(methodcaller("get", f"key {number}")) == b"%d" % number
    assert pool.circuit is Circuit.CLOSED


async def test_a_cancelled_trial_does_not_close_the_circuit(redis_server: RedisServer, make_pool: MakePool) -> None:
    pool = make_pool(redis_server.url, rest_seconds=0.05)
    redis_server.stall()
    await open_circuit(pool)
    await asyncio.sleep(0.1)

    trial = asyncio.create_task(pool.call(lambda client: client.ping()))
    await circuit_is(pool, Circuit.TRYING)
    trial.cancel()
    await asyncio.wait([trial])

    await circuit_is(pool, Circuit.OPEN)
    redis_server.resume()


async def test_a_restart_of_redis_between_two_calls_goes_unnoticed(redis_server: RedisServer, pool: RedisPool) -> None:
    await pool.call(lambda client: client.set("key", b"value"))

    await asyncio.to_thread(redis_server.restart)

    assert await pool.call(lambda client: client.get("key")) is None
    assert pool.health.failures == 0


async def test_what_redis_refuses_is_told_in_its_own_words(pool: RedisPool) -> None:
    await pool.call(lambda client: client.set("key", b"value"))

    with pytest.raises(RedisError, match=r"refused: .*wrong kind of value"):
        await pool.call(lambda client: client.lpush("key", b"x"))


async def test_no_message_tells_the_password(
    make_redis_server: MakeRedisServer, make_pool: MakePool, caplog: pytest.LogCaptureFixture
) -> None:
    server = make_redis_server(password="open-sesame")
    wrong = server.url.replace("open-sesame", "hunter2-hunter2")
    caplog.set_level(logging.DEBUG)
    pool = make_pool(wrong)

    said = [await fails(pool) for _ in range(5)]

    assert said[0] == "refuses user or password: check redis.url"
    everything = [*said, caplog.text, repr(pool.settings), repr(pool.health), pool.settings.model_dump_json()]
    assert not any("hunter2" in text for text in everything)
    assert await make_pool(server.url).call(lambda client: client.ping())


@pytest.mark.parametrize("url", ["http://user:hunter2@host", "hunter2", "redis://:hunter2@:6379", "unix://"])
def test_a_wrong_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RedisSettings(url=url)  # type: ignore[arg-type] # pydantic makes a secret of it

    assert "a Redis url" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_settings_without_a_redis_make_no_pool() -> None:
    with pytest.raises(ConfigError, match=r"redis\.url is not set"):
        RedisPool(RedisSettings())


@pytest.mark.parametrize("turns", range(25))
async def test_no_cancellation_is_lost_however_late_it_comes(
    turns: int, redis_server: RedisServer, make_pool: MakePool
) -> None:
    pool = make_pool(redis_server.url, timeout_seconds=10)
    await pool.call(lambda client: client.ping())

    for _ in range(10):
        calling = asyncio.create_task(pool.call(lambda client: client.ping()))
        for _ in range(turns):
            await asyncio.sleep(0)
        was_in_time = calling.cancel()
        await asyncio.wait([calling])
        assert calling.cancelled() is was_in_time
