"""What the command line says of itself, and that it says it at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import ibdesk

COMMANDS = (
    "demo",
    "backtest",
    "strategies",
    "run",
    "up",
    "gateway",
    "faults",
    "messages",
    "replay",
    "statement",
    "version",
)
GROUPED = (
    ("config", "show"),
    ("config", "check"),
    ("config", "example"),
    ("audit", "verify"),
    ("audit", "show"),
    ("journal", "list"),
    ("journal", "verify"),
    ("journal", "backup"),
)
Cli = Callable[..., Any]


def test_help_lists_every_command(cli: Cli) -> None:
    told = cli("--help")

    assert told.code == 0
    groups = {group for group, _ in GROUPED}
    assert [command for command in (*COMMANDS, *groups) if f" {command} " not in told.out] == []
    assert cli().out == told.out


@pytest.mark.parametrize("command", [*((name,) for name in COMMANDS), *GROUPED])
def test_help_of_a_command_fits_a_narrow_terminal(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    told = cli(*command, "--help")

    assert (told.code, told.err) == (0, "")
    assert f"ibdesk {' '.join(command)}" in told.out
    assert max(map(len, told.out.splitlines())) <= 80


@pytest.mark.parametrize("command", [*((name,) for name in COMMANDS if name != "version"), *GROUPED])
def test_help_of_a_command_ends_with_examples(cli: Cli, command: tuple[str, ...]) -> None:
    _, examples = cli(*command, "--help").out.split("Examples")

    assert f"ibdesk {' '.join(command)}" in examples


def test_help_needs_no_large_library() -> None:
    program = (
        "import sys; from ibdesk.cli import main; main(['--help']); "
        "print({'polars', 'numpy', 'pydantic', 'ib_async', 'fastapi', 'bokeh', 'panel'} & set(sys.modules))"
    )

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=55)

    assert told.stdout.splitlines()[-1] == "set()"


def test_version_names_what_a_report_needs(cli: Cli) -> None:
    told = cli("version")

    assert told.code == 0
    assert f"ibdesk {ibdesk.__version__}" in told.out
    assert "ib_async" in told.out
