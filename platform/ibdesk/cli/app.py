"""The Typer application: registers commands and runs the one that was typed."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from ibdesk.cli.common import Common
from ibdesk.errors import ConfigError

_Function = TypeVar("_Function", bound=Callable[..., None])

_INTERRUPTED = 130
# The modules of the commands, in the order of the help page.
_MODULES = (
    "commands",
    "data_commands",
    "serving_commands",
    "stop_commands",
    "halt_commands",
    "books_commands",
    "gateway_commands",
    "config_commands",
    "access_commands",
    "audit_commands",
    "journal_commands",
)

app = typer.Typer(
    name="ibdesk",
    help="One strategy file, from a backtest to a paper account to a live book on Interactive Brokers.",
    epilog="Start with [bold]ibdesk demo[/bold]: it needs no account, no TWS and no network.",
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def root() -> Any:
    """Return the command `ibdesk` with all its subcommands."""
    for commands in _MODULES:
        importlib.import_module(f"ibdesk.cli.{commands}")
    return typer.main.get_command(app)


def run(arguments: Sequence[str], common: Common) -> int:
    """Run the command and return the exit code.

    Raises:
        ConfigError: If the command or an option is unknown, or a value has the wrong type.
    """
    try:
        code = root().main(list(arguments) or ["--help"], prog_name="ibdesk", standalone_mode=False, obj=common)
    except typer.TyperException as error:
        if not error.format_message():
            # A command group was typed alone, and its help page has been shown.
            return 0
        raise ConfigError(_usage(error)) from None
    # Typer reports Ctrl-C with this code.
    if code == _INTERRUPTED:
        raise KeyboardInterrupt
    return 0


def _usage(error: typer.TyperException) -> str:
    context: Any = getattr(error, "ctx", None)
    asked = f"{context.command_path} --help" if context is not None else "ibdesk --help"
    message = error.format_message().rstrip(".")
    return f"{message[:1].lower()}{message[1:]} (see `{asked}`)"


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"ibdesk {importlib.metadata.version('ibdesk')}")
        raise typer.Exit


@app.callback()
def _common(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Settings file", show_default="$IBDESK_CONFIG, or ibdesk.toml if it exists"),
    ] = None,
    *,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors")] = False,
) -> None:
    del version
    context.obj.debug, context.obj.config = debug, config


def group(panel: str, name: str, about: str) -> typer.Typer:
    """Add and return a command group such as `ibdesk config`; `command` takes it as `of`."""
    made = typer.Typer(rich_markup_mode="rich", add_completion=False, no_args_is_help=True)
    app.add_typer(made, name=name, help=about, rich_help_panel=panel)
    return made


def command(
    panel: str, *examples: str, name: str | None = None, of: typer.Typer = app
) -> Callable[[_Function], _Function]:
    """Register a function as a command. Its docstring is the help page; the examples follow at the end."""

    def register(function: _Function) -> _Function:
        paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
        of.command(
            name,
            help="\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs),
            epilog="\n".join(["[bold]Examples[/bold]", "", *(f"  {line}" for line in examples)]) if examples else None,
            rich_help_panel=panel,
        )(function)
        return function

    return register
