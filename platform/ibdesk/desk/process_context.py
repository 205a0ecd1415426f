"""The other parts of a desk's process, so that the desk can report their state."""

from __future__ import annotations

from collections.abc import Callable

from ibdesk.store.lease_health import LeaseHealth
from ibdesk.store.redis import RedisHealth
from ibdesk.telemetry import TaskInfo


class ProcessContext:
    """Functions that report the process's tasks, Redis pools and lease; called on the desk's thread, on request."""

    def __init__(self) -> None:
        self.tasks: Callable[[], list[TaskInfo]] = list
        self.pools: list[Callable[[], RedisHealth]] = []
        # None where engines are not elected.
        self.lease: Callable[[], LeaseHealth] | None = None
