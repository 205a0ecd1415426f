"""Stopping the account over REST: a desk in the server's own process does it; who may, and what is refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.server.conftest import People
from tests.server.test_orders import place, until

from ibdesk_server.serve import WebServer

STOP = "/api/v1/stop"


async def test_flattening_cancels_and_closes_everything_and_halts(
    api: httpx.AsyncClient, web: WebServer, key: str
) -> None:
    bought = (await place(api, side="buy", quantity=3)).json()
    await until(web, key, bought["id"], "filled")
    resting = (await place(api, side="buy", quantity=1, limit=50.0)).json()
    await until(web, key, resting["id"], "working")

    answer = await api.post(STOP, json={"level": "flatten", "reason": "fire"})

    found: dict[str, Any] = answer.raise_for_status().json()
    risk = (await api.get("/api/v1/risk")).json()
    denied = await place(api, side="buy", quantity=1)
    positions = (await api.get("/api/v1/positions")).json()["items"]
    await api.post("/api/v1/risk/resume", json={"id": found["halt_id"], "reason": "it was a test"})
    assert (found["done"], found["failure"], found["positions"], found["open_orders"]) == (True, "", {}, 0)
    assert [halt["id"] for halt in risk["halts"]] == [found["halt_id"]]
    assert denied.status_code == 409
    assert [row for row in positions if row["quantity"]] == []


async def test_what_was_bought_by_hand_is_sold_once_though_its_exit_works(
    api: httpx.AsyncClient, web: WebServer, key: str
) -> None:
    """Three are held and their exit rests: the desk waits until that has ended, and sells what is held then."""
    bought = (await place(api, side="buy", quantity=3)).json()
    await until(web, key, bought["id"], "filled")
    exit_order = (await place(api, side="sell", quantity=3, limit=900.0)).json()
    await until(web, key, exit_order["id"], "working")

    before = {order["id"] for order in (await api.get("/api/v1/orders")).json()["items"]}

    answer = await api.post(STOP, json={"level": "flatten", "reason": "fire"})

    found: dict[str, Any] = answer.raise_for_status().json()
    orders = (await api.get("/api/v1/orders")).json()["items"]
    await api.post("/api/v1/risk/resume", json={"id": found["halt_id"], "reason": "it was a test"})
    sold = [order["filled"] for order in orders if order["id"] not in before]
    assert (found["done"], found["failure"], found["positions"]) == (True, "", {})
    assert sold == [3.0]


async def test_a_halt_is_done_once_no_order_works_that_would_open(
    api: httpx.AsyncClient, web: WebServer, key: str
) -> None:
    resting = (await place(api, side="buy", quantity=1, limit=50.0)).json()
    await until(web, key, resting["id"], "working")

    found = (await api.post(STOP, json={"level": "halt", "reason": "fire"})).raise_for_status().json()

    orders = (await api.get("/api/v1/orders")).json()["items"]
    await api.post("/api/v1/risk/resume", json={"id": found["halt_id"], "reason": "it was a test"})
    assert found["done"]
    assert {order["status"] for order in orders if order["id"] == resting["id"]} == {"cancelled"}


async def test_another_account_is_not_stopped(api: httpx.AsyncClient) -> None:
    refused = await api.post(STOP, json={"level": "halt", "reason": "fire", "account": "DU999"})

    assert refused.status_code == 409
    assert "not DU999" in refused.json()["detail"]
    assert (await api.get("/api/v1/risk")).json()["halts"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"level": "flat", "reason": "x"},
        {"level": "halt"},
        {"level": "halt", "reason": "x", "kill": "yes"},
        {"level": "halt", "reason": "x", "account": "../../etc"},
        {"level": "halt", "reason": "x", "seconds": 1},
    ],
)
async def test_what_is_no_stop_is_refused(api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await api.post(STOP, json=body)).status_code == 422


async def test_a_viewer_stops_nothing(stranger: httpx.AsyncClient, people: People) -> None:
    refused = await stranger.post(STOP, json={"reason": "fire"}, headers=people.bearer("vera"))

    assert refused.status_code == 403
