"""Many feed clients in one process, so light that what is measured is the server's work and hardly their own.

``python -m tests.load.clients PORT CLIENTS STUCK TOPIC`` with the API key on the first line of standard input. They
read raw frames now and then, whose age is known from when they came, and one frame that all of them get is decoded
once. The conversation with whoever started them, line by line:

    > (the key)
    < ready                            every client has its snapshot
    > expect ROWS                      so many rows were published since then, or since the last answer
    < {received, holes, ages}          the totals over those that are not stuck; ages in ms as a histogram
    > ...

The stuck ones subscribe and never read again. With the topic ``*`` they take all there are and count nothing. They end
with standard input.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import math
import resource
import socket
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import uvloop
from tests.load.arrivals import Mailbox
from tests.load.process import standard_input

# AGES: a histogram's bucket is wider than the one below by so much.
WIDTH = 1.02
_PAYLOAD_16, _PAYLOAD_64 = 126, 127
# The first byte of frames that stand for themselves (RFC 6455, 5.5.2).
_BINARY, _PING, _PONG = 0x82, 0x89, 0x8A
# How long stragglers are waited for once everything has been published.
_GRACE_SECONDS = 10.0
EVERYTHING = "*"
_CONNECTING_AT_ONCE = 50
_STUCK_BUFFER = 4_096


def bucket_of(age_ms: float) -> int:
    """Return the number of the histogram's bucket that an age falls into."""
    return round(math.log(max(age_ms, 0.001)) / math.log(WIDTH))


def percentile_of(ages: dict[int, int], fraction: float) -> float:
    """Return the age in ms below which `fraction` of a histogram's entries lie (nearest rank)."""
    wanted, seen = fraction * sum(ages.values()), 0
    for bucket in sorted(ages):
        seen += ages[bucket]
        if seen >= wanted:
            return float(WIDTH**bucket)
    return math.nan


class Score:
    """What all clients together have received."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.ready = self.received = self.holes = 0
        self.ages: collections.Counter[int] = collections.Counter()
        self.news = asyncio.Event()
        self._frame, self._decoded = b"", dict[str, Any]()

    def decode(self, frame: bytes) -> dict[str, Any]:
        """Return a frame's message; the same frame is decoded once, however many clients it comes to."""
        if frame != self._frame:
            self._frame, self._decoded = frame, msgspec.msgpack.decode(frame)
        return self._decoded

    def take(self, rows: int, stamps: list[int], at_ns: int) -> None:
        """Count rows that came at `at_ns`, with the moments at which they were published."""
        self.received += rows
        for stamp in stamps:
            self.ages[bucket_of((at_ns - stamp) / 1e6)] += 1
        self.news.set()

    def totals(self) -> dict[str, Any]:
        """Return what was counted, and begin anew."""
        totals = {"received": self.received, "holes": self.holes, "ages": self.ages}
        self.received, self.holes, self.ages = 0, 0, collections.Counter()
        return totals


