"""The dashboard's copy of the desk's feed, shared by all open pages."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable

from ibdesk.store.feed import Feed, Row, Topic
from ibdesk.store.layout import changes_of
from ibdesk.views.summary import FeedStatus
from ibdesk_server.client import FeedClient, FeedError, FeedState

_log = logging.getLogger(__name__)

# How long to wait before reconnecting to a server that refused us: it may be restarting with another key.
_REFUSED_SECONDS = 5.0


class FeedMirror:
    """A copy of the feed at `url`; `feed` can be subscribed to like the desk's own.

    If the server lost its state (it was restarted), `feed` becomes another object: readers compare it and start over.
    """

    def __init__(self, url: str, key: str) -> None:
        self.url, self._key = url, key
        self._client: FeedClient | None = None
        self._refused = False
        self._lost_at_ns = 0
        self.feed = Feed()

    @property
    def status(self) -> FeedStatus:
        """Return the state of the connection to the server."""
        if self._refused:
            return FeedStatus.REFUSED
        if self._client is None or not self._client.connections:
            return FeedStatus.CONNECTING
        if self._client.state is FeedState.AWAY:
            return FeedStatus.AWAY
        return FeedStatus.LIVE if self._client.state is FeedState.OPEN else FeedStatus.RECONNECTING

    @property
    def stale_since_ns(self) -> int:
        """Return since when the data is stale (ns UTC), 0 while it is current."""
        status = self.status
        if status in {FeedStatus.LIVE, FeedStatus.CONNECTING}:
            self._lost_at_ns = 0
            return 0
        if status is FeedStatus.AWAY and self._client is not None:
            return self._client.desk_at_ns
        self._lost_at_ns = self._lost_at_ns or time.time_ns()
        return self._lost_at_ns

    async def run(self) -> None:
        """Follow until cancelled, through lost connections and restarts of the server."""
        while True:
            try:
                await self._follow()
            except FeedError as error:
                _log.warning("%s", error)
                self._refused = True
                await asyncio.sleep(_REFUSED_SECONDS)

    async def _follow(self) -> None:
        async with FeedClient(self.url, self._key) as self._client:
            async for message in self._client:
                self._refused = False
                topic = Topic(message.topic)
                known = self.feed.snapshot([topic])[topic] if message.kind == "snapshot" else []
                if known:
                    self.feed = _replaced(self.feed, topic, message.rows)
                else:
                    self.feed.publish_all(changes_of(topic, message.rows))


def _replaced(feed: Feed, topic: Topic, rows: Iterable[Row]) -> Feed:
    """Return a feed with these rows of one topic, and the other topics as they were."""
    fresh = Feed()
    for other, kept in feed.snapshot(set(Topic) - {topic}).items():
        fresh.publish_all(changes_of(other, kept))
    fresh.publish_all(changes_of(topic, rows))
    return fresh
