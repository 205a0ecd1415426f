"""How often the feed speaks, and what it allows its clients."""

from __future__ import annotations

from pydantic import Field

from ibdesk.config import Section
from ibdesk_server.feed.limits import Budget, FeedLimits


class FeedSettings(Section):
    """The feed's settings."""

    flush_seconds: float = Field(0.05, gt=0, le=1, description="the longest a change waits in the feed under load")
    heartbeat_seconds: float = Field(5, gt=0, le=300, description="after how much silence the feed sends a ping")
    auth_seconds: float = Field(5, gt=0, le=60, description="how long a feed client has to say who it is")
    budget_bytes: int = Field(4_194_304, ge=1_024, description="how many bytes a client may fall behind")
    budget_seconds: float = Field(10, gt=0, le=600, description="how long a client may be behind")
    replay_bytes: int = Field(8_388_608, ge=1_024, description="how much of a topic is kept for clients to resume")
    max_clients: int = Field(2_000, ge=1, description="how many feed clients there may be")
    max_unknown_clients: int = Field(
        200, ge=1, description="how many clients there may be that have not said yet who they are"
    )
    max_unknown_per_address: int = Field(20, ge=1, description="how many of them may have one address")
    client_messages: float = Field(20, gt=0, description="how many messages a client may send a second")
    client_bytes: float = Field(65_536, gt=0, description="how many bytes a client may send a second")

    @property
    def limits(self) -> FeedLimits:
        """Return the limits of the feed."""
        return FeedLimits(
            flush_seconds=self.flush_seconds,
            heartbeat_seconds=self.heartbeat_seconds,
            auth_seconds=self.auth_seconds,
            budget=Budget(self.budget_bytes, self.budget_seconds),
            # A client within its budget can always be brought up to date.
            replay_bytes=max(self.replay_bytes, self.budget_bytes),
            clients=self.max_clients,
            unknown_clients=self.max_unknown_clients,
            unknown_per_address=self.max_unknown_per_address,
            messages=self.client_messages,
            message_bytes=self.client_bytes,
        )
