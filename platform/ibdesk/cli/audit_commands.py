"""The commands that verify and show the audit log, with their options and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ibdesk.cli.app import command, group
from ibdesk.cli.loading import loading

PANEL = "Prove"

audit = group(PANEL, "audit", "Verify and read the audit log.")

Record = Annotated[
    Path | None,
    typer.Argument(
        metavar="[PATH]", help="Folder of the audit log, or one of its files", show_default="audit in the state folder"
    ),
]


@command(PANEL, "ibdesk audit verify", "ibdesk audit verify /backup/audit", of=audit)
def verify(
    context: typer.Context,
    path: Record = None,
    head: Annotated[
        str, typer.Option(metavar="HASH", help="A hash printed by an earlier run, which must still be in the log")
    ] = "",
) -> None:
    """Check every line, and report the first that was changed, removed or inserted (exit code 1).

    The last line printed is the hash of the newest line. Store it elsewhere and pass it as --head next time: this
    proves that nothing was cut off at the end.
    """
    with loading():
        from ibdesk.cli.audit import verify_record

    verify_record(path, config=context.obj.config, head=head)


@command(PANEL, "ibdesk audit show --last 50", "ibdesk audit show --by anna --action orders --json", of=audit)
def show(
    context: typer.Context,
    path: Record = None,
    last: Annotated[int, typer.Option(min=1, max=100_000, help="Number of lines")] = 20,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Only lines of this user")] = None,
    action: Annotated[
        str | None, typer.Option(metavar="ACTION", help="Only actions that begin with this, such as orders")
    ] = None,
    outcome: Annotated[
        str | None, typer.Option(metavar="WORD", help="Only this outcome: done, refused, rejected or failed")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line")] = False,
) -> None:
    """Print the newest lines: time, action, user and outcome."""
    with loading():
        from ibdesk.cli.audit import show_record

    show_record(path, config=context.obj.config, last=last, by=by, action=action, outcome=outcome, as_json=as_json)
