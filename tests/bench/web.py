"""Tick bytes in to order bytes out while the web is busy, against the same engine while it is quiet.

The engine is `ibdesk engine`, in a process of its own behind the relay of `tests.bench.latency`; beside it `ibdesk web`
serves 500 feed clients, which follow everything, and users that poll, place and cancel. The two take turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.latency import ON_EACH_TICK, ORDERS, TICKS_PER_SECOND, Pulse, Relay
from tests.bench.row import Row, against, percentile
from tests.load.clients import EVERYTHING
from tests.load.process import LoadProcess
from tests.load.rest import NO_LIMITS, locust_words
from tests.stack import ROOT, Program, Stack

from ibdesk.gateway import Gateway

CLIENTS = 500
USERS = 10
ROUNDS = 2
SECONDS = ORDERS / TICKS_PER_SECOND


@contextlib.contextmanager
def _busy_web(stack: Stack, *, clients: int, users: int) -> Iterator[None]:
    """Have the web server serve so many feed clients and users inside the block."""
    words = locust_words(stack, users=users, seconds=3_600)
    with LoadProcess("tests.load.clients", stack.port, clients, 0, EVERYTHING) as watching:
        watching.say(stack.key)
        watching.hear()
        polling = subprocess.Popen(
            words,
            cwd=ROOT,
            env=stack.environment | {"LOAD_KEY": stack.key},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
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


async def _latencies(relay: Relay, *, orders: int) -> list[float]:
    """Return the latencies of the next so many orders, in ms."""
    relay.latencies.clear()
    async with asyncio.timeout(60 + 4 * orders / TICKS_PER_SECOND):
        while len(relay.latencies) < orders:  # noqa: ASYNC110 - the relay tells nobody
            await asyncio.sleep(0.05)
    return relay.latencies[:orders]


async def compare(
    folder: Path, *, clients: int, users: int, orders: int, rounds: int
) -> tuple[list[float], list[float]]:
    """Return the latencies, in ms, of the engine while the web is quiet, and while it is busy."""
    strategies = folder / "strategies"
    strategies.mkdir()
    (strategies / "on_each_tick.py").write_text(ON_EACH_TICK)
    quiet, busy = list[float](), list[float]()
    async with Gateway(market=Pulse()) as gateway:
        relay = Relay(gateway.port)
        server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
        stack = Stack(
            folder,
            tws_port=server.sockets[0].getsockname()[1],
            variables={
                "IBDESK_SERVER__STRATEGIES": str(strategies),
                "IBDESK_RISK__MAX_ORDERS_PER_SECOND": "inf",
            }
            | NO_LIMITS,
        )
        try:
            engine = await asyncio.to_thread(_start, stack)
            await _latencies(relay, orders=TICKS_PER_SECOND)
            for _ in range(rounds):
                quiet += await _latencies(relay, orders=orders)
                load = _busy_web(stack, clients=clients, users=users)
                await asyncio.to_thread(load.__enter__)
                try:
                    busy += await _latencies(relay, orders=orders)
                finally:
                    await asyncio.to_thread(load.__exit__, None, None, None)
            await asyncio.to_thread(engine.stop)
        finally:
            await asyncio.to_thread(stack.close)
            server.close()
    return quiet, busy


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
