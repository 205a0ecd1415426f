"""The command that stops all trading in the account, with its options and help."""

from __future__ import annotations

from typing import Annotated

import typer

from ibdesk.cli import options as o
from ibdesk.cli.app import command
from ibdesk.cli.loading import loading


@command(
    "Trade",
    "ibdesk stop",
    "ibdesk stop --flatten --mode paper --tws-port 4002 --reason 'prices look wrong'",
    "ibdesk stop --flatten --kill --mode live --account U1234567",
    "ibdesk stop --drill",
)
def stop(
    context: typer.Context,
    *,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel all orders, including protective ones")] = False,
    flatten: Annotated[bool, typer.Option("--flatten", help="Cancel all orders and close all positions")] = False,
    kill: Annotated[bool, typer.Option("--kill", help="Also kill the engine's process")] = False,
    reason: Annotated[str, typer.Option(help="Reason, for the audit log")] = "stopped by hand",
    seconds: Annotated[
        float, typer.Option("--wait", min=1, max=3600, help="Seconds until the stop is reported as failed")
    ] = 60.0,
    mode: o.ModeOption = None,
    host: o.TwsHost = None,
    tws_port: o.TwsPort = None,
    account: o.Account = None,
    drill: Annotated[
        bool, typer.Option("--drill", help="Rehearse the stop on a simulated TWS, or on paper with --mode paper")
    ] = False,
    symbol: Annotated[str, typer.Option(help="Stock of which a drill on paper buys one share")] = "",
    drills: Annotated[bool, typer.Option("--drills", help="List past drills")] = False,
) -> None:
    """Stop trading in the account: halt it, and cancel the orders that would open a position.

    It works without the engine (which may hang), the web server and Redis. The guardian does it; if none answers, this
    command does the same over its own connection to TWS. The halt remains in force until a person lifts it by its id.
    A file named STOP in the state folder has the same effect; it contains the level: halt, cancel, flatten or kill.
    """
    with loading():
        from ibdesk.cli.drill import list_drills, run_drill
        from ibdesk.cli.stop import run_stop
        from ibdesk.cli.trading import Connection
        from ibdesk.guardian.stop import Level

    connection = Connection(config=context.obj.config, mode=mode, host=host, port=tws_port, account=account)
    if drills:
        list_drills(connection)
    elif drill:
        run_drill(connection, symbol=symbol)
    else:
        level = Level.FLATTEN if flatten else Level.CANCEL if cancel else Level.HALT
        run_stop(connection, level, kill=kill, reason=reason, seconds=seconds)
