"""A desk on the embedded gateway gets out past working stops, and lets orders above the rate wait."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ibdesk.engine import RiskLimits
from ibdesk.store import Topic, replay

PROTECTED = """
def on_start(self) -> None:
    self.buy("AAPL", 10)

def on_fill(self, fill) -> None:
    if fill.quantity > 0 and fill.side.value == "buy":
        self.sell("AAPL", fill.quantity, stop=1, time_in_force="gtc")
        self.sell("AAPL", fill.quantity, limit=100_000, time_in_force="gtc")
        self.after(1.0, "close")

def on_timer(self, name: str) -> None:
    self.close("AAPL")
"""


def test_close_beside_a_stop_and_a_profit_target_ends_flat_and_replays_equal(
    open_desk: Callable[..., Any], watch: Callable[..., Any], write_strategy: Callable[[str, str], Path]
) -> None:
    desk = open_desk(risk=RiskLimits(price_collar=float("inf"), max_notional=float("inf")))
    watcher = watch(desk)

    desk.start(write_strategy("protected", PROTECTED), on="AAPL")
    watcher.wait_for(Topic.FILLS, side="sell")
    watcher.wait_for(Topic.ORDERS, status="cancelled", type="stop")
    watcher.wait_for(Topic.ORDERS, status="cancelled", type="limit")

    assert desk.positions().filter(symbol="AAPL")["quantity"].to_list() == [0.0]
    assert sorted(desk.orders()["status"]) == ["cancelled", "cancelled", "filled", "filled"]
    path = Path(desk.health().journal)
    desk.close()
    assert replay(path).orders == 4


def test_orders_above_the_rate_wait_and_all_fill(open_desk: Callable[..., Any], watch: Callable[..., Any]) -> None:
    desk = open_desk(risk=RiskLimits(max_orders_per_second=1, max_order_wait_seconds=60))
    watcher = watch(desk)

    placed = [desk.place("AAPL", "buy", 1) for _ in range(8)]
    for order in placed:
        watcher.wait_for(Topic.ORDERS, id=order.id, status="filled")

    assert "created" in {order.status for order in placed}
    assert set(desk.orders()["status"]) == {"filled"}
    path = Path(desk.health().journal)
    desk.close()
    assert replay(path).orders == 8
