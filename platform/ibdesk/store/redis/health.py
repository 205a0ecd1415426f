"""The health of a process' pool of connections to Redis, in values that any process can hold."""

from __future__ import annotations

import enum

import msgspec


class Circuit(enum.Enum):
    """Whether calls go through to Redis; the values are purgatory's names."""

    CLOSED = "closed"
    """Calls go through."""
    OPEN = "opened"
    """Redis failed several times in a row and gets no calls for a while: calls fail at once."""
    TRYING = "half-opened"
    """The pause is over, and one trial call is let through."""


class RedisHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Counters of one pool since it began; `name` distinguishes it from others of its process.

    `is_degraded` says whether the process works without Redis. `connections_in_use` serve calls in progress,
    `dedicated` serve calls that wait in Redis or must not wait behind others. `calls` went to Redis and `failures` of
    them failed; `refused` failed without going there, because the circuit was open. `last_failure` is the reason of the
    last failure, or empty.
    """

    name: str
    address: str
    is_degraded: bool
    circuit: Circuit
    connections_in_use: int
    connections_most: int
    connections_made: int
    dedicated: int
    calls: int
    failures: int
    refused: int
    last_failure: str
