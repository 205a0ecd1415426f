"""A day of a desk, from the outside: account, prices, orders, a strategy, restarts, each seen on the feed too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.conftest import CLOSED, SYMBOL
from tests.stack import eventually

if TYPE_CHECKING:
    from tests.e2e.conftest import Running, Tws

pytestmark = pytest.mark.timeout(600)


def test_the_desk_is_connected_and_its_account_is_told(running: Running) -> None:
    account = running.get("/api/v1/account")

    assert running.get("/health/ready")["status"] == "ready"
    assert account["id"].startswith("D")
    assert account["net_liquidation"] > 0
    eventually(lambda: running.feed.client.tables.get("account"), "the account on the feed")


def test_history_is_served(running: Running) -> None:
    bars = running.get(f"/api/v1/history/{SYMBOL}", bar="1 day", count=5)["items"]

    assert len(bars) == 5
    assert all(bar["low"] <= bar["close"] <= bar["high"] for bar in bars)


def test_a_limit_order_is_placed_changed_and_cancelled(running: Running) -> None:
    price = running.far_price()

    placed = running.place("buy", 1, limit=price)
    running.until_order(placed["id"], "working")
    changed = running.api.patch(f"/api/v1/orders/{placed['id']}", json={"limit": price - 1})
    assert changed.status_code == 202, changed.text
    eventually(lambda: running.order(placed["id"])["limit_price"] == price - 1, "the new price")
    assert running.api.delete(f"/api/v1/orders/{placed['id']}").status_code == 202

    done = running.until_order(placed["id"], *CLOSED)
    assert (done["status"], done["filled"]) == ("cancelled", 0)
    rows = eventually(
        lambda: (
            seen
            if (seen := [row for row in running.feed.changes("orders") if row["id"] == placed["id"]])
            and seen[-1]["status"] == "cancelled"
            else None
        ),
        "its end on the feed",
    )
    assert "working" in {row["status"] for row in rows}


def test_an_order_under_one_key_is_placed_once(running: Running) -> None:
    order = {"symbol": SYMBOL, "side": "buy", "quantity": 1, "limit": running.far_price()}
    key = {"Idempotency-Key": "end-to-end-1"}

    first = running.api.post("/api/v1/orders", json=order, headers=key)
    second = running.api.post("/api/v1/orders", json=order, headers=key)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] == second.json()["id"]
    running.api.delete(f"/api/v1/orders/{first.json()['id']}")
    running.until_order(first.json()["id"], *CLOSED)


def test_a_share_is_bought_and_sold(running: Running, tws: Tws) -> None:
    bought = running.place("buy", 1)

    order = running.until_order(bought["id"], *CLOSED, "working") if tws.is_real else bought
    if tws.is_real and order["status"] != "filled":
        running.api.delete(f"/api/v1/orders/{bought['id']}")
        if running.until_order(bought["id"], *CLOSED)["status"] != "filled":
            pytest.skip("nothing fills: the market is closed")
    running.until_order(bought["id"], "filled")
    sold = running.place("sell", 1)
    running.until_order(sold["id"], "filled")

    fills = running.get("/api/v1/fills", symbol=SYMBOL)["items"]
    assert {bought["id"], sold["id"]} <= {fill["order_id"] for fill in fills}
    assert sum(row["quantity"] for row in running.get("/api/v1/positions", owner="manual")["items"]) == 0
    eventually(
        lambda: {bought["id"], sold["id"]} <= {row["order_id"] for row in running.feed.changes("fills")},
        "both fills on the feed",
    )


def test_a_strategy_is_started_and_stopped(running: Running) -> None:
    started = running.api.post("/api/v1/runs", json={"file": "probing.py", "symbols": [SYMBOL], "warm_up": 0})
    assert started.status_code == 201, started.text
    run_id = started.json()["run_id"]

    [order] = eventually(lambda: running.get("/api/v1/orders", owner=run_id)["items"], "its order")
    running.until_order(order["id"], "working")
    assert running.api.post(f"/api/v1/runs/{run_id}/stop").is_success

    assert running.until_order(order["id"], *CLOSED)["status"] == "cancelled"
    assert running.get(f"/api/v1/runs/{run_id}")["state"] == "stopped"
    eventually(
        lambda: "stopped" in {row["state"] for row in running.feed.changes("runs") if row["run_id"] == run_id},
        "its end on the feed",
    )


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_an_order_outlives_the_engine(running: Running, *, kill: bool) -> None:
    placed = running.place("buy", 1, limit=running.far_price(), time_in_force="gtc")
    running.until_order(placed["id"], "working")

    running.restart_engine(kill=kill)

    assert running.until_order(placed["id"], "working")["quantity"] == 1
    assert running.api.delete(f"/api/v1/orders/{placed['id']}").status_code == 202
    assert running.until_order(placed["id"], *CLOSED)["status"] == "cancelled"
    eventually(lambda: running.feed.client.tables["link"].rows[0]["link"] == "up", "the link on the feed")


def test_what_was_traded_is_known_after_the_restarts(running: Running) -> None:
    orders = running.get("/api/v1/orders", limit=100)["items"]

    assert orders
    assert all(order["status"] in CLOSED for order in orders)
