"""Children that are to go on: what a supervisor needs to start each again when it dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ibdesk.desk.child import ChildProcess
from ibdesk.telemetry.supervision import Policy, Work

PATIENT = Policy(first_seconds=0.2, last_seconds=10.0, steady_seconds=30.0)
"""The policy of a child that is started again however often it dies."""


def until_ended(child: ChildProcess) -> Work:
    """Return the work of a supervisor that fails when a child ends; cancelled, it leaves the child alone."""

    async def work() -> None:
        raise await child.until_ended()

    return work


def kept(child: ChildProcess, start: Callable[[], ChildProcess]) -> Work:
    """Return the work of a supervisor that lasts as long as a child: first this one, then what `start` gives.

    It fails when the child ends; cancelled, it ends the child.
    """
    waiting = [child]

    async def work() -> None:
        running = waiting.pop() if waiting else await asyncio.to_thread(start)
        try:
            raise await running.until_ended()
        finally:
            await asyncio.shield(asyncio.to_thread(running.close))

    return work
