"""The two encodings of messages: WebSocket frames of msgpack, and server-sent events of JSON."""

from __future__ import annotations

import enum

import msgspec

from ibdesk_server.feed.protocol import Ping, ServerMessage, encode

_JSON = msgspec.json.Encoder()
# A final frame of binary data (RFC 6455, 5.2).
_BINARY = 0x82


class Coding(enum.Enum):
    """The encoding of messages; the bytes are ready for the socket and shared by all clients."""

    MSGPACK = "msgpack"
    """A whole WebSocket frame, header included."""
    JSON = "json"
    """A server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    The empty line that ends it is missing, because an id may follow.
    """

    # By identity and not, as enums do it in Python code, by name: it is part of a key that each client looks up.
    __hash__ = object.__hash__

    def write(self, message: ServerMessage) -> bytes:
        """Return the bytes of a message."""
        if self is Coding.MSGPACK:
            return websocket_frame(encode(message))
        if isinstance(message, Ping):
            return (
                f": ping lag_ms={message.lag_ms:g} lag_bytes={message.lag_bytes} skipped={message.skipped}\n".encode()
            )
        kind = str(message.__struct_config__.tag)
        return b"event: %b\ndata: %b\n" % (kind.encode(), _JSON.encode(message))


def websocket_frame(payload: bytes) -> bytes:
    """Return a final binary frame as a server sends it: not masked."""
    size = len(payload)
    if size < 126:
        return bytes((_BINARY, size)) + payload
    if size < 65_536:
        return bytes((_BINARY, 126)) + size.to_bytes(2) + payload
    return bytes((_BINARY, 127)) + size.to_bytes(8) + payload
