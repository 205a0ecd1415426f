"""`kill -9` of the processes around the engine, while a strategy trades: the engine is not affected."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.redis_server import RedisServer
from tests.stack import IBDESK, Program, Stack, eventually

from ibdesk.desk import AttachedDesk
from ibdesk.store import Topic

if TYPE_CHECKING:
    from tests.processes.conftest import MakeStack, Trading

pytestmark = pytest.mark.timeout(600)

# At ten orders a second nothing should hold one up for longer; a busy machine gets this much.
PAUSE_SECONDS = 3.0


def start_churner(stack: Stack) -> str:
    """Start the strategy over the API and return the run's id."""
    with stack.api() as api:
        answer = api.post(
            "/api/v1/runs", json={"file": "churner.py", "symbols": ["AAPL"], "bar": "5 secs", "warm_up": 0}
        )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["run_id"])


def stop_run(stack: Stack, run_id: str) -> None:
    with stack.api() as api:
        assert api.post(f"/api/v1/runs/{run_id}/stop").is_success


def assert_journals_replay(stack: Stack) -> None:
    """Feed every journal of the stack to a fresh engine: it must decide alike."""
    journals = sorted((stack.state / "journals").glob("*.sqlite"))
    assert journals
    for journal in journals:
        replay = Program([*IBDESK, "replay", str(journal)], stack.environment, stack.folder / "replay.log")
        assert replay.wait() == 0, replay.said
        assert "equal" in replay.said


def test_a_web_server_that_is_killed_costs_no_order_and_its_feed_clients_nothing(
    make_stack: MakeStack, trading: Trading
) -> None:
    stack = make_stack()
    engine = stack.start_engine()
    web = stack.start_web()
    beside = AttachedDesk.open(f"unix:{stack.desk_socket}")
    reader, _ = beside.feed.subscribe(lambda: None)
    watch = stack.watch_feed("orders")
    run_id = start_churner(stack)
    eventually(lambda: len(watch.changes("orders")) > 20, "changes before")
    before = len(watch.changes("orders"))

    web.kill()
    trading.goes_on()
    stack.start_web()
    eventually(lambda: len(watch.changes("orders")) > before + 50, "changes after")
    stop_run(stack, run_id)
    everything: list[dict[str, Any]] = []

    def is_told() -> bool:
        everything.extend(reader.drain()[0].get(Topic.ORDERS, []))
        changes: list[dict[str, Any]] = watch.changes("orders")
        return changes == everything[-len(changes) :] and changes[-1]["status"] in {"filled", "cancelled"}

    # After the restart it goes on where it was, with nothing missing and nothing twice.
    eventually(is_told, "the same rows as beside the web server")
    assert watch.snapshots("orders") == 1
    assert watch.client.connections == 2
    assert engine.is_running
    assert trading.longest_pause() < PAUSE_SECONDS
    beside.close()
    assert engine.stop() == 0
    assert_journals_replay(stack)


def test_one_of_two_workers_that_is_killed_is_started_again(make_stack: MakeStack, trading: Trading) -> None:
    stack = make_stack(workers=2)
    stack.start_engine()
    web = stack.start_web()
    start_churner(stack)
    trading.goes_on()
    # One answers for both: a worker that dies while it starts ends the command.
    web.until(r"API and feed, 2 workers")
    first, second = web.children()

    os.kill(first, signal.SIGKILL)

    trading.goes_on()
    eventually(lambda: first not in web.children() and len(web.children()) == 2, "two workers again")
    assert second in web.children()
    # It has its number again: no series of figures begins with its life.
    told: set[str] = set()

    def both_have_told() -> bool:
        told.add(stack.get("/health/detailed")["worker"])
        return len(told) == 2

    eventually(both_have_told, "the names of both")
    assert told == {"1", "2"}
    assert stack.get("/health/ready")["status"] == "ready"
    assert trading.longest_pause() < PAUSE_SECONDS


def test_a_dashboard_that_is_killed_costs_no_order(make_stack: MakeStack, trading: Trading) -> None:
    stack = make_stack()
    engine = stack.start_engine()
    stack.start_web()
    dashboard = stack.start_dashboard()
    run_id = start_churner(stack)
    trading.goes_on()

    dashboard.kill()

    trading.goes_on()
    again = stack.start_dashboard()
    trading.goes_on()
    assert trading.longest_pause() < PAUSE_SECONDS
    stop_run(stack, run_id)
    assert again.stop() == 0
    assert engine.stop() == 0
    assert_journals_replay(stack)


