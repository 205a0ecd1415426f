"""Running several coroutines until one ends or the user stops them, for all commands that serve."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ibdesk.cli.interrupt import on_stop_signals
from ibdesk.desk.loop import loop_factory, spare_from_collection

Work = Callable[[], Coroutine[Any, Any, None]]


def serve(*works: Work, seconds: float | None, begun: Callable[[], None] = lambda: None) -> None:
    """Run `works` until Ctrl-C, SIGTERM, the end of one of them, or for some seconds.

    `begun` is called once Ctrl-C is handled in an orderly way; only then may the user be told to press it.

    Raises:
        Exception: The exception that ended one of them.
    """
    spare_from_collection()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(works, seconds=seconds, begun=begun))


async def _serve(works: tuple[Work, ...], *, seconds: float | None, begun: Callable[[], None]) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    with on_stop_signals(lambda: loop.call_soon_threadsafe(stop.set)):
        begun()
        tasks = [asyncio.create_task(work(), name=getattr(work, "__name__", "work")) for work in works]
        tasks.append(asyncio.create_task(stop.wait(), name="stop"))  # type: ignore[arg-type] # what it gives is unused
        try:
            done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
    for task in done:
        task.result()
