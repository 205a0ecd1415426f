"""Copies an engine's journal to Redis, so that an engine on another machine can continue from it.

It reads the journal's file on its own thread, like any other reader: neither the trading path nor the lease ever waits
for it, whatever Redis does. It is behind by some hundredths of a second, or by the length of an outage of Redis. Events
that were not sent before an engine died are recovered by the comparison with TWS.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from ibdesk.desk.settings import DeskSettings
from ibdesk.store import JournalReader, OrderIdMark, RedisError
from ibdesk.store.journal_stream import JournalReplacedError, JournalStream, StreamedJournal
from ibdesk.store.journal_stream_writer import JournalStreamWriter
from ibdesk.store.redis.pool import RedisPool
from ibdesk.telemetry.supervision import Policy, Supervisor, TaskInfo

_log = logging.getLogger(__name__)

# Pauses between two reads, between two heartbeats while nothing is written, and between attempts while Redis is down.
_LOOK_SECONDS, _WORD_SECONDS, _RETRY_SECONDS = 0.02, 0.5, 0.25
# The longest wait of an ending engine for its last events to be sent.
_LAST_SECONDS = 1.0
_PATIENT = Policy(first_seconds=0.2, last_seconds=10.0)


class JournalSender:
    """Sends one journal, inside a ``with`` block; leaving the block sends the rest.

    Leave it after the desk is closed and before the lease is released: then the successor finds every event.
    """

    def __init__(self, settings: DeskSettings, office: str) -> None:
        """Make a sender; `office` is the name of the lease."""
        self._settings, self._office = settings, office
        self._path, self._token = Path(), 0
        self._supervisor = Supervisor()
        self._closing = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sending: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="ibdesk-journal-sender", daemon=True)

    def send(self, path: Path, *, token: int) -> None:
        """Begin to send the journal at `path`, begun under the leadership with number `token`."""
        self._path, self._token = path, token
        self._thread.start()

    def tasks(self) -> list[TaskInfo]:
        """Return the state of its work, for the health endpoint."""
        return self._supervisor.tasks()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        if not self._thread.is_alive():
            return
        self._thread.join(_LAST_SECONDS)
        loop, sending = self._loop, self._sending
        if loop is not None and sending is not None:
            # A loop that has ended already needs no stop.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(sending.cancel)
        self._thread.join()

    # --- the sender's thread

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._supervised())

    async def _supervised(self) -> None:
        """Send until the end of the journal, with restarts after failures."""
        self._loop, self._sending = asyncio.get_running_loop(), asyncio.current_task()
        ended = asyncio.Event()

        async def send() -> None:
            await self._send()
            ended.set()

        self._supervisor.add("journal to Redis", send, policy=_PATIENT)
        running = asyncio.create_task(self._supervisor.run())
        try:
            await ended.wait()
        finally:
            running.cancel()
            await asyncio.wait([running])

    async def _send(self) -> None:
        """Send until this engine ends or a later one has taken over."""
        pool = RedisPool(self._settings.redis)
        stream = JournalStream(pool, self._office)
        try:
            with JournalReader(self._path) as journal:
                streamed = StreamedJournal(
                    token=self._token, name=self._path.name, header=journal.header, host=socket.gethostname()
                )
                writer = JournalStreamWriter(
                    stream,
                    journal,
                    streamed,
                    order_ids=self._order_ids,
                    most_megabytes=self._settings.redis.journal_megabytes,
                )
                await self._keep_up(writer)
        except JournalReplacedError as error:
            _log.warning("the journal is no longer sent to Redis: %s", error)
        finally:
            await stream.close()
            await pool.close()

    async def _keep_up(self, writer: JournalStreamWriter) -> None:
        loop = asyncio.get_running_loop()
        next_word, is_told = 0.0, False
        while True:
            # Checked before the journal is read, so that everything written by then is sent.
            is_last = self._closing.is_set()
            if not (is_last or writer.has_news) and loop.time() < next_word:
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            try:
                if await writer.send() and is_last:
                    return
            except RedisError as error:
                if not is_told:
                    _log.warning("standbys on other machines do not receive the journal: %s", error)
                is_told = True
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if is_told:
                _log.warning("standbys on other machines receive the journal again")
            is_told, next_word = False, loop.time() + _WORD_SECONDS

    def _order_ids(self) -> int:
        tws = self._settings.tws
        mark = OrderIdMark.of(self._settings.state_folder, host=tws.host, port=tws.port, client_id=tws.client_id)
        return mark.reserved
