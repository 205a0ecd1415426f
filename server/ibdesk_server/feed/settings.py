"""The settings of the feed."""

from __future__ import annotations

from pydantic import Field

from ibdesk.config import Section
from ibdesk_server.feed.limits import Budget, FeedLimits


class FeedSettings(Section):
    """The feed's settings."""

    flush_seconds: float = Field(
        0.05, gt=0, le=1, description="longest time that a change waits in the feed under load"
    )
    heartbeat_seconds: float = Field(
        5, gt=0, le=300, description="time without messages after which the feed sends a ping"
    )
    auth_seconds: float = Field(5, gt=0, le=60, description="time limit for a feed client to authenticate")
    budget_bytes: int = Field(4_194_304, ge=1_024, description="maximum backlog of a client in bytes")
    budget_seconds: float = Field(10, gt=0, le=600, description="maximum time that a client may be behind")
    replay_bytes: int = Field(8_388_608, ge=1_024, description="how much of a topic is stored for clients to resume")
    max_clients: int = Field(2_000, ge=1, description="maximum number of feed clients")
    max_unknown_clients: int = Field(200, ge=1, description="maximum number of clients that have not authenticated yet")
    max_unknown_per_address: int = Field(20, ge=1, description="how many of them may have the same address")
    client_messages: float = Field(20, gt=0, description="messages that a client may send per second")
    client_bytes: float = Field(65_536, gt=0, description="bytes that a client may send per second")

    @property
    def limits(self) -> FeedLimits:
        """Return the limits of the feed."""
        return FeedLimits(
            flush_seconds=self.flush_seconds,
            heartbeat_seconds=self.heartbeat_seconds,
            auth_seconds=self.auth_seconds,
            budget=Budget(self.budget_bytes, self.budget_seconds),
            # A client within its budget can always catch up.
            replay_bytes=max(self.replay_bytes, self.budget_bytes),
            clients=self.max_clients,
            unknown_clients=self.max_unknown_clients,
            unknown_per_address=self.max_unknown_per_address,
            messages=self.client_messages,
            message_bytes=self.client_bytes,
        )
