"""A halt that an earlier life left, on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ibdesk.desk import Desk

EMA_CROSS = Path(__file__).parent.parent.parent / "strategies" / "ema_cross.py"

pytestmark = pytest.mark.timeout(120)


def test_a_run_lifts_a_halt_only_with_a_reason(cli: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "state" / "ibdesk"
    with Desk.open("embedded", state_folder=folder) as desk:
        desk.halt("the guardian said so")

    assert cli("run", EMA_CROSS, "--on", "AAPL", "--for", 1).code == 0
    with Desk.open("embedded", state_folder=folder) as desk:
        assert desk.health().halted == "the guardian said so"

    assert cli("run", EMA_CROSS, "--on", "AAPL", "--for", 1, "--resume", "it was wrong").code == 0
    with Desk.open("embedded", state_folder=folder) as desk:
        assert desk.health().halted == ""
