"""Promise 5: the same events give the same decisions, also for a life that took over from another."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ibdesk.desk import Desk, DeskSettings
from ibdesk.gateway import GatewaySettings, GatewayThread, make_gateway
from ibdesk.store import AccountHalts, replay


def test_a_life_replays_equal_when_its_account_was_halted_between_the_lives(tmp_path: Path) -> None:
    """The halt is in no journal of the life before: it came from the account's own file."""
    with GatewayThread(make_gateway(GatewaySettings(port=0))) as gateway:
        settings = DeskSettings.make("paper", port=gateway.port, state_folder=tmp_path)
        with contextlib.closing(Desk.open(settings)) as desk:
            desk.place("IBM", "buy", 1)
            account, first = desk.account_id, Path(desk.journal_path)
        AccountHalts("paper", account).halt("the loss is too large", by="guardian", at_ns=1)
        with contextlib.closing(Desk.open(settings)) as desk:
            assert [halt.by for halt in desk.risk().halts] == ["guardian"]
            second = Path(desk.journal_path)

    assert replay(second).earlier == first.name
