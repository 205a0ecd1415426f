"""Who makes a request: the holder of a key, of a token, or of a browser's login; or nobody we know.

No secret ever stands in an address, in a log or in an answer. A browser gets in by an address with a code in it, which
works once and for some minutes; the cookie it is exchanged for is of no use to scripts or other sites.
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
    """Knows who is who at one server.

    What the directory says is asked for in a thread of its own and remembered for `recheck_seconds`.
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
        """Guard with the machine's key; without a directory there are no users and keys that outlive the process."""
        self.settings = settings = settings or SecuritySettings()
        self.directory = directory = directory or Directory()
        self.addresses = Addresses(trusted_proxies=settings.trusted_proxies, hosts=settings.hosts)
        self.users, self.keys = Users(directory, clock=clock), ApiKeys(directory, clock=clock)
        self.logins = Logins(directory, seconds=settings.refresh_seconds, clock=clock)
        self.codes = Tickets(directory, Use.CODE, seconds=settings.login_code_seconds, clock=clock)
        self.sessions = Tickets(directory, Use.SESSION, seconds=settings.session_seconds, clock=clock)
        self.tokens = AccessTokens(token_key or key, seconds=settings.access_seconds, clock=clock)
        self._key, self._clock = digest_of(key), clock
        # Who replaces the key file also ends the sessions that were begun with the old one.
        self.local = msgspec.structs.replace(LOCAL, generation=digest_of(key).hex()[:16])
        self._recheck_ns = int(settings.recheck_seconds * 1e9)
        self._known: dict[tuple[str, bytes], tuple[int, Principal]] = {}
        self._holding: dict[Principal, tuple[int, bool]] = {}
        self._thread = ThreadPoolExecutor(1, "directory")

    @classmethod
    def open(cls, settings: ServerSettings) -> Security:
        """Return the guard whose keys, users and logins are in the files that the settings name.

        Raises:
            ConfigError: If one of the files cannot be read or made, or others may read it; or if others than this
                machine could reach the server while nobody could log in to it.
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
        """Return the path and query of a login as somebody, by default the holder of the key, which works once."""
        return f"/login?{urlencode({'code': self.codes.issue(principal or self.local)})}"

    async def identify(self, headers: Headers) -> Principal | None:
        """Return who makes a request by what its headers carry, None when that is nobody we know."""
        secret = presented_secret(headers)
        if secret is not None:
            return await self.principal_of(secret)
        cookie = presented_cookie(headers)
        return await self._recall("cookie", cookie, self.sessions.holder) if cookie else None

    async def principal_of(self, secret: str) -> Principal | None:
        """Return whose key or access token this is, in a time that does not depend on how much of it is right."""
        return await self._recall("secret", secret, self._holder)

    async def holds(self, principal: Principal) -> bool:
        """Return whether what somebody came with is still good: not expired, not revoked."""
        now = self._clock()
        at_ns, good = self._holding.get(principal, (None, False))
        if at_ns is None or now - at_ns >= self._recheck_ns:
            good = await self.aside(self._is_good, principal)
            _remember(self._holding, principal, (now, good))
        return good and not self._has_expired(principal)

    async def aside(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return what a call that reads or changes the directory gives, while the event loop goes on."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))

    async def change(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Do as `aside`, and forget who was known: after a change of users, keys or logins."""
        try:
            return await self.aside(work, *args, **kwargs)
        finally:
            self._known.clear()
            self._holding.clear()

    def allows_origin(self, headers: Headers) -> bool:
        """Return whether a request comes from no web page, a page of this server, or one of the allowed origins."""
        origin = headers.get("origin")
        if origin is None:
            return True
        return origin in self.settings.origins or origin.partition("://")[2] == headers.get("host")

    async def _recall(self, way: str, secret: str, look_up: Callable[[str], Principal | None]) -> Principal | None:
        """Return whose secret this is, from memory when it was asked for a moment ago."""
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
        """Return whether the key, login or session somebody came with goes on, and they are who they were."""
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
        """Return whether a user is still there, enabled, and of the same generation."""
        if principal.name == self.local.name:
            return hmac.compare_digest(principal.generation, self.local.generation)
        user = self.users.find(principal.name)
        return user is not None and not user.disabled and user.generation == principal.generation

    def _has_expired(self, principal: Principal) -> bool:
        return principal.expires_ns is not None and principal.expires_ns <= self._clock()


_K = TypeVar("_K")
_V = TypeVar("_V")


def _remember(memory: dict[_K, _V], key: _K, value: _V) -> None:
    """Keep a value; when there are too many, start over."""
    if len(memory) >= _MOST_REMEMBERED:
        memory.clear()
    memory[key] = value
