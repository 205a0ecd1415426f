"""The REST interface around a desk on the embedded gateway, over real HTTP."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from ibdesk_server.client import ApiClient, ApiError, FeedClient
from ibdesk_server.serve import WebServer

START = {"file": "buyer.py", "symbols": ["AAPL"], "bar": "5 secs", "parameters": {"size": 7}}


@pytest.fixture(scope="module")
def module_state() -> dict[str, Any]:
    return {}


@pytest.fixture
async def run(module_state: dict[str, Any], api: httpx.AsyncClient, web: WebServer, key: str) -> dict[str, Any]:
    """A run of the buyer whose market order has filled; started once for all tests here."""
    if not module_state:
        started = await api.post("/api/v1/runs", json=START)
        assert started.status_code == 201, started.text
        module_state |= started.json()
        async with asyncio.timeout(20), FeedClient(web.feed_url, key, topics=["fills"]) as feed:
            async for _ in feed:
                if any(row["owner"] == module_state["run_id"] for row in feed.tables["fills"]):
                    break
    return module_state


async def test_strategy_files_are_listed_with_their_parameters_and_broken_ones_with_their_fault(
    api: httpx.AsyncClient,
) -> None:
    broken, buyer = (await api.get("/api/v1/strategies")).json()

    assert (buyer["file"], buyer["class_name"]) == ("buyer.py", "Buyer")
    assert buyer["description"] == "Buy once, and leave a bid below the market."
    assert len(buyer["sha256"]) == 64
    assert buyer["parameters"]["properties"]["size"]["exclusiveMinimum"] == 0
    assert broken["file"] == "broken.py"
    assert "line 1: not valid Python" in broken["error"]


async def test_a_changed_file_is_listed_anew(api: httpx.AsyncClient, strategies_folder: Path) -> None:
    file = strategies_folder / "later.py"
    file.write_text("x = 1\n")
    before = (await api.get("/api/v1/strategies")).json()
    file.write_text((strategies_folder / "buyer.py").read_text())
    after = (await api.get("/api/v1/strategies")).json()
    file.unlink()

    assert "must define exactly one subclass" in {found["file"]: found for found in before}["later.py"]["error"]
    assert {found["file"]: found for found in after}["later.py"]["error"] is None


async def test_a_started_run_trades_and_its_book_can_be_read(api: httpx.AsyncClient, run: dict[str, Any]) -> None:
    owner = {"owner": run["run_id"]}
    orders = (await api.get("/api/v1/orders", params=owner)).json()
    (fill,) = (await api.get("/api/v1/fills", params=owner)).json()["items"]
    (position,) = (await api.get("/api/v1/positions", params=owner)).json()["items"]
    account = (await api.get("/api/v1/account")).json()
    (quote,) = (await api.get("/api/v1/quotes", params={"symbol": "AAPL"})).json()["items"]

    assert (run["class_name"], run["parameters"], run["state"]) == ("Buyer", {"size": 7.0}, "running")
    assert orders["total"] == 2
    assert {order["type"]: order["quantity"] for order in orders["items"]} == {"market": 7.0, "limit": 1.0}
    assert (fill["side"], fill["quantity"]) == ("buy", 7.0)
    assert (position["quantity"], position["average_price"]) == (7.0, pytest.approx(fill["price"]))
    assert (account["id"], account["currency"]) == ("DU9000001", "USD")
    assert quote["ask"] > quote["bid"] > 0
    assert fill["filled_at"].endswith("Z")


async def test_lists_can_be_narrowed(api: httpx.AsyncClient, run: dict[str, Any]) -> None:
    newest = (await api.get("/api/v1/orders", params={"limit": 1})).json()
    other = (await api.get("/api/v1/orders", params={"symbol": "MSFT"})).json()
    filled = (await api.get("/api/v1/orders", params={"status": "filled", "owner": run["run_id"]})).json()

    assert (len(newest["items"]), newest["total"] >= 2) == (1, True)
    assert other == {"items": [], "total": 0, "next": None}
    assert [order["type"] for order in filled["items"]] == ["market"]


async def test_an_open_order_is_cancelled(
    api: httpx.AsyncClient, web: WebServer, key: str, run: dict[str, Any]
) -> None:
    orders = (await api.get("/api/v1/orders", params={"owner": run["run_id"]})).json()["items"]
    (resting,) = [order for order in orders if order["type"] == "limit"]

    answer = await api.delete(f"/api/v1/orders/{resting['id']}")
    async with asyncio.timeout(20), FeedClient(web.feed_url, key, topics=["orders"]) as feed:
        async for _ in feed:
            row = feed.tables["orders"].get(resting["id"])
            if row is not None and row["status"] == "cancelled":
                break

    assert answer.status_code == 202


async def test_bars_and_history_come_oldest_first(api: httpx.AsyncClient, run: dict[str, Any]) -> None:
    bars = (await api.get("/api/v1/bars/AAPL", params={"count": 5})).json()["items"]
    history = (await api.get("/api/v1/history/AAPL", params={"bar": "1 day", "count": 3})).json()["items"]

    for items, count in ((bars, 5), (history, 3)):
        assert len(items) == count
        assert [item["opened_at"] for item in items] == sorted(item["opened_at"] for item in items)
        assert all(item["low"] <= item["close"] <= item["high"] for item in items)


async def test_a_halt_has_a_scope_and_a_state(api: httpx.AsyncClient) -> None:
    asked = {"reason": "its spread", "scope": "instrument:aapl", "state": "reducing"}
    halted = await api.post("/api/v1/risk/halt", json=asked)
    listed = (await api.get("/api/v1/risk")).json()["halts"]
    wrong = [
        await api.post("/api/v1/risk/halt", json={"reason": "x"} | more)
        for more in ({"scope": "runs"}, {"scope": "run:nobody"}, {"state": "normal"})
    ]
    await api.post("/api/v1/risk/resume", json={"id": halted.json()["id"], "reason": "it was right"})

    assert (halted.json()["scope"], halted.json()["state"]) == ("instrument:AAPL", "reducing")
    assert [(each["id"], each["scope"], each["state"]) for each in listed] == [
        (halted.json()["id"], "instrument:AAPL", "reducing")
    ]
    assert [answer.status_code // 100 for answer in wrong] == [4, 4, 4]
    assert (await api.get("/api/v1/risk")).json()["halts"] == []


async def test_a_halt_needs_a_reason_and_is_lifted_with_one(api: httpx.AsyncClient) -> None:
    empty = await api.post("/api/v1/risk/halt", json={"reason": "  "})
    halted = await api.post("/api/v1/risk/halt", json={"reason": "the spread looks wrong"})
    during = (await api.get("/health/detailed")).json()
    body = {"id": halted.json()["id"], "reason": "it was the feed"}
    unnamed = await api.post("/api/v1/risk/resume", json={"reason": "it was the feed"})
    resumed = await api.post("/api/v1/risk/resume", json=body)
    stale = await api.post("/api/v1/risk/resume", json=body)
    after = (await api.get("/health/detailed")).json()

    assert (empty.status_code, halted.status_code, resumed.status_code) == (422, 200, 204)
    assert (unnamed.status_code, stale.status_code) == (422, 409)
    assert stale.json()["detail"] == f"there is no halt {body['id']!r}: trading is not halted"
    assert (during["status"], during["desk"]["halted"]) == ("degraded", "the spread looks wrong")
    assert (after["status"], after["desk"]["halted"]) == ("ok", "")


async def test_a_run_is_stopped_once(api: httpx.AsyncClient) -> None:
    started = (await api.post("/api/v1/runs", json=START | {"symbols": ["MSFT"]})).json()

    stopped = await api.post(f"/api/v1/runs/{started['run_id']}/stop", params={"flatten": True})

    assert (stopped.status_code, stopped.json()["state"]) == (200, "stopped")
    assert (await api.get(f"/api/v1/runs/{started['run_id']}")).json()["state"] == "stopped"


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"file": "../outside.py"}, 422, "body.file: String should match pattern"),
        ({"file": "/etc/passwd.py"}, 422, "body.file: String should match pattern"),
        (
            {"file": "absent.py"},
            422,
            "the server's strategy folder does not contain 'absent.py'; it contains: broken.py, buyer.py",
        ),
        ({"file": "broken.py"}, 422, "line 1: not valid Python"),
        ({"parameters": {"size": -1}}, 422, "size: Input should be greater than 0"),
        ({"parameters": {"speed": 1}}, 422, "speed: Extra inputs are not permitted"),
        ({"symbols": []}, 422, "body.symbols: List should have at least 1 item"),
        ({"symbols": ["NOSUCH"]}, 404, "NOSUCH"),
        ({"bar": "a while"}, 422, "a while"),
        ({"cash": 7}, 422, "body.cash: unknown name"),
    ],
)
async def test_what_cannot_be_started_is_refused_with_one_sentence_and_changes_nothing(
    api: httpx.AsyncClient, change: dict[str, Any], status: int, words: str
) -> None:
    before = (await api.get("/api/v1/runs")).json()["items"]

    answer = await api.post("/api/v1/runs", json=START | change)

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert words in answer.json()["detail"]
    assert (await api.get("/api/v1/runs")).json()["items"] == before


async def test_a_link_out_of_the_folder_is_no_strategy_of_it(api: httpx.AsyncClient, strategies_folder: Path) -> None:
    link = strategies_folder / "link.py"
    link.symlink_to(strategies_folder.parent / "outside.py")

    answer = await api.post("/api/v1/runs", json=START | {"file": "link.py"})
    listed = [found["file"] for found in (await api.get("/api/v1/strategies")).json()]
    link.unlink()

    assert answer.status_code == 422
    assert listed == ["broken.py", "buyer.py"]


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/api/v1/nothing", 404, "/api/v1/nothing does not exist"),
        ("PUT", "/api/v1/orders", 405, "/api/v1/orders does not support PUT: use "),
        ("GET", "/api/v1/runs/nobody", 404, "there is no run 'nobody'"),
        ("POST", "/api/v1/runs/nobody/stop", 404, "there is no run 'nobody'"),
        ("DELETE", "/api/v1/orders/none", 404, "there is no order 'none'"),
        ("GET", "/api/v1/orders?limit=0", 422, "query.limit: Input should be greater than or equal to 1"),
        ("GET", "/api/v1/orders?status=lost", 422, "query.status"),
        ("GET", "/api/v1/history/NOSUCH", 404, "NOSUCH"),
        ("GET", "/api/v1/history/AAPL?bar=often", 422, "often"),
    ],
)
async def test_every_error_has_one_shape(
    api: httpx.AsyncClient, method: str, path: str, status: int, words: str
) -> None:
    answer = await api.request(method, path)
    problem = answer.json()

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert set(problem) == {"type", "title", "status", "detail", "instance", "correlation_id", "errors", "facts"}
    assert (problem["status"], problem["instance"]) == (status, path.partition("?")[0])
    assert words in problem["detail"]
    assert problem["correlation_id"] == answer.headers["x-request-id"]


async def test_the_callers_own_id_is_kept_when_it_is_a_tame_one(api: httpx.AsyncClient) -> None:
    kept = await api.get("/api/v1/nothing", headers={"X-Request-ID": "order-desk-0001"})
    replaced = await api.get("/api/v1/nothing", headers={"X-Request-ID": "<script>"})

    assert kept.json()["correlation_id"] == "order-desk-0001"
    assert len(replaced.json()["correlation_id"]) == 32


async def test_a_body_beyond_the_limit_is_refused_declared_or_not(api: httpx.AsyncClient) -> None:
    async def pieces() -> Any:
        for _ in range(20):
            yield b"x" * 100_000

    declared = await api.post("/api/v1/risk/halt", content=b"x" * 2_000_000)
    undeclared = await api.post("/api/v1/risk/halt", content=pieces(), headers={"Content-Type": "application/json"})

    for answer in (declared, undeclared):
        assert answer.status_code == 413
        assert answer.json()["detail"] == "the body may have at most 1,048,576 bytes"


async def test_the_python_client_reads_the_book_and_raises_the_servers_sentence(web: WebServer, key: str) -> None:
    def use() -> ApiError:
        with ApiClient(web.url, key) as client:
            assert client.health()["status"] == "ok"
            assert [file.file for file in client.strategies()] == ["broken.py", "buyer.py"]
            assert client.account().id == "DU9000001"
            with pytest.raises(ApiError) as caught:
                client.start("absent.py", on=["AAPL"])
            return caught.value

    error = await asyncio.to_thread(use)

    assert str(error).startswith("the server's strategy folder does not contain 'absent.py'")
    assert (error.status, len(error.correlation_id)) == (422, 32)


def test_the_python_client_says_that_nobody_is_there() -> None:
    with (
        ApiClient("http://127.0.0.1:9", "key") as client,
        pytest.raises(ApiError, match="cannot be reached"),
    ):
        client.account()


async def test_the_interface_describes_itself(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()

    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len(operations) >= 20
    assert all(operation.get("summary") and operation.get("description") for operation in operations)
    assert "APIKeyHeader" in document["components"]["securitySchemes"]


async def test_the_page_to_read_names_every_route_and_loads_nothing(api: httpx.AsyncClient) -> None:
    page = (await api.get("/docs")).text
    paths = (await api.get("/openapi.json")).json()["paths"]

    assert all(f"<code>{path}</code>" in page for path in paths)
    assert not re.search(r"<script|(?:src|href)=.(?:https?:)?//", page)
