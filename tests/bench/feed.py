"""A change at the desk to its bytes at a WebSocket client: the feed against a bare uvicorn broadcast of the same bytes.

Both run under the same uvicorn in this process, and a thread publishes to both as a desk does. The clients live in a
process of their own and read raw frames, so that little of their own work is measured. The two take turns.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import uvloop
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.bench.row import Row, against, percentile

from ibdesk.store.batches import Batch, FeedState, Sequencer
from ibdesk.store.feed import Feed, Topic
from ibdesk_server.feed.channel import columns_of
from ibdesk_server.feed.endpoint import FeedEndpoint, FeedMiddleware
from ibdesk_server.feed.hub import FeedHub
from ibdesk_server.feed.limits import FeedLimits
from ibdesk_server.feed.metrics import FeedMetrics
from ibdesk_server.feed.protocol import Delta, Subscribe, encode
from ibdesk_server.listener import WebListener, raise_file_limit
from ibdesk_server.security.guard import Security

_KEY = "k" * 43
_ROUNDS = 3
# The name of the column of stamps; an array of unsigned integers of eight bytes follows.
_STAMPS = b"\xa5at_ns"
_READY = b"\x82\x05ready"

Rows = list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Scenario:
    """So many clients, `stuck` of which read nothing, are sent so many batches a second of so many rows."""

    clients: int
    rows: int
    batches: int
    per_second: int
    stuck: int = 0

    @property
    def topic(self) -> Topic:
        """Single rows are fills, as a desk publishes them; many are quotes, as a web worker gets them."""
        return Topic.FILLS if self.rows == 1 else Topic.QUOTES

    @property
    def words(self) -> str:
        """Return what it is called."""
        if self.rows == 1:
            return f"{self.clients} client{'s' if self.clients > 1 else ''}"
        stuck = f", {self.stuck} of them stuck" if self.stuck else ""
        return f"{self.clients:,} clients, {self.rows} quotes every {1_000 // self.per_second} ms{stuck}"


_FEW = (Scenario(1, 1, 75, 25), Scenario(200, 1, 75, 25))
_MANY = (Scenario(1_000, 100, 80, 20), Scenario(1_000, 100, 80, 20, stuck=10))


class _Batches:
    """Batches as a web worker gets them from the engine; a `BatchSource`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._news: asyncio.Queue[list[Batch]] = asyncio.Queue()
        self._seq = 0

    def publish(self, topic: Topic, rows: Rows) -> None:
        """Hand rows on from another thread."""
        self._seq += 1
        self._loop.call_soon_threadsafe(self._news.put_nowait, [Batch(topic, self._seq, rows)])

    async def open(self) -> FeedState:
        """Begin with nothing."""
        return await Sequencer(Feed()).open()

    async def next(self) -> list[Batch]:
        """Wait for batches and return all there are."""
        batches = await self._news.get()
        while not self._news.empty():
            batches += self._news.get_nowait()
        return batches

    async def close(self) -> None:
        """Follow no more."""


class FeedSide:
    """The feed as it is."""

    def __init__(self, scenario: Scenario) -> None:
        self._topic, self._security = scenario.topic, Security(_KEY)
        self._feed, self._batches = Feed(), _Batches()
        source = Sequencer(self._feed) if scenario.rows == 1 else self._batches
        self._hub = FeedHub(source, limits=FeedLimits(), metrics=FeedMetrics(CollectorRegistry()))

    @property
    def app(self) -> ASGIApp:
        """Return the application."""
        return FeedMiddleware(Starlette(), FeedEndpoint(self._hub, self._security))

    async def work(self) -> None:
        """Serve until cancelled."""
        await self._hub.run()

    def publish(self, rows: Rows) -> None:
        """Take changes from the publishing thread."""
        if self._topic is Topic.FILLS:
            self._feed.publish(self._topic, rows[0]["execution_id"], rows[0])
        else:
            self._batches.publish(self._topic, rows)


class BareSide:
    """What a feed cannot do without: encode once, and send to one client after the other."""

    def __init__(self, scenario: Scenario) -> None:
        self._topic = scenario.topic
        self._sends: list[Send] = []
        self._loop = asyncio.get_running_loop()
        self._rows: asyncio.Queue[Rows] = asyncio.Queue()
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

    def publish(self, rows: Rows) -> None:
        """Take changes from the publishing thread."""
        self._loop.call_soon_threadsafe(self._rows.put_nowait, rows)

    async def work(self) -> None:
        """Broadcast until cancelled."""
        while True:
            columns = columns_of(await self._rows.get())
            self._seq += 1
            frame = encode(Delta(topic=self._topic, after=self._seq - 1, seq=self._seq, columns=columns))
            for send in list(self._sends):
                await send({"type": "websocket.send", "bytes": frame})


class _Client(asyncio.Protocol):
    """Cuts what it reads into frames and notes how old their stamps are."""

    def __init__(
        self, port: int, topic: str, ready: Callable[[], None], took: Callable[[float], None], *, stuck: bool
    ) -> None:
        self._port, self._topic, self._ready, self._took, self._stuck = port, topic, ready, took, stuck
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
            message = encode(Subscribe(topics=[self._topic]))
            # A final binary frame of under 126 bytes, masked (as a client must) with zeros.
            self._transport.write(bytes((0x82, 0x80 | len(message), 0, 0, 0, 0)) + message)
        while (end := _frame_end(self._buffer)) is not None:
            frame, self._buffer = self._buffer[:end], self._buffer[end:]
            self._take(frame, now)

    def _take(self, frame: bytes, now: int) -> None:
        if b"snapshot" in frame[:40] or frame.endswith(_READY):
            self._ready()
            if self._stuck:
                self._transport.pause_reading()
            return
        place = frame.find(_STAMPS)
        if place < 0 or b"delta" not in frame[:24]:
            return
        place += len(_STAMPS)
        # Rows of one batch have one stamp; of an array of 16 and more (0xdc, two bytes of length) the first tells.
        first, count = (place + 3, 1) if frame[place] == 0xDC else (place + 1, frame[place] & 0x0F)
        for number in range(count):
            stamp = first + 1 + 9 * number
            self._took((now - int.from_bytes(frame[stamp : stamp + 8])) / 1e6)


