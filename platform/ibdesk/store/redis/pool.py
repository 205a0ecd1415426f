"""An event loop's pool of connections to Redis, behind a circuit breaker.

Every call is bounded in time, whatever Redis does: refuse connections, accept and stall, or die in between. After a few
failures in a row the circuit opens, and calls fail at once, without touching a socket; after a pause one call is let
through, and the first success closes the circuit. Trading never waits for any of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import purgatory
import redis.asyncio as aioredis
import redis.exceptions
from purgatory.domain.model import OpenedState
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ibdesk.errors import ConfigError
from ibdesk.store.redis.errors import RedisError
from ibdesk.store.redis.health import Circuit, RedisHealth
from ibdesk.store.redis.settings import RedisSettings
from ibdesk.telemetry import track_performance

if TYPE_CHECKING:
    from purgatory.service._async.circuitbreaker import AsyncCircuitBreaker

_log = logging.getLogger(__name__)

T = TypeVar("T")
Client = aioredis.Redis
Work = Callable[[Client], Awaitable[T]]


class RedisPool:
    """Runs calls to Redis for one event loop: the one that uses it first."""

    def __init__(self, settings: RedisSettings, *, name: str = "app") -> None:
        """Make a pool that is not connected yet; `name` identifies it in health and metrics.

        Raises:
            ConfigError: If the settings name no Redis.
        """
        if settings.url is None:
            raise ConfigError("redis.url is not set: name a Redis, as in redis://127.0.0.1:6379/0")
        self.settings, self.name = settings, name
        self._url = settings.url
        self._client = self._make_client(settings.connections)
        self._circuits = purgatory.AsyncCircuitBreakerFactory(
            settings.failures_to_open, settings.rest_seconds, [(asyncio.CancelledError, self._says_nothing)]
        )
        self._circuits.add_listener(self._circuit_changed)
        self._breaker: AsyncCircuitBreaker | None = None
        # Whether a trial call is in progress, which will close the circuit or leave it open.
        self._is_trying = False
        # Whether the log says that the process works without Redis.
        self._is_told = False
        self._in_use = self._made = self._calls = self._failures = self._refused = 0
        # Dedicated clients that are not released yet, and the number of failures since the last success.
        self._dedicated: set[Client] = set()
        self._failing = 0
        self._last_failure = ""

    @property
    def health(self) -> RedisHealth:
        """Return the counters at this instant."""
        circuit = self.circuit
        return RedisHealth(
            name=self.name,
            address=self.settings.address,
            is_degraded=circuit is not Circuit.CLOSED or self._failing >= self.settings.failures_to_open,
            circuit=circuit,
            connections_in_use=self._in_use,
            connections_most=self.settings.connections,
            connections_made=self._made,
            dedicated=len(self._dedicated),
            calls=self._calls,
            failures=self._failures,
            refused=self._refused,
            last_failure=self._last_failure,
        )

    @property
    def circuit(self) -> Circuit:
        """Return whether calls go through."""
        return Circuit(self._breaker.context.state) if self._breaker is not None else Circuit.CLOSED

    @property
    def connections(self) -> aioredis.ConnectionPool:
        """Return the client library's pool, for a library with its own client: use that inside `call` only."""
        return self._client.connection_pool

    async def call(self, work: Work[T]) -> T:
        """Run `work` on a client and return its result; it must finish within the time-out of the settings.

        `work` talks to Redis and does nothing else: ``pool.call(lambda client: client.get(key))``.

        Raises:
            RedisError: If Redis cannot be reached, does not answer in time, or refuses, or if the circuit is open.
        """
        breaker = await self._open_breaker()
        if self._is_trying:
            raise self._refuse()
        try:
            async with breaker:
                return await self._bounded(work)
        except OpenedState as opened:
            # purgatory raises the same object each time, and its traceback would grow.
            opened.__traceback__ = None
            raise self._refuse() from None

    async def _bounded(self, work: Work[T]) -> T:
        self._is_trying = is_trial = self.circuit is Circuit.TRYING
        self._in_use += 1
        try:
            return await self._counted(work, self._client, seconds=self.settings.timeout_seconds)
        finally:
            self._in_use -= 1
            if is_trial:
                self._is_trying = False

    async def _counted(self, work: Work[T], client: Client, *, seconds: float) -> T:
        self._calls += 1
        try:
            with track_performance("redis_call"):
                async with asyncio.timeout(seconds):
                    found = await work(client)
        except (redis.exceptions.RedisError, TimeoutError, OSError) as error:
            self._failures += 1
            self._failing += 1
            self._last_failure = self.reason(error)
            raise RedisError(self.settings.address, self._last_failure) from error
        self._failing = 0
        return found

    async def run(self) -> None:
        """Ping Redis regularly, so that the circuit also closes without calls."""
        while True:
            # A failure is counted, and logged when the circuit opens.
            with contextlib.suppress(RedisError):
                await self.call(lambda client: client.ping())
            await asyncio.sleep(self.settings.rest_seconds)

    def dedicated(self) -> Client:
        """Return a client with its own connection, for calls that wait in Redis; `release` it at the end.

        It bypasses the circuit breaker and has no time limit once it is connected: the caller sets one.
        """
        client = self._make_client(1)
        self._dedicated.add(client)
        return client

    async def call_dedicated(self, client: Client, work: Work[T], *, seconds: float) -> T:
        """Run `work` on a dedicated client within `seconds`, whatever the state of the circuit breaker.

        Raises:
            RedisError: If Redis cannot be reached, does not answer in time, or refuses.
        """
        return await self._counted(work, client, seconds=seconds)

    async def release(self, client: Client) -> None:
        """Close the connection of a client from `dedicated`."""
        self._dedicated.discard(client)
        with contextlib.suppress(redis.exceptions.RedisError, OSError):
            await client.aclose()

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    def reason(self, error: Exception) -> str:
        """Return the reason of a failed call in words, for `RedisError`."""
        match error:
            case redis.exceptions.AuthenticationError():
                return "refuses user or password: check redis.url"
            case redis.exceptions.TimeoutError() | TimeoutError():
                return f"did not answer within {self.settings.timeout_seconds:g} s"
            case redis.exceptions.ConnectionError() | OSError():
                return "cannot be reached: is it running, and is redis.url right?"
            case _:
                return f"refused: {error}"

    def _make_client(self, connections: int) -> Client:
        pool = aioredis.BlockingConnectionPool.from_url(
            self._url.get_secret_value(),
            max_connections=connections,
            # Each whole call has a limit here. The library's own would sometimes lose the caller's cancellation: it
            # sends under `asyncio.wait_for`, which in Python 3.11 swallows one that comes late.
            timeout=None,
            socket_timeout=None,
            socket_connect_timeout=None,
            # Callers decide about retries.
            retry=Retry(NoBackoff(), 0),
            redis_connect_func=self._greet,
            client_name="ibdesk",
            # Answers of the older protocol have the same form in all versions of the client library.
            protocol=2,
        )
        return aioredis.Redis.from_pool(pool)

    async def _greet(self, connection: Any) -> None:
        """Log in on a new connection, and count it."""
        await connection.on_connect()
        self._made += 1

    async def _open_breaker(self) -> AsyncCircuitBreaker:
        if self._breaker is None:
            self._breaker = await self._circuits.get_breaker("redis")
        return self._breaker

    def _refuse(self) -> RedisError:
        self._refused += 1
        return RedisError(self.settings.address, f"gets no calls for a moment, because it {self._last_failure}")

    def _says_nothing(self, _error: BaseException) -> bool:
        """Return whether a cancelled call leaves the circuit as it is: a cancelled trial proves nothing."""
        return self.circuit is not Circuit.TRYING

    def _circuit_changed(self, _name: str, event: str, _detail: object) -> None:
        if event != "state_changed":
            return
        # Logged once, not at each trial: both the beginning and the end of a trial arrive here after its end.
        if self.circuit is Circuit.OPEN and not self._is_told:
            self._is_told = True
            _log.warning("Redis at %s %s: continuing without it", self.settings.address, self._last_failure)
        elif self.circuit is Circuit.CLOSED and self._is_told:
            self._is_told = False
            _log.warning("Redis at %s answers again", self.settings.address)
