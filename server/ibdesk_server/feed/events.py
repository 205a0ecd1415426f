"""The feed as server-sent events of JSON, for those who cannot do msgpack or WebSockets.

The same messages as on the WebSocket, each as an event named after its `type` with the message as its data; heartbeats
are comments. Each event's id is the token to resume by, which a browser's ``EventSource`` sends back by itself as
``Last-Event-ID``. Integers are written whole; JavaScript rounds those beyond 2^53, such as times in nanoseconds.
"""

from __future__ import annotations

import asyncio
import contextlib

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ibdesk_server.feed.coding import Coding
from ibdesk_server.feed.hub import FeedHub
from ibdesk_server.feed.protocol import LOGIN_ENDED, TRY_AGAIN_LATER, Bye, Subscribe
from ibdesk_server.feed.transport import ABORT
from ibdesk_server.security.principal import Principal
from ibdesk_server.security.revocations import RevocationMonitor

EVENT_STREAM = "text/event-stream"

# How long a browser waits before it comes back after a lost connection, in ms.
_RETRY = b"retry: 1000\n\n"
# How many bytes are collected for one turn of the sending task.
_CHUNK_BYTES = 65_536
# How long a client has to take the last words.
_END_SECONDS = 1.0


class _Events:
    """The `Outlet` of a client of events; `send` is a turn of its own, because HTTP bodies go out by a coroutine."""

    coding = Coding.JSON

    def __init__(self, scope: Scope) -> None:
        client = scope.get("client")
        self.address = client[0] if client else ""
        self.ended = False
        self._abort = scope["state"][ABORT]
        self._chunks: list[bytes] = [_RETRY]
        self._size = 0
        self._sending = False
        self._woken = asyncio.Event()

    @property
    def taking(self) -> bool:
        """Whether what was written has been handed over."""
        return not self.ended and not self._sending and self._size < _CHUNK_BYTES

    def write(self, data: bytes) -> None:
        """Send bytes at the next turn."""
        self._chunks.append(data)
        self._size += len(data)
        self._woken.set()

    def end(self, code: int, reason: str) -> None:
        """Say goodbye, and drop the connection soon if the client takes no bytes."""
        if not self.ended:
            self.write(self.coding.write(Bye(code=code, reason=reason)) + b"\n")
            self.leave()
            asyncio.get_running_loop().call_later(_END_SECONDS, self._abort)

    def leave(self) -> None:
        """Let `chunks` come to its end: the client is gone, or is told to go."""
        self.ended = True
        self._woken.set()

    async def next_chunk(self) -> bytes:
        """Wait for something to send and return it, nothing at the end; `sent` is to be called after."""
        if not self._chunks and not self.ended:
            self._woken.clear()
            await self._woken.wait()
        chunk, self._chunks, self._size = b"".join(self._chunks), [], 0
        self._sending = True
        return chunk

    def sent(self) -> None:
        """Take note that the server below has taken the chunk."""
        self._sending = False


class EventResponse(Response):
    """A response that goes on until the client or the server ends it."""

    media_type = EVENT_STREAM

    def __init__(
        self, hub: FeedHub, subscription: Subscribe, *, reader: Principal, revocations: RevocationMonitor
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._hub, self._subscription, self._reader, self._revocations = (
            hub,
            subscription,
            reader,
            revocations,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client."""
        loop = asyncio.get_running_loop()
        events = _Events(scope)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        subscriber = self._hub.join(events)
        if subscriber is None:
            events.end(TRY_AGAIN_LATER, "the server takes no more feed clients now")
            await send({"type": "http.response.body", "body": await events.next_chunk()})
            return

        def end() -> None:
            subscriber.cut(LOGIN_ENDED, "this key or login has expired or was revoked")

        self._revocations.enter(self._reader, end)
        leaving = asyncio.create_task(_until_gone(receive, events), name="feed events")
        try:
            subscriber.name, subscriber.greeted = self._reader.name, True
            subscriber.say(self._hub.hello(), loop.time())
            subscriber.subscribe(self._subscription, loop.time())
            while chunk := await events.next_chunk():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                events.sent()
                subscriber.pump(loop.time())
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._revocations.leave(self._reader, end)
            self._hub.leave(subscriber)
            leaving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await leaving


async def _until_gone(receive: Receive, events: _Events) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    events.leave()
