"""Tick bytes in to order bytes out while the web is busy, against the same engine while it is quiet.

The engine is `ibdesk engine`, in a process of its own behind the relay; beside it `ibdesk web`
serves 500 feed clients, which follow everything, and users that poll, place and cancel. The two take turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.latency import ON_EACH_TICK, TICKS_PER_SECOND, Pulse
from tests.bench.relay import Relay
from tests.bench.row import Row, against, percentile
from tests.load.clients import EVERYTHING
from tests.load.process import LoadProcess, stand_aside
from tests.load.rest import NO_LIMITS, locust_words
from tests.stack import ROOT, Program, Stack

from ibdesk.gateway import Gateway

CLIENTS = 500
USERS = 10
ORDERS = 500
ROUNDS = 2


@contextlib.contextmanager
def _busy_web(stack: Stack, *, clients: int, users: int) -> Iterator[None]:
    """Have the web server serve so many feed clients and users inside the block.

    They stand for other machines: on this one they have the processors that nobody else wants.
    """
    words = locust_words(stack, users=users, seconds=3_600)
    with LoadProcess("tests.load.clients", stack.port, clients, 0, EVERYTHING) as watching:
        stand_aside(watching.pid)
        watching.say(stack.key)
        watching.hear()
        polling = subprocess.Popen(
            words,
            cwd=ROOT,
            env=stack.environment | {"LOAD_KEY": stack.key},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        stand_aside(polling.pid)
        try:
            yield
        finally:
            polling.kill()
            polling.wait()


def _start(stack: Stack) -> Program:
    """Start engine and web, and the strategy that orders at each tick; return the engine."""
    engine = stack.start_engine()
    stack.start_web()
    with stack.api() as api:
        request = {"file": "on_each_tick.py", "symbols": ["AAPL"], "warm_up": 0}
        api.post("/api/v1/runs", json=request).raise_for_status()
    return engine


def _latencies(relay: Relay, *, orders: int) -> list[float]:
    """Return the latencies of the next so many orders, in ms."""
    relay.latencies()
    noted = list[float]()
    ends = time.monotonic() + 60 + 4 * orders / TICKS_PER_SECOND
    while len(noted) < orders:
        assert time.monotonic() < ends, f"only {len(noted)} of {orders} orders came"
        time.sleep(0.5)
        noted += relay.latencies()
    return noted[:orders]


def _take_turns(
    stack: Stack, relay: Relay, *, clients: int, users: int, orders: int, rounds: int
) -> tuple[list[float], list[float]]:
    quiet, busy = list[float](), list[float]()
    engine = _start(stack)
    _latencies(relay, orders=TICKS_PER_SECOND)
    for _ in range(rounds):
        quiet += _latencies(relay, orders=orders)
        with _busy_web(stack, clients=clients, users=users):
            busy += _latencies(relay, orders=orders)
    engine.stop()
    return quiet, busy


async def compare(
    folder: Path, *, clients: int, users: int, orders: int, rounds: int
) -> tuple[list[float], list[float]]:
    """Return the latencies, in ms, of the engine while the web is quiet, and while it is busy."""
    strategies = folder / "strategies"
    strategies.mkdir()
    (strategies / "on_each_tick.py").write_text(ON_EACH_TICK)
    async with Gateway(market=Pulse()) as gateway:
        with Relay(gateway.port) as relay:
            stack = Stack(
                folder,
                tws_port=relay.port,
                variables={
                    "IBDESK_SERVER__STRATEGIES": str(strategies),
                    "IBDESK_RISK__MAX_ORDERS_PER_SECOND": "inf",
                }
                | NO_LIMITS,
            )
            try:
                return await asyncio.to_thread(
                    _take_turns, stack, relay, clients=clients, users=users, orders=orders, rounds=rounds
                )
            finally:
                await asyncio.to_thread(stack.close)


def measure() -> list[Row]:
    """Return the rows of this benchmark."""
    with tempfile.TemporaryDirectory(prefix="web-") as folder:
        quiet, busy = asyncio.run(compare(Path(folder), clients=CLIENTS, users=USERS, orders=ORDERS, rounds=ROUNDS))
    load = f"{CLIENTS} feed clients, {USERS} users"
    return [
        against(
            f"tick to order with {load}, {name}",
            percentile(busy, fraction),
            "ms",
            percentile(quiet, fraction),
            budget,
        )
        for name, fraction, budget in (("p50", 0.5, ""), ("p99", 0.99, "<= 2 x the quiet figure"))
    ]
