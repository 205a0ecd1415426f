"""Displayed figures mean what their names say: last is a trade, net liquidation follows the profit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ibdesk.desk import Desk
from ibdesk.desk.ledger import Ledger
from ibdesk.desk.marks import Marks
from ibdesk.desk.unanswered import Unanswered
from ibdesk.engine import Engine
from ibdesk.model import Fill, Forex, PlaceRequest, Quote, Side, Stock, WatchMarket
from ibdesk.store import Feed, Topic
from ibdesk.strategy import Strategy
from ibdesk.views.state import BoardState, Totals
from ibdesk.views.summary import _liquidation

OpenDesk = Callable[..., Desk]
Watch = Callable[[Desk], Any]


def test_last_is_a_price_at_which_was_traded_and_the_middle_has_its_own_name(open_desk: OpenDesk, watch: Watch) -> None:
    desk = open_desk(gateway={"port": 0, "speed": 20})
    desk.place("AAPL", "buy", 10)
    desk.place("EUR.USD", "buy", 20_000)

    for row in watch(desk).wait_for(Topic.POSITIONS, symbol="AAPL", quantity=10.0, count=12):
        last = row["last_price"]
        assert last is None or last == pytest.approx(round(last, 2), abs=1e-9)
        assert row["mark_price"] is not None
    [pair] = desk.positions().filter(symbol="EUR.USD").to_dicts()
    # No trades of currencies are told: the middle of their quote is no last price.
    assert pair["last_price"] is None
    assert pair["mark_price"] > 0


def test_net_liquidation_moves_with_the_profit_shown_beside_it() -> None:
    """TWS told 1,000,050 when positions had earned 50; they have earned 80 by now."""
    positions = [
        {"owner": "run", "symbol": "AAPL", "quantity": 10.0, "average_price": 100.0, "commission": 1.0}
        | {"realized_pnl": 0.0, "unrealized_pnl": 80.0}
    ]
    account = {"net_liquidation": 1_000_050.0, "gross_pnl": 50.0}

    assert _liquidation(account, Totals(positions)) == 1_000_080.0
    # What is unknown moves nothing, and an unknown value stays unknown.
    assert _liquidation(account | {"gross_pnl": None}, Totals(positions)) == 1_000_050.0
    assert _liquidation(account | {"net_liquidation": None}, Totals(positions)) is None


def test_an_account_report_carries_the_profit_of_its_moment(open_desk: OpenDesk, watch: Watch) -> None:
    desk = open_desk(gateway={"port": 0})
    watcher = watch(desk)
    desk.place("AAPL", "buy", 10)

    watcher.wait_for(Topic.FILLS, symbol="AAPL")
    rows = watcher.wait_for(Topic.ACCOUNT)

    assert all("gross_pnl" in row for row in rows)
    state = BoardState()
    state.apply({Topic.ACCOUNT: rows})
    assert state.totals().profit == 0.0


def test_the_profit_of_all_is_in_the_currency_of_the_account() -> None:
    engine, feed = Engine(strategies=lambda _: Strategy()), Feed()
    sony = Stock("6758", exchange="TSEJ", currency="JPY")
    engine.handle(WatchMarket(Forex("USD", currency="JPY"), 1))
    engine.handle(Quote("USD.JPY", 2, 150.0, 150.0, 1.0, 1.0))
    engine.handle(PlaceRequest(order_id="m1", instrument=sony, side=Side.BUY, quantity=100, at_ns=3))
    engine.handle(
        Fill(
            execution_id="e1",
            order_id="m1",
            instrument=sony.id,
            side=Side.BUY,
            quantity=100,
            price=3_000.0,
            at_ns=4,
        )
    )
    engine.handle(Quote(sony.id, 5, 4_500.0, 4_500.0, 1.0, 1.0))

    Marks(engine, Ledger(engine, Unanswered(engine.blotter)), feed).publish()

    # 150,000 yen are 1,000 dollars.
    assert feed.snapshot([Topic.PNL])[Topic.PNL][-1]["pnl"] == pytest.approx(1_000)
