"""Frames of market-data ticks in two parts: the body shared by all subscribers, and each subscriber's request id.

The bytes are those of the field tables; a tick for many clients is encoded once.
"""

from __future__ import annotations

from collections.abc import Iterable

from ibdesk.gateway.protocol.codec import text_of
from ibdesk.gateway.protocol.fields import FieldKind

Body = tuple[bytes, bytes]
"""The bytes before the request id, and those after it."""
# The numbers of tickPrice, tickSize, tickGeneric and tickString, each with its version.
_PRICE, _SIZE, _GENERIC, _STRING = b"1\0006\0", b"2\0006\0", b"45\0006\0", b"46\0006\0"


def price_body(tick_type: int, price: float, size: float, attributes: int) -> Body:
    """Return a tickPrice without its request id."""
    text = repr(price)
    # Exponents and the names of non-finite numbers contain one of these letters.
    if "e" in text or "n" in text:
        text = text_of(price, FieldKind.NUMBER)
    return _PRICE, f"{tick_type}\0{text}\0{_size(size)}\0{attributes}\0".encode()


def size_body(tick_type: int, size: float) -> Body:
    """Return a tickSize without its request id."""
    return _SIZE, f"{tick_type}\0{_size(size)}\0".encode()


def generic_body(tick_type: int, value: float) -> Body:
    """Return a tickGeneric without its request id."""
    return _GENERIC, f"{tick_type}\0{text_of(value, FieldKind.NUMBER)}\0".encode()


def string_body(tick_type: int, text: str) -> Body:
    """Return a tickString without its request id."""
    return _STRING, f"{tick_type}\0{text}\0".encode()


def name_of(request_id: int) -> bytes:
    """Return a request id as encoded in a tick."""
    return b"%d\0" % request_id


def tick_gaps(width: int, bodies: Iterable[Body]) -> list[bytes]:
    """Return the bytes before, between and after the ids of these ticks, for ids of `width` bytes.

    `name_of(request_id).join(gaps)` are the frames; many subscribers share the gaps.
    """
    gaps: list[bytes] = []
    tail = b""
    for head, body in bodies:
        gaps.append(tail + (len(head) + width + len(body)).to_bytes(4, "big") + head)
        tail = body
    gaps.append(tail)
    return gaps


def tick_frames(request_id: int, bodies: Iterable[Body]) -> bytes:
    """Return the frames of these ticks for one subscriber."""
    name = name_of(request_id)
    return name.join(tick_gaps(len(name), bodies))


def _size(size: float) -> str:
    return str(int(size)) if size == size // 1 else text_of(size, FieldKind.SIZE)
