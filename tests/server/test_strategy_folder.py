"""The folder of strategies: its files are run in processes of their own, never in the server's."""

from __future__ import annotations

from pathlib import Path

import pytest

from ibdesk.desk.strategy_limits import TrialLimits
from ibdesk.errors import StrategyError
from ibdesk_server.strategy_folder import StrategyFolder

GOOD = "from ibdesk import Strategy\n\n\nclass Good(Strategy):\n    size: int = 1\n"


def test_a_file_that_never_ends_is_told_of_beside_the_others(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text("while True:\n    pass\n")
    (tmp_path / "good.py").write_text(GOOD)
    folder = StrategyFolder(tmp_path, TrialLimits(seconds=1.0))

    endless, good = folder.files()

    assert endless.error is not None
    assert endless.error.startswith(f"{tmp_path}/endless.py takes more than 1 s to load: ")
    assert (good.class_name, good.error) == ("Good", None)
    assert good.parameters["properties"]["size"]["type"] == "integer"


def test_parameters_are_checked_without_running_the_file_here(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(GOOD)
    folder = StrategyFolder(tmp_path)

    folder.check(tmp_path / "good.py", {"size": 2})
    with pytest.raises(StrategyError, match="Good cannot have these parameters: size: "):
        folder.check(tmp_path / "good.py", {"size": "many"})
