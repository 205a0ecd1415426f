"""The transport for other machines: Redis Streams, which lose nothing while a client reconnects.

Clients append to one stream, which the engine reads; the engine appends news to one that all clients read, and
answers to one of each client's own. Everything the engine says carries its `epoch` and its `token`: the number of its
leadership, which grows from one engine to the next, so that nobody listens to one that has been replaced.

Without Redis nothing here goes on, and nothing else is held up: news are dropped, and when Redis is back everybody
starts over from a state.
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

# How much news is kept for clients that reconnect; whoever was away for longer starts over from a state.
_KEPT_NEWS, _KEPT_CALLS, _KEPT_ANSWERS = 5_000, 10_000, 1_000
# After so long without an answer to it, a client's own stream goes away.
_IDLE_SECONDS = 300.0
_RETRY_SECONDS = 0.5
# How many messages are appended at once, and how many may wait before they are given up for a state.
_AT_ONCE, _MOST_WAITING = 200, 2_000
# A client counts as there for so long after it last said something.
_PRESENT_SECONDS = 60.0


class ToDesk(msgspec.Struct, frozen=True):
    """What a client appends: who it is, and a message."""

    client: str
    data: bytes


class FromDesk(msgspec.Struct, frozen=True):
    """What an engine appends: which engine, and a message."""

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
    """Lets programs of all machines in that share a Redis; a `PortTransport`."""

    def __init__(self, pool: RedisPool, name: str, *, token: int = 0) -> None:
        """Make the transport of the desk called `name`; `token` is the number of this engine's leadership."""
        self._streams, self._token = Streams(pool, name), token
        self._heard: dict[str, float] = {}
        self._outbox: asyncio.Queue[tuple[Stream, bytes]] = asyncio.Queue()
        self._lost = False

    # Followers are not counted: whoever attaches finds the news there.
    is_watched = True

    @property
    def clients(self) -> int:
        """How many have said something lately."""
        since = time.monotonic() - _PRESENT_SECONDS
        self._heard = {client: at for client, at in self._heard.items() if at > since}
        return len(self._heard)

    async def open(self) -> None:
        """Take nothing: the streams are there once something is in them."""

    def close(self) -> None:
        """Leave the streams as they are: the next engine goes on with them."""

    async def run(self, host: PortHost) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send(host), name="desk port to Redis")
            tasks.create_task(self._hear(host), name="desk port from Redis")

    def publish(self, data: bytes) -> None:
        """Send news to all clients, unless Redis is too far behind: they get a state once it is not."""
        if self._outbox.qsize() >= _MOST_WAITING:
            self._lost = True
        if not self._lost:
            self._outbox.put_nowait((self._streams.news, data))

    def send_heartbeat(self, data: bytes) -> None:
        """Show that the desk lives."""
        self.publish(data)

    async def _hear(self, host: PortHost) -> None:
        reader = self._streams.calls.read(after=await self._newest())
        try:
            while True:
                found = await reader.next()
                if isinstance(found, Gap):
                    _log.warning("calls over Redis may be lost: who waits for an answer is told by its time-out")
                    # Whatever the stream holds now came after what was read.
                    await reader.close()
                    reader = self._streams.calls.read(START)
                    continue
                if found:
                    await self._take_all(found, host)
        finally:
            await reader.close()

    async def _newest(self) -> str:
        """Return where the calls stand: what was asked of an engine before is not done by the next one."""
        while True:
            try:
                return await self._streams.calls.newest_id()
            except RedisError:
                # The pool has told it.
                await asyncio.sleep(_RETRY_SECONDS)

    async def _take_all(self, messages: list[Message], host: PortHost) -> None:
        """Have calls done that are as old as Redis's own clock says: the clocks of machines need not agree."""
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
        """Append what waits, for ever: in the order in which it was said, as much at once as there is."""
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
        """Append; where Redis does not take it, wait for Redis and append a state in the place of all that was lost."""
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
