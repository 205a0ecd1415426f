"""`ibdesk up`: a desk with its API, its feed and its dashboard."""

from __future__ import annotations

from rich.text import Text

from ibdesk.cli.interrupt import Belongings
from ibdesk.cli.screen import line, step
from ibdesk.cli.tables import Summary
from ibdesk.cli.trading import Connection, Run, end_run, open_desk
from ibdesk.cli.watch import watch
from ibdesk.cli.web import open_web, serve, web_options
from ibdesk_server.settings import Settings


def run_up(
    connection: Connection,
    run: Run | None,
    *,
    seconds: float | None,
    port: int | None,
    dashboard_port: int | None,
    with_dashboard: bool,
) -> None:
    """Serve a desk until Ctrl-C or for some seconds, with a run on it if one is given; then print what was traded.

    Raises:
        IbdeskError: If it cannot be started, or fails.
    """
    if run is not None:
        run.check()
    settings = connection.settings(
        Settings, *web_options(port, dashboard_port), symbols=() if run is None else tuple(run.on)
    )
    with Belongings() as belongings:
        desk = belongings.enter_context(open_desk(settings, resume=connection.resume))
        step(f"Desk, {settings.mode}")
        line("TWS", f"{desk.address}, account {desk.health().account}")
        line("journal", Text(desk.journal_path))
        run_id = None if run is None else run.start(desk)
        if run is not None and run_id is not None:
            line("run", f"{run_id} on {run.bar} bars of {', '.join(run.on)}")
        server = open_web(belongings, desk, settings, with_dashboard=with_dashboard)
        serve(server, lambda: watch(desk), seconds=seconds)
        for running in desk.runs():
            if running.state == "running":
                end_run(desk, running.run_id, flatten=False)
        summary = Summary.of(desk)
        summary.show()
    summary.check()
