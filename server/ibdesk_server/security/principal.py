"""Who is asking, and what they may do: a viewer looks, a trader also orders, an admin also decides who gets in."""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterable

import msgspec

from ibdesk_server.security.errors import AccessError

AREAS = frozenset(
    {
        "backtests",
        "book",
        "feed",
        "health",
        "instruments",
        "journal",
        "keys",
        "market",
        "orders",
        "risk",
        "runs",
        "settings",
        "strategies",
        "users",
    }
)
"""What a key can be narrowed to: the parts of the REST interface by their tags, and the feed."""

_ACTIONS = frozenset({"read", "write"})


@functools.total_ordering
class Role(enum.Enum):
    """What somebody may do; each role may also do all that the roles below it may."""

    VIEWER = "viewer"
    """Read everything that is about the desk, change nothing."""
    TRADER = "trader"
    """Also place and cancel orders, start and stop strategies, halt and resume."""
    ADMIN = "admin"
    """Also users, keys, and the record of who did what."""

    def __lt__(self, other: object) -> bool:
        """Return whether the other role may do more."""
        if not isinstance(other, Role):
            return NotImplemented
        return _LADDER.index(self) < _LADDER.index(other)


_LADDER = tuple(Role)


class ProofKind(enum.Enum):
    """How somebody showed who they are."""

    LOCAL = "local key"
    """With the key file of this machine."""
    KEY = "api key"
    """With a key that an admin made for a program."""
    TOKEN = "token"  # noqa: S105 - the name of a kind, no token
    """With the access token of a login by password."""
    SESSION = "session"
    """With the cookie of a browser's login."""


class Principal(msgspec.Struct, frozen=True):
    """Somebody who is known.

    `scopes` narrow what the role allows, None does not. `proof_id` names the key, login or session they came with and
    is no secret; `generation` is the user's when they came, `expires_ns` the time (UTC) until when the proof is good.
    """

    name: str
    role: Role
    kind: ProofKind
    scopes: frozenset[str] | None = None
    proof_id: str = ""
    generation: str = ""
    expires_ns: int | None = None

    def may(self, role: Role) -> bool:
        """Return whether they hold this role or one above it."""
        return self.role >= role

    def reaches(self, area: str, *, writing: bool) -> bool:
        """Return whether their scopes, if they have any, include reading or changing this area."""
        if self.scopes is None:
            return True
        return area in self.scopes or f"{area}:{'write' if writing else 'read'}" in self.scopes


LOCAL = Principal("local", Role.ADMIN, ProofKind.LOCAL)
"""Whoever holds the key file of this machine."""


def checked_scopes(scopes: Iterable[str]) -> frozenset[str]:
    """Return scopes such as ``feed`` or ``book:read`` as a set.

    Raises:
        AccessError: If one names no area, or is neither for reading nor for writing.
    """
    found = frozenset(scopes)
    for scope in found:
        area, colon, action = scope.partition(":")
        if area not in AREAS or (colon and action not in _ACTIONS):
            raise AccessError(
                f"{scope!r} is no scope: take one of {', '.join(sorted(AREAS))}, alone or with :read or :write"
            )
    return found
