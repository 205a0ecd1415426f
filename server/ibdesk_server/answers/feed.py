"""The clients of the feed."""

from __future__ import annotations

from pydantic import Field

from ibdesk_server.answers.base import ApiAnswer


class FeedClientAnswer(ApiAnswer):
    """A client of the feed, and how it does."""

    worker: str = Field(description="the server it is connected to", examples=["1"])
    client: str = Field(description="who it is", examples=["key:dashboard"])
    kind: str = Field(description="websocket or events", examples=["websocket"])
    address: str = Field(examples=["127.0.0.1"])
    lag_ms: float = Field(description="for how long it has not had everything", examples=[0.0])
    lag_bytes: int = Field(description="what waits for it, of topics never dropped", examples=[0])
    worst_ms: float = Field(description="the longest of late", examples=[3.2])
    worst_bytes: int = Field(description="the most of late", examples=[0])
    skipped: int = Field(description="batches of which it was only told what came of them", examples=[0])
    topics: list[str] = Field(examples=[["orders", "quotes"]])
