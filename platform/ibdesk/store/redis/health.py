"""How a process' pool of connections to Redis is doing, in figures that any process may hold."""

from __future__ import annotations

import enum

import msgspec


class Circuit(enum.Enum):
    """Whether calls go through to Redis; the values are purgatory's names."""

    # CLOSED: they do.
    CLOSED = "closed"
    # OPEN: Redis failed several times in a row and is left alone: calls fail at once.
    OPEN = "opened"
    # TRYING: the rest is over, and one call is let through to see.
    TRYING = "half-opened"


class RedisHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Counters of one pool since it began; `name` tells it from others of its process.

    `is_degraded` says whether Redis is being done without. `connections_in_use` are those of calls under way,
    `dedicated` those of who waits in Redis or must not wait behind others. `calls` went to Redis and `failures` of
    them failed; `refused` failed without going there, because the circuit was open. `last_failure` says why the last
    one failed, empty when none did.
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
