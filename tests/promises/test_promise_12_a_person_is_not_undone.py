"""Promise 12: nothing a person does at the broker is undone.

A second, unmodified client trades in the account, withdraws an order of ours, and closes a position of ours; a hand at
TWS changes an order. Strategies run meanwhile and want what they wanted before.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ibdesk.desk import Desk
from ibdesk.errors import OrderDeniedError
from ibdesk.gateway import GatewayThread
from ibdesk.model import Link

OpenDesk = Callable[..., Desk]
Until = Callable[..., None]
WriteStrategy = Callable[[str, str], Path]

# Wants a hundred, at each bar anew.
HOLD = """
def target(self) -> pl.Expr:
    return pl.lit(100)
"""
# Keeps an entry far below the market, at each bar anew: places it where it is missing, and puts its price right.
REST = """
def on_bar(self, bar: Bar) -> None:
    self.state["bars"] = self.state.get("bars", 0) + 1
    orders = self.open_orders(bar.instrument)
    if not orders and not self.position(bar.instrument).quantity:
        self.state["price"] = round(bar.close * 0.5, 2)
        self.buy(bar.instrument, 100, limit=self.state["price"])
    for order in orders:
        if order.limit_price != self.state["price"]:
            self.modify(order.id, limit=self.state["price"])
"""


def orders_at(venue: GatewayThread) -> list[tuple[str, str]]:
    """Return each order that the venue ever had of our runs: its name and its status."""
    records = venue.call(lambda: list(venue.gateway.venue.records.values()))
    named = [(record.request.text("orderRef"), record.status) for record in records]
    return [each for each in named if each[0]]


def held(venue: GatewayThread) -> float:
    """Return what the account holds of AAPL."""
    return sum(each.position.quantity for each in venue.call(lambda: list(venue.gateway.accounts.main.held())))


def holds(desk: Desk, owner: str) -> float:
    rows = desk.positions().filter((pl.col("owner") == owner) & (pl.col("symbol") == "AAPL"))
    return 0.0 if rows.is_empty() else float(rows["quantity"].item())


def decide(desk: Desk, until: Until, bars: int = 10) -> None:
    """Let some bars pass, on each of which runs decide."""
    seen = desk.health().events
    until(lambda: desk.health().events > seen + 20 * bars)


@pytest.fixture
def holder(open_paper: OpenDesk, until: Until, write_strategy: WriteStrategy) -> tuple[Desk, str]:
    """A desk with a run that holds a hundred, and wants just that."""
    desk = open_paper()
    run = desk.start(write_strategy("hold", HOLD), on=["AAPL"], warm_up=0)
    until(lambda: holds(desk, run) == 100)
    return desk, run


@pytest.fixture
def rester(open_paper: OpenDesk, until: Until, write_strategy: WriteStrategy) -> tuple[Desk, str, str]:
    """A desk with a run whose entry rests at the venue, and the order's name."""
    desk = open_paper()
    run = desk.start(write_strategy("rest", REST), on=["AAPL"], warm_up=0)
    until(lambda: desk.orders().filter(status="working").height == 1)
    return desk, run, desk.orders()["id"].item()


def external_halts(desk: Desk) -> list[str]:
    return [halt.scope for halt in desk.risk().halts if halt.by == "external"]


def test_what_a_person_buys_stays(holder: tuple[Desk, str], venue: GatewayThread, person: Any, until: Until) -> None:
    desk, run = holder

    person.trade(("BUY", 30))
    until(lambda: holds(desk, "external") == 30, seconds=15)
    decide(desk, until)

    assert (holds(desk, run), held(venue)) == (100, 130)
    assert [status for _, status in orders_at(venue)] == ["Filled"]
    assert external_halts(desk) == []


