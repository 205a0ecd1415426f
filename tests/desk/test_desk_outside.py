"""Trades in the account outside the desk: they are detected, have no invented price, and a person decides."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.stack import eventually

from ibdesk.data import sample_daily_bars
from ibdesk.desk import Desk, DeskSettings
from ibdesk.errors import DeskError, OrderDeniedError
from ibdesk.gateway import GatewaySettings, GatewayThread, make_gateway
from ibdesk.gateway.faults import Drop
from ibdesk.store import Topic, replay

Watch = Callable[[Desk], Any]
WriteStrategy = Callable[[str, str], Path]
CLIENT = 33

# Buys a hundred at its first bar; sells them at every later bar once it is told to.
_HOLDER = """
leave: bool = False

def on_bar(self, bar: Bar) -> None:
    if "bought" not in self.state:
        self.state["bought"] = self.buy(bar.instrument, 100)
    elif self.leave and self.position(bar.instrument).quantity > 0 and "sold" not in self.state:
        self.state["sold"] = self.sell(bar.instrument, 100)
"""


def make_venue() -> GatewayThread:
    """Return a gateway that plays real prices at fifty times their speed."""
    settings = GatewaySettings(port=0, replay=Path("sample"), play_each_over_seconds=5, start=1500, speed=50.0)
    return GatewayThread(make_gateway(settings, bars=sample_daily_bars()))


@pytest.fixture
def venue() -> Iterator[GatewayThread]:
    """A gateway that outlives the desks of a test."""
    with make_venue() as thread:
        yield thread


@pytest.fixture
def open_paper(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    with contextlib.ExitStack() as stack:

        def make(venue: GatewayThread, **changes: Any) -> Desk:
            usual = {
                "port": venue.gateway.port,
                "client_id": CLIENT,
                "state_folder": tmp_path,
                "tws.settle_seconds": 2.0,
            }
            return stack.enter_context(contextlib.closing(Desk.open(DeskSettings.make("paper", **usual | changes))))

        yield make


def by_hand(venue: GatewayThread, action: str, quantity: float) -> float:
    """Trade AAPL as a person at TWS does, and return the price."""
    venue.call(lambda: venue.gateway.place_by_hand("AAPL", action, quantity))
    return venue.call(lambda: venue.gateway.venue.executions[-1].fill.price)


def held(venue: GatewayThread) -> float:
    """Return what the account at the venue holds."""
    return sum(holding.position.quantity for holding in venue.call(venue.gateway.accounts.main.held))


def position(desk: Desk, owner: str) -> dict[str, Any]:
    rows = desk.positions().filter(pl.col("owner") == owner).to_dicts()
    return rows[0] if rows else {}


def replays(desk: Desk) -> bool:
    journal = Path(desk.journal_path)
    desk.close()
    return replay(journal).events > 0


def test_a_sale_by_hand_is_booked_to_external_within_seconds(
    venue: GatewayThread, open_paper: Callable[..., Desk], watch: Watch
) -> None:
    desk = open_paper(venue)
    watcher = watch(desk)
    desk.place("AAPL", "buy", 100)
    watcher.wait_for(Topic.POSITIONS, owner="manual", quantity=100.0)

    price = by_hand(venue, "SELL", 100)

    watcher.wait_for(Topic.POSITIONS, owner="external", quantity=-100.0, seconds=10)
    assert position(desk, "external")["average_price"] == price
    with pytest.raises(OrderDeniedError, match="external_trade"):
        desk.place("AAPL", "sell", 100)
    assert held(venue) == 0
    assert desk.risk().uncovered == {"AAPL": 100.0}
    assert replays(desk)


def test_what_no_execution_tells_is_booked_at_the_last_price_and_told(
    venue: GatewayThread, open_paper: Callable[..., Desk], watch: Watch
) -> None:
    desk = open_paper(venue)
    watcher = watch(desk)
    desk.place("AAPL", "buy", 100)
    watcher.wait_for(Topic.POSITIONS, owner="manual", quantity=100.0)
    venue.faults.cause(Drop(messages=("execDetails",), count=0))

    by_hand(venue, "BUY", 50)

    [alert] = watcher.wait_for(Topic.ALERTS, origin="external", severity="warning", seconds=15)
    assert "AAPL: the account holds 150 but the books say 100. The difference of 50 is booked" in alert["text"]
    row = position(desk, "external")
    assert row["quantity"] == 50
    # It counts from the price of that moment on: what it earns since is what the price has moved.
    assert math.isclose(row["unrealized_pnl"], 50 * (row["mark_price"] - row["average_price"]))
    assert desk.risk().uncovered == {}


def test_a_position_flattened_while_the_engine_was_away_is_not_sold_again(
    venue: GatewayThread,
    open_paper: Callable[..., Desk],
    watch: Watch,
    write_strategy: WriteStrategy,
) -> None:
    path = write_strategy("holder", _HOLDER)
    desk = open_paper(venue)
    run = desk.start(path, on=["AAPL"], warm_up=0)
    watch(desk).wait_for(Topic.POSITIONS, owner=run, quantity=100.0)
    desk.close()
    by_hand(venue, "SELL", 100)

    desk = open_paper(venue)
    watcher = watch(desk)

    [alert] = watcher.wait_for(Topic.ALERTS, origin="external", severity="error")
    assert f"AAPL: 100 sold outside this desk; the books say {run} (100), and the account covers 0" in alert["text"]
    assert desk.start(path, on=["AAPL"], warm_up=0) == run
    desk.change_parameters(run, {"leave": True})
    watcher.wait_for(Topic.RISK, kind="denied", rule="external_trade")
    assert held(venue) == 0
    desk.accept_external("AAPL")
    assert position(desk, run)["quantity"] == 0
    assert position(desk, "external")["quantity"] == 0
    assert desk.risk().uncovered == {}
    bought, sold = (desk.fills().filter(side=side, owner=run) for side in ("buy", "sell"))
    earned = 100 * (sold["price"].item() - bought["price"].item())
    assert math.isclose(position(desk, run)["realized_pnl"], earned)
    # A second acceptance has nothing to accept.
    with pytest.raises(DeskError, match="has no position"):
        desk.accept_external("AAPL")
    assert held(venue) == 0
    assert replays(desk)


def test_books_of_an_account_that_is_empty_show_no_invented_profit(
    venue: GatewayThread, open_paper: Callable[..., Desk], watch: Watch, write_strategy: WriteStrategy
) -> None:
    path = write_strategy("holder", _HOLDER)
    desk = open_paper(venue)
    run = desk.start(path, on=["AAPL"], warm_up=0)
    watch(desk).wait_for(Topic.POSITIONS, owner=run, quantity=100.0)
    port = venue.gateway.port
    desk.close()
    venue.stop()

    settings = GatewaySettings(port=port, replay=Path("sample"), play_each_over_seconds=5, start=1500, speed=50.0)
    with GatewayThread(make_gateway(settings, bars=sample_daily_bars())) as other:
        desk = open_paper(other)
        watcher = watch(desk)

        texts = [row["text"] for row in watcher.wait_for(Topic.ALERTS, origin="external", count=2)]
        assert any("the account holds 0 but the books say 100. The difference of -100" in text for text in texts)
        # The desk asks by itself for the price of what the earlier desk's run holds; until it comes none is shown.
        eventually(lambda: position(desk, "external")["average_price"], "a price of the difference")
        row = position(desk, "external")
        # Ours counts from what it cost, the difference from the first price on, so that nothing is made up.
        ours = position(desk, run)
        assert abs(row["unrealized_pnl"]) < 0.2 * abs(ours["quantity"] * ours["mark_price"])
        assert replays(desk)
