"""Who may use the server: the holder of the API key, and a browser that came with a one-time code.

The key never stands in an address, in a log or in an answer. A browser gets in by an address with a code in it, which
works once and for some minutes; the cookie it is exchanged for is of no use to scripts or other sites.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

from starlette.datastructures import Headers

from ibdesk.errors import ConfigError

COOKIE = "ibdesk_session"
KEY_HEADER = "X-API-Key"

_KEY_BYTES = 32
_SHORTEST_KEY = 32
# More than anybody needs at once; the oldest ones leave.
_MOST_TICKETS = 1_000


def obtain_key(path: Path) -> str:
    """Return the API key kept in a file; it is made, readable by its owner alone, when there is none.

    Raises:
        ConfigError: If the file cannot be read or made, others may read it, or it holds no key.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _make_key(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigError(f"others may read the API key in {path}: run `chmod 600 {path}`")
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the API key cannot be kept in {path}: {error}") from None
    if len(key) < _SHORTEST_KEY:
        raise ConfigError(f"{path} holds no API key: delete it, and the next start makes a new one")
    return key


def _make_key(path: Path) -> None:
    """Write a new key beside its place and link it there, so that nobody ever sees half of it."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(_KEY_BYTES) + "\n")
        path.hardlink_to(draft)
    except FileExistsError:
        # Another start was faster; its key is the key.
        return
    finally:
        draft.unlink()


class Tickets:
    """Random words that are good for some time; only their hashes are kept."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds, self._clock = seconds, clock
        self._ends: dict[bytes, float] = {}

    def issue(self) -> str:
        """Return a new one."""
        now = self._clock()
        self._ends = {digest: end for digest, end in self._ends.items() if end > now}
        while len(self._ends) >= _MOST_TICKETS:
            del self._ends[next(iter(self._ends))]
        ticket = secrets.token_urlsafe(_KEY_BYTES)
        self._ends[_digest(ticket)] = now + self._seconds
        return ticket

    def is_good(self, ticket: str) -> bool:
        """Return whether it was issued and has not run out."""
        # Looking up a hash tells nothing about the ticket by the time it takes.
        return self._ends.get(_digest(ticket), 0.0) > self._clock()

    def use_up(self, ticket: str) -> bool:
        """Return whether it is good; it never is again."""
        return self._ends.pop(_digest(ticket), 0.0) > self._clock()


class Security:
    """Knows the key, the one-time codes and the logins of one server."""

    def __init__(
        self,
        key: str,
        *,
        origins: tuple[str, ...] = (),
        code_seconds: float = 600,
        session_seconds: float = 43_200,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = _digest(key)
        self._origins = frozenset(origin.rstrip("/") for origin in origins)
        self._codes, self._sessions = Tickets(code_seconds, clock), Tickets(session_seconds, clock)
        self.session_seconds = session_seconds

    def is_key(self, key: str) -> bool:
        """Return whether this is the API key, in a time that does not depend on how much of it is right."""
        return hmac.compare_digest(_digest(key), self._key)

    def login_path(self) -> str:
        """Return the path and query of a login that works once."""
        return f"/login?{urlencode({'code': self._codes.issue()})}"

    def log_in(self, code: str) -> str | None:
        """Return a session's cookie value for a one-time code, None when the code is no good (any more)."""
        return self._sessions.issue() if self._codes.use_up(code) else None

    def log_out(self, headers: Headers) -> None:
        """End the session of a request."""
        self._sessions.use_up(_cookie(headers))

    def allows_origin(self, headers: Headers) -> bool:
        """Return whether a request comes from no web page, a page of this server, or one of the allowed origins."""
        origin = headers.get("origin")
        if origin is None:
            return True
        return origin in self._origins or origin.partition("://")[2] == headers.get("host")

    def knows(self, headers: Headers) -> bool:
        """Return whether a request carries the key in a header, or the cookie of a session."""
        key = presented_key(headers)
        return self._sessions.is_good(_cookie(headers)) if key is None else self.is_key(key)


def presented_key(headers: Headers) -> str | None:
    """Return the key that a request's headers carry, right or wrong, if any."""
    key = headers.get(KEY_HEADER)
    if key is not None:
        return key
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _cookie(headers: Headers) -> str:
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()
