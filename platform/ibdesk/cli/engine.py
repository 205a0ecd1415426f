"""`ibdesk engine`: a desk and its port, and nothing of the web."""

from __future__ import annotations

import asyncio
import sys

from rich.text import Text

from ibdesk.cli.interrupt import Belongings
from ibdesk.cli.screen import console, line, step, until
from ibdesk.cli.serving import serve
from ibdesk.cli.trading import Connection, Run, open_desk
from ibdesk.cli.watch import watch
from ibdesk.config import Given
from ibdesk.desk import DeskSettings
from ibdesk.desk.child import end_with_parent
from ibdesk.desk.port.host import PortHost


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
    where = settings.port()
    if is_child:
        console.quiet = True
        end_with_parent()
    with Belongings() as belongings:
        desk = belongings.enter_context(open_desk(settings, resume=connection.resume))
        host = PortHost(desk, desk.feed)
        step(f"Engine, {settings.mode}")
        line("TWS", f"{desk.address}, account {desk.health().account}")
        line("journal", Text(desk.journal_path))
        if run is not None:
            line("run", f"{run.start(desk)} on {run.bar} bars of {', '.join(run.on)}")

        async def show() -> None:
            await host.answering.wait()
            line("desk port", Text(str(where)))
            line("end", until(seconds))
            await watch(desk)

        async def tell_parent() -> None:
            await host.answering.wait()
            sys.stdout.write(f"{where}\n")
            sys.stdout.flush()
            await asyncio.Event().wait()

        serve(lambda: host.run(where), desk.until_ended, tell_parent if is_child else show, seconds=seconds)
