"""Password logins and their refresh tokens, each of which is exchanged for the next one when used."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Callable

import msgspec

from ibdesk_server.security.directory import Directory
from ibdesk_server.security.tickets import digest_of

_MARK = "ibr"
_FORM = re.compile(rf"{_MARK}_([0-9a-f]{{32}})_[A-Za-z0-9_-]{{43}}")
# Logins per user. Beyond this, the oldest end.
_MOST_LOGINS = 50


class Login(msgspec.Struct, frozen=True):
    """A user's login, which ends at `expires_ns` (UTC) at the latest, however often it is refreshed."""

    id: str
    user: str
    generation: str
    expires_ns: int


class Logins:
    """The logins in a directory; `seconds` is their longest duration.

    A refresh token works once. A second use means that it was stolen, by the first or the second user of it, so the
    whole login ends (RFC 9700, 4.14.2).
    """

    def __init__(self, directory: Directory, *, seconds: float, clock: Callable[[], int] = time.time_ns) -> None:
        self._directory, self._clock = directory, clock
        self._life_ns = int(seconds * 1e9)

    def start(self, user: str, generation: str) -> tuple[Login, str]:
        """Start a login and return it with its first refresh token."""
        now = self._clock()
        login = Login(secrets.token_hex(16), user, generation, now + self._life_ns)
        token = _token(login.id)
        with self._directory.change() as connection:
            connection.execute("DELETE FROM logins WHERE expires_ns <= ?", (now,))
            connection.execute(
                "DELETE FROM logins WHERE user = ? AND id NOT IN "
                "(SELECT id FROM logins WHERE user = ? ORDER BY created_ns DESC, rowid DESC LIMIT ?)",
                (user, user, _MOST_LOGINS - 1),
            )
            connection.execute(
                "INSERT INTO logins VALUES (?, ?, ?, ?, ?, ?)",
                (login.id, user, generation, digest_of(token), now, login.expires_ns),
            )
        return login, token

    def refresh(self, token: str) -> tuple[Login, str] | None:
        """Return the login and its next token, None if the given token is not the current one."""
        form = _FORM.fullmatch(token)
        if form is None:
            return None
        following = _token(form[1])
        with self._directory.change() as connection:
            row = connection.execute(
                "SELECT id, user, generation, expires_ns, digest FROM logins WHERE id = ? AND expires_ns > ?",
                (form[1], self._clock()),
            ).fetchone()
            if row is None:
                return None
            if not hmac.compare_digest(row[4], digest_of(token)):
                connection.execute("DELETE FROM logins WHERE id = ?", (form[1],))
                return None
            connection.execute("UPDATE logins SET digest = ? WHERE id = ?", (digest_of(following), form[1]))
        return Login(*row[:4]), following

    def end(self, login_id: str) -> None:
        """End a login; its tokens become invalid."""
        with self._directory.change() as connection:
            connection.execute("DELETE FROM logins WHERE id = ?", (login_id,))

    def goes_on(self, login_id: str) -> bool:
        """Return whether a login is active."""
        query = "SELECT 1 FROM logins WHERE id = ? AND expires_ns > ?"
        return self._directory.row(query, login_id, self._clock()) is not None


def _token(login_id: str) -> str:
    return f"{_MARK}_{login_id}_{secrets.token_urlsafe(32)}"
