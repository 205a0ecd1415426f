"""uvicorn's WebSocket protocol, able to close on a client that takes no bytes."""

from __future__ import annotations

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

FORCE_CLOSE = "ibdesk.force_close"
"""The ASGI extension by which an application asks that the next close does not wait for the client."""

# How long a client has to answer a close frame or take what is still buffered for it.
_CLOSE_SECONDS = 1.0


class FeedTransport(WebSocketsSansIOProtocol):
    """A WebSocket connection whose end does not depend on the client.

    As uvicorn has it, closing waits like any message until the client takes bytes, which a stuck one never does,
    and its buffer then stays for ever. Here an application can have the close frame buffered at once, and the
    socket is dropped soon after.
    """

    async def run_asgi(self) -> None:
        """Run the application, with the extension."""
        self.scope["extensions"][FORCE_CLOSE] = {"callback": self.force_close}
        await super().run_asgi()

    def force_close(self) -> None:
        """Let the next message go to the buffer even if the client takes none, and drop the socket soon."""
        self.writable.set()
        self._drop_soon()

    def shutdown(self) -> None:
        """Close because the server ends."""
        try:
            super().shutdown()
        except InvalidState:
            # The client was closing already.
            self.transport.close()
        self._drop_soon()

    def _drop_soon(self) -> None:
        self.loop.call_later(_CLOSE_SECONDS, self.transport.abort)
