"""The commands that check files of bars, with their options and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ibdesk.cli import options as o
from ibdesk.cli.app import command, group
from ibdesk.cli.loading import loading

PANEL = "Research"

data = group(PANEL, "data", "Check files of bars before trading on them.")

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of bars, or folders of them")]


@command(
    PANEL,
    "ibdesk data check prices.csv",
    "ibdesk data check IBM.txt --format kibot",
    "ibdesk data check *.csv --zone America/New_York --json",
    of=data,
)
def check(
    files: Files,
    symbol: o.Symbol = None,
    zone: o.Zone = None,
    date_order: o.DateOrder = None,
    decimal: o.Decimal = None,
    format: o.Format = None,  # noqa: A002 - the option's name
    interval: o.Interval = [],  # noqa: B006 - typer takes a copy
    splits: o.Splits = [],  # noqa: B006
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per file")] = False,
) -> None:
    """Show how files are interpreted: format, zone, symbols, interval, span, gaps, suspected splits, doubtful rows.

    Nothing is traded. Reports what is missing and exits with 1 if a file cannot be used as it is.
    """
    with loading():
        from ibdesk.cli.data import check_files
        from ibdesk.cli.reading import Reading, interval_of

    check_files(
        files, Reading(symbol, zone, date_order, decimal, format, interval_of(interval), splits), as_json=as_json
    )


@command(PANEL, "ibdesk data formats", "ibdesk data formats --json", of=data)
def formats(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per format")] = False
) -> None:
    """List the recognized layouts in the order they are tried."""
    with loading():
        from ibdesk.cli.data import list_formats

    list_formats(as_json=as_json)
