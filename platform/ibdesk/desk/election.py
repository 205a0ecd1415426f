"""Election of the engine that trades: the others stand by and take over when it is gone.

An engine contends for the lease of its account on its own thread, so that neither the desk nor a busy loop delays a
renewal. Once it leads, it opens its desk, which resumes from the journal and compares the books with TWS as on any
start. The rules, and why two engines never trade at once, are in `ibdesk.store.lease`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from ibdesk.desk.desk import Desk
from ibdesk.desk.settings import DeskSettings
from ibdesk.errors import ClientIdInUseError, IbdeskError, LinkError, NotLeadingError
from ibdesk.store.lease import Lease, TokenMark
from ibdesk.store.lease_health import LeaseHealth
from ibdesk.store.redis import RedisHealth
from ibdesk.store.redis.pool import RedisPool

_log = logging.getLogger(__name__)

# Pauses between attempts to connect while TWS still serves the previous engine.
_FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 0.05, 1.0


class Election:
    """One engine's candidacy, inside a ``with`` block; it is the fence (`ibdesk.tws.Fence`) of its desk.

    Leaving the block releases the lease: close the desk first.
    """

    def __init__(self, settings: DeskSettings) -> None:
        """Stand for election.

        Raises:
            ConfigError: If the settings name no Redis.
            JournalError: If the mark of the highest token cannot be read.
        """
        redis, name = settings.redis, _office(settings)
        mark = TokenMark(settings.state_folder / f"lease-token-{re.sub('[^A-Za-z0-9.-]', '-', name)}")
        self._pool = RedisPool(redis, name="lease")
        self._lease = Lease(self._pool, name, mark=mark, seconds=redis.lease_seconds, trade_without=redis.trade_without)
        self._led: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._over: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._contending: asyncio.Task[None] | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ibdesk-election", daemon=True)

    @property
    def office(self) -> str:
        """Return the name of the lease: the account, or the client id at a TWS."""
        return self._lease.name

    @property
    def health(self) -> LeaseHealth:
        """Return the state of the lease."""
        return self._lease.health

    @property
    def pool(self) -> RedisHealth:
        """Return the state of the connection that carries the lease."""
        return self._pool.health

    # --- the fence

    def may_send(self) -> bool:
        """Return whether order bytes may leave over the current connection."""
        return self._lease.may_send()

    def may_connect(self) -> bool:
        """Return whether a connection to TWS may be opened: only while this engine is certain to lead."""
        return self._lease.is_held()

    def why_not(self) -> NotLeadingError:
        """Return the error with which an engine ends that may not send."""
        health = self._lease.health
        return NotLeadingError(health.name, health.token, health.held_by.partition(" ")[2])

    # --- for the engine's process

    def wait(self) -> None:
        """Return once this engine leads.

        Raises:
            NotLeadingError: If it has led and no longer does.
        """
        self._led.result()
        if self._over.done():
            self._over.result()

    def open(self, make: Callable[[], Desk]) -> Desk:
        """Wait until this engine leads, then open its desk with `make`, however long TWS serves the previous engine.

        `make` must pass this election as the desk's fence.

        Raises:
            NotLeadingError: If it has led and no longer does.
            IbdeskError: If `make` fails for another reason.
        """
        pause, told = _FIRST_PAUSE_SECONDS, False
        while True:
            self.wait()
            try:
                return make()
            except ClientIdInUseError:
                if not told:
                    _log.warning("leading %s, and waiting for TWS to let go of the engine before", self._lease.name)
                    told = True
            except LinkError:
                # The fence may have refused: Redis did not confirm that we lead, or we do not.
                if self.may_connect():
                    raise
            time.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE_SECONDS)

    async def until_lost(self) -> None:
        """Wait until this engine no longer leads.

        Raises:
            NotLeadingError: Always, at that time.
        """
        await asyncio.shield(asyncio.wrap_future(self._over))

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop, contending = self._loop, self._contending
        if loop is not None and contending is not None:
            # A loop that has ended already needs no stop.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(contending.cancel)
        self._thread.join()

    # --- the election's thread

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._contend())

    async def _contend(self) -> None:
        self._loop, self._contending = asyncio.get_running_loop(), asyncio.current_task()
        self._started.set()
        try:
            await self._lease.acquire()
            self._led.set_result(None)
            await self._lease.keep()
        except IbdeskError as error:
            # Without a renewed lease nothing may be sent, whatever the reason.
            await self._lease.release()
            _log.critical("%s", error)
            for future in (self._led, self._over):
                if not future.done():
                    future.set_exception(error)
        finally:
            await self._lease.release()
            await self._pool.close()


def _office(settings: DeskSettings) -> str:
    """Return the name of the lease for these settings: the account, or TWS's address and the client id."""
    tws = settings.tws
    return settings.redis.lease_name or tws.account or f"{tws.host}:{tws.port}/{tws.client_id}"
