"""A change at the desk to its bytes at a WebSocket client: the feed against a bare uvicorn broadcast of the same bytes.

Both run under the same uvicorn in this process, and a thread publishes to both as a desk does. The clients live in a
process of their own and read raw frames, so that little of their own work is measured. The two take turns.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, cast

import uvloop
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.bench.row import Row, against, percentile

from ibdesk.store.batches import Sequencer
from ibdesk.store.feed import Feed, Topic
from ibdesk_server.feed.endpoint import FeedEndpoint, FeedMiddleware
from ibdesk_server.feed.hub import FeedHub, FeedLimits
from ibdesk_server.feed.metrics import FeedMetrics
from ibdesk_server.feed.protocol import Delta, Subscribe, encode
from ibdesk_server.listener import Listener
from ibdesk_server.security.guard import Security

CLIENTS = (1, 200)
CHANGES = 75
CHANGES_PER_SECOND = 25
ROUNDS = 3
_KEY = "k" * 43
# The name of the column of stamps; an array of under 16 unsigned integers of eight bytes follows.
_STAMPS = b"\xa5at_ns"
_READY = b"\x82\x05ready"

Publish = Callable[[dict[str, Any]], None]


class FeedSide:
    """The feed as it is."""

    def __init__(self) -> None:
        self._feed, self._security = Feed(), Security(_KEY)
        self._hub = FeedHub(Sequencer(self._feed), limits=FeedLimits(), metrics=FeedMetrics(CollectorRegistry()))

    @property
    def app(self) -> ASGIApp:
        """Return the application."""
        return FeedMiddleware(Starlette(), FeedEndpoint(self._hub, self._security))

    async def work(self) -> None:
        """Serve until cancelled."""
        await self._hub.run()

    def publish(self, row: dict[str, Any]) -> None:
        """Take a change from the publishing thread."""
        self._feed.publish(Topic.FILLS, row["execution_id"], row)


class BareSide:
    """What a feed cannot do without: encode once, and send to one client after the other."""

    def __init__(self) -> None:
        self._sends: list[Send] = []
        self._loop = asyncio.get_running_loop()
        self._rows: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._seq = 0

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client."""
        if scope["type"] != "websocket":
            return
        await send({"type": "websocket.accept"})
        await receive()
        await receive()
        self._sends.append(send)
        await send({"type": "websocket.send", "bytes": b"ready"})
        while (await receive())["type"] != "websocket.disconnect":
            continue
        self._sends.remove(send)

    def publish(self, row: dict[str, Any]) -> None:
        """Take a change from the publishing thread."""
        self._loop.call_soon_threadsafe(self._rows.put_nowait, row)

    async def work(self) -> None:
        """Broadcast until cancelled."""
        while True:
            row = await self._rows.get()
            self._seq += 1
            frame = encode(
                Delta(
                    topic=Topic.FILLS, after=self._seq - 1, seq=self._seq, columns={name: [row[name]] for name in row}
                )
            )
            for send in list(self._sends):
                await send({"type": "websocket.send", "bytes": frame})


class _Client(asyncio.Protocol):
    """Cuts what it reads into frames and notes how old their stamps are."""

    def __init__(self, port: int, ready: Callable[[], None], took: Callable[[float], None]) -> None:
        self._port, self._ready, self._took = port, ready, took
        self._buffer = b""
        self._greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the WebSocket."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(
            f"GET /feed HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            f"X-API-Key: {_KEY}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Subscribe once the server has accepted; then take frames."""
        now = time.monotonic_ns()
        self._buffer += data
        if not self._greeted:
            head, found, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            self._greeted = True
            message = encode(Subscribe(topics=["fills"]))
            # A final binary frame of under 126 bytes, masked (as a client must) with zeros.
            self._transport.write(bytes((0x82, 0x80 | len(message), 0, 0, 0, 0)) + message)
        while (end := _frame_end(self._buffer)) is not None:
            frame, self._buffer = self._buffer[:end], self._buffer[end:]
            self._take(frame, now)

    def _take(self, frame: bytes, now: int) -> None:
        place = frame.find(_STAMPS)
        if place >= 0:
            place += len(_STAMPS)
            for number in range(frame[place] & 0x0F):
                stamp = place + 2 + 9 * number
                self._took((now - int.from_bytes(frame[stamp : stamp + 8])) / 1e6)
        elif b"snapshot" in frame or frame.endswith(_READY):
            self._ready()


def _frame_end(buffer: bytes) -> int | None:
    """Return where the first frame ends, None when it is not whole yet; no frame here is over 64 KiB."""
    if len(buffer) < 4:
        return None
    end = 4 + int.from_bytes(buffer[2:4]) if buffer[1] == 126 else 2 + buffer[1]
    return end if len(buffer) >= end else None


async def _clients(port: int, count: int) -> None:
    """Be so many clients, say when all are ready, and print the ages of all changes, in ms."""
    everybody, done = asyncio.Event(), asyncio.Event()
    ready, ages = [0], list[float]()

    def one_ready() -> None:
        ready[0] += 1
        if ready[0] == count:
            everybody.set()

    def took(age: float) -> None:
        ages.append(age)
        if len(ages) == count * CHANGES:
            done.set()

    loop = asyncio.get_running_loop()
    for _ in range(count):
        await loop.create_connection(lambda: _Client(port, one_ready, took), "127.0.0.1", port)
    async with asyncio.timeout(10 + CHANGES / CHANGES_PER_SECOND):
        await everybody.wait()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await done.wait()
    sys.stdout.write(json.dumps(ages))


async def _ages(side: FeedSide | BareSide, count: int) -> list[float]:
    """Return how old each change was at each of so many clients, in ms."""
    listener = Listener("127.0.0.1", 0, setting="port")
    tasks = [asyncio.create_task(listener.run(side.app)), asyncio.create_task(side.work())]
    await listener.answering.wait()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.feed", str(listener.port), str(count), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        if await process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the {count} clients of the benchmark did not connect")
        thread = threading.Thread(target=_publish, args=(side.publish,))
        thread.start()
        answer = await process.stdout.read()
        await asyncio.to_thread(thread.join)
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    ages: list[float] = json.loads(answer)
    return ages


def _publish(publish: Publish) -> None:
    began = time.monotonic()
    for number in range(CHANGES):
        time.sleep(max(0.0, began + number / CHANGES_PER_SECOND - time.monotonic()))
        row = {"execution_id": f"E{number}", "order_id": "run-1", "owner": "run", "symbol": "AAPL", "side": "buy"}
        publish(row | {"quantity": 100.0, "price": 229.89, "commission": None, "at_ns": time.monotonic_ns()})


async def _measure() -> list[Row]:
    rows = []
    for count in CLIENTS:
        bare, feed = list[float](), list[float]()
        for _ in range(ROUNDS):
            bare += await _ages(BareSide(), count)
            feed += await _ages(FeedSide(), count)
        clients = f"{count} client{'s' if count > 1 else ''}"
        for name, fraction in (("p50", 0.5), ("p99", 0.99)):
            rows.append(
                against(
                    f"change to bytes at {clients}, {name}",
                    percentile(feed, fraction),
                    "ms",
                    percentile(bare, fraction),
                    "p99 < 5 ms" if count == 1 else "1.25 x",
                )
            )
    return rows


def measure() -> list[Row]:
    """Return the rows of this benchmark."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure())


if __name__ == "__main__":
    uvloop.run(_clients(int(sys.argv[1]), int(sys.argv[2])))
