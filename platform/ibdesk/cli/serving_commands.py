"""The commands that serve a desk, as a whole or process by process, with their options and help."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ibdesk.cli import options as o
from ibdesk.cli.app import command
from ibdesk.cli.loading import loading

if TYPE_CHECKING:
    from ibdesk.cli.trading import Run


def _run(
    strategy: Path | None, *, on: str, bar: str, params: list[str], take_over: str, budget: list[str] | None
) -> Run | None:
    from ibdesk.cli.trading import Run

    if strategy is None:
        return None
    return Run(
        strategy=strategy,
        on=o.names(on),
        bar=bar,
        parameters=o.parameters(params),
        take_over=take_over,
        budget=o.budget(budget),
    )


@command(
    "Trade", "ibdesk up --strategy strategies/ema_cross.py --on AAPL,MSFT", "ibdesk up --mode paper --tws-port 4002"
)
def up(
    context: typer.Context,
    strategy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Strategy file to start at once", show_default=False)
    ] = None,
    on: o.On = "",
    bar: o.BarLength = "5 secs",
    params: o.Parameters = [],  # noqa: B006 - typer takes a copy
    seconds: o.Seconds = None,
    mode: o.ModeOption = None,
    host: o.TwsHost = None,
    tws_port: o.TwsPort = None,
    client_id: o.ClientId = None,
    account: o.Account = None,
    speed: o.EmbeddedSpeed = None,
    port: o.ApiPort = None,
    workers: o.Workers = None,
    dashboard_port: o.DashboardPort = None,
    *,
    resume: o.Resume = None,
    take_over: o.TakeOverRun = "",
    budget: o.Budget = None,
    dashboard: o.Dashboard = True,
) -> None:
    """Open a desk and serve its API, feed and dashboard until Ctrl-C, each in its own process.

    Strategies of the folder strategies/ can be started and stopped over the API; --strategy starts one at once.
    """
    with loading():
        from ibdesk.cli.trading import Connection
        from ibdesk.cli.up import run_up

    run_up(
        Connection(
            config=context.obj.config,
            mode=mode,
            host=host,
            port=tws_port,
            client_id=client_id,
            account=account,
            speed=speed,
            resume=resume,
        ),
        _run(strategy, on=on, bar=bar, params=params, take_over=take_over, budget=budget),
        seconds=seconds,
        port=port,
        workers=workers,
        dashboard_port=dashboard_port,
        with_dashboard=dashboard,
    )


@command(
    "Serve",
    "ibdesk engine --mode paper --tws-port 4002",
    "ibdesk engine --strategy strategies/ema_cross.py --on AAPL,MSFT",
)
def engine(
    context: typer.Context,
    strategy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Strategy file to start at once", show_default=False)
    ] = None,
    on: o.On = "",
    bar: o.BarLength = "5 secs",
    params: o.Parameters = [],  # noqa: B006 - typer takes a copy
    seconds: o.Seconds = None,
    mode: o.ModeOption = None,
    host: o.TwsHost = None,
    tws_port: o.TwsPort = None,
    client_id: o.ClientId = None,
    account: o.Account = None,
    speed: o.EmbeddedSpeed = None,
    desk: o.DeskAddress = None,
    *,
    resume: o.Resume = None,
    take_over: o.TakeOverRun = "",
    budget: o.Budget = None,
    end_with_stdin: o.EndWithStdin = False,
) -> None:
    """Keep a desk open for `ibdesk web` and Desk.attach() until Ctrl-C. An account has one engine.

    After a restart, runs of the previous engine and their positions are shown as orphaned until the strategy is
    started again.
    """
    with loading():
        from ibdesk.cli.engine import run_engine
        from ibdesk.cli.trading import Connection

    run_engine(
        Connection(
            config=context.obj.config,
            mode=mode,
            host=host,
            port=tws_port,
            client_id=client_id,
            account=account,
            speed=speed,
            resume=resume,
        ),
        _run(strategy, on=on, bar=bar, params=params, take_over=take_over, budget=budget),
        address=desk,
        seconds=seconds,
        is_child=end_with_stdin,
    )


@command(
    "Serve",
    "ibdesk guardian --mode paper --tws-port 4002",
    "ibdesk guardian --mode live --tws-port 7496 --account U1234567",
)
def guardian(
    context: typer.Context,
    mode: o.ModeOption = None,
    host: o.TwsHost = None,
    tws_port: o.TwsPort = None,
    account: o.Account = None,
    *,
    end_with_stdin: o.EndWithStdin = False,
) -> None:
    """Watch the account over a separate connection, and stop trading when a rule requires it.

    It acts on its own limits (section guardian of the settings), on an engine that does not answer, on books that
    differ from the account, and on a person's command: `ibdesk stop`, or a file named STOP in the state folder. Its
    halt fences the engine off until a person lifts it. `ibdesk up` starts the guardian automatically.
    """
    with loading():
        from ibdesk.cli.guardian import run_guardian
        from ibdesk.cli.trading import Connection

    run_guardian(
        Connection(config=context.obj.config, mode=mode, host=host, port=tws_port, account=account),
        is_child=end_with_stdin,
    )


@command("Serve", "ibdesk web", "ibdesk web --workers 4 --port 8080")
def web(
    context: typer.Context,
    workers: o.Workers = None,
    host: o.WebHost = None,
    port: o.WebPort = None,
    mode: o.ModeOption = None,
    desk: o.DeskAddress = None,
    seconds: o.Seconds = None,
    *,
    worker: o.Worker = None,
) -> None:
    """Serve API and feed of a desk opened by `ibdesk engine`, until Ctrl-C.

    The engine may start later or restart: meanwhile requests are answered with 503, and the feed waits.
    """
    with loading():
        from ibdesk.cli.workers import run_web
        from ibdesk.config import Given
        from ibdesk_server.settings import Settings

    settings = Settings.load(
        Given("server.workers", workers, "--workers"),
        Given("server.host", host, "--host"),
        Given("server.port", port, "--port"),
        Given("mode", mode, "--mode"),
        Given("port_address", desk, "--desk"),
        config=context.obj.config,
    )
    common = [] if context.obj.config is None else ["--config", str(context.obj.config)]
    run_web(settings, common, seconds=seconds, worker=worker)


@command("Serve", "ibdesk dashboard", "ibdesk dashboard --feed wss://desk.example.com/feed --port 5007")
def dashboard(
    context: typer.Context,
    feed: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Address of the feed", show_default="dashboard.feed: the feed of this machine"
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the dashboard", show_default="dashboard.port: 5006"),
    ] = None,
) -> None:
    """Serve the dashboard of a desk from the feed of `ibdesk web`, until Ctrl-C.

    The web server may start later or restart: the pages report it and reconnect.
    """
    with loading():
        from ibdesk.cli import dashboard as dashboards
        from ibdesk.config import Given
        from ibdesk_server.settings import Settings

    settings = Settings.load(
        Given("dashboard.feed", feed, "--feed"),
        Given("dashboard.port", port, "--port"),
        config=context.obj.config,
    )
    dashboards.run(settings)
