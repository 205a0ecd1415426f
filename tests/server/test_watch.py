"""What a server tells of itself and its desk: health, metrics, the audit record, one id from request to fill."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from redis import Redis
from tests.plain_http import PLAIN
from tests.redis_server import RedisServer
from tests.server.conftest import People

from ibdesk.desk import Desk
from ibdesk.store import RedisSettings
from ibdesk.store.audit import AuditLine
from ibdesk.store.audit_proof import newest, verify
from ibdesk.store.lease_health import LeaseHealth, LeaseState
from ibdesk.telemetry import NEVER_RESTART, Logs, LogSettings, Supervisor
from ibdesk_server.client import AioApiClient, FeedClient
from ibdesk_server.observability.figures import lease_families
from ibdesk_server.serve import WebServer
from ibdesk_server.settings import Settings

SECONDS = 30.0

Recorded = Callable[[int], Awaitable[list[AuditLine]]]


@pytest.fixture
def recorded(web: WebServer, server_settings: Settings) -> Recorded:
    """Wait until so many lines are on the record, and return them."""

    async def wait(count: int) -> list[AuditLine]:
        trail = web.app.state.services.watch.trail
        async with asyncio.timeout(SECONDS):
            while trail.written < count or trail.waiting:  # noqa: ASYNC110 - the disk tells nobody
                await asyncio.sleep(0.005)
        return newest(server_settings.state_folder / "audit", 1_000)

    return wait


async def test_every_change_is_on_record_with_who_and_how_it_ended(api: httpx.AsyncClient, recorded: Recorded) -> None:
    halted = await api.post("/api/v1/risk/halt", json={"reason": "news"}, headers={"X-Request-ID": "halt-0001"})
    resumed = await api.post("/api/v1/risk/resume", json={"id": halted.json()["id"], "reason": "calm"})
    wrong = await api.request("DELETE", "/api/v1/orders/none")
    await api.get("/api/v1/account")

    lines = await recorded(3)

    assert [(line.action, line.outcome, line.facts["status"]) for line in lines] == [
        ("risk.halt", "done", halted.status_code),
        ("risk.resume", "done", resumed.status_code),
        (lines[2].action, "rejected", wrong.status_code),
    ]
    assert (lines[0].by, lines[0].role, lines[0].correlation_id) == ("local", "admin", "halt-0001")
    assert (lines[0].facts["method"], lines[0].facts["path"]) == ("POST", "/api/v1/risk/halt")
    assert lines[0].facts["address"] == "127.0.0.1"


async def test_every_refusal_is_on_record_and_no_secret_is(
    stranger: httpx.AsyncClient, recorded: Recorded, server_settings: Settings
) -> None:
    await stranger.get("/api/v1/account", headers={"X-API-Key": "wr0ng-wr0ng"})
    await stranger.get("/login?code=n0t-a-c0de")

    lines = await recorded(2)

    assert [(line.outcome, line.by, line.facts["status"]) for line in lines] == [("refused", "", 401)] * 2
    written = (server_settings.state_folder / "audit" / "audit.jsonl").read_text()
    assert "wr0ng" not in written
    assert "n0t-a" not in written


async def test_the_record_is_whole_when_the_server_has_ended(desk: Desk, server_settings: Settings) -> None:
    server = WebServer(desk, server_settings)
    running = asyncio.create_task(server.run())
    await asyncio.wait_for(server.until_answering(), SECONDS)
    async with httpx.AsyncClient(base_url=server.url, **PLAIN) as client:
        await asyncio.gather(*(client.post(f"/api/v1/risk/halt?n={n}", json={}) for n in range(50)))

    running.cancel()
    await asyncio.wait({running})

    report = verify(server_settings.state_folder / "audit")
    assert (report.last, report.broken) == (50, "")


async def test_one_id_goes_from_the_request_through_the_engine_to_what_tws_says_of_the_order(
    api: httpx.AsyncClient, recorded: Recorded, tmp_path: Path
) -> None:
    order = {"symbol": "AAPL", "side": "buy", "quantity": 1}
    headers = {"X-Request-ID": "follow-me-0001", "Idempotency-Key": "follow-me-0001"}
    logs = Logs.set_up("test", LogSettings(stderr_level="critical"), state_folder=tmp_path)
    try:
        placed = await api.post("/api/v1/orders", json=order, headers=headers)
        assert placed.status_code in (200, 201), placed.text
        order_id = placed.json()["id"]
        async with asyncio.timeout(SECONDS):
            while (await api.get(f"/api/v1/orders/{order_id}")).json()["status"] != "filled":  # noqa: ASYNC110 - over REST one can only ask
                await asyncio.sleep(0.02)
        [line] = [line for line in await recorded(1) if line.action.startswith("orders.")]
    finally:
        logs.close()

    assert logs.path is not None
    told = [json.loads(text) for text in logs.path.read_text().splitlines()]
    about = [line for line in told if line.get("order_id") == order_id and "slow" not in line["msg"]]
    assert {line["correlation_id"] for line in about} == {"follow-me-0001"}
    assert "sent" in about[0]["msg"]
    assert about[0]["latency_ms"] > 0
    assert any("filled" in each["msg"] for each in about)
    assert {each["symbol"] for each in about} == {"AAPL"}
    assert line.correlation_id == "follow-me-0001"


async def test_health_names_each_part_and_what_is_wrong(api: httpx.AsyncClient) -> None:
    well = (await api.get("/health/detailed")).json()
    halt = (await api.post("/api/v1/risk/halt", json={"reason": "the news"})).json()
    halted = (await api.get("/health/detailed")).json()
    await api.post("/api/v1/risk/resume", json={"id": halt["id"], "reason": "read them"})

    assert set(well["components"]) >= {"desk", "link", "feed", "audit", "tasks", "process"}
    assert (well["status"], well["reasons"]) == ("ok", [])
    assert halted["status"] == "degraded"
    assert "the news" in halted["reasons"][0]
    assert {task["name"] for task in well["tasks"]} >= {"feed hub", "audit trail", "loop lag"}
    assert {task["name"] for task in well["engine_tasks"]} == {
        "tws",
        "journal",
        "marks",
        "loop lag",
        "watchdog",
        "sessions",
    }
    assert {task["state"] for task in well["tasks"] + well["engine_tasks"]} == {"running"}
    assert "/" not in well["desk"]["journal"]


async def test_work_around_the_desk_that_fails_is_told_without_the_folders_of_the_machine(
    desk: Desk, api: httpx.AsyncClient
) -> None:
    around = Supervisor()

    async def read() -> None:
        raise FileNotFoundError(2, "there is no", "/home/vera/secret place/prices.csv")

    around.add("prices", read, policy=NEVER_RESTART)
    running = asyncio.create_task(around.run())
    desk.process_context.tasks = around.tasks
    async with asyncio.timeout(SECONDS):
        while (told := (await api.get("/health/detailed")).json())["status"] == "ok":  # noqa: ASYNC110 - one can only ask
            await asyncio.sleep(0.01)
    desk.process_context.tasks = list
    running.cancel()
    await asyncio.wait({running})

    [prices] = [task for task in told["engine_tasks"] if task["name"] == "prices"]
    assert (told["status"], told["reasons"]) == ("degraded", ["tasks: prices failed"])
    assert (prices["state"], prices["restarts"]) == ("failed", 0)
    assert prices["last_error"] == "FileNotFoundError: [Errno 2] there is no: 'prices.csv'"


async def test_an_admin_sees_who_follows_the_feed_and_how_far_behind_each_is(
    web: WebServer, key: str, people: People, stranger: httpx.AsyncClient
) -> None:
    async with FeedClient(web.feed_url, key, topics=["orders"]) as feed, AioApiClient(web.url, key) as desk:
        await anext(aiter(feed))
        listed = await desk.feed_clients()
        refused = await stranger.get("/api/v1/feed/clients", headers=people.bearer("tom"))
        allowed = await stranger.get("/api/v1/feed/clients", headers=people.bearer("ann"))

    [client] = listed.items
    assert (client.worker, client.client, client.kind, client.topics) == ("1", "local", "websocket", ["orders"])
    assert client.lag_ms >= 0
    assert (refused.status_code, allowed.json()["total"]) == (403, 1)


async def test_readiness_waits_for_a_desk_that_reconciles(desk: Desk, api: httpx.AsyncClient) -> None:
    async with asyncio.timeout(SECONDS):
        # A desk may be back before it was looked at.
        while (answer := await api.get("/health/ready")).status_code == 200:
            desk.faults.hang_up()
        problem = answer.json()
        while (answer := await api.get("/health/ready")).status_code != 200:  # noqa: ASYNC110 - a probe can only ask
            await asyncio.sleep(0.01)

    assert (problem["status"], answer.json()) == (503, {"status": "ready", "link": "up"})
    assert "orders cannot be sent" in problem["detail"]


def spans_in(figures: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (sample["labels"]["process"], sample["labels"]["span"])
        for sample in figures["ibdesk_span_seconds"]
        if sample["name"].endswith("_count") and sample["value"] > 0
    }


async def test_metrics_hold_the_spans_of_desk_and_server(api: httpx.AsyncClient) -> None:
    await api.get("/api/v1/account")
    wanted = {("engine", "journal_commit"), ("web", "desk_call"), ("web", "request"), ("web", "loop_lag")}
    # The lag of a loop is measured a while after it began.
    for _ in range(200):
        figures = (await api.get("/health/metrics", headers={"Accept": "application/json"})).json()
        if wanted <= spans_in(figures):
            break
        await asyncio.sleep(0.05)
    text = (await api.get("/health/metrics", headers={"Accept": "text/plain"})).text

    assert wanted <= spans_in(figures)
    assert 'ibdesk_http_seconds_bucket{le="+Inf",route="/api/v1/account",worker="' in text
    assert figures["ibdesk_tws_connections"][0]["value"] == 1
    assert {"ibdesk_process_cpu_seconds", "ibdesk_process_memory_bytes", "ibdesk_task_running"} <= set(figures)
    assert all("worker" in sample["labels"] for family in figures.values() for sample in family)


def test_metrics_say_whether_the_engine_leads_and_how_many_stand_by() -> None:
    health = LeaseHealth(name="DU1", state=LeaseState.HELD, token=4, held_by="4 a", standbys=("b", "c"))

    told = {sample.name: sample.value for metric in lease_families(health) for sample in metric.samples}

    assert told == {"ibdesk_lease_held": 1, "ibdesk_lease_token": 4, "ibdesk_lease_standbys": 2}


async def test_a_slow_request_is_warned_of_with_its_route(
    api: httpx.AsyncClient, web: WebServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    performance = web.app.state.services.watch.performance
    performance.add("request", 1)
    performance._tracks["request"].budget_ns = 1.0

    await api.get("/api/v1/account", headers={"X-Request-ID": "slow-0001"})

    [record] = [record for record in caplog.records if record.getMessage().startswith("slow request")]
    assert record.__dict__["route"] == "/api/v1/account"


async def test_a_redis_that_is_gone_degrades_the_health_and_heals_by_itself(
    desk: Desk, redis_server: RedisServer, server_settings: Settings
) -> None:
    redis = RedisSettings(url=SecretStr(redis_server.url), rest_seconds=0.2, timeout_seconds=0.5)
    web = WebServer(desk, server_settings.model_copy(update={"redis": redis}))
    running = asyncio.create_task(web.run())
    await asyncio.wait_for(web.until_answering(), SECONDS)
    key = server_settings.server.key_file.read_text().strip()

    async with httpx.AsyncClient(base_url=web.url, headers={"X-API-Key": key}, **PLAIN) as client:

        async def until(state: str) -> httpx.Response:
            async with asyncio.timeout(SECONDS):
                while True:
                    answer = await client.get("/health/detailed")
                    part = answer.json()["components"]["redis"]
                    if part["state"] == state and part["facts"]["web"]["app"]["calls"]:
                        return answer
                    await asyncio.sleep(0.05)

        await client.get("/api/v1/history/AAPL", params={"bar": "1 day", "count": 5, "max_age": 5})
        well = (await until("ok")).json()
        with Redis.from_url(redis_server.url) as beside:
            connected = beside.info("clients")["connected_clients"] - 1
        made = web.app.state.services.watch.redis.health.connections_made
        redis_server.stop()
        gone = (await until("degraded")).json()
        ready = await client.get("/health/ready")
        redis_server.start()
        await until("ok")
        figures = (await client.get("/health/metrics", headers={"Accept": "application/json"})).json()
    running.cancel()
    await asyncio.wait({running})

    # Rate limits, the cache and the look after Redis share one pool.
    assert connected == made
    assert (well["status"], gone["status"], ready.status_code) == ("ok", "degraded", 200)
    assert gone["reasons"] == ["redis: Redis does not answer: the server works without it"]
    assert figures["ibdesk_redis_up"][0]["value"] == 1
    assert figures["ibdesk_redis_up"][0]["labels"] == {"process": "web", "pool": "app", "worker": "1"}
    assert figures["ibdesk_redis_failures"][0]["value"] > 0
