"""A TCP server that serves each connection in a task, and ends all of them when it stops."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from ibdesk.errors import AddressInUseError, ConfigError

_TURNS_TO_ARRIVE = 5
_CLOSING_SECONDS = 2.0


class StreamServer(abc.ABC):
    """Listens on `host:port` between `start` and `stop`.

    Port 0 takes a free one; after the start `port` is its number.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @abc.abstractmethod
    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends; afterwards it is closed."""

    async def start(self) -> None:
        """Listen.

        Raises:
            AddressInUseError: If the port is taken.
            ConfigError: If it cannot listen on the address for another reason.
        """
        try:
            self._server = await asyncio.start_server(self._arrived, self.host, self.port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise AddressInUseError(self.host, self.port, "gateway.port") from error
            raise ConfigError(f"cannot listen on {self.host}:{self.port}: {error.strerror or error}") from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close all connections and stop listening; further calls have no effect."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        # A connection that was just accepted arrives within a few turns of the loop.
        for _ in range(_TURNS_TO_ARRIVE):
            await asyncio.sleep(0)
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)
        await server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _arrived(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._kept(reader, writer), name="ibdesk-door")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _kept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with hanging_up(writer):
            await self.serve(reader, writer)


@contextlib.asynccontextmanager
async def hanging_up(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """Close a connection at the end of the block.

    Unsent bytes are sent first, unless the peer does not read them in time.
    """
    try:
        yield
    finally:
        writer.close()
        try:
            async with asyncio.timeout(_CLOSING_SECONDS):
                await writer.wait_closed()
        except (OSError, TimeoutError):
            writer.transport.abort()
