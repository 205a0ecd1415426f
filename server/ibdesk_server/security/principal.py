"""Who is asking, and what they may do: a viewer looks, a trader also orders, an admin also decides who gets in."""

from __future__ import annotations

import enum
import functools

import msgspec


@functools.total_ordering
class Role(enum.Enum):
    """What somebody may do; each role may also do all that the roles below it may."""

    # VIEWER: read everything that is about the desk, change nothing.
    VIEWER = "viewer"
    # TRADER: also place and cancel orders, start and stop strategies, halt and resume.
    TRADER = "trader"
    # ADMIN: also users, keys, and the record of who did what.
    ADMIN = "admin"

    def __lt__(self, other: object) -> bool:
        """Return whether the other role may do more."""
        if not isinstance(other, Role):
            return NotImplemented
        return _LADDER.index(self) < _LADDER.index(other)


_LADDER = tuple(Role)


class Kind(enum.Enum):
    """How somebody showed who they are."""

    # LOCAL: with the key file of this machine.
    LOCAL = "local key"
    # SESSION: with the cookie of a browser's login.
    SESSION = "session"


class Principal(msgspec.Struct, frozen=True):
    """Somebody who is known; `scopes` narrow what the role allows, None does not."""

    name: str
    role: Role
    kind: Kind
    scopes: frozenset[str] | None = None

    def may(self, role: Role) -> bool:
        """Return whether they hold this role or one above it."""
        return self.role >= role
