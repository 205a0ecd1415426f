"""Close connections whose key or login has expired or been revoked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ibdesk_server.security.guard import Security
from ibdesk_server.security.principal import Principal

_log = logging.getLogger(__name__)

# The shortest interval, whatever the settings say.
_SHORTEST_SECONDS = 0.05

End = Callable[[], None]


class RevocationMonitor:
    """Checks the keys and logins of open connections every `recheck_seconds`, and ends those that became invalid.

    Its task runs only while there are connections.
    """

    def __init__(self, security: Security) -> None:
        self._security = security
        self._seconds = max(security.settings.recheck_seconds, _SHORTEST_SECONDS)
        self._connected: dict[Principal, set[End]] = {}
        self._task: asyncio.Task[None] | None = None

    def enter(self, principal: Principal, end: End) -> None:
        """Watch a connection; `end` is called once, when its key or login is not valid any more."""
        self._connected.setdefault(principal, set()).add(end)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._watch(), name="revocations")

    def leave(self, principal: Principal, end: End) -> None:
        """Stop watching a connection."""
        ends = self._connected.get(principal, set())
        ends.discard(end)
        if not ends:
            self._connected.pop(principal, None)
        if not self._connected and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            for principal in list(self._connected):
                try:
                    stays = await self._security.holds(principal)
                except Exception:  # noqa: BLE001 - if the check fails for any reason, the connection ends
                    _log.exception("cannot check whether %s may stay connected", principal.name)
                    stays = False
                if not stays:
                    for end in self._connected.pop(principal, set()):
                        end()
