"""Words that get somebody in for a while: one-time codes and the cookies of logins."""

from __future__ import annotations

import enum
import hashlib
import secrets
import time
from collections.abc import Callable

from ibdesk_server.security.directory import Directory, Row
from ibdesk_server.security.principal import Principal, ProofKind, Role

_TICKET_BYTES = 32
# More than anybody needs at once; the oldest ones leave.
_MOST_TICKETS = 1_000


class Use(enum.Enum):
    """What a ticket is for."""

    CODE = "code"
    """Stands in an address and is exchanged for a session, once."""
    SESSION = "session"
    """The cookie of a browser."""


class Tickets:
    """Random words of one use that stand for somebody for some time; only their hashes are kept."""

    def __init__(
        self, directory: Directory, use: Use, *, seconds: float, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._directory, self._use, self._clock = directory, use, clock
        self._life_ns = int(seconds * 1e9)

    def issue(self, principal: Principal) -> str:
        """Return a new one."""
        now, ticket = self._clock(), secrets.token_urlsafe(_TICKET_BYTES)
        values = (principal.name, principal.role.value, principal.generation, now, now + self._life_ns)
        with self._directory.change() as connection:
            connection.execute("DELETE FROM tickets WHERE expires_ns <= ?", (now,))
            connection.execute(
                "DELETE FROM tickets WHERE use = ? AND digest NOT IN "
                "(SELECT digest FROM tickets WHERE use = ? ORDER BY created_ns DESC, rowid DESC LIMIT ?)",
                (self._use.value, self._use.value, _MOST_TICKETS - 1),
            )
            connection.execute(
                "INSERT INTO tickets VALUES (?, ?, ?, ?, ?, ?, ?)", (digest_of(ticket), self._use.value, *values)
            )
        return ticket

    def holder(self, ticket: str) -> Principal | None:
        """Return whom it stands for, None when it was not issued or has run out."""
        # Looking up a hash tells nothing about the ticket by the time it takes.
        digest = digest_of(ticket)
        row = self._directory.row(
            "SELECT name, role, generation, expires_ns FROM tickets WHERE digest = ? AND use = ? AND expires_ns > ?",
            digest,
            self._use.value,
            self._clock(),
        )
        return None if row is None else _principal(row, digest)

    def use_up(self, ticket: str) -> Principal | None:
        """Return whom it stood for, None when it was not issued or has run out; it never does again."""
        digest = digest_of(ticket)
        with self._directory.change() as connection:
            rows = connection.execute(
                "DELETE FROM tickets WHERE digest = ? AND use = ? RETURNING name, role, generation, expires_ns",
                (digest, self._use.value),
            ).fetchall()
        return next((_principal(row, digest) for row in rows if row[3] > self._clock()), None)

    def still_opens(self, proof_id: str) -> bool:
        """Return whether the ticket whose holder has this `proof_id` is still good."""
        query = "SELECT 1 FROM tickets WHERE digest = ? AND use = ? AND expires_ns > ?"
        return self._directory.row(query, bytes.fromhex(proof_id), self._use.value, self._clock()) is not None


def digest_of(secret: str) -> bytes:
    """Return the hash under which a random secret is kept."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def _principal(row: Row, digest: bytes) -> Principal:
    name, role, generation, expires_ns = row
    return Principal(
        name, Role(role), ProofKind.SESSION, proof_id=digest.hex(), generation=generation, expires_ns=expires_ns
    )
