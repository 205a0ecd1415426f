"""The state of a contender for a lease, in values that any process can hold."""

from __future__ import annotations

import enum

import msgspec


class LeaseState(enum.Enum):
    """The relation of an engine to the lease."""

    WAITING = "waiting"
    """Another engine holds it, or Redis has not answered."""
    HELD = "held"
    """This engine leads."""
    ADRIFT = "adrift"
    """It led at the last answer of Redis; Redis does not answer now, or has forgotten the leader."""
    LOST = "lost"
    """It led, and another engine may have led since: it never leads again."""


class LeaseHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a lease; `held_by` is the holder at Redis' last answer, `token` is ours, 0 before we led.

    `standbys` are the engines that would take over, as the holder knows them: those that asked for the lease within its
    own length.
    """

    name: str
    state: LeaseState
    token: int
    held_by: str
    standbys: tuple[str, ...] = ()
