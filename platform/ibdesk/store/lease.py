"""The lease in Redis, which decides which of several engines trades an account.

A lease is a key that expires unless it is renewed, and a token: a number that grows with every holder. The invariant is
that no two engines ever send orders for one account at once. These parts guard it:

* **Its own clock.** A holder counts its time from before it asked, on a clock that also runs while the machine sleeps,
  and stops relying on it a tenth before Redis does. So while `is_held` is true, no other engine can have the lease,
  however late an answer came. An engine that was frozen finds its time over before it sends anything, and sends nothing
  until Redis has answered again.
* **Redis restarted.** A Redis that has lost its memory, or was restored from an old one, does not know the leader. The
  first engine to ask it writes "nobody" into the key for twice the lease's time. An engine whose lease is still valid
  uses that time to return. An engine whose time is over (it was frozen, or could not reach Redis) waits for one lease's
  time first: another may have led since and be forgotten too, and the last leader is back by then. Tokens never go
  backwards: each engine keeps the highest token that it has seen in a file beside its journals, and leads only with a
  higher one.
* **Redis stalled, or its clock moved.** A Redis that stood still has let the lease expire under an engine that could
  not renew it. So a contender takes a lease only from a Redis that has answered regularly: each question carries
  Redis' own time of the last answer, and after a gap of half the lease's time the contender waits for a whole one.
* **Redis away.** While Redis cannot be reached no engine can take over, and the leader is *adrift*: it cannot know
  whether Redis is gone for all or for it alone. It continues to trade over its present connection to TWS, because that
  connection is itself a lease: TWS refuses a second program under the same client id (error 326), so a successor stays
  outside while the connection is up. It opens no new one: if TWS closes it meanwhile, another engine may have
  connected, and nothing is sent until Redis names the leader. This requires that all engines of an account use the same
  TWS and client id. If they do not, set ``redis.trade_without`` to false: an engine that cannot renew its lease then
  sends nothing once its time is over.
* **Redis names another engine.** That is final: the engine ends and leads again only with a new token.

Redis itself measures the key's time by the wall clock of its machine: if that jumps forward, the lease passes on too
early. The connection to TWS guards against that too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ibdesk.clock import SECOND, boot_ns
from ibdesk.config import private_folder, write_private
from ibdesk.errors import JournalError, NotLeadingError
from ibdesk.store.lease_health import LeaseHealth, LeaseState
from ibdesk.store.redis.errors import RedisError
from ibdesk.store.redis.pool import Client, RedisPool

_log = logging.getLogger(__name__)

# The part of the lease's time by which a holder stops before Redis does, because clocks differ in speed.
_MARGIN = 0.1
# Parts of the lease's time: between renewals; between attempts after a failure or while another holds it; and the most
# for one attempt.
_RENEW, _RETRY, _ATTEMPT = 1 / 3, 1 / 20, 1 / 4
_NOBODY = "0 nobody"

# The longest gap, as a part of the lease's time, between two answers of a Redis that answers regularly: less than the
# remaining time of a lease that was renewed in time, so that none expires in such a gap.
_IN_TOUCH = 1 / 2

# Both return: the granted token (0: no, -1: not yet), the holder, the highest token drawn, Redis' time, and, when
# renewing, the standbys: the engines that asked for the lease within its own length.
_ACQUIRING = """
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local held = redis.call('GET', KEYS[1])
local drawn = tonumber(redis.call('GET', KEYS[2]) or '0')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now - ARGV[2])
redis.call('ZADD', KEYS[4], now, ARGV[1])
redis.call('PEXPIRE', KEYS[4], ARGV[2])
if held then return {0, held, drawn, now, {}} end
if redis.call('GET', KEYS[3]) ~= run then
    redis.call('SET', KEYS[3], run)
    redis.call('SET', KEYS[1], ARGV[5], 'PX', ARGV[4])
    return {0, ARGV[5], drawn, now, {}}
end
local last, since = tonumber(ARGV[6]), tonumber(ARGV[7])
if now < last or now - last > tonumber(ARGV[8]) or now - since < tonumber(ARGV[2]) then
    return {0, ARGV[5], drawn, now, {}}
end
local token = math.max(drawn, tonumber(ARGV[3])) + 1
redis.call('SET', KEYS[2], token)
redis.call('SET', KEYS[1], token .. ' ' .. ARGV[1], 'PX', ARGV[2])
redis.call('ZREM', KEYS[4], ARGV[1])
return {token, token .. ' ' .. ARGV[1], token, now, {}}
"""
_RENEWING = """
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local held = redis.call('GET', KEYS[1])
local drawn = tonumber(redis.call('GET', KEYS[2]) or '0')
local token = tonumber(ARGV[3])
if held ~= ARGV[1] and (drawn > token or (held and held ~= ARGV[4])) then
    return {0, held or ARGV[4], drawn, 0, {}}
