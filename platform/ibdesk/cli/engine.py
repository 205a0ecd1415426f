"""`ibdesk engine`: a desk and its port, and nothing of the web."""

from __future__ import annotations

import asyncio
import sys

from rich.text import Text

from ibdesk.cli.interrupt import Belongings
from ibdesk.cli.logs import open_log
from ibdesk.cli.screen import console, line, step, until
from ibdesk.cli.serving import Work, serve
from ibdesk.cli.trading import Connection, Run, open_desk
from ibdesk.cli.watch import watch
from ibdesk.config import Given
from ibdesk.desk import DeskSettings
from ibdesk.desk.child import end_with_parent
from ibdesk.desk.port.host import Door, PortHost
from ibdesk.desk.port.socket_door import SocketDoor


def run_engine(
    connection: Connection, run: Run | None, *, address: str | None, seconds: float | None, is_child: bool
) -> None:
    """Keep a desk open and reachable for other processes until Ctrl-C or for some seconds, with a run if one is given.

    A child prints one line, its address, once it is ready, and ends when its standard input does.

    Raises:
        IbdeskError: If it cannot be started, or fails.
    """
    if run is not None:
        run.check()
    settings = connection.settings(
        DeskSettings, Given("port_address", address, "--desk"), symbols=() if run is None else tuple(run.on)
    )
    if is_child:
        console.quiet = True
        end_with_parent()
    with Belongings() as belongings:
        belongings.enter_context(open_log("engine", settings, is_child=is_child))
        desk = belongings.enter_context(open_desk(settings, resume=connection.resume))
        doors: list[Door] = [SocketDoor(settings.socket.path)]
        where, works = [str(settings.socket)], list[Work]()
        if settings.redis.url is not None:
            door, keep_redis = _open_to_other_machines(settings)
            doors.append(door)
            where.append(str(settings.stream))
            works.append(keep_redis)
        host = PortHost(desk, desk.feed, *doors)
        step(f"Engine, {settings.mode}")
        line("TWS", f"{desk.address}, account {desk.health().account}")
        line("journal", Text(desk.journal_path))
        if run is not None:
            line("run", f"{run.start(desk)} on {run.bar} bars of {', '.join(run.on)}")

        async def show() -> None:
            await host.answering.wait()
            line("desk port", Text(", ".join(where)))
            line("end", until(seconds))
            await watch(desk)

        async def tell_parent() -> None:
            await host.answering.wait()
            sys.stdout.write(f"{where[0]}\n")
            sys.stdout.flush()
            await asyncio.Event().wait()

        serve(host.run, desk.until_ended, tell_parent if is_child else show, *works, seconds=seconds)


def _open_to_other_machines(settings: DeskSettings) -> tuple[Door, Work]:
    """Return the door in Redis, and what keeps its connections."""
    from ibdesk.desk.port.stream_door import StreamDoor
    from ibdesk.store.redis.pool import RedisPool

    pool = RedisPool(settings.redis)

    async def keep_redis() -> None:
        try:
            await pool.run()
        finally:
            await pool.close()

    return StreamDoor(pool, settings.stream.name), keep_redis