def test_a_position_that_a_person_closed_is_not_opened_again(
    holder: tuple[Desk, str], venue: GatewayThread, person: Any, until: Until
) -> None:
    desk, run = holder

    person.trade(("SELL", 100))
    until(lambda: external_halts(desk) == [f"run:{run}"], seconds=15)
    decide(desk, until)
    desk.accept_external("AAPL")
    decide(desk, until)

    assert (holds(desk, run), holds(desk, "external"), held(venue)) == (0, 0, 0)
    assert len(orders_at(venue)) == 1
    # It is one run that waits for a person: the book of the hand goes on, and so does the link.
    assert desk.place("AAPL", "buy", 1).status == "sent"
    assert desk.health().link is Link.UP
    [halt] = desk.risk().halts
    desk.resume("it may buy again", id=halt.id)
    until(lambda: holds(desk, run) == 100)


def test_an_order_that_a_person_cancelled_is_not_placed_again(
    rester: tuple[Desk, str, str], venue: GatewayThread, person: Any, until: Until
) -> None:
    desk, run, entry = rester

    person.cancel(entry)
    until(lambda: external_halts(desk) == [f"run:{run}"], seconds=15)
    decide(desk, until)

    assert orders_at(venue) == [(entry, "Cancelled")]
    assert f"order {entry} (AAPL) was cancelled at the broker" in desk.risk().halts[0].reason


def test_an_order_that_a_person_changed_stays_as_it_is(
    rester: tuple[Desk, str, str], venue: GatewayThread, person: Any, until: Until
) -> None:
    desk, run, entry = rester

    person.change(entry, lmtPrice=1.5, totalQuantity=40)
    until(lambda: external_halts(desk) == [f"run:{run}"], seconds=15)
    decide(desk, until)

    order = desk.orders().filter(id=entry).to_dicts()[0]
    assert (order["status"], order["limit_price"], order["quantity"]) == ("working", 1.5, 40)
    assert orders_at(venue) == [(entry, "Submitted")]
    [record] = venue.call(lambda: list(venue.gateway.venue.open_orders()))
    assert (record.terms.limit, record.order.quantity) == (1.5, 40)


def test_what_a_person_cancelled_while_the_engine_was_away_is_not_placed_again(
    rester: tuple[Desk, str, str],
    venue: GatewayThread,
    person: Any,
    until: Until,
    open_paper: OpenDesk,
    write_strategy: WriteStrategy,
) -> None:
    desk, run, entry = rester
    desk.close()
    person.cancel(entry)

    desk = open_paper()
    assert desk.start(write_strategy("rest", REST), on=["AAPL"], warm_up=0) == run
    assert external_halts(desk) == [f"run:{run}"]
    decide(desk, until)

    assert orders_at(venue) == [(entry, "Cancelled")]


def test_a_round_trip_by_a_person_is_shown_although_no_position_shows_it(
    holder: tuple[Desk, str], venue: GatewayThread, person: Any, until: Until
) -> None:
    desk, run = holder

    person.trade(("BUY", 30), ("SELL", 30))
    until(lambda: desk.fills().filter(owner="external").height == 2, seconds=15)
    decide(desk, until)

    assert (holds(desk, run), holds(desk, "external"), held(venue)) == (100, 0, 100)
    assert len(orders_at(venue)) == 1
    until(lambda: desk.reconciliation().is_empty(), seconds=15)


def test_a_hand_order_of_the_desk_beside_a_position_that_a_person_closed_is_refused(
    open_paper: OpenDesk, venue: GatewayThread, person: Any, until: Until
) -> None:
    desk = open_paper()
    desk.place("AAPL", "buy", 20)
    until(lambda: holds(desk, "manual") == 20)

    person.trade(("SELL", 20))
    until(lambda: desk.risk().uncovered == {"AAPL": 20.0}, seconds=15)

    with pytest.raises(OrderDeniedError, match="external_trade"):
        desk.flatten()
    until(lambda: desk.reconciliation().height == 1)
    [row] = desk.reconciliation().to_dicts()
    assert (row["kind"], row["subject"], row["books"], row["account"]) == ("cover", "AAPL", 20, 0)
    assert held(venue) == 0
