"""The browser logins of a dashboard, stored in a file that only its owner can read.

They survive a restart. The file contains hashes of the cookies, not the cookies.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ibdesk.config import write_private
from ibdesk_server.dashboard.counter import DashboardUser
from ibdesk_server.security.tickets import digest_of

_log = logging.getLogger(__name__)

_LOGIN_SECONDS = 43_200.0
# When a password login is checked again, as a fraction of the access token's lifetime.
_ASKED_AGAIN = 0.5
_MOST_READERS = 1_000


class BrowserLogin(msgspec.Struct, frozen=True):
    """The login of one browser; `ends_at` and `ask_at` are Unix times in seconds."""

    reader: DashboardUser
    ends_at: float
    ask_at: float


class LoginFile:
    """The logins of one dashboard, by the hash of the cookie; without a path, in memory only."""

    def __init__(self, path: Path | None = None) -> None:
        """Read the logins of an earlier process; a file that cannot be read is replaced."""
        self._path = path
        self._logins: dict[str, BrowserLogin] = {}
        if path is not None and path.exists():
            try:
                self._logins = msgspec.json.decode(path.read_bytes(), type=dict[str, BrowserLogin])
            except (OSError, msgspec.DecodeError) as error:
                _log.warning("logins in %s cannot be read, so all readers must log in again: %s", path, error)

    def add(self, reader: DashboardUser) -> str:
        """Add a login and return the cookie's value."""
        cookie = secrets.token_urlsafe(32)
        while len(self._logins) >= _MOST_READERS:
            del self._logins[next(iter(self._logins))]
        now = time.time()
        self._logins[_place(cookie)] = BrowserLogin(reader, now + _LOGIN_SECONDS, now + reader.seconds * _ASKED_AGAIN)
        self._keep()
        return cookie

    def find(self, cookie: str) -> DashboardUser | None:
        """Return the reader of a cookie, None if the cookie is not valid (any more)."""
        login = self._logins.get(_place(cookie))
        return None if login is None or login.ends_at <= time.time() else login.reader

    def due(self) -> Iterator[tuple[str, DashboardUser]]:
        """Remove expired logins, and return those that are due for a check at the server."""
        now = time.time()
        for place, login in list(self._logins.items()):
            if login.ends_at <= now:
                self.remove(place)
            elif login.reader.refresh_token and login.ask_at <= now:
                yield place, login.reader

    def renew(self, place: str, reader: DashboardUser) -> None:
        """Store the next tokens of a login."""
        login = self._logins.get(place)
        if login is not None:
            self._logins[place] = BrowserLogin(reader, login.ends_at, time.time() + reader.seconds * _ASKED_AGAIN)
            self._keep()

    def remove(self, place: str) -> None:
        """End a login."""
        self._logins.pop(place, None)
        self._keep()

    def _keep(self) -> None:
        if self._path is None:
            return
        try:
            write_private(self._path, msgspec.json.encode(self._logins))
        except OSError as error:
            _log.warning("logins cannot be stored in %s and end with this process: %s", self._path, error)


def _place(cookie: str) -> str:
    return digest_of(cookie).hex()
