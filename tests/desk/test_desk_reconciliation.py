"""The account is compared with the books while the desk is up: differences are reported with their age."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ibdesk.desk import Desk, DeskSettings
from ibdesk.errors import InstrumentError, OrderError
from ibdesk.gateway import GatewaySettings, GatewayThread, make_gateway
from ibdesk.store import Topic, replay

Watch = Callable[[Desk], Any]


@pytest.fixture
def venue() -> Iterator[GatewayThread]:
    """A gateway with a market of its own, which outlives the desks of a test."""
    with GatewayThread(make_gateway(GatewaySettings(port=0))) as thread:
        yield thread


@pytest.fixture
def open_paper(venue: GatewayThread, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    with contextlib.ExitStack() as stack:

        def make(**changes: Any) -> Desk:
            usual = {
                "port": venue.gateway.port,
                "client_id": 33,
                "state_folder": tmp_path,
                "desk.compare_seconds": 5,
                "desk.cash_grace_seconds": 1,
            }
            return stack.enter_context(contextlib.closing(Desk.open(DeskSettings.make("paper", **usual | changes))))

        yield make


def bought(desk: Desk, watcher: Any, quantity: float) -> None:
    order = desk.place("AAPL", "buy", quantity)
    watcher.wait_for(Topic.ORDERS, id=order.id, status="filled")


def test_a_deposit_is_told_as_external_cash_and_trades_of_ours_are_not(
    venue: GatewayThread, open_paper: Callable[..., Desk], watch: Watch
) -> None:
    desk = open_paper()
    watcher = watch(desk)
    bought(desk, watcher, 100)
    watcher.wait_for(Topic.FILLS, owner="manual")

    venue.call(lambda: venue.gateway.deposit(2_500.0))

    [alert] = watcher.wait_for(Topic.ALERTS, origin="external")
    assert alert["text"].startswith("2500.00 USD came into the account, and no execution or commission explains it")
    watcher.wait_for(Topic.RECONCILIATION, differences=[])
    cash = venue.call(lambda: venue.gateway.accounts.main.cash["USD"])
    assert desk.account().cash_by_currency["USD"] == round(cash, 2)
    journal = Path(desk.journal_path)
    desk.close()
    assert replay(journal).events > 0


def test_money_that_left_while_the_engine_was_away_is_told_by_the_next_one(
    venue: GatewayThread, open_paper: Callable[..., Desk], watch: Watch
) -> None:
    desk = open_paper()
    bought(desk, watch(desk), 100)
    watch(desk).wait_for(Topic.RECONCILIATION)
    desk.close()
    venue.call(lambda: venue.gateway.deposit(-40.0))

    watcher = watch(open_paper(client_id=34))

    [alert] = watcher.wait_for(Topic.ALERTS, origin="external")
    assert alert["text"].startswith("40.00 USD left the account")


def test_the_day_s_loss_is_of_the_account_whatever_client_id_trades_it(
    venue: GatewayThread, open_paper: Callable[..., Desk], watch: Watch
) -> None:
    """A round trip has earned or lost something; another client id does not begin the day anew."""
    desk = open_paper()
    watcher = watch(desk)
    bought(desk, watcher, 100)
    order = desk.place("AAPL", "sell", 100)
    watcher.wait_for(Topic.ORDERS, id=order.id, status="filled")
    watcher.wait_for(Topic.POSITIONS, owner="manual", quantity=0.0)
    watcher.wait_for(Topic.FILLS, side="sell", commission=1.0)
    lost = desk.risk().day_loss
    assert lost
    desk.close()

    other = open_paper(client_id=34)

    assert other.risk().day_loss == pytest.approx(lost)


def test_the_book_of_the_hand_is_flattened_and_its_orders_are_withdrawn_first(
    open_paper: Callable[..., Desk], watch: Watch, venue: GatewayThread
) -> None:
    desk = open_paper()
    watcher = watch(desk)
    bought(desk, watcher, 100)
    bid = float(desk.quotes().filter(symbol="AAPL")["bid"].item())
    resting = desk.place("AAPL", "buy", 10, limit=round(bid * 0.8, 2))
    watcher.wait_for(Topic.ORDERS, id=resting.id, status="working")

    [order] = desk.flatten(symbol="AAPL")

    assert (order.side, order.quantity) == ("sell", 100)
    watcher.wait_for(Topic.ORDERS, id=order.id, status="filled")
    assert desk.orders().filter(id=resting.id)["status"].item() == "cancelled"
    assert venue.call(lambda: [each.position.quantity for each in venue.gateway.accounts.main.held()]) == []
    assert desk.flatten() == []


@pytest.mark.parametrize(
    ("terms", "error", "words"),
    [
        ((5, "buy", 1), InstrumentError, "symbol is the name of an instrument or an Instrument, got 5"),
        ((None, "buy", 1), InstrumentError, "got None"),
        (("AAPL", "buy", "ten"), OrderError, "quantity must be a number, got 'ten'"),
        (("AAPL", "buy", None), OrderError, "quantity must be a number, got None"),
        (("AAPL", "buy", True), OrderError, "quantity must be a number, got True"),
        (("AAPL", "buy", [1]), OrderError, r"quantity must be a number, got \[1\]"),
    ],
)
def test_terms_of_a_wrong_type_are_refused_in_a_sentence(
    open_paper: Callable[..., Desk], terms: tuple[Any, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        open_paper().place(*terms)
