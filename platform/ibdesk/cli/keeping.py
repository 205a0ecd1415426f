"""Children that are to go on: what a supervisor needs to start each again when it dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ibdesk.desk.child import ChildProcess
from ibdesk.errors import ChildError
from ibdesk.telemetry.supervision import Policy, Work

PATIENT = Policy(first_seconds=0.2, last_seconds=10.0, steady_seconds=30.0)
"""The policy of a child that is started again however often it dies."""
READY_SECONDS = 120.0
"""How long a child of a busy machine may take until it is ready: most of it is the import of libraries."""


class KeptChild:
    """A child that is started again by what `spawn` gives whenever it ends; `close` ends the one there is.

    `on_end` is told each end, also of one that was not ready yet, `on_ready` each time that a later one is ready.
    One that gives a sign of life is ended when it has given none for `silent_seconds`, after `on_silence`.
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
        """Last as long as the child, as the work of a supervisor; cancelled, it leaves the child alone.

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
        """End the child; one that has ended is left alone."""
        self.child.close()


def kept(child: ChildProcess, spawn: Callable[[], ChildProcess]) -> Work:
    """Return the work of a supervisor that keeps a child, and ends it when it is cancelled."""
    keeping = KeptChild(child, spawn)

    async def work() -> None:
        try:
            await keeping.work()
        finally:
            await asyncio.shield(asyncio.to_thread(keeping.close))

    return work
