"""A TCP proxy between clients and a TWS: bytes pass unchanged, and a listener receives every message."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from ibdesk.gateway.listening import MessageListener
from ibdesk.gateway.protocol.framing import FrameReader, ProtocolError, frame, integer, split
from ibdesk.gateway.protocol.greeting import GREETING
from ibdesk.gateway.proxy.stream_server import StreamServer, hanging_up

_log = logging.getLogger(__name__)

MAX_FRAME_BYTES = 16 << 20
"""The largest message that the listener receives; TWS's own limit for a frame is believed to be 16 MB."""
_CHUNK = 1 << 16
_CONNECT_SECONDS = 10.0
_START_API = "71"


class ProxyConnection:
    """One connection through the proxy: splits the streams into messages for the listener, and knows the client id.

    A stream that cannot be split is still forwarded; only the listener receives no more of that direction.
    """

    def __init__(self, listener: MessageListener) -> None:
        self.client_id = -1
        self.version = 0
        self._listener = listener
        self._greeting = b""
        self._from_client: FrameReader | None = FrameReader(MAX_FRAME_BYTES)
        self._from_tws: FrameReader | None = FrameReader(MAX_FRAME_BYTES)

    def client_sent(self, data: bytes) -> None:
        """Receive the next bytes of the client."""
        if len(self._greeting) < len(GREETING):
            wanted = len(GREETING) - len(self._greeting)
            self._greeting, data = self._greeting + data[:wanted], data[wanted:]
            if not GREETING.startswith(self._greeting):
                _log.warning(
                    "a client greets with %r, not as a TWS client: its bytes are forwarded, not recorded",
                    data[:20],
                )
                self._from_client = None
        if self._from_client is None:
            return
        try:
            for payload in self._from_client.feed(data):
                self._learn_client(payload)
                self._listener.client_sent(self, payload)
        except ProtocolError as error:
            _log.warning("client %d: from here its bytes are forwarded, not recorded: %s", self.client_id, error)
            self._from_client = None

    def tws_sent(self, data: bytes) -> None:
        """Receive the next bytes of TWS."""
        if self._from_tws is None:
            return
        try:
            for payload in self._from_tws.feed(data):
                self._listener.gateway_sent(self, frame(payload))
                if not self.version:
                    self._learn_version(payload)
        except ProtocolError as error:
            _log.warning("TWS to client %d: from here its bytes are forwarded, not recorded: %s", self.client_id, error)
            self._from_tws = None

    def _learn_client(self, payload: bytes) -> None:
        texts = payload[:40].decode("ascii", "replace").split("\0")
        if self.client_id == -1 and texts[0] == _START_API and len(texts) > 2:
            client_id = integer(texts[2])
            self.client_id = -1 if client_id is None else client_id

    def _learn_version(self, payload: bytes) -> None:
        text = split(payload)[0]
        version = integer(text)
        if version is None:
            raise ProtocolError(f"it answers the greeting with {text[:20]!r} instead of its version")
        self.version = version


class Proxy(StreamServer):
    """Listens on `host:port` (port 0 takes a free one) and connects each client to the TWS at `upstream`.

    When one side hangs up, the proxy closes the other side after all earlier bytes were forwarded. A side that does not
    read slows the other, as it would without a proxy, so at most some hundred kilobytes wait in between.
    """

    def __init__(
        self, upstream: tuple[str, int], *, listener: MessageListener, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        super().__init__(host, port)
        self.upstream = upstream
        self._listener = listener

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect a client to the TWS, and forward all bytes until one of them hangs up."""
        host, port = self.upstream
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                tws_reader, tws_writer = await asyncio.open_connection(host, port)
        except OSError as error:
            _log.warning("TWS at %s:%d cannot be reached: %s", host, port, error.strerror or "no answer")
            return
        connection = ProxyConnection(self._listener)
        by_client = False
        try:
            async with hanging_up(tws_writer):
                by_client = await _first_to_end(
                    _pass_on(reader, tws_writer, connection.client_sent),
                    _pass_on(tws_reader, writer, connection.tws_sent),
                )
        finally:
            self._listener.disconnected(connection, by_client=by_client)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listen: Callable[[bytes], None]) -> None:
    """Forward bytes until one side is closed."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            listen(data)
            await writer.drain()


async def _first_to_end(first: Coroutine[Any, Any, None], second: Coroutine[Any, Any, None]) -> bool:
    """Run both until one ends, and return whether it is the first."""
    tasks = [asyncio.create_task(first), asyncio.create_task(second)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()
    return tasks[0] in done
