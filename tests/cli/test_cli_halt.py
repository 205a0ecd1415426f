"""A halt that an earlier life left, on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ibdesk.desk import Desk

EMA_CROSS = Path(__file__).parent.parent.parent / "strategies" / "ema_cross.py"

pytestmark = pytest.mark.timeout(120)


@pytest.mark.process
def test_a_run_lifts_the_halt_that_it_names_and_once(cli: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "state" / "ibdesk"
    with Desk.open("embedded", state_folder=folder) as desk:
        halt = desk.halt("the guardian said so")

    assert cli("run", EMA_CROSS, "--on", "AAPL", "--for", 1).code == 0
    other = cli("run", EMA_CROSS, "--on", "AAPL", "--for", 1, "--resume", "20200101-000000-1")
    assert other.code == 0
    assert "no halt lifted: there is no halt '20200101-000000-1'" in other.out
    with Desk.open("embedded", state_folder=folder) as desk:
        assert desk.health().halted == "the guardian said so"

    # As a unit file does at every start: the first one lifts that halt, the next one no other.
    assert cli("run", EMA_CROSS, "--on", "AAPL", "--for", 1, "--resume", halt.id).code == 0
    with Desk.open("embedded", state_folder=folder) as desk:
        assert desk.health().halted == ""
        again = desk.halt("the guardian said so")
    assert cli("run", EMA_CROSS, "--on", "AAPL", "--for", 1, "--resume", halt.id).code == 0
    with Desk.open("embedded", state_folder=folder) as desk:
        assert desk.health().halt_ids == [again.id]
