"""Real money is not traded with default limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from ibdesk.desk import Desk, DeskSettings
from ibdesk.desk.settings import NEEDED_LIMITS
from ibdesk.errors import ConfigError, LinkError

LIMITS = {name.removeprefix("risk."): 100.0 for name in NEEDED_LIMITS}


def settings(folder: Path, risk: dict[str, float], mode: str = "live") -> DeskSettings:
    """Settings for a port on which nothing listens."""
    return DeskSettings.make(
        mode, account="U1234567" if mode == "live" else "DU1234567", port=1, state_folder=folder, risk=risk
    )


def test_each_limit_that_is_not_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mode live needs limits") as caught:
        Desk.open(settings(tmp_path, {"max_daily_loss": 1_000}))

    assert "risk.max_gross_exposure" in str(caught.value)
    assert "risk.max_position_shares" in str(caught.value)
    assert "risk.max_daily_loss" not in str(caught.value)


def test_one_limit_that_is_missing_is_enough(tmp_path: Path) -> None:
    without = {name: limit for name, limit in LIMITS.items() if name != "max_open_orders"}

    with pytest.raises(ConfigError, match=r"risk\.max_open_orders has no value in ibdesk\.toml"):
        Desk.open(settings(tmp_path, without))


@pytest.mark.parametrize(("mode", "limits"), [("live", LIMITS), ("paper", {})])
def test_with_all_limits_or_without_money_the_desk_goes_on_to_connect(
    tmp_path: Path, mode: str, limits: dict[str, float]
) -> None:
    with pytest.raises(LinkError):
        Desk.open(settings(tmp_path, limits, mode))


def test_settings_of_a_child_process_are_taken_with_their_limits(tmp_path: Path) -> None:
    told = settings(tmp_path, LIMITS).model_dump()

    DeskSettings(**told).check_limits()
