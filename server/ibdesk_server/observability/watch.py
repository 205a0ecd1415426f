"""What one server keeps about itself while it serves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ibdesk.store import RedisSettings
from ibdesk.store.audit import AuditLog
from ibdesk.telemetry import AT_ONCE_OVER, Performance, PerformanceSettings, Supervisor, measure_lag
from ibdesk_server.feed.hub import FeedHub
from ibdesk_server.observability.trail import AuditTrail

if TYPE_CHECKING:
    from ibdesk.store.redis.pool import RedisPool


class Watch:
    """The measurements, the background work and the audit trail of one server; `worker` is its name among several."""

    def __init__(
        self, *, performance: PerformanceSettings, audit_folder: Path, redis: RedisSettings, worker: str = ""
    ) -> None:
        self.worker = worker or str(os.getpid())
        self.performance = Performance(performance)
        self.supervisor = Supervisor()
        self.trail = AuditTrail(AuditLog(audit_folder))
        self.supervisor.add("audit trail", self.trail.run)
        self.supervisor.add("loop lag", lambda: measure_lag(self.performance))
        # redis: the pool with which this server looks after Redis; None where there is none.
        self.redis: RedisPool | None = None
        if redis.url is not None:
            from ibdesk.store.redis.pool import RedisPool

            self.redis = RedisPool(redis)
            self.supervisor.add("redis", self._look_after_redis)

    def keep(self, hub: FeedHub) -> None:
        """Run the feed in the background; a server that cannot tell the news does not go on without it."""

        async def feed() -> None:
            await hub.run()
            await hub.until_failed()

        self.supervisor.add("feed hub", feed, essential=True, policy=AT_ONCE_OVER)

    async def _look_after_redis(self) -> None:
        if self.redis is not None:
            try:
                await self.redis.run()
            finally:
                await self.redis.close()

    async def run(self) -> None:
        """Do the background work until cancelled.

        Raises:
            Exception: What the feed has failed of.
        """
        with self.performance.recording():
            await self.supervisor.run()
