"""While TWS is away by plan, and in the guard time before, no order leaves that opens a position; exits do."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from ibdesk.desk import Desk, DeskSettings
from ibdesk.errors import LinkError
from ibdesk.gateway.faults import At, FaultScript, Restart
from ibdesk.model import Link, nanoseconds
from ibdesk.testing.gateway import STEPPED_START, RunningGateway
from ibdesk.tws import TwsSettings
from ibdesk.tws.calendar_settings import CalendarSettings

pytestmark = [pytest.mark.proof, pytest.mark.timeout(180)]

MINUTE = 60.0
# The gateway's clock begins at 10:00 in New York; TWS restarts at 10:03 and is to be back at 10:05.
CALENDAR = CalendarSettings(
    region="none", zone="America/New_York", restart_time="10:03", restart_minutes=2, guard_minutes=1
)
GUARD, ENDS = (nanoseconds(STEPPED_START) + int(minutes * MINUTE * 1e9) for minutes in (2, 5))
BUYS_AND_SELLS = """
from ibdesk import Bar, Strategy


class BuysAndSells(Strategy):
    def on_bar(self, bar: Bar) -> None:
        self.buy(bar.instrument, 2)
        self.sell(bar.instrument, 1)
"""


def test_no_opening_order_reaches_tws_from_the_guard_time_to_the_end_of_a_restart(tmp_path: Path) -> None:
    (tmp_path / "buys_and_sells.py").write_text(BUYS_AND_SELLS)
    faults = FaultScript((At(3 * MINUTE, Restart(for_seconds=MINUTE)),))
    with RunningGateway(clock="stepped", symbols=("AAPL",), faults=faults) as gateway:
        tws = TwsSettings(port=gateway.port, calendar=CALENDAR, reconnect_last_seconds=0.25)
        settings = DeskSettings(mode="paper", state_folder=tmp_path / "state", tws=tws)
        with Desk.open(settings, clock=gateway.clock) as desk:
            desk.start(tmp_path / "buys_and_sells.py", on=["AAPL"])
            for _ in range(int(6 * MINUTE / 5)):
                gateway.advance(5)
                with contextlib.suppress(LinkError):
                    desk.catch_up()
            # TWS came back a minute after it went, in one step for a desk that reconnects by the wall's clock.
            gateway.wait_until(lambda: desk.health().link is Link.UP, what="link")
            gateway.advance(MINUTE)
            desk.catch_up()
            asked = desk.orders()
        arrived = len(gateway.orders)

    sent = [(nanoseconds(row["created_at"]), row["side"]) for row in asked.to_dicts() if row["status"] != "denied"]
    assert len(sent) == arrived
    inside = [side for at_ns, side in sent if GUARD <= at_ns < ENDS]
    assert "buy" not in inside
    assert inside.count("sell") >= 5
    assert [side for at_ns, side in sent if at_ns < GUARD].count("buy") >= 10
    assert [side for at_ns, side in sent if at_ns >= ENDS].count("buy") >= 1
    denied = asked.filter(asked["reason"].str.contains("TWS restarts until"))
    assert denied["status"].unique().to_list() == ["denied"]
    assert denied.height >= 5
