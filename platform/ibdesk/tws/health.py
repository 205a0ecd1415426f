"""How the link to TWS is doing, for the health endpoint."""

from __future__ import annotations

import msgspec

from ibdesk.model import Link


class TwsHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the service is doing, for the health endpoint; `last_heard_ns` is ns UTC, 0 before the first byte.

    `clock_drift_seconds` is how far our clock is ahead of TWS's, None while it was not measured.
    """

    link: Link
    account: str
    server_version: int
    messages_sent: int
    messages_waiting: int
    open_requests: int
    reconnects: int
    last_heard_ns: int
    clock_drift_seconds: float | None
