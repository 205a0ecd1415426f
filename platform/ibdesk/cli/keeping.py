"""Child processes that a supervisor restarts when they end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ibdesk.desk.child import ChildProcess
from ibdesk.errors import ChildError
from ibdesk.telemetry.supervision import Policy, Work

PATIENT = Policy(first_seconds=0.2, last_seconds=10.0, steady_seconds=30.0)
"""The policy of a child that is restarted without limit."""
READY_SECONDS = 120.0
"""The longest start-up of a child on a busy machine, in seconds; imports take most of it."""


class KeptChild:
    """A child process that `spawn` starts again whenever it ends; `close` ends the current one.

    `on_end` is called at each end, also before the child was ready; `on_ready` each time a restarted child is ready.
    A child without a heartbeat for `silent_seconds` is ended, after a call of `on_silence`.
    """

    def __init__(
        self,
        child: ChildProcess,
        spawn: Callable[[], ChildProcess],
        *,
        on_end: Callable[[ChildError], None] = lambda _: None,
        on_ready: Callable[[], None] = lambda: None,
        silent_seconds: float = 0.0,
        on_silence: Callable[[], None] = lambda: None,
    ) -> None:
        self.child, self._spawn = child, spawn
        self._on_end, self._on_ready = on_end, on_ready
        self._silent_seconds, self._on_silence = silent_seconds, on_silence
        self._is_first = True

    async def work(self) -> None:
        """Run as long as the child, as a task of a supervisor; cancelling it does not end the child.

        Raises:
            ChildError: When the child has ended.
        """
        is_first, self._is_first = self._is_first, False
        if not is_first:
            self.child = self._spawn()
        try:
            await asyncio.to_thread(self.child.until_ready, READY_SECONDS)
            if not is_first:
                self._on_ready()
            raise await self._until_ended()
        except ChildError as error:
            self._on_end(error)
            raise

    async def _until_ended(self) -> ChildError:
        if not self._silent_seconds:
            return await self.child.until_ended()
        ended = asyncio.ensure_future(self.child.until_ended())
        silent = asyncio.ensure_future(self.child.until_silent(self._silent_seconds))
        try:
            await asyncio.wait({ended, silent}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                self._on_silence()
                await asyncio.to_thread(self.child.end_hung)
            return await ended
        finally:
            ended.cancel()
            silent.cancel()

    def close(self) -> None:
        """End the child, if it still runs."""
        self.child.close()


def kept(child: ChildProcess, spawn: Callable[[], ChildProcess]) -> Work:
    """Return a task for a supervisor that runs a child, and ends it when the task is cancelled."""
    keeping = KeptChild(child, spawn)

    async def work() -> None:
        try:
            await keeping.work()
        finally:
            await asyncio.shield(asyncio.to_thread(keeping.close))

    return work
