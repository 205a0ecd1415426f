"""The answer about the clients of the feed."""

from __future__ import annotations

from pydantic import Field

from ibdesk_server.answers.base import ApiAnswer


class FeedClientAnswer(ApiAnswer):
    """A client of the feed and its lag."""

    worker: str = Field(description="the web server it is connected to", examples=["1"])
    client: str = Field(description="user or key", examples=["key:dashboard"])
    kind: str = Field(description="websocket or events", examples=["websocket"])
    address: str = Field(examples=["127.0.0.1"])
    lag_ms: float = Field(description="how long it has been behind", examples=[0.0])
    lag_bytes: int = Field(description="bytes waiting for it, of topics that are never dropped", examples=[0])
    worst_ms: float = Field(description="longest recent lag", examples=[3.2])
    worst_bytes: int = Field(description="largest recent backlog", examples=[0])
    skipped: int = Field(description="batches of which it received only the result", examples=[0])
    topics: list[str] = Field(examples=[["orders", "quotes"]])
