"""The commands about the audit log, with their options and their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ibdesk.cli.app import command, group
from ibdesk.cli.loading import loading

PANEL = "Prove"

audit = group(PANEL, "audit", "Prove that the record of who changed what is whole, and read it.")

Record = Annotated[
    Path | None,
    typer.Argument(
        metavar="[PATH]", help="Folder of the record, or one of its files", show_default="audit in the state folder"
    ),
]


@command(PANEL, "ibdesk audit verify", "ibdesk audit verify /backup/audit", of=audit)
def verify(
    context: typer.Context,
    path: Record = None,
    head: Annotated[
        str, typer.Option(metavar="HASH", help="A hash that was printed before, which must still be there")
    ] = "",
) -> None:
    """Read every line and tell the first that was changed, taken out or put in; exit with 1 then.

    It ends with the hash of the last line. Kept somewhere else and given to --head the next time, it shows that
    nothing was cut off at the end either.
    """
    with loading():
        from ibdesk.cli.audit import verify_record

    verify_record(path, config=context.obj.config, head=head)


@command(PANEL, "ibdesk audit show --last 50", "ibdesk audit show --by anna --action orders --json", of=audit)
def show(
    context: typer.Context,
    path: Record = None,
    last: Annotated[int, typer.Option(min=1, max=100_000, help="How many lines")] = 20,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Only what this person did")] = None,
    action: Annotated[
        str | None, typer.Option(metavar="ACTION", help="Only this action, or all that begin with it: orders")
    ] = None,
    outcome: Annotated[
        str | None, typer.Option(metavar="WORD", help="Only what ended so: done, refused, rejected, failed")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line")] = False,
) -> None:
    """Print the newest lines: who did what, when, and how it ended."""
    with loading():
        from ibdesk.cli.audit import show_record

    show_record(path, config=context.obj.config, last=last, by=by, action=action, outcome=outcome, as_json=as_json)
