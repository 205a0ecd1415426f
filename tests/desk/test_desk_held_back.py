"""Decisions that must not leave: an order is rejected, and a change leaves its order unchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.promises.conftest import open_paper, until, venue  # noqa: F401 - fixtures

from ibdesk import Bar, Strategy
from ibdesk.desk import Desk
from ibdesk.desk.account_watch import AccountWatch
from ibdesk.engine.halts import Halts
from ibdesk.errors import OrderChangedError
from ibdesk.model import EngineSnapshot, OrderStatus, TradingState
from ibdesk.store import AccountHalts

OpenPaper = Callable[..., Desk]
Until = Callable[..., None]


class ChangesItsStop(Strategy):
    """Changes its stop in the very event in which the guardian halts, and another that it has just placed."""

    account: str = ""
    also_a_new_one: bool = False

    def on_bar(self, bar: Bar) -> None:
        if not self.state:
            self.state["step"] = "bought"
            self.buy(bar.instrument, 10)
        elif self.state["step"] == "bought" and self.position(bar.instrument).quantity == 10:
            self.state["step"], self.state["stop"] = "stopped", self.sell(bar.instrument, 10, stop=bar.close / 2)
        elif self.state["step"] == "stopped" and self._stop_is_held(bar.instrument):
            self.state["step"] = "changed"
            AccountHalts("paper", self.account).halt(
                "the loss is too large", by="guardian", at_ns=bar.opened_ns, state=TradingState.REDUCING
            )
            self.modify(self.state["stop"], quantity=7)
            if self.also_a_new_one:
                self.modify(self.buy(bar.instrument, 5, limit=bar.close * 0.99), quantity=4)

    def _stop_is_held(self, symbol: str) -> bool:
        return [order.status for order in self.open_orders(symbol)] == [OrderStatus.HELD]


class ReducesAsAnotherDeskHalts(Strategy):
    """Sells in the event in which another desk, which could not read the account's halts until now, writes its own."""

    account: str = ""

    def on_bar(self, bar: Bar) -> None:
        if not self.state:
            self.state["step"] = "bought"
            self.buy(bar.instrument, 10)
        elif self.state["step"] == "bought" and self.position(bar.instrument).quantity == 10:
            self.state["step"] = "sold"
            halts, file = Halts(), AccountHalts("paper", self.account)
            other = AccountWatch(halts, lambda _: None, lambda: bar.opened_ns, client_id=2, compare=lambda: None)
            file.path.write_bytes(b"torn")
            [unread] = other.open(file, EngineSnapshot(), bar.opened_ns).halts
            halts.put(unread)
            file.path.unlink()
            other.match()
            other.close()
            self.sell(bar.instrument, 4)


def kept(desk: Desk) -> dict[str, Any]:
    """Return the row of the stop."""
    return next(iter(desk.orders().filter(desk.orders()["type"] == "stop").to_dicts()), {})


@pytest.mark.parametrize("also_a_new_one", [False, True])
def test_a_change_that_is_held_back_leaves_the_order_as_it_is(
    open_paper: OpenPaper,  # noqa: F811
    until: Until,  # noqa: F811
    also_a_new_one: bool,
) -> None:
    desk = open_paper(**{"risk.price_collar": None})
    desk.start(ChangesItsStop(account=desk.account_id, also_a_new_one=also_a_new_one), on="AAPL", warm_up=0)
    until(lambda: bool(desk.risk().halts))

    until(lambda: kept(desk)["pending"] == "")

    row = kept(desk)
    assert (row["quantity"], row["status"]) == (10.0, "held")
    changed = desk.modify(row["id"], quantity=6, seen=row["version"])
    assert changed.pending == "change"
    until(lambda: kept(desk)["quantity"] == 6.0)
    with pytest.raises(OrderChangedError):
        desk.modify(row["id"], quantity=5, seen=row["version"])
    if also_a_new_one:
        [new] = desk.orders().filter(desk.orders()["type"] == "limit").to_dicts()
        assert (new["status"], new["reason"]) == ("rejected", "never sent: the account was halted meanwhile")
    [run] = desk.runs()
    assert (run.state, run.note) == ("running", "")


def test_no_order_leaves_while_the_accounts_halts_cannot_be_read(
    open_paper: OpenPaper,  # noqa: F811
    until: Until,  # noqa: F811
) -> None:
    """The guardian may close the position at the same time: what gets out by these books would go through zero."""
    desk = open_paper()
    desk.place("AAPL", "buy", 10)
    until(lambda: desk.positions()["quantity"].to_list() == [10.0])
    path = AccountHalts("paper", desk.account_id).path
    path.write_bytes(b"torn")
    until(lambda: bool(desk.risk().halts))

    held_back = desk.place("AAPL", "sell", 4)

    assert held_back.status == "rejected"
    assert held_back.reason.startswith(f"never sent: the halts of this account cannot be used ({path}: ")
    path.unlink()
    until(lambda: desk.place("AAPL", "sell", 1).status != "rejected")


def test_what_another_desk_could_not_read_holds_back_no_exit_of_this_one(
    open_paper: OpenPaper,  # noqa: F811
    until: Until,  # noqa: F811
) -> None:
    desk = open_paper()
    desk.start(ReducesAsAnotherDeskHalts(account=desk.account_id), on="AAPL", warm_up=0)
    until(lambda: [halt.by for halt in desk.risk().halts] == ["halts file"])

    [exit_] = desk.orders().filter(desk.orders()["side"] == "sell").to_dicts()

    assert (exit_["status"], exit_["reason"]) != ("rejected", "never sent: " + desk.risk().halts[0].reason)
    until(lambda: desk.positions()["quantity"].to_list() == [6.0])
