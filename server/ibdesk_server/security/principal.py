"""The authenticated caller and its role: a viewer reads, a trader also trades, an admin also manages access."""

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
"""The areas that a key can be limited to: the parts of the REST API by their tags, and the feed."""

_ACTIONS = frozenset({"read", "write"})


@functools.total_ordering
class Role(enum.Enum):
    """The permissions of a caller; each role includes the roles below it."""

    VIEWER = "viewer"
    """Read everything about the desk, change nothing."""
    TRADER = "trader"
    """Also place and cancel orders, start and stop strategies, halt and resume."""
    ADMIN = "admin"
    """Also manage users and keys, and read the audit log."""

    def __lt__(self, other: object) -> bool:
        """Return whether the other role is higher."""
        if not isinstance(other, Role):
            return NotImplemented
        return _LADDER.index(self) < _LADDER.index(other)


_LADDER = tuple(Role)


class ProofKind(enum.Enum):
    """The kind of credential that authenticated a caller."""

    LOCAL = "local key"
    """The key file of this machine."""
    KEY = "api key"
    """An API key that an admin created for a program."""
    TOKEN = "token"  # noqa: S105 - the name of a kind, not a token
    """The access token of a password login."""
    SESSION = "session"
    """The cookie of a browser login."""


class Principal(msgspec.Struct, frozen=True):
    """An authenticated caller.

    `scopes` limit the role; None means no limit. `proof_id` names the key, login or session and is not secret.
    `generation` is the user's at authentication, `expires_ns` the time (UTC) at which the proof expires.
    """

    name: str
    role: Role
    kind: ProofKind
    scopes: frozenset[str] | None = None
    proof_id: str = ""
    generation: str = ""
    expires_ns: int | None = None

    def may(self, role: Role) -> bool:
        """Return whether the caller has this role or a higher one."""
        return self.role >= role

    def reaches(self, area: str, *, writing: bool) -> bool:
        """Return whether the caller's scopes, if any, include reading or changing this area."""
        if self.scopes is None:
            return True
        return area in self.scopes or f"{area}:{'write' if writing else 'read'}" in self.scopes


LOCAL = Principal("local", Role.ADMIN, ProofKind.LOCAL)
"""The holder of this machine's key file."""


def checked_scopes(scopes: Iterable[str]) -> frozenset[str]:
    """Check scopes such as ``feed`` or ``book:read`` and return them as a set.

    Raises:
        AccessError: If a scope names an unknown area or action.
    """
    found = frozenset(scopes)
    for scope in found:
        area, colon, action = scope.partition(":")
        if area not in AREAS or (colon and action not in _ACTIONS):
            raise AccessError(
                f"{scope!r} is not a scope: use one of {', '.join(sorted(AREAS))}, alone or with :read or :write"
            )
    return found