class RawClient:
    """A WebSocket client that knows the feed's messages and no more; a stuck one reads nothing after its snapshot."""

    def __init__(self, score: Score, mailbox: Mailbox, connection: socket.socket, *, is_stuck: bool) -> None:
        self._score, self._mailbox, self._connection, self._is_stuck = score, mailbox, connection, is_stuck
        self._buffer = bytearray()
        self._greeted = self._ready = False
        self._seq = 0
        mailbox.open(connection, self.take)

    def ask(self, *, port: int, key: str) -> None:
        """Ask for the WebSocket."""
        self._connection.send(
            f"GET /feed HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            f"X-API-Key: {key}\r\n\r\n".encode()
        )

    def take(self, data: bytes, at_ns: int) -> None:
        """Take the answer to the request, then frames, which came at `at_ns`."""
        if not data:
            self._score.news.set()
            return
        self._buffer += data
        if not self._greeted and not self._take_head():
            return
        while (span := _frame_span(self._buffer)) is not None:
            begin, end = span
            kind, payload = self._buffer[0], bytes(self._buffer[begin:end])
            del self._buffer[:end]
            if kind == _PING:
                self._write(_PONG, payload)
            elif kind == _BINARY:
                try:
                    self._take(payload, at_ns)
                except (KeyError, msgspec.DecodeError) as error:
                    raise SystemExit(f"a frame is not understood: {error!r}") from None

    def _take_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        status = bytes(self._buffer[:end]).partition(b"\r\n")[0]
        if b" 101 " not in status:
            raise SystemExit(f"the server refuses a client: {status.decode()}")
        del self._buffer[: end + 4]
        self._greeted = True
        return True

    def _take(self, payload: bytes, at_ns: int) -> None:
        message = self._score.decode(payload)
        match message["type"]:
            case "hello":
                topics = None if self._score.topic == EVERYTHING else [self._score.topic]
                self._send({"type": "subscribe", "topics": topics})
            case "snapshot":
                self._seq = message["seq"]
                self._be_ready()
            case "delta" if message["topic"] == self._score.topic:
                self._take_delta(message, at_ns)
            case "ping":
                self._send({"type": "pong", "at_ns": message["at_ns"]})

    def _take_delta(self, message: dict[str, Any], at_ns: int) -> None:
        if message["after"] != self._seq:
            self._score.holes += 1
        self._seq = message["seq"]
        stamps = message["columns"]["at_ns"]
        self._score.take(len(stamps), _one_of_each(stamps), at_ns)

    def _be_ready(self) -> None:
        if self._ready:
            return
        self._ready = True
        self._score.ready += 1
        self._score.news.set()
        if self._is_stuck:
            self._mailbox.close(self._connection)

    def _send(self, message: dict[str, Any]) -> None:
        self._write(_BINARY, msgspec.msgpack.encode(message))

    def _write(self, kind: int, payload: bytes) -> None:
        """Send a frame of under 64 KiB, masked (as a client must) with zeros."""
        length = len(payload)
        head = bytes((kind, 0x80 | length)) if length < 126 else bytes((kind, 0xFE)) + length.to_bytes(2)
        self._connection.send(head + bytes(4) + payload)


def _one_of_each(stamps: list[int]) -> list[int]:
    """Return each moment once: rows that were published together are one batch."""
    return stamps[:1] if stamps[0] == stamps[-1] else list(dict.fromkeys(stamps))


def _frame_span(buffer: bytearray) -> tuple[int, int] | None:
    """Return where the first frame's payload begins and ends, None when it is not whole yet."""
    if len(buffer) < 2:
        return None
    length, begin = buffer[1] & 0x7F, 2
    if length >= _PAYLOAD_16:
        begin = 4 if length == _PAYLOAD_16 else 10
        if len(buffer) < begin:
            return None
        length = int.from_bytes(buffer[2:begin])
    return (begin, begin + length) if len(buffer) >= begin + length else None


async def _connect(score: Score, mailbox: Mailbox, *, port: int, key: str, is_stuck: bool) -> RawClient:
    connection = socket.socket()
    connection.setblocking(False)
    if is_stuck:
        # So that what it does not read waits at the server, and not in this machine's buffers.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _STUCK_BUFFER)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    client = RawClient(score, mailbox, connection, is_stuck=is_stuck)
    client.ask(port=port, key=key)
    return client


async def _run(port: int, clients: int, stuck: int, topic: str) -> None:
    commands = await standard_input()
    key = (await commands.readline()).decode().strip()
    score, mailbox = Score(topic), Mailbox()
    reading = asyncio.create_task(mailbox.run())
    at_once = asyncio.Semaphore(_CONNECTING_AT_ONCE)

    async def join(number: int) -> RawClient:
        async with at_once:
            return await _connect(score, mailbox, port=port, key=key, is_stuck=number < stuck)

    await asyncio.gather(*(join(number) for number in range(clients + stuck)))
    await _until(score, lambda: score.ready == clients + stuck, seconds=30 + clients / 50)
    if score.ready < clients + stuck:
        raise SystemExit(f"only {score.ready} of {clients + stuck} clients were served a snapshot")
    _say("ready")
    while line := await commands.readline():
        await _until_received(score, clients * int(line.split()[1]))
        _say(json.dumps(score.totals()))
    reading.cancel()


async def _until_received(score: Score, rows: int) -> None:
    await _until(score, lambda: score.received >= rows, seconds=_GRACE_SECONDS)


async def _until(score: Score, holds: Callable[[], bool], *, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not holds():
                score.news.clear()
                await score.news.wait()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Be the clients that the arguments ask for."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    port, clients, stuck, topic = sys.argv[1:]
    uvloop.run(_run(int(port), int(clients), int(stuck), topic))


if __name__ == "__main__":
    main()
