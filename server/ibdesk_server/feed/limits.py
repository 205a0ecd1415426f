"""What the feed allows itself and its clients."""

from __future__ import annotations

import msgspec


class Budget(msgspec.Struct, frozen=True):
    """How far a client may fall behind: unsent bytes of topics never dropped, and seconds since it last had all."""

    bytes: int
    seconds: float


class FeedLimits(msgspec.Struct, frozen=True):
    """What the feed allows itself and its clients.

    `flush_seconds` is the longest a change waits under load; `budget` how far a client may fall behind;
    `clients` counts those that have said who they are, `unknown_clients` the others, each for `auth_seconds` at most;
    `replay_bytes` how much of each topic never dropped is kept for clients to catch up or resume; `messages` and
    `message_bytes` what a client may send a second.
    """

    flush_seconds: float = 0.05
    heartbeat_seconds: float = 5.0
    auth_seconds: float = 5.0
    budget: Budget = Budget(bytes=4_194_304, seconds=10.0)
    replay_bytes: int = 8_388_608
    clients: int = 2_000
    unknown_clients: int = 200
    unknown_per_address: int = 20
    messages: float = 20.0
    message_bytes: float = 65_536.0
