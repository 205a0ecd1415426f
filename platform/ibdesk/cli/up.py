"""`ibdesk up`: engine, web and dashboard, each in a process of its own, and a look at all of it."""

from __future__ import annotations

from rich.text import Text

from ibdesk.cli.interrupt import Belongings
from ibdesk.cli.keeping import PATIENT, kept, until_ended
from ibdesk.cli.logs import open_log
from ibdesk.cli.packages import check_packages
from ibdesk.cli.screen import address, line, step, until, waiting
from ibdesk.cli.serving import serve
from ibdesk.cli.tables import Summary
from ibdesk.cli.trading import Connection, Run, end_run
from ibdesk.cli.watch import watch
from ibdesk.cli.web import free_port, web_options
from ibdesk.cli.workers import WEB_PACKAGES, Workers
from ibdesk.config import Given
from ibdesk.desk import AttachedDesk
from ibdesk.desk.child import ChildProcess
from ibdesk.telemetry.supervision import AT_ONCE_OVER, Supervisor
from ibdesk_server.dashboard.process import start_dashboard
from ibdesk_server.security.dashboard_key import obtain_dashboard_key
from ibdesk_server.settings import Settings

# What a TWS that does not answer may take, and the import of all libraries on a busy machine.
_ENGINE_SECONDS = 120.0


def run_up(
    connection: Connection,
    run: Run | None,
    *,
    seconds: float | None,
    port: int | None,
    workers: int | None,
    dashboard_port: int | None,
    with_dashboard: bool,
) -> None:
    """Serve a desk until Ctrl-C or for some seconds, with a run on it if one is given; then print what was traded.

    Raises:
        IbdeskError: If it cannot be started, or its engine ends.
    """
    check_packages(*WEB_PACKAGES, *(["panel"] if with_dashboard else []))
    if run is not None:
        run.check()
    settings = connection.settings(
        Settings,
        *web_options(port, dashboard_port),
        Given("server.workers", workers, "--workers"),
        symbols=() if run is None else tuple(run.on),
    )
    with Belongings() as belongings:
        belongings.enter_context(open_log("up", settings))
        engine = belongings.enter_context(_start_engine(connection, run))
        desk = belongings.enter_context(AttachedDesk.open(str(settings.socket)))
        health = desk.health()
        step(f"Desk, {health.mode}")
        line("TWS", f"{health.address}, account {health.account}")
        line("journal", Text(health.journal))
        for running in desk.runs():
            if running.state == "running":
                line("run", f"{running.run_id} on {running.bar} bars of {', '.join(running.symbols)}")
        web = belongings.enter_context(Workers(settings, connection.common_arguments(), any_port=True))
        with waiting("starting the web server"):
            web.start()
        supervisor = Supervisor()
        supervisor.add(engine.name, until_ended(engine), essential=True, policy=AT_ONCE_OVER)
        web.supervise(supervisor)
        if with_dashboard:
            _open_dashboard(belongings, supervisor, settings, web)
        line("API", address(web.login_url()))
        line("feed", f"{web.feed_url} (msgpack)")
        line("API key", f"{settings.server.key_file} (each address above logs one browser in, once)")
        serve(supervisor.run, lambda: watch(desk), seconds=seconds, begun=lambda: line("end", until(seconds)))
        for running in desk.runs():
            if running.state == "running":
                end_run(desk, running.run_id, flatten=False)
        summary = Summary.of(desk)
        summary.show()
    summary.check()


def _start_engine(connection: Connection, run: Run | None) -> ChildProcess:
    arguments = [*connection.common_arguments(), "engine", *connection.arguments(), "--end-with-stdin"]
    engine = ChildProcess("the engine", "ibdesk.cli", [*arguments, *(run.arguments() if run is not None else ())])
    with waiting("starting the engine"):
        engine.until_ready(_ENGINE_SECONDS)
    return engine


def _open_dashboard(belongings: Belongings, supervisor: Supervisor, settings: Settings, web: Workers) -> None:
    """Start the dashboard, and have it started again on the same port whenever it has ended."""
    port = free_port(settings.dashboard.port)

    def start() -> ChildProcess:
        return start_dashboard(feed=web.feed_url, key_file=obtain_dashboard_key(settings.server), port=port)

    with waiting("starting the dashboard"):
        first = start_dashboard(feed=web.feed_url, key_file=obtain_dashboard_key(settings.server), port=port)
    belongings.callback(first.close)
    port = port or first.port
    line("dashboard", address(first.address))
    supervisor.add(first.name, kept(first, start), policy=PATIENT)
