"""The limits of the feed and its clients."""

from __future__ import annotations

import msgspec


class Budget(msgspec.Struct, frozen=True):
    """How far a client may fall behind: unsent bytes of ordered topics, and seconds since it was last up to date."""

    bytes: int
    seconds: float


class FeedLimits(msgspec.Struct, frozen=True):
    """The limits of the feed and its clients.

    `flush_seconds` is the longest time that a change waits under load; `budget` is how far a client may fall behind.
    `clients` limits authenticated clients, `unknown_clients` the others, which have `auth_seconds` to authenticate.
    `replay_bytes` is how much of each ordered topic is stored for clients to catch up or resume. `messages` and
    `message_bytes` are what a client may send per second.
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
