"""A client's connection to a desk over Redis Streams. It breaks when another engine takes over."""

from __future__ import annotations

import asyncio
import secrets

import msgspec

from ibdesk.desk.port.messages import Welcome, encode
from ibdesk.desk.port.stream_transport import FromDesk, Streams, ToDesk
from ibdesk.errors import DeskError
from ibdesk.store.redis import RedisError
from ibdesk.store.redis.pool import RedisPool
from ibdesk.store.redis.stream import START, Gap, StreamReader


class StreamConnection:
    """A connection to the engine that leads; the first message received is a welcome."""

    def __init__(self, streams: Streams, news: StreamReader, client: str, lowest_token: int) -> None:
        """Make a connection; use `open`."""
        self._streams, self._client = streams, client
        self.lowest_token = lowest_token
        self._received: asyncio.Queue[bytes | OSError] = asyncio.Queue()
        self._epoch: str | None = None
        readers = (news, streams.answers(client).read(START))
        self._tasks = [asyncio.create_task(self._read(reader), name="desk port from Redis") for reader in readers]

    @classmethod
    async def open(cls, pool: RedisPool, name: str, *, lowest_token: int = 0) -> StreamConnection:
        """Return a connection to the desk called `name`; only a message shows whether an engine is there.

        Messages of engines with a token below `lowest_token` are ignored: those engines have been replaced. The
        attribute grows with each engine that takes over; pass it to the next connection.

        Raises:
            OSError: If Redis cannot be reached.
        """
        streams = Streams(pool, name)
        try:
            newest = await streams.news.newest_id()
        except RedisError as error:
            raise ConnectionError(str(error)) from None
        return cls(streams, streams.news.read(newest), secrets.token_hex(8), lowest_token)

    async def send(self, data: bytes) -> None:
        """Send a message.

        Raises:
            OSError: If Redis does not accept it; the connection is then broken.
        """
        try:
            await self._streams.calls.append(msgspec.msgpack.encode(ToDesk(self._client, data)))
        except RedisError as error:
            broken = ConnectionError(str(error))
            self._received.put_nowait(broken)
            raise broken from None

    async def receive(self) -> bytes:
        """Return the next message.

        Raises:
            OSError: If the connection is broken, messages were lost, or another engine has taken over.
        """
        found = await self._received.get()
        if isinstance(found, OSError):
            raise found
        return found

    def close(self) -> None:
        """Close the connection."""
        for task in self._tasks:
            task.cancel()

    async def _read(self, reader: StreamReader) -> None:
        try:
            while True:
                found = await reader.next()
                if reader.failure is not None:
                    self._received.put_nowait(ConnectionError(str(reader.failure)))
                    return
                if isinstance(found, Gap):
                    self._received.put_nowait(ConnectionResetError("messages were lost on the way through Redis"))
                    return
                for message in found:
                    self._take(message.data)
        finally:
            await reader.close()

    def _take(self, data: bytes) -> None:
        try:
            envelope = msgspec.msgpack.decode(data, type=FromDesk)
        except msgspec.DecodeError as error:
            raise DeskError(f"a message over Redis is not a desk's: {error}") from None
        if envelope.token < self.lowest_token:
            # The engine has been replaced and does not know it yet.
            return
        self.lowest_token = envelope.token
        if self._epoch is None:
            self._epoch = envelope.epoch
            self._received.put_nowait(encode(Welcome(program="", epoch=envelope.epoch)))
        elif envelope.epoch != self._epoch:
            self._received.put_nowait(ConnectionResetError("another engine has taken over"))
            return
        self._received.put_nowait(envelope.data)
