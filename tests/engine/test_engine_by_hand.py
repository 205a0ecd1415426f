"""Orders by hand in the engine: the gate, the book, the client key, and their separation from runs."""

from __future__ import annotations

from typing import Any

import pytest

from ibdesk.engine import EXTERNAL, MANUAL, RiskLimits
from ibdesk.errors import DeskError, OrderError
from ibdesk.model import (
    CancelOrder,
    CancelRequest,
    HaltTrading,
    Index,
    ModifyOrder,
    ModifyRequest,
    OrderDenied,
    OrderReport,
    OrderStatus,
    OrderType,
    PlaceOrder,
    PlaceRequest,
    ResumeTrading,
    Side,
    Stock,
    StopStrategy,
    WatchMarket,
)


def by_hand(order_id: str = "m1", **more: Any) -> PlaceRequest:
    fields: dict[str, Any] = {"instrument": Stock("AAPL"), "side": Side.BUY, "quantity": 5.0, "at_ns": 1} | more
    return PlaceRequest(order_id=order_id, **fields)


def test_an_order_by_hand_leaves_on_the_tick_grid_and_is_booked_apart(story) -> None:
    request = by_hand(order_type=OrderType.LIMIT, limit_price=9.994, by="alice", correlation_id="c1")

    [place] = story.tell(request)
    story.fill(place.order, price=9.99)

    assert (place.order.owner, place.order.limit_price, place.order.status) == (MANUAL, 9.99, OrderStatus.SENT)
    assert (place.order.by, place.order.correlation_id) == ("alice", "c1")
    book = story.engine.portfolio.books[MANUAL]
    assert (book.position("AAPL").quantity, book.cash) == (5.0, -49.95)
    assert story.order("m1").status is OrderStatus.FILLED


def test_a_run_on_the_same_instrument_hears_nothing_of_it(story, hands) -> None:
    me = hands()
    story.start(me)

    story.tell(by_hand())
    story.report(story.order("m1"), OrderStatus.WORKING)
    story.fill(story.order("m1"))

    bound = story.run().strategy
    assert bound.told("order") == bound.told("fill") == []
    assert story.run().position("AAPL").quantity == 0.0
    assert story.run().lanes["AAPL"].exposure == 0.0


def test_the_gate_counts_what_the_book_by_hand_holds_and_has_on_the_way(tell_story) -> None:
    story = tell_story(RiskLimits(max_position_shares=12, max_daily_loss=float("inf"), max_notional=float("inf")))
    story.tell(by_hand("m1"))
    story.fill(story.order("m1"))
    story.tell(by_hand("m2"))

    [denied] = story.tell(by_hand("m3"))

    assert denied == OrderDenied(order_id="m3", rule="max_position_shares", limit=12.0, asked=15.0, at_ns=1)
    assert story.order("m3").status is OrderStatus.DENIED


def test_without_a_price_an_order_at_the_market_is_worth_more_than_any_limit(tell_story) -> None:
    story = tell_story(RiskLimits(max_notional=1e9, max_daily_loss=float("inf")))

    [denied] = story.tell(by_hand("m1"))
    story.tell(WatchMarket(Stock("AAPL"), 2))
    story.quote(9.9, 10.1)
    [placed] = story.tell(by_hand("m2"))

    assert denied.rule == "max_notional"
    assert isinstance(placed, PlaceOrder)


def test_a_key_places_once_for_each_who_uses_it(story) -> None:
    first = story.tell(by_hand("m1", client_key="k", by="alice"))
    again = story.tell(by_hand("m2", client_key="k", by="alice"))
    other = story.tell(by_hand("m3", client_key="k", by="bob"))

    assert [len(actions) for actions in (first, again, other)] == [1, 0, 1]
    assert list(story.engine.blotter.orders) == ["m1", "m3"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"quantity": 0.0}, "quantity must be a positive number"),
        ({"order_type": OrderType.LIMIT}, "a limit order needs a limit_price"),
        ({"instrument": Index("SPX")}, "SPX-IND is an index, which cannot be ordered"),
    ],
)
def test_a_request_that_makes_no_sense_changes_nothing(story, wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OrderError, match=sentence):
        story.tell(by_hand(**wrong))

    assert (story.engine.blotter.orders, story.engine.markets) == ({}, {})


def test_an_id_is_used_once(story) -> None:
    story.tell(by_hand("m1"))

    with pytest.raises(OrderError, match="there already is an order m1"):
        story.tell(by_hand("m1"))


def test_no_run_may_be_called_like_a_book(story) -> None:
    for name in (MANUAL, EXTERNAL):
        with pytest.raises(DeskError, match=f"{name} is a book and not a run"):
            story.start(run_id=name)


def test_a_person_changes_and_withdraws_the_order_of_a_run(story, hands) -> None:
    story.start(hands(bar=lambda me, _: me.buy("AAPL", 5, limit=9.0)))
    story.bar(10.0)

    assert story.tell(ModifyRequest(order_id="run.1", at_ns=1, quantity=7.0)) == [
        ModifyOrder(order_id="run.1", quantity=7.0, limit_price=9.0, stop_price=None)
    ]
    assert story.tell(CancelRequest("run.1", 1)) == [CancelOrder("run.1")]
    assert story.tell(ModifyRequest(order_id="nobody", at_ns=1, quantity=7.0)) == []


def test_a_run_cannot_change_what_is_not_its_own(story, hands) -> None:
    story.start(hands(quote=lambda me, _: me.modify("m1", quantity=1)))
    story.tell(by_hand("m1", order_type=OrderType.LIMIT, limit_price=9.0))

    assert story.quote(9.9, 10.1) == []


def test_orders_are_withdrawn_by_owner_and_instrument(story, hands) -> None:
    story.start(hands(bar=lambda me, _: me.buy("AAPL", 5, limit=9.0)))
    story.bar(10.0)
    story.tell(by_hand("m1"))
    story.tell(by_hand("m2", instrument=Stock("IBM")))

    def withdrawn(**which: str) -> list[str]:
        return [action.order_id for action in story.tell(CancelRequest("", 1, **which))]

    assert withdrawn() == ["run.1", "m1", "m2"]
    assert withdrawn(owner=MANUAL) == ["m1", "m2"]
    assert withdrawn(symbol="AAPL") == ["run.1", "m1"]
    assert withdrawn(owner=MANUAL, symbol="IBM") == ["m2"]


def test_orders_that_a_command_causes_keep_its_correlation_id(story, hands) -> None:
    story.start(hands(start=lambda me, _: me.buy("AAPL", 5)), correlation_id="c1")
    story.fill(story.order("run.1"))

    actions = story.tell(StopStrategy("run", 1, flatten=True, correlation_id="c2"))

    assert story.order("run.1").correlation_id == "c1"
    assert [order.correlation_id for order in story.placed(actions)] == ["c2"]


def test_orders_that_the_market_causes_have_none(story) -> None:
    story.start(correlation_id="c1")

    [order] = story.placed(story.bar(7.0))

    assert order.correlation_id == order.by == order.client_key == ""


def test_who_resumed_is_told(story) -> None:
    [halted] = story.tell(HaltTrading("news", 1, "bob"))
    [alert] = story.tell(ResumeTrading(halted.id, "calm", 1, "alice"))

    assert (alert.origin, alert.text) == ("alice", "trading resumed: calm")


def test_a_venue_that_rejects_an_order_by_hand_disturbs_nobody(story) -> None:
    story.tell(by_hand("m1"))

    assert story.tell(OrderReport(order_id="m1", status=OrderStatus.REJECTED, at_ns=2, reason="no")) == []
    assert story.order("m1").reason == "no"
