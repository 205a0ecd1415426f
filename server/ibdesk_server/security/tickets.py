"""Words that get somebody in for a while: one-time codes and the cookies of logins."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable

from ibdesk_server.security.principal import Principal

_TICKET_BYTES = 32
# More than anybody needs at once; the oldest ones leave.
_MOST_TICKETS = 1_000


class Tickets:
    """Random words that stand for somebody for some time; only their hashes are kept."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds, self._clock = seconds, clock
        self._issued: dict[bytes, tuple[float, Principal]] = {}

    def issue(self, principal: Principal) -> str:
        """Return a new one."""
        now = self._clock()
        self._issued = {digest: kept for digest, kept in self._issued.items() if kept[0] > now}
        while len(self._issued) >= _MOST_TICKETS:
            del self._issued[next(iter(self._issued))]
        ticket = secrets.token_urlsafe(_TICKET_BYTES)
        self._issued[digest_of(ticket)] = (now + self._seconds, principal)
        return ticket

    def holder(self, ticket: str) -> Principal | None:
        """Return whom it stands for, None when it was not issued or has run out."""
        # Looking up a hash tells nothing about the ticket by the time it takes.
        return self._valid(self._issued.get(digest_of(ticket)))

    def use_up(self, ticket: str) -> Principal | None:
        """Return whom it stood for, None when it was not issued or has run out; it never does again."""
        return self._valid(self._issued.pop(digest_of(ticket), None))

    def _valid(self, kept: tuple[float, Principal] | None) -> Principal | None:
        return kept[1] if kept is not None and kept[0] > self._clock() else None


def digest_of(secret: str) -> bytes:
    """Return the hash under which a random secret is kept."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()
