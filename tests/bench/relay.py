"""The watch of the latency benchmarks: a relay between clients and gateway that notes ticks and orders as they pass.

It is a process of its own, and goes first where that is allowed, so that what it measures is the client's time and not
how long it has waited for a processor itself. ``python -m tests.bench.relay PORT`` prints its own port, then answers
each line on standard input, ``latencies`` with those noted since the last answer, in ms, as a JSON list.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvloop
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
    """Passes bytes between clients and gateway; a tick's moment is when it is handed over, an order's when it came."""

    def __init__(self, gateway_port: int) -> None:
        self._gateway_port = gateway_port
        self._tick_at = 0.0
        self.latencies: list[float] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection until either side closes it."""
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._gateway_port)
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(self._down(up_reader, writer), self._up(reader, up_writer))

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if data[4:6] == _TICK_PRICE:
                self._tick_at = time.perf_counter()
            writer.write(data)
        writer.close()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if data[4:6] == _PLACE_ORDER and self._tick_at:
                self.latencies.append((time.perf_counter() - self._tick_at) * 1000)
                self._tick_at = 0.0
            writer.write(data)
        writer.close()


async def _run(gateway_port: int) -> None:
    watch = _Watch(gateway_port)
    server = await asyncio.start_server(watch.serve, "127.0.0.1", 0)
    _say(server.sockets[0].getsockname()[1])
    commands = await standard_input()
    while await commands.readline():
        noted, watch.latencies = watch.latencies, []
        _say(noted)
    server.close()


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
