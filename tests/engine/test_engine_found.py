"""An order at the venue that our journal lacks is added to its owner, once, and no id is used twice."""

from __future__ import annotations

from typing import Any

import pytest

from ibdesk.engine import EXTERNAL, MANUAL, Engine, RunState, mark_of, snapshot_of
from ibdesk.model import (
    Alert,
    CancelOrder,
    Order,
    OrderFound,
    OrderReport,
    OrderStatus,
    OrderType,
    PlaceOrder,
    PlaceRequest,
    Restore,
    Side,
    Stock,
    StopStrategy,
)
from ibdesk.strategy import Strategy


def found(order_id: str = "run.7", owner: str = "run", *, instrument: str = "AAPL", **more: Any) -> OrderFound:
    fields: dict[str, Any] = {"side": Side.BUY, "quantity": 5.0, "status": OrderStatus.UNKNOWN} | more
    return OrderFound(Order(id=order_id, owner=owner, instrument=instrument, **fields), Stock(instrument), 1)


def heir_of(story) -> Engine:
    """An engine that took over what the story's leaves."""
    heir = Engine(strategies=lambda _: Strategy(), limits=story.engine.gate.limits)
    heir.handle(Restore(account="DU1", at_ns=story.at_ns, snapshot=snapshot_of(story.engine, story.at_ns)))
    return heir


def test_it_belongs_to_its_run_and_so_does_what_it_fills(story) -> None:
    story.start()
    story.tell(StopStrategy("run", story.at_ns))
    story.start()

    [alert] = story.tell(found())
    story.report(story.order("run.7"), OrderStatus.WORKING)
    pending = story.run().lanes["AAPL"].exposure
    story.fill(story.order("run.7"))

    assert isinstance(alert, Alert)
    assert "order run.7 is at the venue and was missing here: buy 5 AAPL belongs to run from now on" in alert.text
    assert pending == 5.0
    assert story.order("run.7").status is OrderStatus.FILLED
    assert story.run().position("AAPL").quantity == 5.0
    assert EXTERNAL not in story.engine.portfolio.books


def test_the_next_order_of_its_run_gets_a_name_of_its_own(story, hands) -> None:
    story.start(hands(bar=lambda me, bar: me.buy("AAPL", 1)))
    [first] = story.placed(story.bar(10.0))
    story.tell(found("run.7"))
    story.tell(found("run.4"))

    [following] = story.placed(story.bar(10.0))

    assert (first.id, following.id) == ("run.1", "run.8")


def test_a_restored_run_continues_its_numbers_when_it_continues_and_in_the_next_desk(story) -> None:
    story.start()
    story.hold(3.0)
    heir = heir_of(story)

    heir.handle(found("run.7"))

    [left] = snapshot_of(heir, story.at_ns).runs
    assert (heir.runs["run"].state, left.orders_made) == (RunState.ORPHANED, 7)


def test_found_twice_it_is_there_once(story) -> None:
    story.start()
    story.tell(found())
    story.report(story.order("run.7"), OrderStatus.WORKING)

    assert story.tell(found()) == []

    assert story.order("run.7").status is OrderStatus.WORKING


def test_that_of_a_run_which_was_stopped_is_withdrawn(story) -> None:
    story.start()
    story.tell(StopStrategy("run", story.at_ns))

    actions = story.tell(found())

    assert [action for action in actions if not isinstance(action, Alert)] == [CancelOrder("run.7")]


def test_that_of_a_run_which_waits_to_be_started_again_stays(story) -> None:
    story.start()
    heir = heir_of(story)

    actions = heir.handle(found())

    assert [type(action) for action in actions] == [Alert]
    assert heir.blotter.orders["run.7"].is_open


def test_one_on_an_instrument_that_its_run_is_not_on_is_left_alone(story) -> None:
    story.start()

    assert story.tell(found(instrument="MSFT")) == []

    assert "run.7" not in story.engine.blotter.orders


def test_one_by_hand_can_be_changed_and_its_market_is_watched(story) -> None:
    story.tell(found("manual-abc", MANUAL, type=OrderType.LIMIT, limit_price=10.0))

    story.tell(OrderReport(order_id="manual-abc", status=OrderStatus.WORKING, at_ns=2))

    assert story.order("manual-abc").owner == MANUAL
    assert "AAPL" in story.engine.markets


@pytest.mark.parametrize(("key", "by", "is_placed"), [("k1", "anna", False), ("k2", "anna", True), ("k1", "ben", True)])
def test_a_request_by_hand_that_was_lost_with_its_record_is_not_carried_out_twice(
    key: str, by: str, is_placed: bool, story
) -> None:
    """Who heard no answer asks again under the same key: all that is left of the first time is the order's name."""
    story.tell(found(f"manual-abc-{mark_of('anna', 'k1')}", MANUAL))
    asked_again = PlaceRequest(
        order_id="manual-abd", instrument=Stock("AAPL"), side=Side.BUY, quantity=5.0, at_ns=2, client_key=key, by=by
    )

    actions = story.tell(asked_again)

    assert any(isinstance(action, PlaceOrder) for action in actions) == is_placed
    heir = heir_of(story)
    assert heir.blotter.called("anna", "k1") is not None
