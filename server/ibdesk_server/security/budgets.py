"""Request budgets per minute, by caller name and by address."""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any

import msgspec
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from ibdesk.store.redis import RedisError
from ibdesk.store.redis.pool import RedisPool
from ibdesk_server.security.settings import LimitSettings


class Standing(msgspec.Struct, frozen=True):
    """A caller's budget: its limit, the remaining requests, and the seconds until it is full again."""

    budget: str
    allowed: bool
    limit: int
    left: int
    reset_seconds: int


class Budgets:
    """Counts requests in memory or, for all processes together, in Redis.

    While the pool's circuit breaker reports Redis away, each process counts for itself.
    """

    def __init__(self, settings: LimitSettings, redis: RedisPool | None = None) -> None:
        self.reads = RateLimitItemPerMinute(settings.reads_per_minute, namespace="reads")
        self.writes = RateLimitItemPerMinute(settings.writes_per_minute, namespace="writes")
        self.logins = RateLimitItemPerMinute(settings.logins_per_minute, namespace="logins")
        self.anything = RateLimitItemPerMinute(settings.address_per_minute, namespace="address")
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._redis = redis
        self._shared = None if redis is None else SlidingWindowCounterRateLimiter(_storage(redis))

    async def spend(self, budget: RateLimitItem, who: str) -> Standing:
        """Count a request and return the caller's standing; a refused request is not counted."""
        shared = self._shared
        if self._redis is not None and shared is not None:
            with contextlib.suppress(RedisError):
                return await self._redis.call(lambda _: _spend(shared, budget, who))
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


def _storage(redis: RedisPool) -> RedisStorage:
    """Return a storage on the pool's connections; use it only inside a call of the pool."""
    options: dict[str, Any] = {"connection_pool": redis.connections}
    # The pool has the address; the storage only needs the scheme.
    return RedisStorage("async+redis://", implementation="redispy", key_prefix=redis.settings.key("limits"), **options)
