"""`ibdesk run`: runs a strategy on a desk in this process and prints its trades."""

from __future__ import annotations

import threading
import time

from rich.text import Text

from ibdesk.cli.interrupt import CleanupStack
from ibdesk.cli.logs import open_log
from ibdesk.cli.news import News
from ibdesk.cli.screen import console, line, step, until
from ibdesk.cli.tables import Summary
from ibdesk.cli.trading import Connection, Run, check_runs, end_run, open_desk
from ibdesk.desk import Desk, DeskSettings

_CHECK_SECONDS = 1.0


def run_until_stopped(connection: Connection, run: Run, *, seconds: float | None, flatten: bool) -> None:
    """Run a strategy until Ctrl-C or for some seconds, then print its trades.

    Raises:
        IbdeskError: If the run cannot be started, or fails.
    """
    run.check()
    settings = connection.settings(DeskSettings)
    with CleanupStack() as cleanup:
        cleanup.enter_context(open_log("run", settings))
        desk = cleanup.enter_context(open_desk(settings, resume=connection.resume))
        run_id = run.start(desk)
        # The run trades from here on, so Ctrl-C must end the run and not only this program.
        try:
            step(f"{run_id} on {', '.join(run.on)}, {run.bar} bars")
            line("account", f"{desk.health().account} ({settings.mode}) at {desk.address}")
            line("journal", Text(desk.journal_path))
            line("end", until(seconds))
            _watch(desk, run_id, seconds=seconds)
        except KeyboardInterrupt:
            console.print()
        if not end_run(desk, run_id, flatten=flatten):
            console.print("[yellow]warning[/] some orders are still open at the venue")
        Summary.of(desk).show()


def _watch(desk: Desk, run_id: str, *, seconds: float | None) -> None:
    """Print the desk's events until the time is up."""
    wake, news = threading.Event(), News()
    reader, _ = desk.feed.subscribe(wake.set)
    ends = float("inf") if seconds is None else time.monotonic() + seconds
    try:
        while (left := ends - time.monotonic()) > 0:
            if wake.wait(min(left, _CHECK_SECONDS)):
                wake.clear()
                rows, _ = reader.drain()
                for text in news.of(rows):
                    console.print(text, soft_wrap=True)
            check_runs(desk, run_id)
    finally:
        desk.feed.unsubscribe(reader)
