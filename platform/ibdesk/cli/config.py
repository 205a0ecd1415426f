"""`ibdesk config`: shows the settings in effect, checks them, and prints an example file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ibdesk.cli.screen import console
from ibdesk.config import as_plain, as_toml, example
from ibdesk.config.warnings import warnings
from ibdesk_server.settings import Settings


def show_settings(name: str, *, config: Path | None, origins: bool, as_json: bool) -> None:
    """Print all settings, or the section or setting `name`, with secrets masked.

    Raises:
        ConfigError: If a setting is invalid, or `name` does not exist.
    """
    settings = Settings.load(config=config)
    if as_json:
        sys.stdout.write(
            json.dumps(as_plain(settings, below=name, origins=origins), indent=2, ensure_ascii=False) + "\n"
        )
    else:
        sys.stdout.write(as_toml(settings, below=name, origins=origins))


def check_settings(config: Path | None) -> None:
    """Print `ok`, and warnings about settings that are probably mistaken.

    Raises:
        ConfigError: If a setting is invalid.
    """
    settings = Settings.load(config=config)
    console.print("[green]ok[/]")
    for warning in warnings(settings):
        console.print(f"[yellow]warning[/] {warning}", soft_wrap=True)


def show_example() -> None:
    """Print a commented settings file."""
    sys.stdout.write(example(Settings))
