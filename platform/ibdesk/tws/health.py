"""The state of the link to TWS, for the health endpoint."""

from __future__ import annotations

import msgspec

from ibdesk.model import Link
from ibdesk.tws.connection_manager import ConnectionManager


class TwsHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the TWS service, for the health endpoint.

    `last_heard_ns` is the time of the last byte from TWS, ns UTC, 0 before the first. `clock_drift_seconds` is how far
    our clock is ahead of TWS's, None before the first measurement.
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


def health_of(manager: ConnectionManager, account: str) -> TwsHealth:
    """Return counters and states of a connection at this instant."""
    wire = manager.wire
    return TwsHealth(
        link=manager.link,
        account=account,
        server_version=wire.serverVersion() if wire else 0,
        messages_sent=manager.messages_sent,
        messages_waiting=wire.pacer.waiting if wire else 0,
        open_requests=len(manager.requests),
        reconnects=manager.reconnects,
        last_heard_ns=manager.callbacks.heard_ns if manager.callbacks else 0,
        clock_drift_seconds=manager.clocks.drift_seconds,
    )
