"""A place of its own for each test of settings: an empty working directory and an environment without settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ibdesk.cli import main


class Place:
    """Where settings come from, as a test sets it up; `folder` is the working directory."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._monkeypatch = folder, monkeypatch
        self.file = folder / "ibdesk.toml"

    def write(self, text: str, name: str = "ibdesk.toml", mode: int = 0o600) -> Path:
        """Write a file of this mode."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    def set(self, **variables: object) -> None:
        """Set variables of the environment, named without IBDESK_."""
        for name, value in variables.items():
            self._monkeypatch.setenv(f"IBDESK_{name}", str(value))

    def unset(self, name: str) -> None:
        """Take a variable away."""
        self._monkeypatch.delenv(f"IBDESK_{name}", raising=False)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name in [name for name in os.environ if name.startswith("IBDESK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, monkeypatch)


Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(place: Place, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process: its exit code, and what it printed on the two streams."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        return code, *capfd.readouterr()

    return run
