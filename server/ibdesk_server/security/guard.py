"""Authentication of requests by key, token or browser login.

Secrets never appear in a URL, log or answer. A browser logs in by a URL with a code that works once, within some
minutes. It is exchanged for a cookie that scripts and other sites cannot use.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar
from urllib.parse import urlencode

import msgspec
from starlette.datastructures import Headers

from ibdesk.errors import ConfigError
from ibdesk_server.security.addresses import Addresses
from ibdesk_server.security.directory import Directory
from ibdesk_server.security.ip_addresses import is_loopback
from ibdesk_server.security.keyfile import obtain_key
from ibdesk_server.security.keys import ApiKeys
from ibdesk_server.security.logins import Logins
from ibdesk_server.security.presented import presented_cookie, presented_secret
from ibdesk_server.security.principal import LOCAL, Principal, ProofKind
from ibdesk_server.security.settings import SecuritySettings
from ibdesk_server.security.tickets import Tickets, Use, digest_of
from ibdesk_server.security.tokens import AccessTokens
from ibdesk_server.security.users import Users
from ibdesk_server.settings import ServerSettings

_P = ParamSpec("_P")
_T = TypeVar("_T")

# No key, token or cookie of ours is longer.
_LONGEST_SECRET = 4_096
_MOST_REMEMBERED = 10_000


class Security:
    """The authentication of one server.

    The directory is read in a separate thread, and its answers are cached for `recheck_seconds`.
    """

    def __init__(
        self,
        key: str,
        *,
        token_key: str = "",
        directory: Directory | None = None,
        settings: SecuritySettings | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Use the machine's key; without a directory, users and keys exist in memory only."""
        self.settings = settings = settings or SecuritySettings()
        self.directory = directory = directory or Directory()
        self.addresses = Addresses(trusted_proxies=settings.trusted_proxies, hosts=settings.hosts)
        self.users, self.keys = Users(directory, clock=clock), ApiKeys(directory, clock=clock)
        self.logins = Logins(directory, seconds=settings.refresh_seconds, clock=clock)
        self.codes = Tickets(directory, Use.CODE, seconds=settings.login_code_seconds, clock=clock)
        self.sessions = Tickets(directory, Use.SESSION, seconds=settings.session_seconds, clock=clock)
        self.tokens = AccessTokens(token_key or key, seconds=settings.access_seconds, clock=clock)
        self._key, self._clock = digest_of(key), clock
        # Replacing the key file also ends the sessions begun with the old key.
        self.local = msgspec.structs.replace(LOCAL, generation=digest_of(key).hex()[:16])
        self._recheck_ns = int(settings.recheck_seconds * 1e9)
        self._known: dict[tuple[str, bytes], tuple[int, Principal]] = {}
        self._holding: dict[Principal, tuple[int, bool]] = {}
        self._thread = ThreadPoolExecutor(1, "directory")

    @classmethod
    def open(cls, settings: ServerSettings) -> Security:
        """Return the authentication with the key, user and login files of the settings.

        Raises:
            ConfigError: If a file cannot be read or created, or others may read it; or if other machines could
                reach the server while there are no users.
        """
        security = cls(
            obtain_key(settings.key_file),
            token_key=obtain_key(settings.token_key_file),
            directory=Directory(settings.directory_file),
            settings=settings.guarded,
        )
        if not is_loopback(settings.host) and not security.users.exist():
            raise ConfigError(
                f"the server does not listen on {settings.host} while there are no users: "
                "add one with `ibdesk users add NAME --role admin`, or listen on 127.0.0.1"
            )
        return security

    def login_path(self, principal: Principal | None = None) -> str:
        """Return the path and query of a one-time login, by default for the holder of the machine's key."""
        return f"/login?{urlencode({'code': self.codes.issue(principal or self.local)})}"

    async def identify(self, headers: Headers) -> Principal | None:
        """Return the caller that the headers authenticate, None if there is none."""
        secret = presented_secret(headers)
        if secret is not None:
            return await self.principal_of(secret)
        cookie = presented_cookie(headers)
        return await self._recall("cookie", cookie, self.sessions.holder) if cookie else None

    async def principal_of(self, secret: str) -> Principal | None:
        """Return the owner of a key or access token; comparison takes constant time."""
        return await self._recall("secret", secret, self._holder)

    async def holds(self, principal: Principal) -> bool:
        """Return whether the caller's key, token or session is neither expired nor revoked."""
        now = self._clock()
        at_ns, good = self._holding.get(principal, (None, False))
        if at_ns is None or now - at_ns >= self._recheck_ns:
            good = await self.aside(self._is_good, principal)
            _remember(self._holding, principal, (now, good))
        return good and not self._has_expired(principal)

    async def aside(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a call on the directory in its thread and return the result, without blocking the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))

    async def change(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a call as `aside` does, then clear the caches; for changes of users, keys or logins."""
        try:
            return await self.aside(work, *args, **kwargs)
        finally:
            self._known.clear()
            self._holding.clear()

    def allows_origin(self, headers: Headers) -> bool:
        """Return whether the request has no origin, this server's, or an allowed one."""
        origin = headers.get("origin")
        if origin is None:
            return True
        return origin in self.settings.origins or origin.partition("://")[2] == headers.get("host")

    async def _recall(self, way: str, secret: str, look_up: Callable[[str], Principal | None]) -> Principal | None:
        """Return the owner of a secret, from the cache if it was looked up recently."""
        if len(secret) > _LONGEST_SECRET:
            return None
        now, place = self._clock(), (way, digest_of(secret))
        at_ns, principal = self._known.get(place, (0, None))
        if principal is None or now - at_ns >= self._recheck_ns:
            principal = await self.aside(self._look_up, look_up, secret)
            if principal is None:
                self._known.pop(place, None)
                return None
            _remember(self._known, place, (now, principal))
        return None if self._has_expired(principal) else principal

    def _look_up(self, look_up: Callable[[str], Principal | None], secret: str) -> Principal | None:
        principal = look_up(secret)
        return principal if principal is not None and self._is_good(principal) else None

    def _holder(self, secret: str) -> Principal | None:
        if hmac.compare_digest(digest_of(secret), self._key):
            return self.local
        return self.keys.holder(secret) or self.tokens.read(secret)

    def _is_good(self, principal: Principal) -> bool:
        """Return whether the caller's key, login or session is valid and its user has not changed."""
        match principal.kind:
            case ProofKind.LOCAL:
                return True
            case ProofKind.KEY:
                return self.keys.still_opens(principal.proof_id)
            case ProofKind.TOKEN:
                return self.logins.goes_on(principal.proof_id) and self.is_current(principal)
            case ProofKind.SESSION:
                return self.sessions.still_opens(principal.proof_id) and self.is_current(principal)

    def is_current(self, principal: Principal) -> bool:
        """Return whether the user still exists, is enabled, and has the same generation."""
        if principal.name == self.local.name:
            return hmac.compare_digest(principal.generation, self.local.generation)
        user = self.users.find(principal.name)
        return user is not None and not user.disabled and user.generation == principal.generation

    def _has_expired(self, principal: Principal) -> bool:
        return principal.expires_ns is not None and principal.expires_ns <= self._clock()


_K = TypeVar("_K")
_V = TypeVar("_V")


def _remember(memory: dict[_K, _V], key: _K, value: _V) -> None:
    """Store a value; empty the memory first if it is full."""
    if len(memory) >= _MOST_REMEMBERED:
        memory.clear()
    memory[key] = value
