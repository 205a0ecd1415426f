"""``python -m tests.load.bare``: what no feed can do without, under the same uvicorn, as the measure of the feed.

It encodes a batch once and sends it to one client after the other. It prints its port when it answers.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import msgspec
import uvloop
from starlette.types import Receive, Scope, Send
from tests.load import source

from ibdesk.desk.loop import spare_from_collection
from ibdesk_server.listener import WebListener

_READY = {"type": "snapshot", "topic": source.TOPIC, "seq": 0, "columns": {}}


class Broadcast:
    """An application that sends every batch to every client."""

    def __init__(self) -> None:
        self._sends: list[Send] = []
        self._batches: asyncio.Queue[list[dict[str, Any]]] = asyncio.Queue()
        self._seq = 0

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client."""
        if scope["type"] != "websocket":
            return
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "bytes": msgspec.msgpack.encode({"type": "hello"})})
        await receive()
        await send({"type": "websocket.send", "bytes": msgspec.msgpack.encode(_READY)})
        self._sends.append(send)
        while (await receive())["type"] != "websocket.disconnect":
            continue
        self._sends.remove(send)

    def publish(self, rows: list[dict[str, Any]]) -> None:
        """Take a batch, on the loop's own thread."""
        self._batches.put_nowait(rows)

    async def run(self) -> None:
        """Broadcast until cancelled."""
        while True:
            rows = await self._batches.get()
            columns = {name: [row[name] for row in rows] for name in rows[0]}
            delta = {"type": "delta", "topic": source.TOPIC, "after": self._seq, "seq": self._seq + 1}
            self._seq += 1
            frame = msgspec.msgpack.encode(delta | {"columns": columns})
            for send in list(self._sends):
                await send({"type": "websocket.send", "bytes": frame})


async def _main() -> None:
    broadcast, listener = Broadcast(), WebListener("127.0.0.1", 0, setting="port")
    loop = asyncio.get_running_loop()
    tasks = [asyncio.create_task(listener.run(broadcast.app)), asyncio.create_task(broadcast.run())]
    await listener.answering.wait()
    sys.stdout.write(f"port {listener.port}\n")
    sys.stdout.flush()
    obeying = threading.Thread(
        target=source.obey,
        args=(lambda rows: loop.call_soon_threadsafe(broadcast.publish, rows),),
    )
    obeying.start()
    await asyncio.to_thread(obeying.join)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


if __name__ == "__main__":
    spare_from_collection()
    uvloop.run(_main())
