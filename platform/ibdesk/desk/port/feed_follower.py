"""A follower of a feed that arrives over the desk port: received on one thread, read on another's loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

from ibdesk.store import Batch, FeedState, Topic

# How many batches may wait for a follower that does not read; beyond that it starts again from a new state.
_LIMIT = 50_000


class FeedFollower:
    """The part of the feed that `PortClient` has received and its reader has not read yet; a `BatchSource`.

    `begin` requests a state, and `end` reports the end of reading; both are called on the reader's thread.
    """

    def __init__(self, begin: Callable[[FeedFollower], None], end: Callable[[FeedFollower], None]) -> None:
        self._begin, self._end = begin, end
        self._lock = threading.Lock()
        self._state: FeedState | None = None
        self._batches: list[Batch] = []
        self._early: list[Batch] = []
        self._seqs: dict[Topic, int] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        # The number of the requested state that has not arrived yet, 0 if none is due; and the desk's heartbeats since
        # the request.
        self.number = self.heartbeats = 0

    async def open(self) -> FeedState:
        """Return the state of the feed; waits while the desk cannot be reached."""
        self._loop = asyncio.get_running_loop()
        self._begin(self)
        while True:
            news = await self.next()
            if isinstance(news, FeedState):
                return news

    async def next(self) -> list[Batch] | FeedState:
        """Wait for news and return all of them; keeps waiting while the desk cannot be reached."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            with self._lock:
                state, self._state = self._state, None
                batches, self._batches = self._batches, []
                if state is not None:
                    # Batches after the state wait for the next call.
                    self._batches = batches
                    if batches:
                        self._woken.set()
                    return state
            if batches:
                return batches

    async def close(self) -> None:
        """Stop following."""
        self._end(self)

    def take_state(self, state: FeedState) -> None:
        """Receive a state of the feed; called on the client's thread."""
        with self._lock:
            self.number = 0
            self._seqs = {topic: found.seq for topic, found in state.topics.items()}
            self._state, self._batches = state, []
            self._add(self._early)
            self._early = []
        self._wake()

    def take_batches(self, batches: list[Batch]) -> bool:
        """Receive batches, without known ones; return False if the follower must start again from a state."""
        with self._lock:
            if self.number:
                # They may follow the state that is still on its way.
                self._early = [*self._early, *batches][-_LIMIT:]
                return True
            self._add(batches)
            if len(self._batches) > _LIMIT:
                self._batches = []
                return False
            news = bool(self._batches)
        if news:
            self._wake()
        return True

    def _add(self, batches: list[Batch]) -> None:
        """Append unknown batches; called with the lock held."""
        for batch in batches:
            if batch.seq > self._seqs.get(batch.topic, 0):
                self._seqs[batch.topic] = batch.seq
                self._batches.append(batch)

    def _wake(self) -> None:
        if self._loop is not None:
            # A reader's loop that has just closed must not disturb the others.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._woken.set)
