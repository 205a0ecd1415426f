"""One server's monitoring of itself: measurements, background tasks and audit trail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ibdesk.store.audit import AuditLog
from ibdesk.telemetry import NEVER_RESTART, Performance, PerformanceSettings, Supervisor, measure_lag
from ibdesk_server.feed.hub import FeedHub
from ibdesk_server.observability.trail import AuditTrail

if TYPE_CHECKING:
    from ibdesk.store.redis.pool import RedisPool


class ServerMonitor:
    """The measurements, background tasks and audit trail of one server; `worker` names it among several."""

    def __init__(
        self, *, performance: PerformanceSettings, audit_folder: Path, redis: RedisPool | None, worker: str
    ) -> None:
        self.worker = worker
        self.performance = Performance(performance)
        self.supervisor = Supervisor()
        self.trail = AuditTrail(AuditLog(audit_folder))
        self.supervisor.add("audit trail", self.trail.run)
        self.supervisor.add("loop lag", lambda: measure_lag(self.performance))
        # The server's only Redis pool, None without Redis.
        self.redis = redis
        if redis is not None:
            self.supervisor.add("redis", redis.run)

    def keep(self, hub: FeedHub) -> None:
        """Run the feed in the background; if it fails, the server ends."""

        async def feed() -> None:
            await hub.run()
            await hub.until_failed()

        self.supervisor.add("feed hub", feed, essential=True, policy=NEVER_RESTART)

    async def run(self) -> None:
        """Run the background tasks until cancelled.

        Raises:
            Exception: The error that ended the feed.
        """
        with self.performance.recording():
            await self.supervisor.run()