def states(stack: Stack) -> dict[str, str]:
    """What the health says of Redis and of the lease in it."""
    parts = stack.get("/health/detailed")["components"]
    return {name: parts[name]["state"] for name in ("redis", "lease")}


def assert_all_is_well(stack: Stack) -> None:
    """See engine and web in the health with all that they have to do with Redis."""
    told = stack.get("/health/detailed")
    assert (told["status"], told["reasons"]) == ("ok", [])
    pools = told["components"]["redis"]["facts"]
    assert {process: set(found) for process, found in pools.items()} == {"web": {"app"}, "engine": {"app", "lease"}}
    # The lease has a connection of its own, and who reads the calls at the desk port has another.
    assert [pools["engine"][name]["dedicated"] for name in ("app", "lease")] == [1, 1]
    lease = told["components"]["lease"]["facts"]
    assert (lease["state"], lease["token"], lease["standbys"]) == ("held", 1, [])
    own = {"tws", "journal", "marks", "loop lag", "watchdog", "sessions", "desk port"}
    names = own | {"journal to Redis", "redis", "market cache"}
    assert {task["name"]: task["state"] for task in told["engine_tasks"]} == dict.fromkeys(names, "running")


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def test_redis_that_is_killed_stalled_and_started_again_costs_no_order(
    make_stack: MakeStack, trading: Trading, redis: RedisServer
) -> None:
    stack = make_stack(redis_url=redis.url)
    engine = stack.start_engine()
    stack.start_web()
    run_id = start_churner(stack)
    trading.goes_on()

    assert_all_is_well(stack)

    for harm, repair in ((redis.stop, redis.start), (redis.stall, redis.resume)):
        harm()
        trading.goes_on(fills=20)
        # Redis may take a few calls until it is left alone; the desk must not be among those that wait for it.
        assert stack.get("/health/ready")["status"] == "ready"
        eventually(lambda: states(stack) == {"redis": "degraded", "lease": "degraded"}, "the health says so")
        repair()
        trading.goes_on(fills=20)
        eventually(lambda: states(stack) == {"redis": "ok", "lease": "ok"}, "all is well again")
        assert_all_is_well(stack)

    assert trading.longest_pause() < PAUSE_SECONDS
    stop_run(stack, run_id)
    assert engine.stop() == 0
    assert_journals_replay(stack)


def test_without_the_engine_its_last_quotes_and_bars_are_told_to_whom_they_are_young_enough(
    make_stack: MakeStack, redis: RedisServer
) -> None:
    # As on another machine: Redis is all that engine and web have in common.
    stack = make_stack(redis_url=redis.url, IBDESK_PORT_ADDRESS="redis:far-away")
    engine = stack.start_engine()
    stack.start_web()
    start_churner(stack)
    with stack.api() as api:

        def ask(path: str, max_age: float) -> httpx.Response:
            return api.get(f"/api/v1/{path}", params={"max_age": max_age})

        eventually(lambda: ask("bars/AAPL", 0).json()["total"] >= 2, "bars")
        before = ask("bars/AAPL", 0).json()["items"][0]

        engine.kill()

        eventually(lambda: ask("quotes", 1).status_code == 503, "they are too old for that")
        gone = ask("quotes", 1)
        quotes, bars = ask("quotes", 600), ask("bars/AAPL", 600)
        older = eventually(lambda: int(ask("quotes", 600).headers["age"]) > int(quotes.headers["age"]), "it grows old")

    assert (gone.status_code, gone.headers["content-type"]) == (503, "application/problem+json")
    assert [quote["symbol"] for quote in quotes.json()["items"]] == ["AAPL"]
    assert int(quotes.headers["age"]) >= 1
    assert (bars.status_code, bars.json()["items"][0]) == (200, before)
    assert older


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_workers_whose_parent_was_killed_end_too(make_stack: MakeStack) -> None:
    stack = make_stack(workers=2)
    stack.start_engine()
    web = stack.start_web()
    workers = web.children()

    web.kill()

    eventually(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), "the workers are gone")
