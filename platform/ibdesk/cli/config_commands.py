"""The commands that show and check settings, with their options and help."""

from __future__ import annotations

from typing import Annotated

import typer

from ibdesk.cli.app import command, group
from ibdesk.cli.loading import loading

PANEL = "Settings"

config = group(PANEL, "config", "Show, check and explain the settings.")


@command(
    PANEL,
    "ibdesk config show --origin",
    "ibdesk config show server.feed",
    "IBDESK_TWS__PORT=4002 ibdesk config show --json",
    of=config,
)
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Only this section or setting, such as tws", show_default="all")] = "",
    *,
    origin: Annotated[bool, typer.Option("--origin", help="Show the source of each value")] = False,
    as_json: Annotated[bool, typer.Option("--json/--toml", help="Print JSON or TOML")] = False,
) -> None:
    """Print the settings in effect; secrets are masked.

    Options of a command override the values printed here; the environment overrides the file.
    """
    with loading():
        from ibdesk.cli.config import show_settings

    show_settings(name, config=context.obj.config, origins=origin, as_json=as_json)


@command(PANEL, "ibdesk config check", "ibdesk --config /etc/ibdesk/ibdesk.toml config check", of=config)
def check(context: typer.Context) -> None:
    """Check the settings: print `ok`, or report the invalid setting and exit with 2.

    Warns about environment variables that look like settings but are not, and about secrets that others can read.
    """
    with loading():
        from ibdesk.cli.config import check_settings

    check_settings(context.obj.config)


@command(PANEL, "ibdesk config example > ibdesk.toml", of=config, name="example")
def print_example() -> None:
    """Print a settings file with every setting, its description and its default."""
    with loading():
        from ibdesk.cli.config import show_example

    show_example()
