from __future__ import annotations

from typing import Any

import pytest

from ibdesk.store.feed import Topic
from ibdesk.views.state import BoardState


def test_the_profit_is_what_is_left_after_commissions(position: Any) -> None:
    state = BoardState()

    state.apply(
        {
            Topic.POSITIONS: [
                position("AAPL", 100, realized_pnl=50.0, unrealized_pnl=20.0, commission=3.0),
                position("MSFT", 0, realized_pnl=-10.0, unrealized_pnl=None, commission=1.0),
            ]
        }
    )

    totals = state.totals()
    assert (totals.realized, totals.unrealized, totals.commission) == (40.0, 20.0, 4.0)
    assert totals.profit == 56.0
    assert totals.open_positions == 1


def test_rows_that_come_again_change_nothing(order: Any, bar: Any) -> None:
    once, twice = BoardState(), BoardState()
    update = {Topic.ORDERS: [order(1, "sent"), order(1, "filled"), order(2, "working")], Topic.BARS: [bar(0, 101.0)]}

    once.apply(update)
    twice.apply(update)
    twice.apply(update)

    assert once.latest(Topic.ORDERS) == twice.latest(Topic.ORDERS) == [order(1, "filled"), order(2, "working")]
    assert once.count(Topic.ORDERS) == twice.count(Topic.ORDERS) == 2
    assert once.history(Topic.BARS, once.series()[0]) == twice.history(Topic.BARS, twice.series()[0])


def test_only_orders_that_can_still_fill_are_working(order: Any) -> None:
    state = BoardState()
    statuses = ["sent", "working", "unknown", "held", "filled", "cancelled", "denied", "rejected", "expired"]

    state.apply({Topic.ORDERS: [order(n, status) for n, status in enumerate(statuses)]})

    assert state.working_orders() == 4


def test_the_last_price_is_that_of_the_newest_trade_and_without_any_the_middle_of_the_quote(
    bar: Any, quote: Any
) -> None:
    """A middle lies off the grid of prices: where trades are known it is no last price."""
    state = BoardState()
    assert state.last_price("AAPL") is None

    state.apply({Topic.QUOTES: [quote("AAPL", None, 104.0)]})
    assert state.last_price("AAPL") is None

    state.apply({Topic.QUOTES: [quote("AAPL", 103.0, 104.0)]})
    assert state.last_price("AAPL") == pytest.approx(103.5)

    state.apply({Topic.BARS: [bar(0, 101.0), bar(1, 102.0)]})
    assert state.last_price("AAPL") == 102.0

    state.apply({Topic.PROGRESS: [bar(2, 102.5)]})
    assert state.last_price("AAPL") == 102.5


def test_a_profit_of_which_a_part_is_unknown_is_unknown(position: Any) -> None:
    """Books that say 300 and an account that has none: what the difference cost nobody knows."""
    ours = position("AAPL", 300, realized_pnl=0.0, unrealized_pnl=20.0, commission=1.0, owner="run")
    difference = {"owner": "external", "average_price": None, "unrealized_pnl": None, "realized_pnl": 0.0}
    state, priced = BoardState(), BoardState()

    state.apply({Topic.POSITIONS: [ours, position("AAPL", -300, commission=0.0, **difference)]})
    priced.apply({Topic.POSITIONS: [ours, position("BOND", 5, commission=0.0, **difference | {"average_price": 99.0})]})

    assert (state.totals().profit, state.totals().unrealized, state.totals().realized) == (None, None, 0.0)
    # What others hold in an instrument that nobody follows is not ours.
    assert priced.totals().profit == 19.0
