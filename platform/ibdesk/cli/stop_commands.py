"""The command that stops everything, and its help."""

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
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel every order, protective ones too")] = False,
    flatten: Annotated[bool, typer.Option("--flatten", help="Cancel every order and close every position")] = False,
    kill: Annotated[bool, typer.Option("--kill", help="End the engine's process by force as well")] = False,
    reason: Annotated[str, typer.Option(help="Why; it goes on the record")] = "stopped by hand",
    seconds: Annotated[float, typer.Option("--wait", min=1, max=3600, help="Seconds until it counts as failed")] = 60.0,
    mode: o.ModeOption = None,
    host: o.TwsHost = None,
    tws_port: o.TwsPort = None,
    account: o.Account = None,
    drill: Annotated[
        bool, typer.Option("--drill", help="Prove that it works, on a gateway of its own, or with --mode paper there")
    ] = False,
    symbol: Annotated[str, typer.Option(help="The share that a drill on paper buys one of")] = "",
    drills: Annotated[bool, typer.Option("--drills", help="List the drills there were")] = False,
) -> None:
    """Stop the account: halt it, so that nothing leaves that opens a position, and cancel the orders that would.

    It needs neither the engine, which may hang, nor the web, nor Redis. The guardian does it; where none answers, this
    command does its work, over a connection to TWS of its own. The halt stands until a person lifts it by its id.
    A file named STOP in the state folder does the same: its content is the level, halt, cancel, flatten or kill.
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
