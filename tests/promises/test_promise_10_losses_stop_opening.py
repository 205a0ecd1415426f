"""Promise 10: a loss beyond its limit stops opening orders within one price change, and flattens if told to.

With the engine alive, as here; the guardian does the same when it hangs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.stack import eventually

from ibdesk.desk import Desk
from ibdesk.errors import OrderDeniedError
from ibdesk.gateway.faults import Gap
from ibdesk.strategy import Strategy


class Holds(Strategy):
    """Holds a thousand shares, and has an order wait far below the market that would add to them."""

    def on_quote(self, quote: Any) -> None:
        if not self.state:
            self.state["begun"] = 1
            self.buy(quote.instrument, 1_000)
            self.buy(quote.instrument, 10, limit=round(quote.bid * 0.5, 2))


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Ask again and again until it holds; each question goes to another thread."""
    eventually(holds, "it holds", seconds=seconds)


@pytest.fixture
def desk(tmp_path: Any) -> Iterator[Desk]:
    """A desk that may lose 2,000 a day and closes all positions then."""
    risk = {"max_daily_loss": 2_000.0, "on_daily_loss": "flatten", "max_bar_lateness_seconds": 60.0}
    with Desk.open("embedded", state_folder=tmp_path, risk=risk) as desk:
        yield desk


def test_a_loss_beyond_its_limit_halts_cancels_and_flattens(desk: Desk) -> None:
    run = desk.start(Holds, on="IBM", warm_up=0)
    until(lambda: desk.positions()["quantity"].to_list() == [1_000])
    until(lambda: "working" in desk.orders()["status"].to_list())

    desk.faults.cause(Gap(percent=-10.0, for_seconds=60))

    until(lambda: bool(desk.risk().halts))
    [halt] = desk.risk().halts
    assert (halt.by, halt.scope, halt.state) == ("risk", "desk", "halted")
    assert "beyond risk.max_daily_loss of 2000" in halt.reason
    # A tenth of 1,000 shares is far more than 2,000: the first price after the gap has shown it.
    until(lambda: not any(desk.positions()["quantity"].to_list()))
    orders = {order["quantity"]: order for order in desk.orders().to_dicts() if order["owner"] == run}
    assert orders[10.0]["status"] == "cancelled"
    with pytest.raises(OrderDeniedError, match="trading is halted"):
        desk.place("IBM", "buy", 1)
    desk.resume("a new day", id=halt.id)
    # The loss is still there, so it halts again at once.
    assert [each.id != halt.id for each in desk.risk().halts] == [True]


def test_a_limit_that_flattens_closes_what_was_ordered_by_hand_too(desk: Desk) -> None:
    desk.place("IBM", "buy", 1_000)
    until(lambda: desk.positions()["quantity"].to_list() == [1_000])
    resting = desk.place("IBM", "sell", 1_000, limit=10_000)

    desk.faults.cause(Gap(percent=-10.0, for_seconds=60))

    until(lambda: bool(desk.risk().halts))
    until(lambda: not any(desk.positions()["quantity"].to_list()))
    orders = {order["id"]: order for order in desk.orders().to_dicts()}
    assert orders[resting.id]["status"] == "cancelled"
    [closing] = [order for order in orders.values() if order["by"] == "risk"]
    assert (closing["side"], closing["filled"]) == ("sell", 1_000)


def test_a_person_halts_one_run_or_one_instrument_and_the_others_go_on(desk: Desk) -> None:
    halt = desk.halt("its spread looks wrong", scope="instrument:IBM", state="reducing")

    with pytest.raises(OrderDeniedError, match="trading is halted"):
        desk.place("IBM", "buy", 1)
    assert desk.place("AAPL", "buy", 1).status != "denied"
    desk.resume("it was not", id=halt.id)
    assert desk.place("IBM", "buy", 1).status != "denied"


def test_a_budget_halts_its_run_alone(desk: Desk) -> None:
    run = desk.start(Holds, on="IBM", warm_up=0, budget={"max_daily_loss": 100.0})
    until(lambda: desk.positions()["quantity"].to_list() == [1_000])

    desk.faults.cause(Gap(percent=-0.3, for_seconds=60))

    until(lambda: bool(desk.risk().halts))
    assert desk.risk().halts[0].scope == f"run:{run}"
    assert desk.place("AAPL", "buy", 1).status != "denied"
