"""One follower's end of a feed that comes over the desk port: taken in on one thread, read on another's loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

from ibdesk.store import Batch, FeedState, Topic

# How many batches may wait for a follower that does not ask; past that it starts over from a new state.
_LIMIT = 50_000


class FeedFollower:
    """What `PortClient` has heard and its follower has not read yet; a `BatchSource`.

    `begin` asks for a state and `end` says that nobody reads any more; both are called on the follower's thread.
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
        # number: of the state that this follower has asked for and not seen yet; 0 when it waits for none.
        # heartbeats: how many of the desk's heartbeats have come since it asked.
        self.number = self.heartbeats = 0

    async def open(self) -> FeedState:
        """Return where the feed stands; waits while the desk cannot be reached."""
        self._loop = asyncio.get_running_loop()
        self._begin(self)
        while True:
            news = await self.next()
            if isinstance(news, FeedState):
                return news

    async def next(self) -> list[Batch] | FeedState:
        """Wait for news and return all there are; waits on while the desk cannot be reached."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            with self._lock:
                state, self._state = self._state, None
                batches, self._batches = self._batches, []
                if state is not None:
                    # What came after it waits for the next call.
                    self._batches = batches
                    if batches:
                        self._woken.set()
                    return state
            if batches:
                return batches

    async def close(self) -> None:
        """Follow no more."""
        self._end(self)

    def take_state(self, state: FeedState) -> None:
        """Hear where the feed stands; called on the client's thread."""
        with self._lock:
            self.number = 0
            self._seqs = {topic: found.seq for topic, found in state.topics.items()}
            self._state, self._batches = state, []
            self._add(self._early)
            self._early = []
        self._wake()

    def take_batches(self, batches: list[Batch]) -> bool:
        """Hear news, those known already left out; return False when the follower must start over from a state."""
        with self._lock:
            if self.number:
                # They may be what follows the state that is still on its way.
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
        """Take in those that are not known yet; called with the lock held."""
        for batch in batches:
            if batch.seq > self._seqs.get(batch.topic, 0):
                self._seqs[batch.topic] = batch.seq
                self._batches.append(batch)

    def _wake(self) -> None:
        if self._loop is not None:
            # A follower's loop that has just been closed is nothing to the others.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._woken.set)
