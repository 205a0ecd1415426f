"""Streams in Redis: messages that one process appends and any number of others read in order from their position.

They are streams and not channels (pub/sub), because messages sent while a reader reconnects are still there when it is
back. A stream keeps only its newest messages, so a reader that was away for too long has missed some. The reader then
gets a `Gap`, also when Redis was restarted empty, and never continues as if nothing were missing.
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

START = "0-0"
"""The id before the first message of any stream."""
_FIELD = b"m"
_FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 0.05, 2.0
# The ids of the oldest and the newest message, and their number, without reading the messages.
_ENDS = """
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
return {first and first[1] or '0-0', last and last[1] or '0-0', redis.call('XLEN', KEYS[1])}
"""


class Message(msgspec.Struct, frozen=True):
    """One message and its id, which is a reader's position; ids of a stream grow."""

    id: str
    data: bytes

    @property
    def at_ms(self) -> int:
        """The time in ms at which Redis received it, by its own clock."""
        return _parts(self.id)[0]


class Gap(msgspec.Struct, frozen=True):
    """Messages after `after` may be lost: the stream now holds `oldest` to `newest` (`START`: it is empty)."""

    after: str
    oldest: str
    newest: str


class Stream:
    """The writing end. Any number of processes can append; each append is one call of the pool, bounded in time."""

    def __init__(self, pool: RedisPool, name: str, *, keep: int = 10_000, idle_seconds: float | None = None) -> None:
        """Name a stream; it exists from its first message on.

        Args:
            pool: The Redis.
            name: The name after the prefix of the settings.
            keep: The least number of messages kept; older ones are removed, about a hundred at a time.
            idle_seconds: The stream is removed after this time without an append; by default it stays.
        """
        self.key = pool.settings.key("stream", name)
        self._pool, self._keep, self._idle_seconds = pool, keep, idle_seconds

    async def append(self, *messages: bytes) -> str:
        """Append messages in one call, and return the id of the last.

        When it raises, they may still have arrived: number them if that matters.

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
        """Return the id of the newest message, or `START`: the position of a new reader.

        Raises:
            RedisError: If Redis does not answer.
        """
        return (await self._pool.call(lambda client: _ends(client, self.key)))[1]

    async def now_ms(self) -> int:
        """Return the time of Redis' own clock in ms; less a message's `at_ms` it is the message's age.

        Raises:
            RedisError: If Redis does not answer.
        """
        seconds, microseconds = await self._pool.call(lambda client: client.time())
        return int(seconds) * 1_000 + int(microseconds) // 1_000

    async def delete(self) -> None:
        """Remove the stream with all its messages.

        Raises:
            RedisError: If Redis does not answer.
        """
        await self._pool.call(lambda client: client.delete(self.key))

    def read(self, after: str = START) -> StreamReader:
        """Return a reader of the messages after `after`."""
        return StreamReader(self._pool, self.key, after=after, keep=self._keep)


class StreamReader:
    """One reader's end, with its own connection, because it waits in Redis for messages.

    `after` is the id of the last message that `next` returned: the position from which to resume.
    """

    def __init__(self, pool: RedisPool, key: str, *, after: str, keep: int) -> None:
        self.after = after
        self.failure: RedisError | None = None
        self._pool, self._key, self._keep = pool, key, keep
        self._client: Client | None = None
        self._pauses = _pauses()

    async def next(self, *, wait_seconds: float = 5.0, at_most: int = 1_000) -> list[Message] | Gap:
        """Wait for messages after `after` and return them; an empty list if none came in `wait_seconds`.

        A `Gap` says that messages were lost; the reader then stands after the newest one, so that `next` continues a
        state that is requested afterwards. While Redis is away, an empty list comes after the same time, `failure`
        says why, and the reader keeps trying.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + wait_seconds
        while (left := ends - loop.time()) > 0:
            try:
                if self._client is None:
                    self._client = self._pool.dedicated()
                    # Losses without a connection show at once, also if no further message comes.
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

        The ends are read after the messages, so that nothing can be lost in between.
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
        """Return whether messages after `after` may be gone: trimming removes the oldest, and leaves at least one."""
        if self.after == START:
            return count >= self._keep
        # Older than messages already read: it is another stream, begun under a slower clock.
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
    """Yield the pauses between attempts: doubled up to the longest, each drawn between half and all of it."""
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
