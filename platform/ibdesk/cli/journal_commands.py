"""The commands about journals and statements, with their options and their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ibdesk.cli.app import command
from ibdesk.cli.loading import loading

PANEL = "Prove"


@command(
    PANEL,
    "ibdesk statement flex.xml",
    "ibdesk statement flex.csv --journals /backup/journals --json",
)
def statement(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Flex statement of IB, XML or CSV")],
    journals: Annotated[
        list[Path],
        typer.Option(
            "--journals",
            metavar="PATH",
            help="Folder of journals, or one of them; may be given repeatedly",
            show_default="journals in the state folder",
        ),
    ] = [],  # noqa: B006 - typer takes a copy
    account: Annotated[
        str, typer.Option(metavar="ID", help="Only this account of the statement", show_default="all")
    ] = "",
    zone: Annotated[str, typer.Option(metavar="ZONE", help="Zone of the statement's times")] = "America/New_York",
    tolerance: Annotated[
        float, typer.Option(min=0, max=86_400, help="Seconds by which times may differ: TWS may tell executions late")
    ] = 60.0,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON and nothing else")] = False,
) -> None:
    """Compare a statement of IB with the journals of its account, and exit with 1 when something differs.

    Executions are joined by their ids: quantity, side, price, time, multiplier and commission. Cash is compared by
    currency, to the cent: what trades moved, what came and went without one, and what is there at the end.
    """
    with loading():
        from ibdesk.cli.statement import compare_statement

    compare_statement(
        file,
        journals,
        config=context.obj.config,
        account=account,
        zone=zone,
        tolerance_seconds=tolerance,
        as_json=as_json,
    )
