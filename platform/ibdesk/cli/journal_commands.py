"""The commands for journals and statements, with their options and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ibdesk.cli.app import command, group
from ibdesk.cli.loading import loading

PANEL = "Prove"

journal = group(PANEL, "journal", "List, verify and back up the journals of desks.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON only")]


@command(PANEL, "ibdesk journal list", "ibdesk journal list /backup/journals --json", name="list", of=journal)
def list_(
    context: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="Folder of journals", show_default="journals in the state folder"),
    ] = None,
    last: Annotated[int, typer.Option(min=1, max=100_000, help="Number of journals")] = 50,
    *,
    as_json: AsJson = False,
) -> None:
    """List journals, newest first: start, account, and whether the journal is open, packed or a copy."""
    with loading():
        from ibdesk.cli.journal import list_journals

    list_journals(folder, config=context.obj.config, last=last, as_json=as_json)


@command(PANEL, "ibdesk journal verify", "ibdesk journal verify /backup/journals --json", of=journal)
def verify(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[PATH]...", help="Journals, or folders of them", show_default="journals in the state folder"
        ),
    ] = [],  # noqa: B006 - typer takes a copy
    *,
    as_json: AsJson = False,
) -> None:
    """Read journals in full and report their faults; exit with 1 if there is one.

    Checks the file (SQLite's own check), the schema, that no number is missing, that each event can be read, and that
    each journal continues one of the same account. A desk may write meanwhile. `ibdesk replay` proves more.
    """
    with loading():
        from ibdesk.cli.journal import verify_all

    verify_all(paths, config=context.obj.config, as_json=as_json)


@command(
    PANEL,
    "ibdesk journal backup /backup/today.sqlite.gz",
    "ibdesk journal backup /backup/paper.sqlite --journal paper-20261130-090000-000000.sqlite",
    of=journal,
)
def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="New file; compressed if its name ends in .gz")],
    journal: Annotated[
        Path | None,
        typer.Option(
            "--journal", metavar="PATH", help="Journal to copy", show_default="the newest in the state folder"
        ),
    ] = None,
) -> None:
    """Copy a journal. Its desk may continue to write and does not wait.

    The copy is the journal as it was when the copying began. The file appears only when it is complete.
    """
    with loading():
        from ibdesk.cli.journal import back_up_journal

    back_up_journal(file, journal, config=context.obj.config)


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
            help="Journal, or folder of journals; can be repeated",
            show_default="journals in the state folder",
        ),
    ] = [],  # noqa: B006 - typer takes a copy
    account: Annotated[
        str, typer.Option(metavar="ID", help="Only this account of the statement", show_default="all")
    ] = "",
    zone: Annotated[str, typer.Option(metavar="ZONE", help="Time zone of the statement")] = "America/New_York",
    tolerance: Annotated[
        float,
        typer.Option(min=0, max=86_400, help="Seconds by which times may differ, as TWS may report executions late"),
    ] = 60.0,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON only")] = False,
) -> None:
    """Compare a statement of IB with the journals of its account; exit with 1 if they differ.

    Executions are matched by id and compared in quantity, side, price, time, multiplier and commission. Cash is
    compared by currency, to the cent: from trades, from other causes, and at the end.
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
