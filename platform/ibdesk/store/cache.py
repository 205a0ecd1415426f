"""Cached values, each with its time; a reader states the age that it accepts.

They are in memory by default, or in Redis if several processes share them, with the memory of the process as fallback
while Redis is away. Nothing here decides a trade: it serves viewers and repeated questions.
"""

from __future__ import annotations

import collections
import contextlib
import math
import time
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ibdesk.clock import SECOND, Clock, SystemClock
from ibdesk.store.redis.errors import RedisError

if TYPE_CHECKING:
    from ibdesk.store.redis.pool import RedisPool


class Cached(msgspec.Struct, frozen=True):
    """A value, the time when it was true (`at_ns`, ns UTC), and its age in seconds when it was read."""

    value: Any
    at_ns: int
    age_seconds: float


class Cache(Protocol):
    """Stores plain values (those that msgpack can encode) by name. Callers must not change values they put or read."""

    async def put(self, key: str, value: object, *, at_ns: int, keep_seconds: float) -> None:
        """Store a value that was true at `at_ns` (ns UTC) for `keep_seconds` from now, replacing the one before."""

    async def get(self, key: str, *, max_age_seconds: float) -> Cached | None:
        """Return the value if there is one and it is at most `max_age_seconds` old."""


class MemoryCache:
    """Stores values in this process: the `most` that were written or read last."""

    def __init__(self, *, most: int = 10_000, clock: Clock | None = None) -> None:
        """Make an empty cache; ages are measured by `clock`."""
        self._most = most
        self._clock = clock or SystemClock()
        self._kept: collections.OrderedDict[str, tuple[object, int, float]] = collections.OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    async def put(self, key: str, value: object, *, at_ns: int, keep_seconds: float) -> None:
        """Store a value; if there are too many, drop the least recently used."""
        self._kept[key] = (value, at_ns, time.monotonic() + keep_seconds)
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    async def get(self, key: str, *, max_age_seconds: float) -> Cached | None:
        """Return the value if it is young enough and has not expired."""
        found = self._kept.get(key)
        if found is None:
            return None
        value, at_ns, ends = found
        if time.monotonic() >= ends:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return _if_young(value, at_ns, self._clock.now_ns(), max_age_seconds)


class RedisCache:
    """Stores values in Redis for all processes, and in this process for times when Redis is away.

    Neither `put` nor `get` raises because of Redis or takes longer than a call of the pool may. Values that this
    process wrote or read are still found when Redis is away or came back empty, with their true age.
    """

    def __init__(self, pool: RedisPool, *, name: str = "", most: int = 10_000, clock: Clock | None = None) -> None:
        """Make a cache; `most` bounds what this process remembers, not what Redis holds.

        Caches of one `name` are one; desks that share a Redis each have their own.
        """
        self._pool, self._name = pool, name
        self._clock = clock or SystemClock()
        self._memory = MemoryCache(most=most, clock=clock)

    async def put(self, key: str, value: object, *, at_ns: int, keep_seconds: float) -> None:
        """Store a value."""
        await self._memory.put(key, value, at_ns=at_ns, keep_seconds=keep_seconds)
        packed = _pack((at_ns, keep_seconds, value))
        milliseconds = max(1, math.ceil(1_000 * keep_seconds))
        with contextlib.suppress(RedisError):
            await self._pool.call(lambda client: client.set(self._key(key), packed, px=milliseconds))

    async def get(self, key: str, *, max_age_seconds: float) -> Cached | None:
        """Return the value if it is young enough."""
        found = None
        with contextlib.suppress(RedisError, msgspec.DecodeError):
            packed: Any = await self._pool.call(lambda client: client.get(self._key(key)))
            if packed is not None:
                found = _UNPACKER.decode(packed)
        if found is None:
            return await self._memory.get(key, max_age_seconds=max_age_seconds)
        at_ns, keep_seconds, value = found
        await self._memory.put(key, value, at_ns=at_ns, keep_seconds=keep_seconds)
        return _if_young(value, at_ns, self._clock.now_ns(), max_age_seconds)

    def _key(self, key: str) -> str:
        return self._pool.settings.key("cache", self._name, key)


_pack = msgspec.msgpack.Encoder().encode
_UNPACKER = msgspec.msgpack.Decoder(tuple[int, float, Any])


def _if_young(value: object, at_ns: int, now_ns: int, max_age_seconds: float) -> Cached | None:
    # Another machine's clock may be a little ahead of ours: an age is never negative.
    age_seconds = max(0.0, (now_ns - at_ns) / SECOND)
    return Cached(value, at_ns, age_seconds) if age_seconds <= max_age_seconds else None
