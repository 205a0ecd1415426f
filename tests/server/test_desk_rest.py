"""Runs from inside, risk, instruments, the journal, the settings, and answers that may be a little old, over REST."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from ibdesk.engine.risk_controls import CONTROLS
from ibdesk_server.client import AioApiClient, ApiClient, FeedClient
from ibdesk_server.serve import WebServer

START = {"file": "buyer.py", "symbols": ["AAPL"], "bar": "5 secs", "parameters": {"size": 7}}


@pytest.fixture(scope="module")
def module_state() -> dict[str, Any]:
    return {}


@pytest.fixture
async def run_id(module_state: dict[str, Any], api: httpx.AsyncClient, web: WebServer, key: str) -> str:
    """A run of the buyer whose market order has filled; started once for all tests here."""
    if not module_state:
        answers = [
            await api.post("/api/v1/runs", json=START, headers={"Idempotency-Key": "the-buyer"}) for _ in range(2)
        ]
        module_state["answers"] = answers
        module_state |= answers[0].json()
        async with asyncio.timeout(50), FeedClient(web.feed_url, key, topics=["fills"]) as feed:
            async for _ in feed:
                if any(row["owner"] == module_state["run_id"] for row in feed.tables["fills"]):
                    break
    return str(module_state["run_id"])


async def test_the_same_key_starts_one_run(api: httpx.AsyncClient, run_id: str, module_state: dict[str, Any]) -> None:
    first, again = module_state["answers"]

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == f"/api/v1/runs/{run_id}"
    assert (await api.get("/api/v1/runs", params={"state": "running"})).json()["total"] == 1


async def test_a_run_is_seen_from_inside(api: httpx.AsyncClient, run_id: str) -> None:
    state = (await api.get(f"/api/v1/runs/{run_id}/state")).json()
    log = (await api.get(f"/api/v1/runs/{run_id}/log", params={"limit": 2})).json()
    none = await api.get("/api/v1/runs/nobody/state")

    assert (state["run"]["run_id"], state["kept"]) == (run_id, {"bought": True})
    assert [(lane["symbol"], lane["quantity"]) for lane in state["lanes"]] == [("AAPL", 7)]
    assert len(state["open_orders"]) == 1
    assert log["items"]
    assert none.status_code == 404


async def test_parameters_change_while_it_runs(api: httpx.AsyncClient, run_id: str) -> None:
    path = f"/api/v1/runs/{run_id}/parameters"

    changed = await api.patch(path, json={"parameters": {"size": 8}})
    wrong = await api.patch(path, json={"parameters": {"size": -8}})
    unknown = await api.patch(path, json={"parameters": {"speed": 8}})

    assert (changed.status_code, changed.json()["parameters"]) == (200, {"size": 8.0})
    assert (wrong.status_code, unknown.status_code) == (422, 422)
    assert (await api.get(f"/api/v1/runs/{run_id}")).json()["parameters"] == {"size": 8.0}


async def test_a_log_is_read_backwards_page_by_page(api: httpx.AsyncClient, run_id: str) -> None:
    path = f"/api/v1/runs/{run_id}/log"
    whole = (await api.get(path, params={"limit": 1000})).json()["items"]

    seen: list[Any] = []
    page = await api.get(path, params={"limit": 1})
    while True:
        seen = page.json()["items"] + seen
        if page.json()["next"] is None:
            break
        page = await api.get(page.headers["link"].removeprefix("<").partition(">")[0])

    assert "started on AAPL" in whole[0]["text"]
    assert [line["number"] for line in seen][: len(whole)] == [line["number"] for line in whole]


async def test_limits_are_told_and_changed(api: httpx.AsyncClient, run_id: str) -> None:
    before = (await api.get("/api/v1/risk", params={"owner": run_id})).json()

    changed = await api.patch("/api/v1/risk/limits", json={"limits": {"max_order_shares": 5, "max_notional": None}})
    denied = await api.post("/api/v1/orders", json={"symbol": "AAPL", "side": "buy", "quantity": 6})
    wrong = await api.patch("/api/v1/risk/limits", json={"limits": {"max_order_shares": -1}})
    unknown = await api.patch("/api/v1/risk/limits", json={"limits": {"luck": 1}})
    mixed = [
        await api.patch("/api/v1/risk/limits", json={"limits": each})
        for each in ({"max_order_shares": True}, {"halt_keeps_protection": 0}, {"halt_keeps_protection": "no"})
    ]
    switched = await api.patch("/api/v1/risk/limits", json={"limits": {"halt_keeps_protection": False}})
    back = await api.patch("/api/v1/risk/limits", json={"limits": before["limits"]})

    assert (before["changed"], before["halts"], before["link_up"]) == (False, [], True)
    assert [(each["symbol"], each["held"], each["pending"]) for each in before["exposures"]] == [("AAPL", 7, 1)]
    assert (changed.json()["changed"], changed.json()["limits"]["max_notional"]) == (True, None)
    assert (denied.status_code, denied.json()["facts"]["limit"]) == (409, 5)
    assert (wrong.status_code, unknown.status_code) == (422, 422)
    assert [each.status_code for each in mixed] == [422, 422, 422]
    assert switched.json()["limits"]["halt_keeps_protection"] is False
    assert back.status_code == 200
    after = (await api.get("/api/v1/risk")).json()
    assert after["limits"] == before["limits"]
    assert (await api.get("/api/v1/risk")).json()["changed"] is False


async def test_the_table_of_risk_controls_is_the_one_of_the_documentation(api: httpx.AsyncClient) -> None:
    rows = (await api.get("/api/v1/risk/controls")).json()

    assert [row["name"] for row in rows] == [control.name for control in CONTROLS]
    assert rows[0]["tests"] == ["tests/engine/test_engine_risk.py::test_the_largest_order"]
    assert all(row["missing"] for row in rows if not row["rule"])


async def test_a_halt_tells_who_and_why(api: httpx.AsyncClient) -> None:
    told = (await api.post("/api/v1/risk/halt", json={"reason": "the spread looks wrong"})).json()
    [halt] = (await api.get("/api/v1/risk")).json()["halts"]
    await api.post("/api/v1/risk/resume", json={"id": halt["id"], "reason": "it was the feed"})

    assert halt == told
    assert halt["reason"] == "the spread looks wrong"
    assert halt["by"]
    assert halt["at"].endswith("Z")


async def test_instruments_are_found_by_a_word(api: httpx.AsyncClient) -> None:
    found = (await api.get("/api/v1/instruments", params={"text": "AAPL"})).json()
    one = (await api.get("/api/v1/instruments/AAPL")).json()
    none = await api.get("/api/v1/instruments/NOSUCH")
    empty = await api.get("/api/v1/instruments", params={"text": ""})

    assert "AAPL" in {match["name"] for match in found["items"]}
    assert (one["symbol"], one["currency"], one["tick_size"]) == ("AAPL", "USD", 0.01)
    assert (none.status_code, empty.status_code) == (404, 422)


async def test_the_journal_is_read_page_by_page(api: httpx.AsyncClient, run_id: str) -> None:
    started = (await api.get("/api/v1/journal", params={"kind": ["start_strategy"], "run_id": run_id})).json()
    fills = (await api.get("/api/v1/journal", params={"kind": "fill", "limit": 1})).json()
    first = await api.get("/api/v1/journal", params={"limit": 3, "sort": "number"})
    second = await api.get(first.headers["link"].removeprefix("<").partition(">")[0])
    wrong = await api.get("/api/v1/journal", params={"cursor": "-5"})
    unknown = await api.get("/api/v1/journal", params={"kind": "miracle"})
    (life,) = [life for life in (await api.get("/api/v1/journals")).json()["items"] if life["is_current"]]

    assert [row["kind"] for row in started["items"]] == ["start_strategy"]
    assert fills["items"][0]["kind"] == "fill"
    assert [row["number"] for row in first.json()["items"]] == [1, 2, 3]
    assert [row["number"] for row in second.json()["items"]] == [4, 5, 6]
    assert (wrong.status_code, unknown.status_code) == (422, 422)
    assert (life["mode"], life["note"]) == ("embedded", "")


async def test_settings_are_told_with_their_origin_and_without_secrets(
    api: httpx.AsyncClient, web: WebServer, key: str
) -> None:
    settings = (await api.get("/api/v1/settings")).json()
    server = (await api.get("/api/v1/settings", params={"section": "server"})).json()
    by_name = {setting["name"]: setting for setting in settings["items"]}

    assert by_name["server.backtests.at_once"] == {"name": "server.backtests.at_once", "value": 1, "origin": "default"}
    assert settings["total"] > server["total"] > 10
    assert all(setting["name"].startswith("server.") for setting in server["items"])
    assert key not in str(settings)


async def test_an_answer_that_is_young_enough_is_not_asked_again(api: httpx.AsyncClient, run_id: str) -> None:
    path = "/api/v1/history/AAPL"
    query: dict[str, Any] = {"bar": "1 min", "count": 5}

    asked = await api.get(path, params=query)
    remembered = await api.get(path, params=query | {"max_age": 600})
    other = await api.get(path, params=query | {"max_age": 600, "count": 6})
    quotes = await api.get("/api/v1/quotes", params={"max_age": 5})

    assert (asked.headers["age"], quotes.headers["age"]) == ("0", "0")
    assert remembered.json() == asked.json()
    assert int(remembered.headers["age"]) >= 0
    assert other.json()["total"] == 6
    assert (await api.get(path, params=query | {"max_age": 3_601})).status_code == 422


async def test_both_clients_speak_of_all_of_it(web: WebServer, key: str, run_id: str) -> None:
    def blocking() -> list[Any]:
        with ApiClient(web.url, key) as desk:
            return [
                desk.risk().link_up,
                desk.run_state(run_id).run.run_id,
                [file.file for file in desk.strategies()],
                desk.strategy("buyer.py").class_name,
                desk.instrument("AAPL").currency,
                desk.settings(section="server.feed").items[0].name,
                desk.journal(limit=1, sort="number").items[0].number,
                [life.is_current for life in desk.journals().items],
                desk.runs(state="running").items[0].run_id,
                desk.positions(owner=run_id, held=True).items[0].symbol,
                desk.quotes(symbol="AAPL", max_age=60).total,
                desk.account().currency,
                desk.change_parameters(run_id, {"size": 9}).parameters,
            ]

    async with AioApiClient(web.url, key) as desk:
        awaited = [
            (await desk.risk()).link_up,
            (await desk.run_state(run_id)).run.run_id,
            [file.file for file in await desk.strategies()],
            (await desk.strategy("buyer.py")).class_name,
            (await desk.instrument("AAPL")).currency,
            (await desk.settings(section="server.feed")).items[0].name,
            (await desk.journal(limit=1, sort="number")).items[0].number,
            [life.is_current for life in (await desk.journals()).items],
            (await desk.runs(state="running")).items[0].run_id,
            (await desk.positions(owner=run_id, held=True)).items[0].symbol,
            (await desk.quotes(symbol="AAPL", max_age=60)).total,
            (await desk.account()).currency,
            (await desk.change_parameters(run_id, {"size": 9})).parameters,
        ]

    assert await asyncio.to_thread(blocking) == awaited
