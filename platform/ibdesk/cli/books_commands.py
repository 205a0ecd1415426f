"""The command that books trades made outside the desk, with its options and help."""

from __future__ import annotations

from typing import Annotated

import typer

from ibdesk.cli import options as o
from ibdesk.cli.app import command
from ibdesk.cli.loading import loading


@command(
    "Trade",
    "ibdesk accept AAPL",
    "ibdesk accept AAPL --run EmaCross-t4x7k2",
    "ibdesk accept AAPL --desk unix:/var/lib/ibdesk/desk-paper.sock",
)
def accept(
    context: typer.Context,
    symbol: Annotated[str, typer.Argument(help="The instrument traded outside the desk", show_default=False)],
    run: Annotated[str, typer.Option(metavar="ID", help="Only the position of this run, or `manual`")] = "",
    desk: o.DeskAddress = None,
) -> None:
    """Book trades made outside the desk to the runs that held the position.

    Until then, their orders in the instrument are denied. A run stays halted until a person lifts its halt, so that it
    does not reopen the closed position. The halt's id is printed.
    """
    with loading():
        from ibdesk.cli.books import accept_outside

    accept_outside(symbol, run_id=run, address=desk, config=context.obj.config)
