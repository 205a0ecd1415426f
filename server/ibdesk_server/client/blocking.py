"""The feed for programs without an event loop, or with a busy one, such as a notebook."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Any, Self

from ibdesk_server.client.feed import FeedClient, FeedLag, FeedMessage, FeedState, Key
from ibdesk_server.client.table import Table


class BlockingFeedClient:
    """A `FeedClient` in a thread, as an iterator of its messages; takes the same arguments.

    ::

        with BlockingFeedClient("ws://127.0.0.1:8000/feed", key, topics=["fills"]) as feed:
            for message in feed:
                ...
    """

    def __init__(self, url: str, key: Key, **options: Any) -> None:
        self._client = FeedClient(url, key, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ibdesk-feed", daemon=True)

    @property
    def tables(self) -> dict[str, Table]:
        """Return the tables as of the last returned message."""
        return self._client.tables

    @property
    def state(self) -> FeedState:
        """Return the state of the connection."""
        return self._client.state

    @property
    def lag(self) -> FeedLag:
        """Return this client's lag, as the server measures it."""
        return self._client.lag

    @property
    def token(self) -> str:
        """Return the token with which another client can continue after the last returned message."""
        return self._client.token

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> FeedMessage:
        """Wait for the next message and return it.

        Raises:
            FeedError: If the server refuses this client permanently.
        """
        waiting = asyncio.run_coroutine_threadsafe(self._client.__anext__(), self._loop)
        try:
            return waiting.result()
        except StopAsyncIteration:
            raise StopIteration from None
        finally:
            waiting.cancel()
