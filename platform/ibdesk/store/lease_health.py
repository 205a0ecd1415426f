"""How a contender stands to a lease, in values that any process may hold."""

from __future__ import annotations

import enum

import msgspec


class LeaseState(enum.Enum):
    """How an engine stands to the lease."""

    # WAITING: somebody else holds it, or Redis has not said.
    WAITING = "waiting"
    # HELD: this engine leads.
    HELD = "held"
    # ADRIFT: it led when Redis answered last; Redis does not answer now, or has forgotten who leads.
    ADRIFT = "adrift"
    # LOST: it led, and somebody else may have since: it never leads again.
    LOST = "lost"


class LeaseHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the lease stands; `held_by` is who held it when Redis answered last, `token` is ours, 0 before we led.

    `standbys` are those who would take over, as the holder knows them: who asked for the lease within its own length.
    """

    name: str
    state: LeaseState
    token: int
    held_by: str
    standbys: tuple[str, ...] = ()
