"""What the process of a desk holds beside the desk, so that the desk can tell how all of it is."""

from __future__ import annotations

from collections.abc import Callable

from ibdesk.store.lease_health import LeaseHealth
from ibdesk.store.redis import RedisHealth
from ibdesk.telemetry import TaskInfo


class ProcessContext:
    """Where whoever opens a desk says what it put around it; each is asked on the desk's thread, when somebody asks."""

    def __init__(self) -> None:
        self.tasks: Callable[[], list[TaskInfo]] = list
        self.pools: list[Callable[[], RedisHealth]] = []
        # lease: None where engines are not elected.
        self.lease: Callable[[], LeaseHealth] | None = None
