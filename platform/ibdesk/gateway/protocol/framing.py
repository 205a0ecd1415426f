"""Splitting of the TCP stream into messages, and of messages into fields.

A message on the wire is a four-byte big-endian length and then text fields, each terminated by a zero byte. The first
field is the message's number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ibdesk.errors import IbdeskError

MAX_FRAME_BYTES = 1 << 20


class ProtocolError(IbdeskError):
    """A peer's bytes are not the TWS protocol; the message names TWS message and field."""


def frame(payload: bytes) -> bytes:
    """Return the payload with its length in front."""
    return len(payload).to_bytes(4, "big") + payload


class FrameReader:
    """Splits a byte stream, in chunks of any size, into payloads.

    A frame longer than `max_bytes` is rejected before it is buffered.
    """

    def __init__(self, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add the next bytes of the stream and yield every complete payload.

        Raises:
            ProtocolError: If a frame is longer than `max_bytes`; the stream is unusable afterwards.
        """
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= 4:
                length = int.from_bytes(buffer[start : start + 4], "big")
                if length > self._max_bytes:
                    raise ProtocolError(
                        f"a frame announces {length} bytes, the gateway accepts at most {self._max_bytes}"
                    )
                end = start + 4 + length
                if len(buffer) < end:
                    break
                payload = bytes(buffer[start + 4 : end])
                start = end
                yield payload
        finally:
            del buffer[:start]


def split(payload: bytes) -> list[str]:
    """Return the fields of a payload, the message number first.

    Raises:
        ProtocolError: If the last field is not terminated by a zero byte.
    """
    if not payload.endswith(b"\0"):
        raise ProtocolError(f"a message of {len(payload)} bytes does not end with a zero byte")
    return payload[:-1].decode("utf-8", "backslashreplace").split("\0")


def integer(text: str, digits: int = 10) -> int | None:
    """Return the integer in a field, or None if there is none.

    It has at most `digits` ASCII digits, after an optional minus. Python's own `int` also accepts blanks, underscores
    and the digits of other scripts, and `str.isdigit` some that `int` does not accept.
    """
    figures = text.removeprefix("-")
    return int(text) if len(figures) <= digits and figures.isascii() and figures.isdigit() else None


def join(texts: Sequence[str]) -> bytes:
    """Return the frame of these fields, the message number first."""
    return frame(("\0".join(texts) + "\0").encode("utf-8", "backslashreplace"))
