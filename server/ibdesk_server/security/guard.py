"""Who may use the server: the holder of the key, and a browser that came with a one-time code.

No secret ever stands in an address, in a log or in an answer. A browser gets in by an address with a code in it, which
works once and for some minutes; the cookie it is exchanged for is of no use to scripts or other sites.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from urllib.parse import urlencode

import msgspec
from starlette.datastructures import Headers

from ibdesk_server.security.presented import presented_cookie, presented_key
from ibdesk_server.security.principal import Kind, Principal, Role
from ibdesk_server.security.tickets import Tickets, digest_of

_LOCAL = Principal("local", Role.ADMIN, Kind.LOCAL)


class Security:
    """Knows who is who at one server: the key, the one-time codes and the logins."""

    def __init__(
        self,
        key: str,
        *,
        origins: tuple[str, ...] = (),
        code_seconds: float = 600,
        session_seconds: float = 43_200,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = digest_of(key)
        self._origins = frozenset(origin.rstrip("/") for origin in origins)
        self._codes, self._sessions = Tickets(code_seconds, clock), Tickets(session_seconds, clock)
        self.session_seconds = session_seconds

    def login_path(self, principal: Principal = _LOCAL) -> str:
        """Return the path and query of a login as somebody, which works once."""
        return f"/login?{urlencode({'code': self._codes.issue(principal)})}"

    def log_in(self, code: str) -> str | None:
        """Return a session's cookie value for a one-time code, None when the code is no good (any more)."""
        principal = self._codes.use_up(code)
        if principal is None:
            return None
        return self._sessions.issue(msgspec.structs.replace(principal, kind=Kind.SESSION))

    def log_out(self, headers: Headers) -> None:
        """End the session of a request."""
        self._sessions.use_up(presented_cookie(headers))

    def allows_origin(self, headers: Headers) -> bool:
        """Return whether a request comes from no web page, a page of this server, or one of the allowed origins."""
        origin = headers.get("origin")
        if origin is None:
            return True
        return origin in self._origins or origin.partition("://")[2] == headers.get("host")

    async def identify(self, headers: Headers) -> Principal | None:
        """Return who makes a request by what its headers carry, None when that is nobody we know."""
        secret = presented_key(headers)
        return self._sessions.holder(presented_cookie(headers)) if secret is None else await self.principal_of(secret)

    async def principal_of(self, secret: str) -> Principal | None:
        """Return whose key this is, in a time that does not depend on how much of it is right."""
        return _LOCAL if hmac.compare_digest(digest_of(secret), self._key) else None
