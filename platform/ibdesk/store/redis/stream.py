"""A stream in Redis: messages that one process appends and any number of others read, in order, from where they were.

Streams and not channels (pub/sub): what is sent while a reader reconnects is still there when it is back. A stream
keeps its newest messages only, so a reader that was away for too long has missed some; it is told so, as it is when
Redis was started again empty, and never goes on as if nothing were missing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

import msgspec
import redis.exceptions

from ibdesk.store.redis.errors import RedisError
from ibdesk.store.redis.pool import Client, RedisPool

_log = logging.getLogger(__name__)

# START: the id before the first message that a stream will ever hold.
START = "0-0"
_FIELD = b"m"
_FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 0.05, 2.0
# Ids of the oldest and the newest message, and how many there are; the messages themselves stay where they are.
_ENDS = """
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
return {first and first[1] or '0-0', last and last[1] or '0-0', redis.call('XLEN', KEYS[1])}
"""


class Message(msgspec.Struct, frozen=True):
    """One message and its id, by which a reader says where it is; ids of a stream grow."""

    id: str
    data: bytes

    @property
    def at_ms(self) -> int:
        """When Redis took it in, by its own clock, in ms."""
        return _parts(self.id)[0]


class Gap(msgspec.Struct, frozen=True):
    """Messages behind `after` may be lost: the stream holds `oldest` to `newest` now (`START`: it is empty)."""

    after: str
    oldest: str
    newest: str


class Stream:
    """The writing end. Any number of processes may append; each append is one call of the pool, bounded in time."""

    def __init__(self, pool: RedisPool, name: str, *, keep: int = 10_000, idle_seconds: float | None = None) -> None:
        """Name a stream; it begins to exist with its first message.

        Args:
            pool: Where.
            name: What it is called behind the prefix of the settings.
            keep: How many messages it keeps at least; older ones leave, a hundred or so at a time.
            idle_seconds: After so long without an append the whole stream goes away; by default it stays.
        """
        self.key = pool.settings.key("stream", name)
        self._pool, self._keep, self._idle_seconds = pool, keep, idle_seconds

    async def append(self, *messages: bytes) -> str:
        """Append messages, in one go, and return the id of the last.

        When it raises, they may nevertheless have arrived: number them where that matters.

        Raises:
            RedisError: If Redis cannot take them now.
        """

        async def work(client: Client) -> str:
            async with client.pipeline(transaction=True) as pipe:
                for message in messages:
                    pipe.xadd(self.key, {_FIELD: message}, maxlen=self._keep, approximate=True)
                if self._idle_seconds is not None:
                    pipe.pexpire(self.key, int(1_000 * self._idle_seconds))
                ids: list[Any] = await pipe.execute()
            return str(ids[len(messages) - 1], "ascii")

        return await self._pool.call(work)

    async def newest_id(self) -> str:
        """Return the id of the newest message, `START` when there is none: where a new reader begins.

        Raises:
            RedisError: If Redis cannot tell now.
        """
        return (await self._pool.call(lambda client: _ends(client, self.key)))[1]

    async def now_ms(self) -> int:
        """Return the time by Redis's own clock, in ms: minus a message's `at_ms` it is how old that is.

        Raises:
            RedisError: If Redis cannot tell now.
        """
        seconds, microseconds = await self._pool.call(lambda client: client.time())
        return int(seconds) * 1_000 + int(microseconds) // 1_000

    async def delete(self) -> None:
        """Take the stream away, with all that is in it.

        Raises:
            RedisError: If Redis cannot do it now.
        """
        await self._pool.call(lambda client: client.delete(self.key))

    def read(self, after: str = START) -> StreamReader:
        """Return a reader of what comes behind the message `after`."""
        return StreamReader(self._pool, self.key, after=after, keep=self._keep)


class StreamReader:
    """One reader's end, with a connection of its own, because it waits in Redis for what comes.

    `after` is the id of the last message that `next` returned: what a reader keeps to go on from there later.
    """

    def __init__(self, pool: RedisPool, key: str, *, after: str, keep: int) -> None:
        self.after = after
        self.failure: RedisError | None = None
        self._pool, self._key, self._keep = pool, key, keep
        self._client: Client | None = None
        self._pauses = _pauses()

    async def next(self, *, wait_seconds: float = 5.0, at_most: int = 1_000) -> list[Message] | Gap:
        """Return the messages behind `after`, waiting for the first; an empty list when none came in `wait_seconds`.

        A `Gap` says that messages were lost; the reader then stands behind the newest one, so that a state that is
        asked for afterwards is continued by what `next` returns. While Redis is away an empty list comes after the
        same time, `failure` says why, and the reader keeps trying.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + wait_seconds
        while (left := ends - loop.time()) > 0:
            try:
                if self._client is None:
                    self._client = self._pool.dedicated()
                    # What went while there was no connection shows at once, also when nothing comes any more.
                    found = await self._read(self._client, 0, at_most)
                    if found:
                        return found
                return await self._read(self._client, left, at_most)
            except (redis.exceptions.RedisError, TimeoutError, OSError) as error:
                await self._failed(error)
                await asyncio.sleep(min(next(self._pauses), max(0.0, ends - loop.time())))
        return []

    async def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            await self._pool.release(client)

    async def _read(self, client: Client, wait_seconds: float, at_most: int) -> list[Message] | Gap:
        """Read once, waiting in Redis (0: not at all).

        The ends are looked at after the reading, so that nothing can be lost between the two.
        """
        limit = wait_seconds + self._pool.settings.timeout_seconds
        block = max(1, int(1_000 * wait_seconds)) if wait_seconds else None
        async with asyncio.timeout(limit), client.pipeline(transaction=False) as pipe:
            pipe.xread({self._key: self.after}, count=at_most, block=block)
            pipe.eval(_ENDS, 1, self._key)
            found, ends = await pipe.execute()
        self._recovered()
        oldest, newest, count = _decoded(ends)
        if self._misses(oldest, newest, count):
            gap, self.after = Gap(self.after, oldest, newest), newest
            return gap
        entries = found[0][1] if found else []
        messages = [Message(str(key, "ascii"), fields[_FIELD]) for key, fields in entries]
        if messages:
            self.after = messages[-1].id
        return messages

    def _misses(self, oldest: str, newest: str, count: int) -> bool:
        """Return whether messages behind `after` may have gone: trimming takes the oldest, and leaves at least one."""
        if self.after == START:
            return count >= self._keep
        # Older than what was read already: the stream is another one, begun under a clock that goes behind.
        return _parts(oldest) > _parts(self.after) or _parts(newest) < _parts(self.after)

    async def _failed(self, error: Exception) -> None:
        if self.failure is None:
            _log.info("reading %s: Redis at %s %s", self._key, self._pool.settings.address, self._pool.reason(error))
        self.failure = RedisError(self._pool.settings.address, self._pool.reason(error))
        await self.close()

    def _recovered(self) -> None:
        if self.failure is not None:
            self.failure = None
            self._pauses = _pauses()


def _pauses() -> Any:
    """Give the pauses between attempts: doubling up to the longest, each drawn between half and all of it."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads readers, guards nothing
        pause = min(2 * pause, _LAST_PAUSE_SECONDS)


async def _ends(client: Client, key: str) -> tuple[str, str, int]:
    return _decoded(await client.eval(_ENDS, 1, key))


def _decoded(ends: Any) -> tuple[str, str, int]:
    return str(ends[0], "ascii"), str(ends[1], "ascii"), int(ends[2])


def _parts(message_id: str) -> tuple[int, int]:
    milliseconds, _, number = message_id.partition("-")
    return int(milliseconds), int(number)
