"""Keeps a copy of the leading engine's journal while an engine stands by, and brings it up to date when it leads.

What it reads comes from Redis, on a thread of its own. On one machine, or where the state folder is shared, the
journal itself is there, and nothing is copied.
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
# How long an engine that leads waits for the end of the journal of the one before.
_CATCH_UP_SECONDS = 1.0


class JournalFollower:
    """Follows whichever engine leads an office, inside a ``with`` block.

    `fault` is why this engine must not go on from what it has of the engine before, empty when it may.
    """

    def __init__(self, settings: DeskSettings, office: str) -> None:
        """Make a follower; `office` is what is led."""
        self.fault = ""
        self._settings = settings
        self._pool = RedisPool(settings.redis)
        self._stream = JournalStream(self._pool, office)
        self._reader = JournalStreamReader(self._stream, settings.state_folder / "journals")
        self._loop = asyncio.new_event_loop()
        self._following: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="ibdesk-journal-follower", daemon=True)
        # When the leading engine was heard last, on the monotonic clock, and its count of words then.
        self._heard_at, self._beats = time.monotonic(), -1

    def catch_up(self) -> None:
        """Read, for a second at most, what the engine before has left in Redis; from here on only this call reads.

        To be called by an engine that leads, before it opens its desk.
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
                    _log.warning("the journal of the engine that leads is not followed: %s", told)
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
            reason = f"the rest did not come within {_CATCH_UP_SECONDS:g} s"
        except RedisError as error:
            reason = str(error)
        except JournalError as error:
            self.fault = f"the copy of the journal of the engine before is not whole: {error}"
        self.fault = self._reader.fault or self.fault
        self._tell(reason)
        head = self._reader.head
        if head is not None:
            tws = self._settings.tws
            mark = OrderIdMark.of(self._settings.state_folder, host=tws.host, port=tws.port, client_id=tws.client_id)
            mark.raise_to(head.order_ids)

    def _tell(self, reason: str) -> None:
        """Say what the books are gone on from."""
        journal, age = self._reader.journal, time.monotonic() - self._heard_at
        if self.fault:
            _log.error("this engine goes on without the books of the one before: %s", self.fault)
        elif journal is None:
            _log.info("no engine on another machine has left its books in Redis%s", f" ({reason})" if reason else "")
        elif self._reader.is_original:
            _log.info("going on from %s, which lies here", journal.name)
        else:
            level, so_far = (logging.WARNING, f", and no further: {reason}") if reason else (logging.INFO, "")
            words = "going on from the copy of %s up to event %d; the engine that wrote it was heard %.1f s ago%s"
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
