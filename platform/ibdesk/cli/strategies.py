"""`ibdesk strategies`: lists the strategy files of a folder."""

from __future__ import annotations

import inspect
from pathlib import Path

from rich.text import Text

from ibdesk.cli.screen import console, plain_table
from ibdesk.errors import ConfigError, StrategyError
from ibdesk.strategy import Strategy, load_strategy


def list_strategies(folder: Path) -> None:
    """Print a table of the strategy files in a folder.

    Raises:
        ConfigError: If the folder does not exist, or has no Python file.
    """
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}: name the folder of your strategy files")
    files = sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))
    if not files:
        raise ConfigError(f"there is no strategy file in {folder}: write a Python file that defines a Strategy")
    table = plain_table("file", "strategy", "parameters", title=f"Strategies in {folder}")
    faults = []
    for path in files:
        try:
            cls = load_strategy(path).cls
        except StrategyError as error:
            faults.append(str(error))
            continue
        summary = inspect.cleandoc(cls.__doc__ or "").partition("\n")[0]
        table.add_row(path.name, Text.assemble((cls.__name__, "bold"), "\n", summary), _parameters(cls))
    if table.row_count:
        console.print(table)
    for fault in faults:
        console.print(Text.assemble(("cannot be used  ", "red"), fault), soft_wrap=True)


def _parameters(cls: type[Strategy]) -> Text:
    """Return one line per parameter: name, default and description."""
    lines = []
    for name, field in cls.model_fields.items():
        default = "required" if field.is_required() else f"{field.default!r}"
        lines.append(Text.assemble((f"{name}={default}", "cyan"), f"  {field.description or ''}"))
    return Text("\n").join(lines)
