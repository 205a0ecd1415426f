"""Unanswered requests are pending, with an alert when late; a status alone does not change an order's version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ibdesk.desk import Desk
from ibdesk.errors import OrderChangedError, OrderError
from ibdesk.gateway.faults import Drop
from ibdesk.store import Topic, replay

OpenDesk = Callable[..., Desk]
Watch = Callable[[Desk], Any]


@pytest.fixture
def calm(open_desk: OpenDesk) -> Desk:
    """A desk on a random walk, which says after a second that an answer is late."""
    return open_desk(gateway={"port": 0}, answer_alert_seconds=1)


def far_below(desk: Desk) -> float:
    desk.watch("IBM")
    return round(float(desk.quotes().filter(symbol="IBM")["bid"].item()) * 0.8, 2)


def row(desk: Desk, order_id: str) -> dict[str, Any]:
    return desk.orders().filter(id=order_id).to_dicts()[0]


@pytest.mark.parametrize("what", ["change", "cancel"])
def test_what_is_not_answered_is_pending_since_then_and_told_after_a_while(calm: Desk, watch: Watch, what: str) -> None:
    limit = far_below(calm)
    order = calm.place("IBM", "buy", 10, limit=limit)
    watcher = watch(calm)
    watcher.wait_for(Topic.ORDERS, id=order.id, status="working")
    calm.faults.cause(Drop(messages=("placeOrder", "cancelOrder"), count=0))

    if what == "change":
        assert calm.modify(order.id, limit=limit - 1).pending == "change"
    else:
        calm.cancel(order.id)

    [shown, *_] = watcher.wait_for(Topic.ORDERS, id=order.id, pending=what)
    assert shown["pending_ns"] > order.created_ns
    assert (row(calm, order.id)["pending"], row(calm, order.id)["status"]) == (what, "working")
    assert row(calm, order.id)["pending_since"] is not None
    alerts = watcher.wait_for(Topic.ALERTS, severity="warning", origin="link")
    assert [
        a["text"] for a in alerts if f"order {order.id}: the venue has not answered its {what} for 1 s" in a["text"]
    ]
    # Told once, however long it lasts; what was heard and told replays.
    journal = Path(calm.journal_path)
    calm.close()
    assert replay(journal).events > 0


def test_an_answer_ends_the_waiting(calm: Desk, watch: Watch) -> None:
    limit = far_below(calm)
    order = calm.place("IBM", "buy", 10, limit=limit)
    watcher = watch(calm)
    watcher.wait_for(Topic.ORDERS, id=order.id, status="working")

    calm.modify(order.id, limit=limit - 1)
    watcher.wait_for(Topic.ORDERS, id=order.id, limit_price=limit - 1, pending="")
    # The same terms again ask for nothing.
    calm.modify(order.id, limit=limit - 1)
    assert row(calm, order.id)["pending"] == ""
    calm.cancel(order.id)
    watcher.wait_for(Topic.ORDERS, id=order.id, status="cancelled", pending="")
    assert row(calm, order.id)["pending_since"] is None


def test_place_then_modify_with_the_version_seen_is_not_refused(calm: Desk) -> None:
    limit = far_below(calm)

    for number in range(10):
        order = calm.place("IBM", "buy", 10 + number, limit=limit)
        # However many reports of its status come in between.
        changed = calm.modify(order.id, limit=limit - 1, seen=order.version)
        assert changed.id == order.id


def test_a_status_alone_leaves_the_version_and_terms_and_fills_do_not(calm: Desk, watch: Watch) -> None:
    limit = far_below(calm)
    watcher = watch(calm)
    order = calm.place("IBM", "buy", 10, limit=limit)
    watcher.wait_for(Topic.ORDERS, id=order.id, status="working")
    assert row(calm, order.id)["version"] == order.version == 1

    calm.modify(order.id, quantity=11, seen="1")
    watcher.wait_for(Topic.ORDERS, id=order.id, quantity=11.0)
    assert row(calm, order.id)["version"] == 2
    with pytest.raises(OrderChangedError):
        calm.modify(order.id, quantity=12, seen=1)
    with pytest.raises(OrderError, match="seen is the version"):
        calm.modify(order.id, quantity=12, seen="x")
    calm.modify(order.id, limit=round(limit * 1.27, 2), seen=2)
    watcher.wait_for(Topic.ORDERS, id=order.id, status="filled")
    assert row(calm, order.id)["version"] >= 4


def test_a_change_that_is_on_its_way_is_not_overtaken(calm: Desk, watch: Watch) -> None:
    limit = far_below(calm)
    order = calm.place("IBM", "buy", 10, limit=limit)
    watch(calm).wait_for(Topic.ORDERS, id=order.id, status="working")
    calm.faults.cause(Drop(messages=("placeOrder",), count=0))
    calm.modify(order.id, quantity=11, seen=order.version)

    with pytest.raises(OrderChangedError):
        calm.modify(order.id, quantity=12, seen=order.version)


def test_a_cancel_that_was_lost_can_be_asked_for_again(calm: Desk, watch: Watch) -> None:
    limit = far_below(calm)
    order = calm.place("IBM", "buy", 10, limit=limit)
    watcher = watch(calm)
    watcher.wait_for(Topic.ORDERS, id=order.id, status="working")
    calm.faults.cause(Drop(messages=("cancelOrder",), count=1))
    calm.cancel(order.id)
    watcher.wait_for(Topic.ORDERS, id=order.id, pending="cancel")

    # Asked again it is withdrawn, and nothing is left to wait for.
    calm.cancel(order.id)
    watcher.wait_for(Topic.ORDERS, id=order.id, status="cancelled", pending="")
