"""A standby engine's copy of the leading engine's journal, brought up to date when the standby leads.

It is read from Redis on its own thread. On one machine, or with a shared state folder, the journal itself is there, and
nothing is copied.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from types import TracebackType
from typing import Self

from ibdesk.desk.settings import DeskSettings
from ibdesk.errors import JournalError
from ibdesk.store import OrderIdMark, RedisError
from ibdesk.store.journal_stream import JournalStream
from ibdesk.store.journal_stream_reader import JournalStreamReader
from ibdesk.store.redis.pool import RedisPool

_log = logging.getLogger(__name__)

_LOOK_SECONDS, _RETRY_SECONDS = 0.1, 0.5
# How long an engine that leads waits for the end of the previous engine's journal.
_CATCH_UP_SECONDS = 1.0


class JournalFollower:
    """Follows the journal of the engine that leads, inside a ``with`` block.

    `fault` is the reason why this engine must not continue from its copy, empty if it may.
    """

    def __init__(self, settings: DeskSettings, office: str) -> None:
        """Make a follower; `office` is the name of the lease."""
        self.fault = ""
        self._settings = settings
        self._pool = RedisPool(settings.redis)
        self._stream = JournalStream(self._pool, office)
        self._reader = JournalStreamReader(self._stream, settings.state_folder / "journals")
        self._loop = asyncio.new_event_loop()
        self._following: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="ibdesk-journal-follower", daemon=True)
        # Time of the leading engine's last heartbeat, on the monotonic clock, and its number.
        self._heard_at, self._beats = time.monotonic(), -1

    def catch_up(self) -> None:
        """Read the rest of the previous engine's journal from Redis for at most a second; then stop following.

        An engine that leads calls it before it opens its desk.
        """
        asyncio.run_coroutine_threadsafe(self._catch_up(), self._loop).result()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # --- the follower's thread

    def _run(self) -> None:
        self._following = self._loop.create_task(self._follow())
        self._loop.run_forever()

    async def _follow(self) -> None:
        told = ""
        while True:
            try:
                is_all = await self._read()
            except (RedisError, JournalError) as error:
                if str(error) != told:
                    told = str(error)
                    _log.warning("the leading engine's journal cannot be followed: %s", told)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            told = ""
            if is_all:
                await asyncio.sleep(_LOOK_SECONDS)

    async def _read(self) -> bool:
        is_all = await self._reader.read()
        beats = self._reader.head.beats if self._reader.head else -1
        if beats != self._beats:
            self._beats, self._heard_at = beats, time.monotonic()
        return is_all

    async def _catch_up(self) -> None:
        await self._stop_following()
        reason = ""
        try:
            async with asyncio.timeout(_CATCH_UP_SECONDS):
                while not await self._read():
                    pass
        except TimeoutError:
            reason = f"the rest did not arrive within {_CATCH_UP_SECONDS:g} s"
        except RedisError as error:
            reason = str(error)
        except JournalError as error:
            self.fault = f"the copy of the previous engine's journal is incomplete: {error}"
        self.fault = self._reader.fault or self.fault
        self._tell(reason)
        head = self._reader.head
        if head is not None:
            tws = self._settings.tws
            mark = OrderIdMark.of(self._settings.state_folder, host=tws.host, port=tws.port, client_id=tws.client_id)
            mark.raise_to(head.order_ids)

    def _tell(self, reason: str) -> None:
        """Log the journal from which the books continue."""
        journal, age = self._reader.journal, time.monotonic() - self._heard_at
        if self.fault:
            _log.error("this engine continues without the previous engine's books: %s", self.fault)
        elif journal is None:
            _log.info("Redis has no journal of an engine on another machine%s", f" ({reason})" if reason else "")
        elif self._reader.is_original:
            _log.info("continuing from %s on this machine", journal.name)
        else:
            level, so_far = (logging.WARNING, f", and no further: {reason}") if reason else (logging.INFO, "")
            words = "continuing from the copy of %s up to event %d; its engine's last sign of life was %.1f s ago%s"
            _log.log(level, words, journal.name, self._reader.last, age, so_far)

    async def _stop_following(self) -> None:
        if self._following is not None and not self._following.done():
            self._following.cancel()
            await asyncio.wait([self._following])

    async def _end(self) -> None:
        await self._stop_following()
        self._reader.close()
        await self._stream.close()
        await self._pool.close()
