"""What a notebook shows about a name before it is used."""

from __future__ import annotations

import inspect
import types

import pytest
from IPython.core.interactiveshell import InteractiveShell


@pytest.fixture
def shell() -> InteractiveShell:
    """Return a shell in which a backtest has run, so that `ibdesk.backtest` is bound to the package."""
    shell = InteractiveShell()
    shell.run_cell("import ibdesk.backtest.run\nfrom ibdesk import backtest")
    return shell


def test_backtest_shows_its_arguments_and_what_it_does(shell: InteractiveShell) -> None:
    shown = shell.object_inspect("backtest")

    assert "cash: 'float' = 100000.0" in shown["definition"]
    assert shown["docstring"].startswith("Run a strategy on past bars and return the result.")


def test_the_arguments_of_backtest_are_offered_by_name(shell: InteractiveShell) -> None:
    offered = inspect.signature(shell.user_ns["backtest"]).parameters

    assert isinstance(shell.user_ns["backtest"], types.ModuleType)
    assert {"strategy", "bars", "cash", "look_ahead_samples"} <= set(offered)
