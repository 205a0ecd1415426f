"""One-time codes and session cookies: random words that identify a caller for a limited time."""

from __future__ import annotations

import enum
import hashlib
import secrets
import time
from collections.abc import Callable

from ibdesk_server.security.directory import Directory, Row
from ibdesk_server.security.principal import Principal, ProofKind, Role

_TICKET_BYTES = 32
# Tickets of each use. Beyond this, the oldest are deleted.
_MOST_TICKETS = 1_000


class Use(enum.Enum):
    """The use of a ticket."""

    CODE = "code"
    """Part of a login URL; exchanged once for a session."""
    SESSION = "session"
    """The cookie of a browser."""


class Tickets:
    """The tickets of one use; only their hashes are stored."""

    def __init__(
        self, directory: Directory, use: Use, *, seconds: float, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._directory, self._use, self._clock = directory, use, clock
        self._life_ns = int(seconds * 1e9)

    def issue(self, principal: Principal) -> str:
        """Return a new ticket for a caller."""
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
        """Return the caller of a ticket, None if it is unknown or expired."""
        # The duration of a hash lookup reveals nothing about the ticket.
        digest = digest_of(ticket)
        row = self._directory.row(
            "SELECT name, role, generation, expires_ns FROM tickets WHERE digest = ? AND use = ? AND expires_ns > ?",
            digest,
            self._use.value,
            self._clock(),
        )
        return None if row is None else _principal(row, digest)

    def use_up(self, ticket: str) -> Principal | None:
        """Delete a ticket and return its caller, None if it is unknown or expired."""
        digest = digest_of(ticket)
        with self._directory.change() as connection:
            rows = connection.execute(
                "DELETE FROM tickets WHERE digest = ? AND use = ? RETURNING name, role, generation, expires_ns",
                (digest, self._use.value),
            ).fetchall()
        return next((_principal(row, digest) for row in rows if row[3] > self._clock()), None)

    def still_opens(self, proof_id: str) -> bool:
        """Return whether the ticket with this `proof_id` is still valid."""
        query = "SELECT 1 FROM tickets WHERE digest = ? AND use = ? AND expires_ns > ?"
        return self._directory.row(query, bytes.fromhex(proof_id), self._use.value, self._clock()) is not None


def digest_of(secret: str) -> bytes:
    """Return the hash under which a random secret is stored."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def _principal(row: Row, digest: bytes) -> Principal:
    name, role, generation, expires_ns = row
    return Principal(
        name, Role(role), ProofKind.SESSION, proof_id=digest.hex(), generation=generation, expires_ns=expires_ns
    )