def _frame_end(buffer: bytes) -> int | None:
    """Return where the first frame ends, None when it is not whole yet; no frame here is over 64 KiB."""
    if len(buffer) < 4:
        return None
    end = 4 + int.from_bytes(buffer[2:4]) if buffer[1] == 126 else 2 + buffer[1]
    return end if len(buffer) >= end else None


async def _clients(port: int, scenario: Scenario) -> None:
    """Be so many clients, say when all are ready, and print the ages of all changes, in ms."""
    raise_file_limit()
    everybody, done = asyncio.Event(), asyncio.Event()
    ready, ages = [0], list[float]()
    expected = (scenario.clients - scenario.stuck) * scenario.batches

    def one_ready() -> None:
        ready[0] += 1
        if ready[0] == scenario.clients:
            everybody.set()

    def took(age: float) -> None:
        ages.append(age)
        if len(ages) == expected:
            done.set()

    loop = asyncio.get_running_loop()
    for number in range(scenario.clients):
        stuck = number < scenario.stuck

        def make(stuck: bool = stuck) -> _Client:
            return _Client(port, scenario.topic.value, one_ready, took, stuck=stuck)

        await loop.create_connection(make, "127.0.0.1", port)
    async with asyncio.timeout(60):
        await everybody.wait()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        async with asyncio.timeout(5 + scenario.batches / scenario.per_second):
            await done.wait()
    except TimeoutError:
        # What is missing then was not delivered.
        pass
    sys.stdout.write(json.dumps(ages))


async def _ages(side: FeedSide | BareSide, scenario: Scenario) -> tuple[list[float], float]:
    """Return how old each change was at each client, in ms, and how many MB the server grew meanwhile."""
    listener = WebListener("127.0.0.1", 0, setting="port")
    tasks = [asyncio.create_task(listener.run(side.app)), asyncio.create_task(side.work())]
    await listener.answering.wait()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.feed",
        str(listener.port),
        *map(str, dataclasses.astuple(scenario)),
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 26,
    )
    assert process.stdout is not None
    try:
        if await process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the {scenario.clients} clients of the benchmark did not connect")
        before = _resident_mb()
        thread = threading.Thread(target=_publish, args=(side.publish, scenario))
        thread.start()
        answer = await process.stdout.read()
        grown = _resident_mb() - before
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
    return ages, grown


def _publish(publish: Callable[[Rows], None], scenario: Scenario) -> None:
    began = time.monotonic()
    for number in range(scenario.batches):
        time.sleep(max(0.0, began + number / scenario.per_second - time.monotonic()))
        at_ns = time.monotonic_ns()
        if scenario.rows == 1:
            row = {"execution_id": f"E{number}", "order_id": "run-1", "owner": "run", "symbol": "AAPL", "side": "buy"}
            publish([row | {"quantity": 100.0, "price": 229.89, "commission": None, "at_ns": at_ns}])
        else:
            publish([_quote(f"S{place}", at_ns) for place in range(scenario.rows)])


def _quote(symbol: str, at_ns: int) -> dict[str, Any]:
    return {"symbol": symbol, "at_ns": at_ns, "bid": 229.88, "ask": 229.9, "bid_size": 200.0, "ask_size": 300.0}


def _resident_mb() -> float:
    """Return how much memory this process has, in MB."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4_096 / 1e6


async def _measure() -> list[Row]:
    raise_file_limit()
    rows = []
    for scenario in _FEW + _MANY:
        bare, feed, grown = list[float](), list[float](), list[float]()
        # Sending to one after the other, the bare broadcast would stand still for stuck clients: it has none.
        plain = dataclasses.replace(scenario, clients=scenario.clients - scenario.stuck, stuck=0)
        for _ in range(_ROUNDS):
            bare += (await _ages(BareSide(plain), plain))[0]
            ages, more = await _ages(FeedSide(scenario), scenario)
            feed += ages
            grown.append(more)
        for name, fraction in (("p50", 0.5), ("p99", 0.99)):
            rows.append(
                against(
                    f"change to bytes at {scenario.words}, {name}",
                    percentile(feed, fraction),
                    "ms",
                    percentile(bare, fraction),
                    "p99 < 5 ms" if scenario.clients == 1 else "1.25 x",
                )
            )
        if scenario in _MANY:
            expected = plain.clients * scenario.batches * _ROUNDS / 100
            seconds = scenario.batches // scenario.per_second
            rows += [
                against(f"delivered, {scenario.words}", len(feed) / expected, "%", len(bare) / expected, "99.9 %"),
                Row(f"memory grown in {seconds} s, {scenario.words}", max(grown), "MB"),
            ]
    return rows


def measure() -> list[Row]:
    """Return the rows of this benchmark."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure())


if __name__ == "__main__":
    uvloop.run(_clients(int(sys.argv[1]), Scenario(*map(int, sys.argv[2:]))))
