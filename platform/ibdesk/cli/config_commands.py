"""The commands that show and check settings, with their options and their help."""

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
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value is from")] = False,
    as_json: Annotated[bool, typer.Option("--json/--toml", help="As JSON, or as the file has it")] = False,
) -> None:
    """Print every setting as it is in effect here; secrets are masked.

    What commands are given as options goes before what is printed here, the environment before the file.
    """
    with loading():
        from ibdesk.cli.config import show_settings

    show_settings(name, config=context.obj.config, origins=origin, as_json=as_json)


@command(PANEL, "ibdesk config check", "ibdesk --config /etc/ibdesk/ibdesk.toml config check", of=config)
def check(context: typer.Context) -> None:
    """Say `ok`, or what is wrong with which setting, and exit with 2.

    Variables that look like settings and are none, and secrets that others can read, are told too.
    """
    with loading():
        from ibdesk.cli.config import check_settings

    check_settings(context.obj.config)


@command(PANEL, "ibdesk config example > ibdesk.toml", of=config, name="example")
def print_example() -> None:
    """Print a file of settings with each of them, what it is for and its default."""
    with loading():
        from ibdesk.cli.config import show_example

    show_example()
