"""Promise 6: a stuck client, dashboard or Redis never delays an order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from tests.redis_server import RedisServer
from tests.stack import ROOT, Stack, eventually

if TYPE_CHECKING:
    from tests.processes.conftest import MakeStack, Trading

pytestmark = pytest.mark.timeout(600)

FILLS = 30
# A call to Redis takes as long as fifty orders before it is given up, and three of them before Redis is left alone:
# an order that waited for one would make the run of thirty take many times as long.
REDIS_TIMEOUT = "10"

NOTEBOOK = """
import sys
from ibdesk.desk import Desk

desk = Desk.attach()
print("attached", flush=True)
sys.stdin.read()
"""

Beside = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def beside() -> Iterator[Beside]:
    """Starts a Python program with the settings of a stack, and waits for its first line."""
    started: list[subprocess.Popen[str]] = []

    def start(stack: Stack, *words: str, tell: str = "") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            env=dict(stack.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(tell)
        process.stdin.flush()
        assert process.stdout.readline()
        return process

    yield start
    for each in started:
        each.kill()
        each.communicate()


def seconds_of(fills: int, trading: Trading) -> float:
    """Wait for so many more executions, and return how long they took by the venue's clock."""
    begins = trading.fills
    eventually(lambda: trading.fills >= begins + fills, f"{fills} more executions")
    return trading.seconds_between(begins - 1, begins + fills - 1)


def test_orders_leave_as_fast_while_clients_dashboard_web_and_redis_are_stuck(
    make_stack: MakeStack, trading: Trading, redis: RedisServer, beside: Beside
) -> None:
    stack = make_stack(redis_url=redis.url, IBDESK_REDIS__TIMEOUT_SECONDS=REDIS_TIMEOUT)
    engine, web, dashboard = stack.start_engine(), stack.start_web(), stack.start_dashboard()
    notebook = beside(stack, "-c", NOTEBOOK)
    # Four clients that take all topics of the feed and never read.
    beside(stack, "-m", "tests.load.clients", str(stack.port), "0", "4", "*", tell=f"{stack.key}\n")
    with stack.api() as api:
        churner = {"file": "churner.py", "symbols": ["AAPL"], "bar": "5 secs", "warm_up": 0}
        assert api.post("/api/v1/runs", json=churner).status_code == 201
    trading.goes_on()
    before = seconds_of(FILLS, trading)

    stuck = (notebook.pid, dashboard.pid, web.pid)
    for pid in stuck:
        os.kill(pid, signal.SIGSTOP)
    redis.stall()
    meanwhile = seconds_of(FILLS, trading)
    redis.resume()
    for pid in stuck:
        os.kill(pid, signal.SIGCONT)

    assert meanwhile < 4 * before
    assert engine.stop() == 0