end
if ARGV[5] == '0' then
    if redis.call('GET', KEYS[3]) ~= run then
        redis.call('SET', KEYS[3], run)
        redis.call('SET', KEYS[1], ARGV[4], 'PX', 2 * ARGV[2])
        return {-1, ARGV[4], drawn, 0, {}}
    end
    if held == ARGV[4] and redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) then
        return {-1, ARGV[4], drawn, 0, {}}
    end
end
redis.call('SET', KEYS[3], run)
redis.call('SET', KEYS[2], math.max(drawn, token))
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {token, ARGV[1], token, 0, redis.call('ZRANGE', KEYS[4], 0, -1)}
"""
_RELEASING = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class TokenMark:
    """The highest token that an engine has seen, in a small file: the engine leads only with a higher one."""

    def __init__(self, path: Path) -> None:
        """Read the mark.

        Raises:
            JournalError: If the file holds no number.
        """
        self._path = path
        self.highest = self._read()

    def raise_to(self, token: int) -> None:
        """Record a token; it is on disk when this returns.

        Raises:
            JournalError: If the file cannot be written.
        """
        if token <= self.highest:
            return
        # Another engine of this machine may have written a higher one.
        self.highest = max(token, self._read())
        try:
            private_folder(self._path.parent)
            write_private(self._path, str(self.highest).encode())
        except OSError as error:
            raise JournalError(f"the mark of lease tokens in {self._path} cannot be written: {error}") from error

    def _read(self) -> int:
        try:
            return int(self._path.read_text(encoding="ascii")) if self._path.exists() else 0
        except (OSError, ValueError) as error:
            raise JournalError(
                f"the mark of lease tokens in {self._path} cannot be read ({error}): "
                f"write a number above the last token there"
            ) from None


def awake_or_asleep_seconds() -> float:
    """Return the seconds of a clock that never jumps and, if the system has one, also runs while the machine sleeps."""
    return boot_ns() / SECOND


class Lease:
    """One contender for one lease: call `acquire`, then `keep` for as long as it is needed, then `release`."""

    def __init__(
        self,
        pool: RedisPool,
        name: str,
        *,
        mark: TokenMark,
        seconds: float = 3.0,
        trade_without: bool = True,
        now: Callable[[], float] = awake_or_asleep_seconds,
    ) -> None:
        """Make a contender.

        Args:
            pool: The Redis; the lease has its own connection there.
            name: The name of the lease, the same for all contenders.
            mark: Keeps the highest token seen.
            seconds: The duration of a lease that is not renewed.
            trade_without: Whether `may_send` is true while Redis is away.
            now: The clock of this contender, in seconds.
        """
        self.name = name
        self.token = 0
        self.state = LeaseState.WAITING
        self._pool, self._mark, self._seconds, self._trade_without, self._now = pool, mark, seconds, trade_without, now
        self._holder = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self._held_by = ""
        self._standbys: tuple[str, ...] = ()
        # Redis' time in ms: of its last answer (0: none), and the start of the lease's time of regular answers.
        self._last_ms = self._since_ms = 0
        # The times until which the lease is ours, and until which we may send.
        self._held_until = self._sends_until = 0.0
        # In braces, so that a cluster keeps them together.
        group = pool.settings.key(f"{{lease:{name}}}")
        self._keys = (group, f"{group}:token", f"{group}:run", f"{group}:standbys")
        self._client: Client | None = None

    @property
    def health(self) -> LeaseHealth:
        """Return the state of the lease."""
        return LeaseHealth(
            name=self.name, state=self.state, token=self.token, held_by=self._held_by, standbys=self._standbys
        )

    def is_held(self) -> bool:
        """Return whether no other engine can hold the lease now. A comparison with the clock, for any thread."""
        return self._now() < self._held_until

    def may_send(self) -> bool:
        """Return whether order bytes may leave over a connection that was opened while the lease was held."""
        return self._now() < self._sends_until

    async def try_acquire(self) -> bool:
        """Ask once for the lease; return whether it is ours.

        The first answer of a Redis only sets the time: a question that Redis read late must not be granted.

        Raises:
            RedisError: If Redis does not answer.
        """
        asked_at = self._now()
        lease_ms = round(1_000 * self._seconds)
        touch_ms = round(_IN_TOUCH * lease_ms)
        known = (self._holder, lease_ms, self._mark.highest, 2 * lease_ms, _NOBODY)
        try:
            token, now_ms = await self._ask(_ACQUIRING, *known, self._last_ms, self._since_ms, touch_ms)
        except RedisError:
            # Long ago: a Redis that did not answer at first has not answered regularly.
            self._last_ms = self._last_ms or 1
            raise
        if self._last_ms and not 0 <= now_ms - self._last_ms <= touch_ms:
            self._since_ms = now_ms
        self._last_ms = now_ms
        if token:
            self.token = token
            self._granted(asked_at)
        return self.is_held()

    async def acquire(self) -> None:
        """Wait until the lease is ours, whatever Redis does meanwhile."""
        told = ""
        while not await self._tries():
            if self._held_by != told:
                told = self._held_by
                _log.info("waiting to lead %s, which is held by %s", self.name, told.partition(" ")[2])
            await asyncio.sleep(_RETRY * self._seconds)
        _log.info("leading %s with token %d", self.name, self.token)

    async def keep(self) -> None:
        """Renew the lease until it is lost.

        Raises:
            NotLeadingError: If Redis says that another engine leads, or has led since.
        """
        while True:
            await asyncio.sleep((_RENEW if self.state is LeaseState.HELD else _RETRY) * self._seconds)
            await self.renew()

    async def renew(self) -> None:
        """Ask once for more time; become adrift if no Redis that knows the leader answers.

        Raises:
            NotLeadingError: If Redis says that another engine leads, or has led since.
        """
        asked_at = self._now()
        known = (self._value, round(1_000 * self._seconds), self.token, _NOBODY, int(asked_at < self._held_until))
        try:
            token, _ = await self._ask(_RENEWING, *known)
        except RedisError as error:
            self._drift(str(error), asked_at)
            return
        if token < 0:
            self._drift("Redis has forgotten who leads, and the last leader may return first", asked_at)
            return
        if not token:
            self.state, self._held_until, self._sends_until = LeaseState.LOST, 0.0, 0.0
            raise NotLeadingError(self.name, self.token, self._held_by.partition(" ")[2])
        if self.state is LeaseState.ADRIFT:
            _log.warning("the lead of %s is confirmed again", self.name)
        self._granted(asked_at)

    async def release(self) -> None:
        """Release the lease, so that another engine can take it at once, and close the connection."""
        self._held_until = self._sends_until = 0.0
        if self.state in (LeaseState.HELD, LeaseState.ADRIFT):
            self.state = LeaseState.WAITING
            try:
                await self._bounded(lambda client: client.eval(_RELEASING, 1, self._keys[0], self._value))
            except RedisError as error:
                _log.info("the lease of %s was not released, and expires by itself: %s", self.name, error)
        await self._disconnect()

    @property
    def _value(self) -> str:
        return f"{self.token} {self._holder}"

    async def _tries(self) -> bool:
        try:
            return await self.try_acquire()
        except RedisError as error:
            if self._held_by != "":
                _log.info("waiting to lead %s: %s", self.name, error)
            self._held_by = ""
            return False

    def _granted(self, asked_at: float) -> None:
        self.state = LeaseState.HELD
        self._held_until = self._sends_until = asked_at + (1 - _MARGIN) * self._seconds

    def _drift(self, reason: str, asked_at: float) -> None:
        # No standby is known.
        self._standbys = ()
        if self.state is LeaseState.HELD:
            _log.warning("the lead of %s is no longer confirmed: %s", self.name, reason)
            self.state = LeaseState.ADRIFT
        if self._trade_without:
            # Counted from the question, so that an engine that was frozen while it asked must ask again first.
            self._sends_until = max(self._sends_until, asked_at + self._seconds)

    async def _ask(self, script: str, *arguments: str | int) -> tuple[int, int]:
        """Run a script; return the token it granted, 0 or -1 if it granted none, and Redis' time in ms."""
        answer: Any = await self._bounded(lambda client: client.eval(script, len(self._keys), *self._keys, *arguments))
        granted, held_by, drawn = int(answer[0]), str(answer[1], "utf-8"), int(answer[2])
        self._held_by = held_by
        self._standbys = tuple(str(name, "utf-8") for name in answer[4])
        # On disk before we lead with it.
        self._mark.raise_to(max(drawn, int(held_by.partition(" ")[0])))
        return granted, int(answer[3])

    async def _bounded(self, work: Callable[[Client], Any]) -> Any:
        """Run `work` on the lease's own connection: the pool's circuit breaker must not keep it from asking."""
        if self._client is None:
            self._client = self._pool.dedicated()
        seconds = min(self._pool.settings.timeout_seconds, _ATTEMPT * self._seconds)
        try:
            return await self._pool.call_dedicated(self._client, work, seconds=seconds)
        except RedisError:
            await self._disconnect()
            raise

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await self._pool.release(client)
