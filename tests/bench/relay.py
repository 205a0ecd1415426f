"""The watch of the latency benchmarks: a relay between clients and gateway that notes ticks and orders as they pass.

It is a process of its own, goes first where that is allowed, and asks the kernel when an order came, so that what it
measures is the client's time and not how long it has waited for a processor itself.

``python -m tests.bench.relay PORT`` prints its own port, then answers each line on standard input, ``latencies`` with
those noted since the last answer, in ms, as a JSON list.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvloop
from tests.load.arrivals import READ, note_arrivals, receive
from tests.load.process import LoadProcess, standard_input

_PLACE_ORDER, _TICK_PRICE = b"3\0", b"1\0"
_FIRST = -10


class Relay:
    """The process, as whoever started it sees it, while its ``with`` block lasts; clients connect to `port`."""

    def __init__(self, gateway_port: int) -> None:
        self._process = LoadProcess("tests.bench.relay", gateway_port)

    def __enter__(self) -> Self:
        self._process.__enter__()
        self.port = int(self._process.hear())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.__exit__(kind, error, trace)

    def latencies(self) -> list[float]:
        """Return the latencies in ms that were noted since this was last asked."""
        self._process.say("latencies")
        noted: list[float] = json.loads(self._process.hear())
        return noted


class _Watch:
    """Passes bytes between clients and gateway, and notes how long after a tick an order followed.

    A tick's moment is when it is handed over; an order's is when it was sent, which the kernel knows, and not when this
    process gets around to reading it: where processors are few that can be milliseconds later.
    """

    def __init__(self, gateway_port: int) -> None:
        self._gateway_port = gateway_port
        self._tick_at_ns = 0
        self.latencies: list[float] = []

    async def listen(self, listener: socket.socket) -> None:
        """Relay every connection that comes, until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as connections:
            while True:
                client, _ = await loop.sock_accept(listener)
                connections.create_task(self._serve(client))

    async def _serve(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with client, socket.socket() as gateway, contextlib.suppress(ConnectionError):
            for side in (client, gateway):
                side.setblocking(False)
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(gateway, ("127.0.0.1", self._gateway_port))
            await asyncio.gather(self._down(gateway, client), self._up(client, gateway))

    async def _down(self, gateway: socket.socket, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(gateway, READ):
            if data[4:6] == _TICK_PRICE:
                self._tick_at_ns = time.time_ns()
            await loop.sock_sendall(client, data)
        client.shutdown(socket.SHUT_WR)

    async def _up(self, client: socket.socket, gateway: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(client, readable.set)
        try:
            while await readable.wait():
                readable.clear()
                try:
                    data, at_ns = receive(client)
                except BlockingIOError:  # What was to be read has been, by the turn before.
                    continue
                if not data:
                    break
                if data[4:6] == _PLACE_ORDER and self._tick_at_ns:
                    self.latencies.append((at_ns - self._tick_at_ns) / 1e6)
                    self._tick_at_ns = 0
                await loop.sock_sendall(gateway, data)
        finally:
            loop.remove_reader(client)


async def _run(gateway_port: int) -> None:
    watch = _Watch(gateway_port)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        note_arrivals(listener)
        _say(listener.getsockname()[1])
        listening = asyncio.create_task(watch.listen(listener))
        commands = await standard_input()
        while await commands.readline():
            noted, watch.latencies = watch.latencies, []
            _say(noted)
        listening.cancel()


def _say(answer: Any) -> None:
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


def _go_first() -> None:
    """Take the processor before all others, where that is allowed."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _FIRST)
        Path("/proc/self/autogroup").write_text(str(_FIRST), encoding="ascii")


if __name__ == "__main__":
    _go_first()
    uvloop.run(_run(int(sys.argv[1])))
