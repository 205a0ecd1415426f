"""One desk meets everything that once ended or misled a desk, twice over, and its journals replay equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ibdesk.data import sample_daily_bars
from ibdesk.desk import Desk, DeskSettings
from ibdesk.errors import DeskError, HistoryError, InstrumentError, OrderDeniedError
from ibdesk.gateway import GatewaySettings, GatewayThread, make_gateway
from ibdesk.gateway.faults import Drop, LeaveUnset
from ibdesk.store import Topic, replay

Watch = Callable[[Desk], Any]
WriteStrategy = Callable[[str, str], Path]

_HOLD = """
size: int = 100

def target(self):
    return pl.lit(float(self.size))
"""


@pytest.fixture
def venue() -> Iterator[GatewayThread]:
    """A TWS that plays real prices, knows no invented names, and is used by other people too."""
    settings = GatewaySettings(
        port=0, replay=Path("sample"), play_each_over_seconds=5, start=1500, speed=50.0, invent=False
    )
    with GatewayThread(make_gateway(settings, bars=sample_daily_bars())) as thread:
        yield thread


def by_hand(venue: GatewayThread, symbol: str, action: str, quantity: float) -> None:
    venue.call(lambda: venue.gateway.place_by_hand(symbol, action, quantity))


def held(desk: Desk, owner: str, symbol: str) -> float:
    rows = desk.positions().filter(pl.col("owner") == owner, pl.col("symbol") == symbol)
    return float(rows["quantity"].sum())


def test_a_journal_of_a_desk_that_met_all_of_it_replays_equal(
    venue: GatewayThread, tmp_path: Path, watch: Watch, write_strategy: WriteStrategy
) -> None:
    def asked(**changes: Any) -> DeskSettings:
        usual = {"port": venue.gateway.port, "client_id": 33, "state_folder": tmp_path, "answer_alert_seconds": 1}
        # A position that no execution explains stands once two answers so far apart agree.
        usual["tws.settle_seconds"] = 2.0
        return DeskSettings.make("paper", **usual | changes)

    path = write_strategy("hold", _HOLD)
    desk = Desk.open(asked())
    watcher = watch(desk)

    # The desk that is not the one asked for.
    assert Desk.open(asked()) is desk
    with pytest.raises(DeskError, match=r"risk\."):
        Desk.open(asked(risk={"max_daily_loss": 5}))

    # A cell that is run again; a name that nobody lists; history that is not there.
    run = desk.start(path, on=["AAPL"], warm_up=0)
    assert desk.start(path, on=["AAPL"], warm_up=0) == run
    with pytest.raises(DeskError, match="size is 100, not 120"):
        desk.start(path, on=["AAPL"], warm_up=0, parameters={"size": 120})
    with pytest.raises(InstrumentError):
        desk.place("NOPE", "buy", 1)
    with pytest.raises(HistoryError, match="were requested"):
        desk.history("AAPL", bar="1 day", count=20_000)
    watcher.wait_for(Topic.POSITIONS, owner=run, symbol="AAPL", quantity=100.0)

    # Figures that TWS leaves unset: in rows of the account, of positions, and in a commission.
    for message in ("accountValue", "position", "commissionReport"):
        venue.faults.cause(LeaveUnset(messages=(message,), count=3))
    unset = desk.place("IBM", "buy", 10)
    watcher.wait_for(Topic.ORDERS, id=unset.id, status="filled")
    by_hand(venue, "MSFT", "BUY", 5)
    watcher.wait_for(Topic.POSITIONS, owner="external", symbol="MSFT", quantity=5.0)
    shown = [*desk.fills()["commission"], *desk.positions()["average_price"], *desk.positions()["unrealized_pnl"]]
    assert all(figure is None or abs(figure) < 1e12 for figure in shown)

    # An answer that does not come, and a version that a status leaves alone.
    limit = round(float(desk.quotes().filter(symbol="IBM")["bid"].item()) * 0.8, 2)
    resting = desk.place("IBM", "buy", 10, limit=limit)
    desk.modify(resting.id, quantity=11, seen=resting.version)
    watcher.wait_for(Topic.ORDERS, id=resting.id, quantity=11.0)
    venue.faults.cause(Drop(messages=("cancelOrder",), count=1))
    desk.cancel(resting.id)
    watcher.wait_for(Topic.ORDERS, id=resting.id, pending="cancel")
    watcher.wait_for(Topic.ALERTS, origin="link", severity="warning")

    # Somebody sells in TWS what the run holds, and it is not sold again.
    by_hand(venue, "AAPL", "SELL", 100)
    watcher.wait_for(Topic.ALERTS, origin="external", severity="error")
    assert desk.risk().uncovered == {"AAPL": 100.0}
    desk.change_parameters(run, {"size": 0})
    watcher.wait_for(Topic.RISK, kind="denied", rule="external_trade")
    desk.accept_external("AAPL")
    assert held(desk, run, "AAPL") == 0

    # Denials by a halt and by another rule.
    desk.halt("lunch")
    with pytest.raises(OrderDeniedError):
        desk.place("IBM", "buy", 10)
    by_hand_halt, lunch = desk.risk().halts
    assert (by_hand_halt.by, by_hand_halt.scope, lunch.reason) == ("external", f"run:{run}", "lunch")
    desk.resume("back", id=lunch.id)
    desk.change_limits({"max_notional": 1})
    with pytest.raises(OrderDeniedError):
        desk.place("IBM", "buy", 10)
    first = Path(desk.journal_path)
    desk.close()

    # A second life, in which somebody has sold what was bought by hand, and TWS tells of no execution.
    by_hand(venue, "IBM", "SELL", 10)
    venue.faults.cause(Drop(messages=("execDetails",), count=0))
    desk = Desk.open(asked())
    watcher = watch(desk)
    watcher.wait_for(Topic.ALERTS, origin="external", severity="error")
    assert desk.risk().uncovered == {"IBM": 10.0}
    assert held(desk, "manual", "IBM") + held(desk, "external", "IBM") == 0
    second = Path(desk.journal_path)
    desk.close()

    assert replay(first).events > 100
    assert replay(second).events > 5
