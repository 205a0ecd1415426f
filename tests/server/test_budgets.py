"""How much anybody may ask, counted by name and by address, in memory or in a real Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from tests.plain_http import PLAIN
from tests.redis_server import RedisServer
from tests.server.conftest import People

from ibdesk.desk import Desk
from ibdesk.store import RedisSettings
from ibdesk.store.redis.pool import RedisPool
from ibdesk_server.security.budgets import Budgets
from ibdesk_server.security.settings import LimitSettings
from ibdesk_server.serve import WebServer
from ibdesk_server.settings import Settings

ACCOUNT = "/api/v1/account"
# LONGEST_SECONDS: in which any of these tests has asked all that it asks.
LONGEST_SECONDS = 8.0
Limited = Callable[..., Any]


@pytest.fixture(autouse=True)
async def within_one_minute() -> None:
    """Begin where the clock's minute goes on for a while: at its turn one request more is let through.

    The library counts what the minute before has left as a fraction, rounded down; budgets are approximate to that one.
    """
    left = 60 - time.time() % 60
    if left < LONGEST_SECONDS:
        await asyncio.sleep(left)


@pytest.fixture
async def limited(desk: Desk, server_settings: Settings, password_hash: str) -> AsyncIterator[Limited]:
    """Start a server with these limits and return a client of it, and its people."""
    tasks: list[asyncio.Task[None]] = []
    clients: list[httpx.AsyncClient] = []

    async def start(**limits: int) -> tuple[httpx.AsyncClient, People]:
        server = server_settings.server.model_copy(update={"limits": LimitSettings(**limits)})
        web = WebServer(desk, server_settings.model_copy(update={"server": server}))
        tasks.append(asyncio.create_task(web.run()))
        await asyncio.wait_for(web.until_answering(), 30)
        clients.append(httpx.AsyncClient(base_url=web.url, **PLAIN))
        return clients[-1], People(web.security, password_hash)

    yield start
    for client in clients:
        await client.aclose()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_who_reads_too_much_is_told_when_to_come_back_and_others_go_on(limited: Limited) -> None:
    client, people = await limited(reads_per_minute=2)
    vera, tom = people.bearer("vera"), people.bearer("tom")

    answers = [await client.get(ACCOUNT, headers=vera) for _ in range(3)]
    other = await client.get(ACCOUNT, headers=tom)

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["ratelimit"].split(";t=")[0] for answer in answers] == [
        '"reads";r=1',
        '"reads";r=0',
        '"reads";r=0',
    ]
    assert answers[2].headers["ratelimit-policy"] == '"reads";q=2;w=60'
    assert 1 <= int(answers[2].headers["retry-after"]) <= 60
    assert answers[2].json()["detail"] == "vera sends too many requests: 2 a minute are allowed"
    assert other.status_code == 200


async def test_a_second_login_brings_no_second_budget(limited: Limited) -> None:
    client, people = await limited(reads_per_minute=1)

    first, second = [await client.get(ACCOUNT, headers=people.bearer("vera")) for _ in range(2)]

    assert (first.status_code, second.status_code) == (200, 429)


async def test_reads_and_writes_have_budgets_of_their_own(limited: Limited) -> None:
    client, people = await limited(writes_per_minute=1)
    tom = people.bearer("tom")

    first, second = [await client.delete("/api/v1/orders", headers=tom) for _ in range(2)]
    read = await client.get(ACCOUNT, headers=tom)

    assert (first.status_code, second.status_code, read.status_code) == (202, 429, 200)


async def test_an_address_has_a_budget_whoever_asks_and_probes_need_none(limited: Limited) -> None:
    client, people = await limited(address_per_minute=3)

    strangers = [await client.get("/docs") for _ in range(3)]
    known = await client.get(ACCOUNT, headers=people.bearer("vera"))
    probes = [await client.get("/health/live") for _ in range(5)]

    assert [answer.status_code for answer in strangers] == [401, 401, 401]
    assert known.status_code == 429
    assert known.json()["detail"] == "too many requests from this address: 3 a minute are allowed"
    assert [answer.status_code for answer in probes] == [200] * 5


async def test_logins_from_one_address_are_few(limited: Limited) -> None:
    client, _ = await limited(logins_per_minute=2)

    refreshes = [await client.post("/api/v1/auth/refresh", json={"refresh_token": "x"}) for _ in range(3)]

    assert [answer.status_code for answer in refreshes] == [401, 401, 429]


MakePool = Callable[..., RedisPool]


@pytest.fixture
async def make_pool(redis_server: RedisServer) -> AsyncIterator[MakePool]:
    made: list[RedisPool] = []

    def make(**settings: float) -> RedisPool:
        made.append(RedisPool(RedisSettings.model_validate({"url": redis_server.url} | settings)))
        return made[-1]

    yield make
    for pool in made:
        await pool.close()


async def test_processes_that_share_a_redis_share_the_budgets(make_pool: MakePool) -> None:
    one, other = (Budgets(LimitSettings(reads_per_minute=3), make_pool()) for _ in range(2))

    allowed = [(await budgets.spend(budgets.reads, "vera")).allowed for budgets in (one, other, one, other)]

    assert allowed == [True, True, True, False]


async def test_without_redis_each_process_counts_for_itself_and_nobody_waits(
    redis_server: RedisServer, make_pool: MakePool
) -> None:
    pool = make_pool(timeout_seconds=0.2, rest_seconds=300, failures_to_open=1)
    budgets = Budgets(LimitSettings(reads_per_minute=3), pool)
    assert (await budgets.spend(budgets.reads, "vera")).left == 2

    redis_server.stall()
    standings = [await asyncio.wait_for(budgets.spend(budgets.reads, "vera"), 10) for _ in range(4)]
    redis_server.resume()

    assert [standing.allowed for standing in standings] == [True, True, True, False]
    # One of them found out; the others did not go there.
    assert (pool.health.failures, pool.health.refused) == (1, 3)


async def test_the_limits_use_the_connections_of_the_pool(redis_server: RedisServer, make_pool: MakePool) -> None:
    pool = make_pool(connections=2)
    budgets = Budgets(LimitSettings(reads_per_minute=1_000), pool)

    await asyncio.gather(*(budgets.spend(budgets.reads, "vera") for _ in range(20)))

    assert 1 <= pool.health.connections_made <= 2
    assert pool.health.calls == 20
    # Nobody else has a connection.
    clients: Any = await pool.call(lambda client: client.info("clients"))
    assert clients["connected_clients"] == pool.health.connections_made
