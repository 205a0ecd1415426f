"""The desk port's transport between machines: Redis Streams, which lose nothing while a client reconnects.

Clients append to one stream, which the engine reads. The engine appends news to one stream for all clients, and answers
to one stream per client. All of its messages carry its `epoch` and its `token`, the number of its leadership, which
grows from one engine to the next, so that clients ignore an engine that has been replaced.

Without Redis this transport stops and delays nothing else: news are dropped, and when Redis is back all clients start
again from a state.
"""

from __future__ import annotations

import asyncio
import logging
import time

import msgspec

from ibdesk.desk.port.host import PortHost
from ibdesk.desk.port.messages import Call, Watch, decode_client_message
from ibdesk.errors import DeskError
from ibdesk.store.redis import RedisError
from ibdesk.store.redis.pool import RedisPool
from ibdesk.store.redis.stream import START, Gap, Message, Stream

_log = logging.getLogger(__name__)

# How many messages are kept for clients that reconnect; a client that is away for longer starts again from a state.
_KEPT_NEWS, _KEPT_CALLS, _KEPT_ANSWERS = 5_000, 10_000, 1_000
# A client's own stream expires after this time without an answer.
_IDLE_SECONDS = 300.0
_RETRY_SECONDS = 0.5
# How many messages are appended at once, and how many may wait before a state replaces them.
_AT_ONCE, _MOST_WAITING = 200, 2_000
# A client counts as connected for this time after its last message.
_PRESENT_SECONDS = 60.0


class ToDesk(msgspec.Struct, frozen=True):
    """An entry of a client: its id and a message."""

    client: str
    data: bytes


class FromDesk(msgspec.Struct, frozen=True):
    """An entry of an engine: its token and epoch, and a message."""

    token: int
    epoch: str
    data: bytes


class Streams:
    """The streams of one desk."""

    def __init__(self, pool: RedisPool, name: str) -> None:
        self._pool, self._name = pool, name
        self.calls = Stream(pool, f"port:{name}:calls", keep=_KEPT_CALLS)
        self.news = Stream(pool, f"port:{name}:news", keep=_KEPT_NEWS)

    def answers(self, client: str) -> Stream:
        """Return the stream of one client's answers."""
        return Stream(self._pool, f"port:{self._name}:to:{client}", keep=_KEPT_ANSWERS, idle_seconds=_IDLE_SECONDS)


class StreamTransport:
    """A `PortTransport` for programs on all machines that share a Redis."""

    def __init__(self, pool: RedisPool, name: str, *, token: int = 0) -> None:
        """Make the transport of the desk called `name`; `token` is the number of this engine's leadership."""
        self._streams, self._token = Streams(pool, name), token
        self._heard: dict[str, float] = {}
        self._outbox: asyncio.Queue[tuple[Stream, bytes]] = asyncio.Queue()
        self._lost = False

    # Followers are not counted: any client can read the stream of news.
    is_watched = True

    @property
    def clients(self) -> int:
        """The number of clients that sent a message in the last minute."""
        since = time.monotonic() - _PRESENT_SECONDS
        self._heard = {client: at for client, at in self._heard.items() if at > since}
        return len(self._heard)

    async def open(self) -> None:
        """Do nothing: streams are created with their first entry."""

    def close(self) -> None:
        """Do nothing: the next engine continues with the streams."""

    async def run(self, host: PortHost) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send(host), name="desk port to Redis")
            tasks.create_task(self._hear(host), name="desk port from Redis")

    def publish(self, data: bytes) -> None:
        """Send news to all clients, unless Redis is too far behind: then a state follows once it is not."""
        if self._outbox.qsize() >= _MOST_WAITING:
            self._lost = True
        if not self._lost:
            self._outbox.put_nowait((self._streams.news, data))

    def send_heartbeat(self, data: bytes) -> None:
        """Send a heartbeat."""
        self.publish(data)

    async def _hear(self, host: PortHost) -> None:
        reader = self._streams.calls.read(after=await self._newest())
        try:
            while True:
                found = await reader.next()
                if isinstance(found, Gap):
                    _log.warning("calls over Redis may be lost: their callers receive a time-out")
                    # Everything in the stream is newer than the last entry read.
                    await reader.close()
                    reader = self._streams.calls.read(START)
                    continue
                if found:
                    await self._take_all(found, host)
        finally:
            await reader.close()

    async def _newest(self) -> str:
        """Return the id of the newest call: calls to the previous engine are not carried out by this one."""
        while True:
            try:
                return await self._streams.calls.newest_id()
            except RedisError:
                # The pool has logged it.
                await asyncio.sleep(_RETRY_SECONDS)

    async def _take_all(self, messages: list[Message], host: PortHost) -> None:
        """Carry out calls, with their ages by Redis's clock: the machines' clocks need not agree."""
        try:
            now_ms = await self._streams.calls.now_ms()
        except RedisError as error:
            _log.warning("%d calls over Redis are ignored, because their age is not known: %s", len(messages), error)
            return
        for message in messages:
            self._take(message.data, host, age_seconds=max(now_ms - message.at_ms, 0) / 1e3)

    def _take(self, data: bytes, host: PortHost, *, age_seconds: float) -> None:
        try:
            envelope = msgspec.msgpack.decode(data, type=ToDesk)
            message = decode_client_message(envelope.data)
        except (msgspec.DecodeError, DeskError) as error:
            _log.warning("a call over Redis cannot be read: %s", error)
            return
        answers = self._streams.answers(envelope.client)
        self._heard[envelope.client] = time.monotonic()
        match message:
            case Watch(number=number):
                self._outbox.put_nowait((answers, host.state(number)))
            case Call() as call:
                host.take(call, lambda answer: self._outbox.put_nowait((answers, answer)), age_seconds=age_seconds)

    async def _send(self, host: PortHost) -> None:
        """Append waiting messages, forever, in their order and in groups."""
        while True:
            stream, data = await self._outbox.get()
            batch = [data]
            while not self._outbox.empty() and len(batch) < _AT_ONCE:
                other, more = self._outbox.get_nowait()
                if other is not stream:
                    await self._append(stream, batch, host)
                    stream, batch = other, []
                batch.append(more)
            await self._append(stream, batch, host)

    async def _append(self, stream: Stream, batch: list[bytes], host: PortHost) -> None:
        """Append; if Redis fails, wait for it and append a state in place of the lost messages."""
        try:
            await stream.append(*(self._sealed(data, host) for data in batch))
        except RedisError as error:
            _log.warning("news for other machines are dropped until Redis is back: %s", error)
            self._lost = True
        while self._lost:
            try:
                await self._streams.news.append(self._sealed(host.state(), host))
                self._lost = False
            except RedisError:
                await asyncio.sleep(_RETRY_SECONDS)

    def _sealed(self, data: bytes, host: PortHost) -> bytes:
        return msgspec.msgpack.encode(FromDesk(self._token, host.epoch, data))
