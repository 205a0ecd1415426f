"""How much anybody may ask in a minute: by name once they are known, and by address in any case."""

from __future__ import annotations

import logging
import math
import time
from typing import Any

import msgspec
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError

from ibdesk.store import RedisSettings
from ibdesk_server.security.settings import LimitSettings

_log = logging.getLogger(__name__)


class Standing(msgspec.Struct, frozen=True):
    """How somebody stands with a budget: what it is, what is left of it, and in how many seconds it is whole again."""

    budget: str
    allowed: bool
    limit: int
    left: int
    reset_seconds: int


class Budgets:
    """Counts what was asked, in memory or, for all processes together, in Redis.

    When Redis is away each process counts for itself, and looks for Redis again after a while.
    """

    def __init__(self, settings: LimitSettings, redis: RedisSettings | None = None) -> None:
        self.reads = RateLimitItemPerMinute(settings.reads_per_minute, namespace="reads")
        self.writes = RateLimitItemPerMinute(settings.writes_per_minute, namespace="writes")
        self.logins = RateLimitItemPerMinute(settings.logins_per_minute, namespace="logins")
        self.anything = RateLimitItemPerMinute(settings.address_per_minute, namespace="address")
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._storage = _storage(redis) if redis is not None and redis.url is not None else None
        self._shared = None if self._storage is None else SlidingWindowCounterRateLimiter(self._storage)
        self._rest_seconds = 1.0 if redis is None else redis.rest_seconds
        self._alone_until = 0.0

    async def close(self) -> None:
        """Let go of Redis."""
        if self._storage is not None:
            bridge: Any = self._storage.bridge
            await bridge.storage.aclose()

    async def spend(self, budget: RateLimitItem, who: str) -> Standing:
        """Count one request of somebody and return how they stand; one that is not allowed is not counted."""
        if self._shared is not None and time.monotonic() >= self._alone_until:
            try:
                return await _spend(self._shared, budget, who)
            except StorageError as error:
                self._alone_until = time.monotonic() + self._rest_seconds
                _log.warning("each process counts rate limits for itself: %s", type(error.storage_error).__name__)
        return await _spend(self._own, budget, who)


async def _spend(limiter: SlidingWindowCounterRateLimiter, budget: RateLimitItem, who: str) -> Standing:
    allowed = await limiter.hit(budget, who)
    window = await limiter.get_window_stats(budget, who)
    reset = max(math.ceil(window.reset_time - time.time()), 1)
    return Standing(
        budget=budget.namespace,
        allowed=allowed,
        limit=budget.amount,
        left=max(window.remaining, 0),
        reset_seconds=reset,
    )


def _storage(redis: RedisSettings) -> RedisStorage:
    url = "" if redis.url is None else redis.url.get_secret_value()
    return RedisStorage(
        f"async+{url.replace('unix://', 'redis+unix://', 1)}",
        implementation="redispy",
        wrap_exceptions=True,
        key_prefix=redis.key("limits"),
        socket_timeout=redis.timeout_seconds,
        socket_connect_timeout=redis.timeout_seconds,
    )
