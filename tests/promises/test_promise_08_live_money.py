"""Promise 8: live money needs `mode = "live"` and the account id, spelled out.

Every other mode refuses an account that is not a paper account, before it asks TWS for anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.stack import LIVE_LIMITS

from ibdesk.clock import SystemClock
from ibdesk.desk import Desk, DeskSettings
from ibdesk.errors import ConfigError
from ibdesk.model import Link
from ibdesk.tws import TwsService


def test_live_money_needs_the_account_spelled_out(desk: Desk, tmp_path: Path) -> None:
    port = int(desk.address.rpartition(":")[2])

    with pytest.raises(ConfigError, match="spell out the account"):
        Desk.open("live", port=port, state_folder=tmp_path / "other")
    with pytest.raises(ConfigError, match="U7654321 is not managed by TWS"):
        Desk.open("live", port=port, client_id=9, account="U7654321", state_folder=tmp_path / "other", risk=LIVE_LIMITS)


def test_paper_refuses_an_account_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="U7654321 is not a paper account"):
        DeskSettings.make("paper", account="U7654321", state_folder=tmp_path)


@pytest.mark.parametrize(
    ("accounts", "settings", "sentence"),
    [
        # A TWS that is logged in to live trading where paper trading was meant.
        ("U1234567", {}, "U1234567 is not a paper account"),
        ("DU1,DU2", {}, "manages 2 accounts"),
        ("DU1", {"account": "DU2"}, "DU2 is not managed by TWS"),
        ("U1,U2", {"account": "U3", "mode": "live"}, "U3 is not managed by TWS"),
    ],
)
async def test_an_account_that_may_not_be_traded_is_refused_before_anything_is_asked(
    script: Any, words: Any, accounts: str, settings: dict[str, Any], sentence: str
) -> None:
    script.accounts = accounts

    with pytest.raises(ConfigError, match=sentence):
        await TwsService(
            words.settings(script.port, **settings), clock=SystemClock(), on_event=lambda event: None
        ).connect()

    assert [fields[0] for fields in script.received] == ["71"]


async def test_live_money_is_traded_when_its_account_is_spelled_out(script: Any, start_tws: Any) -> None:
    script.accounts = "U1,U2"

    running = await start_tws(script.port, account="U2", mode="live")

    assert (running.service.account_id, running.service.link) == ("U2", Link.UP)
