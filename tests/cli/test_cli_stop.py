"""`ibdesk stop` at the command line: the drill, its record, and what is refused. What it stops: tests/promises."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)


@pytest.mark.process
def test_a_drill_proves_that_a_hung_engine_is_stopped_and_is_recorded(cli: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "state" / "ibdesk"
    assert "no drill is recorded" in cli("stop", "--drills").out

    drilled = cli("stop", "--drill")

    assert drilled.code == 0, drilled.err
    assert "{'AAPL': 5.0}, and the engine hangs" in drilled.out
    proved = re.search(r"flat ([\d.]+) s after the command; the books equal the account", drilled.out)
    assert proved is not None
    (line,) = (folder / "drills.jsonl").read_text().splitlines()
    kept = json.loads(line)
    assert (kept["where"], kept["failure"], kept["by_guardian"]) == ("gateway", "", True)
    assert kept["seconds"] == pytest.approx(float(proved[1]), abs=0.01)
    assert (folder / "drills.jsonl").stat().st_mode & 0o777 == 0o600
    listed = cli("stop", "--drills").out
    assert "proved" in listed
    assert proved[1] in listed
    # Nothing else of the drill is left in the folders of whoever drills.
    assert not list((folder / "locks").glob("*"))
    assert not list((folder / "accounts").glob("*"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--drill", "--mode", "paper"), "name the stock of which the drill buys one share, such as --symbol AAPL"),
        (("--drill", "--mode", "live", "--account", "U1234567"), "is not available for live money"),
        (("--mode", "live"), "account"),
        (("--wait", "0"), "--wait"),
    ],
)
def test_what_is_asked_in_a_wrong_way_is_refused(
    cli: Callable[..., Any], words: tuple[str, ...], sentence: str
) -> None:
    refused = cli("stop", *words)

    assert refused.code == 2
    assert sentence in refused.err
