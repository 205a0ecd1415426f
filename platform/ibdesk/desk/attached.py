"""A handle on a desk in another process, with the same calls and the same feed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from typing import ParamSpec, TypeVar

from ibdesk.desk.handle import DeskHandle, DeskState, Operation
from ibdesk.desk.loop import loop_factory
from ibdesk.desk.port.addresses import Address, address_of
from ibdesk.desk.port.client import PortClient
from ibdesk.desk.port.feed_follower import FeedFollower
from ibdesk.desk.settings import DeskSettings
from ibdesk.errors import DeskError, DetachedError
from ibdesk.store import Feed, FeedState
from ibdesk.store.layout import changes_of
from ibdesk.store.redis import RedisHealth

_log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


class AttachedDesk(DeskHandle):
    """A handle on a desk of another process, made by `Desk.attach`.

    While that process cannot be reached, `state` is ``DETACHED``, calls raise `DetachedError`, and the handle keeps
    trying to connect. Closing the handle leaves the desk running.
    """

    def __init__(self, address: Address, settings: DeskSettings) -> None:
        """Make a handle that is not attached yet; use `open`."""
        super().__init__()
        self.address, self.settings = str(address), settings
        self.state = DeskState.OPENING
        self._client = PortClient(
            address, settings.redis, command_seconds=settings.command_seconds, on_change=self._changed
        )
        self._attached = threading.Event()
        self._feed: Feed | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._cause: BaseException | None = None
        self._started = threading.Event()
        self._mirroring: concurrent.futures.Future[None] | None = None
        self._thread = threading.Thread(target=self._run_thread, name="ibdesk-attached", daemon=True)

    @classmethod
    def open(
        cls, address: str = "", *, settings: DeskSettings | None = None, timeout_seconds: float = 10.0
    ) -> AttachedDesk:
        """Return a handle once the desk answers; with a time-out of 0 at once, attached or not.

        Without `address`, the address is that of a desk with `settings`, by default the current ones.

        Raises:
            ConfigError: If the address is not valid.
            DetachedError: If no desk answers in time.
            DeskError: If the desk runs another version of ibdesk.
        """
        settings = settings or DeskSettings.load()
        desk = cls(address_of(address) if address else settings.port(), settings)
        desk._attach(timeout_seconds)
        return desk

    def check(self, *, mode: str, account: str) -> None:
        """Refuse a desk of another mode or account; an empty string accepts any.

        Raises:
            DeskError: If mode or account differ.
        """
        if not (mode or account):
            return
        found = self.health()
        differences = [
            f"{name} is {there}, not {wanted}"
            for name, there, wanted in (("mode", found.mode, mode), ("account", found.account, account))
            if wanted and there != wanted
        ]
        if differences:
            raise DeskError(
                f"the desk at {self.address} is not the one asked for ({'; '.join(differences)}): name the address of "
                f"the other one, or the mode and account of this one"
            )

    @property
    def feed(self) -> Feed:
        """A copy of the desk's feed, kept in this process from the first access on."""
        if self._feed is None:
            self._feed = Feed()
            self._mirroring = asyncio.run_coroutine_threadsafe(self._mirror(self._feed), self._running())
        return self._feed

    @property
    def pools(self) -> list[RedisHealth]:
        """The state of the connection pool, if the desk is reached over Redis."""
        return self._client.pools

    def batches(self) -> FeedFollower:
        """Return the desk's feed in numbered batches, equal for all attached handles."""
        return self._client.following()

    def submit(self, operation: Operation[P, R], *args: P.args, **kwargs: P.kwargs) -> concurrent.futures.Future[R]:
        """Run an operation at the desk and return the future of its answer.

        Raises:
            DeskError: If the handle is closed, or the caller is its own thread.
        """
        loop = self._running()
        if threading.current_thread() is self._thread:
            raise DeskError("the handle's own thread cannot wait for the desk")
        return asyncio.run_coroutine_threadsafe(self._client.call(operation, args, kwargs), loop)

    def close(self) -> None:
        """Detach from the desk, which continues; a second call does nothing."""
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(stop.set)
            except RuntimeError:
                _log.debug("the handle on %s was closing already", self.address)
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()
        self.state = DeskState.CLOSED

    def __repr__(self) -> str:
        return f"<AttachedDesk {self.address} {self.state.value}>"

    # --- the handle's thread

    def _attach(self, timeout_seconds: float) -> None:
        self._thread.start()
        self._started.wait()
        if timeout_seconds and not self._attached.wait(timeout_seconds):
            self.close()
            raise DetachedError(self.address, f"it did not answer within {timeout_seconds:g} s")
        if self._cause is not None:
            self.close()
            raise self._cause

    def _run_thread(self) -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(self._live())
        except Exception as error:  # noqa: BLE001 - the thread ends: every caller receives the cause
            self._cause, self.state = error, DeskState.FAILED
            self._attached.set()
            _log.critical("the handle on the desk at %s failed: %s", self.address, error)
        finally:
            self._started.set()

    async def _live(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        running = asyncio.create_task(self._client.run(), name="desk port")
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        self._started.set()
        try:
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
        finally:
            self.state = DeskState.CLOSED
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.wait(others)

    async def _mirror(self, feed: Feed) -> None:
        """Publish the desk's rows here, in the same groups."""
        following = self.batches()
        news: object = await following.open()
        while True:
            if isinstance(news, FeedState):
                for topic, state in news.topics.items():
                    feed.publish_all(changes_of(topic, state.rows))
            elif isinstance(news, list):
                for batch in news:
                    feed.publish_all(changes_of(batch.topic, batch.rows))
            news = await following.next()

    def _changed(self, attached: bool) -> None:
        if self.state in (DeskState.CLOSED, DeskState.FAILED):
            return
        self.state = DeskState.OPEN if attached else DeskState.DETACHED
        if attached:
            self._attached.set()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None or self.state in (DeskState.CLOSED, DeskState.FAILED):
            raise DeskError(f"the handle on the desk at {self.address} is {self.state.value}: attach again")
        return self._loop
