"""uvicorn's WebSocket protocol, able to close on a client that takes no bytes."""

from __future__ import annotations

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

# How long a client has to answer a close frame or take what is still buffered for it.
_CLOSE_SECONDS = 1.0


class FeedTransport(WebSocketsSansIOProtocol):
    """A WebSocket connection whose end does not depend on the client.

    As uvicorn has it, closing waits like any message until the client takes bytes, which a stuck one never does,
    and its buffer then stays for ever. Here the close frame is buffered at once and the socket dropped soon after.
    """

    async def send(self, message: ASGISendEvent) -> None:
        """Send an ASGI message."""
        if message["type"] == "websocket.close" and self.handshake_complete:
            self.writable.set()
            self.loop.call_later(_CLOSE_SECONDS, self.transport.abort)
        await super().send(message)

    def shutdown(self) -> None:
        """Close because the server ends."""
        super().shutdown()
        self.loop.call_later(_CLOSE_SECONDS, self.transport.abort)
