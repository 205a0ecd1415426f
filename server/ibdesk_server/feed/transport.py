"""uvicorn's protocols, opened up for the feed: ready frames go straight to the socket, and a stuck client can be left.

As uvicorn has it, each message of each client passes a coroutine and the framing anew, and closing waits like any
message until the client takes bytes, which a stuck one never does. Here frames that are ready for the wire are handed
over as they are, and an end does not depend on the client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import h11
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from ibdesk_server.feed.coding import Coding
from ibdesk_server.feed.protocol import Bye
from ibdesk_server.heads import WaitingHeads
from ibdesk_server.problems import problem_response

WIRE = "ibdesk.wire"
"""The ASGI extension under which a WebSocket application finds its `FeedTransport`."""

ABORT = "ibdesk.abort"
"""The name in an HTTP scope's state of what drops the connection at once."""

# How long a client has to answer a close frame or take what is still buffered for it.
_CLOSE_SECONDS = 1.0


class FeedTransport(WebSocketsSansIOProtocol):
    """A WebSocket connection; the `Outlet` of a feed client."""

    coding = Coding.MSGPACK
    on_taking: Callable[[], object] | None = None
    write: Callable[[bytes], None]
    """Sends a whole frame; only while `taking`. It is the transport's own: each flush calls it for each client."""
    _is_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have the transport say so as soon as the socket does not take all bytes, rather than buffer 64 KiB."""
        super().connection_made(transport)
        # Not 0: over TLS, asyncio pauses from the limit on, and would never see less than nothing in the buffer.
        self.transport.set_write_buffer_limits(high=1)
        self.write = self.transport.write

    async def run_asgi(self) -> None:
        """Run the application, with the extension."""
        self.scope["extensions"][WIRE] = self  # type: ignore[assignment] # ASGI leaves open what an extension is
        await super().run_asgi()

    async def send(self, message: ASGISendEvent) -> None:
        """Send an event of the application."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            # uvicorn takes a refusal with a body for no answer at all, and would log a fault of the application.
            self.handshake_complete = True

    def pause_writing(self) -> None:
        """Take note that the client takes no more for now."""
        super().pause_writing()
        self._is_paused = True

    def resume_writing(self) -> None:
        """Take note that the client has taken everything."""
        super().resume_writing()
        self._is_paused = False
        if self.on_taking is not None:
            self.on_taking()

    @property
    def address(self) -> str:
        """Return where the client is."""
        return "" if self.client is None else self.client[0]

    @property
    def taking(self) -> bool:
        """Whether nothing is buffered and the connection is open."""
        return not (self._is_paused or self.close_sent or self.transport.is_closing())

    async def until_taking(self) -> None:
        """Wait until the client has taken what is buffered, or is gone."""
        await self.writable.wait()

    def end(self, code: int, reason: str) -> None:
        """Say goodbye and close, and drop the socket soon after whatever the client does.

        One that takes no more bytes gets the close frame alone.
        """
        if self.close_sent or self.transport.is_closing():
            return
        if self.writable.is_set():
            self.transport.write(self.coding.write(Bye(code=code, reason=reason)))
        self.conn.send_close(code, _short(reason))
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(_CLOSE_SECONDS, self.transport.abort)

    def shutdown(self) -> None:
        """Close because the server ends."""
        try:
            super().shutdown()
        except InvalidState:
            # The client was closing already.
            self.transport.close()
        self.loop.call_later(_CLOSE_SECONDS, self.transport.abort)


class HttpTransport(H11Protocol):
    """An HTTP connection whose heads have a time limit, and which an application can drop.

    Dropping it drops all that is buffered for a client that takes nothing. From the first byte of a head, or from the
    connection's beginning, `heads` says how long it may take; between two requests uvicorn's own limit holds.
    """

    def __init__(self, *args: Any, heads: WaitingHeads, **options: Any) -> None:
        super().__init__(*args, **options)
        self._heads = heads
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_has_begun = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Note in the state of every request how to drop its connection, and begin to wait for a head."""
        super().connection_made(transport)
        self.app_state = self.app_state | {ABORT: transport.abort}
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes in."""
        if not self._is_answering:
            self._await_head()
            self._head_has_begun = True
        super().data_received(data)
        if self._is_answering:
            self._await_head_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._await_head_no_more()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection on to the feed; its head is whole."""
        self._await_head_no_more()
        super().handle_websocket_upgrade(event)

    @property
    def _is_answering(self) -> bool:
        # None before the first request.
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr] # as above

    def _await_head(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            seconds = self._heads.begin(self._peer)
            self._head_timer = self.loop.call_later(seconds, self._give_up, seconds)

    def _await_head_no_more(self) -> None:
        self._head_has_begun = False
        if self._head_timer is not None:
            self._heads.end(self._peer)
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self, seconds: float) -> None:
        """Close the connection; a browser that has only connected, to be quick later, gets no answer to nothing."""
        if self._head_has_begun:
            self.transport.write(_too_slow(seconds))
        self._await_head_no_more()
        self.transport.close()
        self.loop.call_later(_CLOSE_SECONDS, self.transport.abort)

    @property
    def _peer(self) -> str:
        return "" if self.client is None else self.client[0]


def _too_slow(seconds: float) -> bytes:
    body = problem_response(408, f"the head of the request did not arrive within {seconds:g} s", path="")
    fields = {**dict(body.headers), "connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 408 Request Timeout\r\n{head}\r\n".encode() + bytes(body.body)


def _short(reason: str) -> str:
    """Return what fits into a close frame: 123 bytes of UTF-8 (RFC 6455, 5.5)."""
    return reason.encode()[:123].decode(errors="ignore")
