"""Cuts the TCP stream of the TWS protocol into messages, and messages into fields.

A message on the wire is a four-byte big-endian length and then text fields, each closed by a zero byte; the first is
the message's number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ibdesk.errors import IbdeskError

MAX_FRAME_BYTES = 1 << 20


class ProtocolError(IbdeskError):
    """A peer sent something that is not the TWS protocol; the sentence names message and field."""


def frame(payload: bytes) -> bytes:
    """Return the payload with its length in front, ready for the socket."""
    return len(payload).to_bytes(4, "big") + payload


class FrameReader:
    """Cuts a byte stream into payloads, whatever pieces it arrives in.

    A frame longer than `max_bytes` is refused before it is buffered.
    """

    def __init__(self, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes of the stream and yield every payload that is now complete.

        Raises:
            ProtocolError: If a frame announces more than `max_bytes`; the stream is of no use after that.
        """
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= 4:
                length = int.from_bytes(buffer[start : start + 4], "big")
                if length > self._max_bytes:
                    raise ProtocolError(
                        f"a frame announces {length} bytes, the gateway takes {self._max_bytes} at most"
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
        ProtocolError: If the last field is not closed by a zero byte.
    """
    if not payload.endswith(b"\0"):
        raise ProtocolError(f"a message of {len(payload)} bytes does not end with a zero byte")
    return payload[:-1].decode("utf-8", "backslashreplace").split("\0")


def integer(text: str, digits: int = 10) -> int | None:
    """Return the integer that a field holds, or nothing when it holds none.

    It is `digits` ASCII digits at most, behind one minus or none. Python's own `int` also takes blanks, underscores and
    the digits of other scripts, and `str.isdigit` some that `int` does not take.
    """
    figures = text.removeprefix("-")
    return int(text) if len(figures) <= digits and figures.isascii() and figures.isdigit() else None


def join(texts: Sequence[str]) -> bytes:
    """Return the frame of these fields, the message number first."""
    return frame(("\0".join(texts) + "\0").encode("utf-8", "backslashreplace"))
