"""Connections between the two sides of the desk port: complete messages over a stream of bytes."""

from __future__ import annotations

import asyncio
from typing import Protocol

from ibdesk.errors import DeskError

_HEAD = 4


class AnyConnection(Protocol):
    """A client's connection to a desk, over any transport."""

    async def send(self, data: bytes) -> None:
        """Send a message; raises OSError when the connection is broken."""

    async def receive(self) -> bytes:
        """Return the next message; raises OSError when the connection is broken."""

    def close(self) -> None:
        """Close the connection."""


class PortConnection:
    """Sends and receives messages, each with its length (4 bytes, big-endian) before it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, longest: int) -> None:
        """Make a connection that refuses to receive more than `longest` bytes at once."""
        self._reader, self._writer, self._longest = reader, writer, longest

    async def send(self, data: bytes) -> None:
        """Send a message; waits while the other side takes no bytes.

        Raises:
            OSError: If the connection is broken.
        """
        try:
            self._writer.write(len(data).to_bytes(_HEAD) + data)
        except RuntimeError:
            # uvloop's error for a transport that was closed since the last write.
            raise ConnectionResetError("the other side of the desk port is gone") from None
        await self._writer.drain()

    async def receive(self) -> bytes:
        """Return the next message.

        Raises:
            OSError: If the connection is broken or was closed.
            DeskError: If the message is longer than allowed.
        """
        try:
            length = int.from_bytes(await self._reader.readexactly(_HEAD))
            if length > self._longest:
                raise DeskError(f"a message of {length:,} bytes came over the desk port: {self._longest:,} are allowed")
            return await self._reader.readexactly(length)
        except asyncio.IncompleteReadError:
            raise ConnectionResetError("the other side of the desk port is gone") from None

    def close(self) -> None:
        """Abort the connection, in any state."""
        self._writer.transport.abort()
