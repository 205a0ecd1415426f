"""`ibdesk up`: starts engine, web server, guardian and dashboard, each in its own process, and watches them."""

from __future__ import annotations

import msgspec
from rich.text import Text

from ibdesk.cli.interrupt import CleanupStack
from ibdesk.cli.keeping import PATIENT, READY_SECONDS, KeptChild, kept
from ibdesk.cli.login import login_hint, show_login
from ibdesk.cli.logs import open_log
from ibdesk.cli.packages import check_packages
from ibdesk.cli.screen import console, line, step, until, waiting
from ibdesk.cli.serving import serve
from ibdesk.cli.tables import Summary
from ibdesk.cli.trading import Connection, Run, end_run
from ibdesk.cli.watch import watch
from ibdesk.cli.web import free_port, web_options
from ibdesk.cli.workers import WEB_PACKAGES, Workers
from ibdesk.config import Given
from ibdesk.desk import AttachedDesk
from ibdesk.desk.child import ChildProcess
from ibdesk.errors import ChildError
from ibdesk.telemetry.supervision import Policy, Supervisor
from ibdesk_server.dashboard.process import DashboardProcess, spawn_dashboard
from ibdesk_server.security.dashboard_key import obtain_dashboard_key
from ibdesk_server.settings import Settings

# Restarts of the engine never end, as TWS's nightly restart takes minutes.
_ENGINE = Policy(first_seconds=0.5, last_seconds=60.0, steady_seconds=60.0)


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
    """Serve a desk until Ctrl-C or for some seconds, with a run if one is given; then print the trades.

    Raises:
        IbdeskError: If a process cannot be started, or the engine ends.
    """
    check_packages(*WEB_PACKAGES, *(["panel"] if with_dashboard else []))
    if run is not None:
        run.check()
    settings = connection.settings(
        Settings,
        *web_options(port, dashboard_port),
        Given("server.workers", workers, "--workers"),
    )
    with CleanupStack() as cleanup:
        cleanup.enter_context(open_log("up", settings))
        engine = cleanup.enter_context(_spawn_engine(connection, run))
        with waiting("starting the engine"):
            engine.until_ready(READY_SECONDS)
        desk = cleanup.enter_context(AttachedDesk.open(str(settings.socket)))
        health = desk.health()
        step(f"Desk, {health.mode}")
        line("TWS", f"{health.address}, account {health.account}")
        line("journal", Text(health.journal))
        for running in desk.runs():
            if running.state == "running":
                line("run", f"{running.run_id} on {running.bar} bars of {', '.join(running.symbols)}")
        web = cleanup.enter_context(Workers(settings, connection.common_arguments(), any_port=True))
        with waiting("starting the web server"):
            web.start()
        supervisor = Supervisor()
        keeping = _keep_engine(engine, connection, run, settings)
        cleanup.callback(keeping.close)
        supervisor.add(engine.name, keeping.work, policy=_ENGINE)
        web.supervise(supervisor)
        if settings.guardian.enabled:
            _start_guardian(supervisor, connection, settings)
        if with_dashboard:
            _open_dashboard(cleanup, supervisor, settings, web)
        show_login("API", web.url, web.login_url)
        line("feed", f"{web.feed_url} (msgpack)")
        line("API key", f"{settings.server.key_file} ({login_hint()})")
        serve(supervisor.run, lambda: watch(desk), seconds=seconds, begun=lambda: line("end", until(seconds)))
        for running in desk.runs():
            if running.state == "running":
                end_run(desk, running.run_id, flatten=False)
        summary = Summary.of(desk)
        summary.show()
    summary.check()


def _spawn_engine(connection: Connection, run: Run | None) -> ChildProcess:
    arguments = [*connection.common_arguments(), "engine", *connection.arguments(), "--end-with-stdin"]
    return ChildProcess("the engine", "ibdesk.cli", [*arguments, *(run.arguments() if run is not None else ())])


def _keep_engine(engine: ChildProcess, connection: Connection, run: Run | None, settings: Settings) -> KeptChild:
    """Return the engine as a child that is restarted without limit; each end is printed in red."""
    # A person lifts a halt once; restarts do not lift it.
    again = msgspec.structs.replace(connection, resume=None)

    def alert(error: ChildError) -> None:
        log = settings.state_folder / "logs" / "engine.log"
        said = str(error)
        until_back = f"Open positions are unmanaged until it is back. It is restarting; see {log}."
        console.print(Text(f"{said[:1].upper()}{said[1:]}. {until_back}", style="bold red"), soft_wrap=True)

    def relieve() -> None:
        console.print(Text("The engine is back: books and account have been compared.", style="green"), soft_wrap=True)

    def warn() -> None:
        text = (
            f"The engine has sent no heartbeat for {settings.engine.hang_seconds:g} s: it hangs and is being restarted."
        )
        console.print(Text(text, style="bold red"), soft_wrap=True)

    return KeptChild(
        engine,
        lambda: _spawn_engine(again, run),
        on_end=alert,
        on_ready=relieve,
        silent_seconds=settings.engine.hang_seconds,
        on_silence=warn,
    )


def _start_guardian(supervisor: Supervisor, connection: Connection, settings: Settings) -> None:
    """Start the guardian, and restart it whenever it ends; its messages appear in the log and here."""

    def spawn() -> ChildProcess:
        arguments = [*connection.common_arguments(), "guardian", *connection.guardian_arguments(), "--end-with-stdin"]
        return ChildProcess("the guardian", "ibdesk.cli", arguments)

    first = spawn()
    supervisor.add(first.name, kept(first, spawn), policy=PATIENT)
    line(
        "guardian",
        Text(f"client id {settings.guardian.client_id}; create {settings.state_folder / 'STOP'} to stop all"),
    )


def _open_dashboard(cleanup: CleanupStack, supervisor: Supervisor, settings: Settings, web: Workers) -> None:
    """Start the dashboard, and restart it on the same port whenever it ends."""
    port = free_port(settings.dashboard.port)

    def spawn() -> DashboardProcess:
        return spawn_dashboard(
            feed=web.feed_url,
            key_file=obtain_dashboard_key(settings.server),
            port=port,
            names=settings.dashboard.names,
            path_prefix=settings.dashboard.path_prefix,
        )

    with waiting("starting the dashboard"):
        first = spawn()
        first.until_ready(READY_SECONDS)
    cleanup.callback(first.close)
    port = port or first.port
    show_login("dashboard", first.url, lambda: first.address)
    supervisor.add(first.name, kept(first, spawn), policy=PATIENT)
