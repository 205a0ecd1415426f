"""Every route refuses what it does not know: unknown, misspelled and repeated names, and bodies it does not take."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx
import msgpack  # type: ignore[import-untyped] # it ships no types
import pytest
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from tests.server.conftest import StartFeed
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from ibdesk_server.app import _ROUTES
from ibdesk_server.client import FeedClient
from ibdesk_server.serve import WebServer
from ibdesk_server.strict import StrictRoute

Operation = tuple[str, str, dict[str, Any]]

# The pages themselves are not in the document.
PAGES: list[Operation] = [("get", path, {}) for path in ("/docs", "/openapi.json", "/feed.js")]


class Lenient(BaseModel):
    size: int


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inner: list[Lenient]


@pytest.fixture
async def operations(api: httpx.AsyncClient) -> list[Operation]:
    document = (await api.get("/openapi.json")).json()
    found = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(found) >= 50
    return [*found, *PAGES]


def filled(path: str) -> str:
    return re.sub(r"{[^}]+}", "x.py", path)


def query_names(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (each for each in operation.get("parameters", ()) if each["in"] == "query")


def example_body(operation: dict[str, Any]) -> Any:
    return operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")


async def refused(api: httpx.AsyncClient, method: str, path: str, name: str, **request: Any) -> str:
    """Return the sentence of the refusal, which names what is unknown."""
    async with asyncio.timeout(10):
        answer = await api.request(method.upper(), path, **request)
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (422, 422), (method, path, answer.text)
    assert name in [fault["where"] for fault in problem["errors"]], (method, path, answer.text)
    assert name in problem["detail"], (method, path)
    found: str = problem["detail"]
    return found


def test_every_route_is_strict() -> None:
    assert len(_ROUTES) >= 50
    assert [route for route in _ROUTES if not isinstance(route, StrictRoute)] == []


def test_a_route_whose_body_lets_unknown_fields_pass_cannot_be_made() -> None:
    router = APIRouter(route_class=StrictRoute)

    with pytest.raises(TypeError, match="Lenient"):

        @router.post("/x")
        async def take(given: Strict) -> None: ...


async def test_every_route_refuses_an_unknown_query_name(api: httpx.AsyncClient, operations: list[Operation]) -> None:
    for method, path, operation in operations:
        request = {"params": {"zzz": "1"}, "json": example_body(operation)}

        await refused(api, method, filled(path), "query.zzz", **request)


async def test_every_misspelled_query_name_is_told_with_the_one_that_was_meant(
    api: httpx.AsyncClient, operations: list[Operation]
) -> None:
    tried = 0
    for method, path, operation in operations:
        for name in (each["name"] for each in query_names(operation)):
            misspelled = name + name[-1]
            request = {"params": {misspelled: "1"}, "json": example_body(operation)}

            detail = await refused(api, method, filled(path), f"query.{misspelled}", **request)

            assert f"did you mean {name}?" in detail, (method, path, detail)
            tried += 1
    assert tried >= 60


async def test_every_query_name_that_takes_one_value_is_refused_twice(
    api: httpx.AsyncClient, operations: list[Operation]
) -> None:
    tried = lists = 0
    for method, path, operation in operations:
        for each in query_names(operation):
            kinds = [each["schema"], *each["schema"].get("anyOf", ())]
            if any(kind.get("type") == "array" for kind in kinds):
                lists += 1
                continue
            request = {"params": [(each["name"], "1"), (each["name"], "1")], "json": example_body(operation)}

            detail = await refused(api, method, filled(path), f"query.{each['name']}", **request)

            assert "given 2 times" in detail or "Input should" in detail, detail
            tried += 1
    assert tried >= 60
    assert lists == 4


async def test_every_body_refuses_an_unknown_field_and_tells_the_one_that_was_meant(
    api: httpx.AsyncClient, operations: list[Operation]
) -> None:
    tried = 0
    for method, path, operation in operations:
        body = example_body(operation)
        for name in body or ():
            misspelled = name + name[-1]

            detail = await refused(api, method, filled(path), f"body.{misspelled}", json=body | {misspelled: 1})

            assert f"did you mean {name}?" in detail, (method, path, detail)
            tried += 1
    assert tried >= 25


async def test_an_unknown_field_deep_inside_a_body_is_told_with_its_neighbors(api: httpx.AsyncClient) -> None:
    bars = {"source": "history", "symbols": ["AAPL"], "cuont": 9}
    body = {"file": "buyer.py", "bars": bars}

    detail = await refused(api, "post", "/api/v1/backtests", "body.bars.history.cuont", json=body)

    assert "did you mean count?" in detail


async def test_every_route_without_a_body_refuses_one(api: httpx.AsyncClient, operations: list[Operation]) -> None:
    tried = 0
    for method, path, operation in operations:
        if "requestBody" in operation:
            continue
        for body in ({"flatten": True}, {"zzz": 1}):
            (name,) = body

            detail = await refused(api, method, filled(path), f"body.{name}", json=body)

            assert "does not accept a body" in detail
        await refused(api, method, filled(path), "body", json=[1])
        tried += 1
    assert tried >= 40


async def test_a_body_of_nothing_asks_for_nothing(api: httpx.AsyncClient) -> None:
    assert (await api.request("GET", "/api/v1/positions", json={})).status_code == 200


async def test_what_stands_in_the_wrong_place_is_told_where_it_belongs(api: httpx.AsyncClient) -> None:
    into_body = await refused(
        api, "post", "/api/v1/risk/halt", "query.reason", params={"reason": "lunch"}, json={"reason": "lunch"}
    )
    into_query = await refused(api, "delete", "/api/v1/orders", "body.symbol", json={"symbol": "AAPL"})
    nearly = await refused(api, "delete", "/api/v1/orders", "body.symbl", json={"symbl": "AAPL"})

    assert "it belongs in the body" in into_body
    assert "put it in the query" in into_query
    assert "did you mean symbol in the query?" in nearly
    assert (await api.get("/health/detailed")).json()["desk"]["halted"] == ""


async def test_the_same_holds_in_msgpack(api: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/msgpack"}

    await refused(
        api, "post", "/api/v1/runs/x/stop", "body.flaten", content=msgpack.packb({"flaten": 1}), headers=headers
    )
    await refused(api, "delete", "/api/v1/orders", "body.symbl", content=msgpack.packb({"symbl": 1}), headers=headers)


async def test_an_order_that_says_its_quantity_twice_is_refused(api: httpx.AsyncClient) -> None:
    body = '{"symbol": "AAPL", "side": "buy", "quantity": 1, "quantity": 100}'

    answer = await api.post("/api/v1/orders", content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["detail"]) == (422, "body.quantity: the name is given 2 times")


async def test_who_is_not_known_learns_no_names(web: WebServer) -> None:
    async with httpx.AsyncClient(base_url=web.url, trust_env=False) as stranger:
        for path in ("/api/v1/orders?zzz=1", "/docs?zzz=1", "/api/v1/events?zzz=1", "/health/detailed?zzz=1"):
            answer = await stranger.get(path)

            assert (answer.status_code, "did you mean" in answer.text, "known are" in answer.text) == (
                401,
                False,
                False,
            )


async def test_login_by_password_refuses_a_misspelled_field(api: httpx.AsyncClient) -> None:
    detail = await refused(
        api, "post", "/api/v1/auth/login", "body.pasword", json={"name": "vera", "pasword": "x", "password": "y"}
    )

    assert "did you mean password?" in detail


async def test_a_token_and_topics_together_are_refused_as_on_the_socket(api: httpx.AsyncClient) -> None:
    answer = await api.get("/api/v1/events", params={"token": "x", "topics": "orders"})

    assert (answer.status_code, "leave out topics" in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize("query", ["topics=orders", "key=secret", "zzz"])
async def test_the_address_of_the_feed_takes_no_names(start_feed: StartFeed, query: str) -> None:
    server = await start_feed()

    with pytest.raises(InvalidStatus) as refusal:
        await connect(f"{server.url}?{query}", additional_headers={"X-API-Key": server.key}, proxy=None)

    assert refusal.value.response.status_code == 422
    assert f"query.{query.partition('=')[0]}" in refusal.value.response.body.decode()
    assert "secret" not in refusal.value.response.body.decode()


async def test_a_message_of_the_feed_with_a_misspelled_field_is_told_what_was_meant(start_feed: StartFeed) -> None:
    server = await start_feed()
    client = await server.connect()

    await client.send(type="subscribe", topcs=["orders"])

    messages, code, _ = await client.receive_rest()
    (error,) = [message for message in messages if message["type"] == "error"]
    assert (code, "`topcs`" in error["text"], "did you mean topics?" in error["text"]) == (1007, True, True)


@pytest.mark.parametrize(
    ("body", "query", "left"),
    [({"flatten": True}, {}, 0), (None, {"flatten": "true"}, 0), ({"flatten": False}, {}, 10), (None, {}, 10)],
)
async def test_a_run_is_flattened_when_body_or_query_say_so(
    api: httpx.AsyncClient, web: WebServer, key: str, body: Any, query: dict[str, str], left: float
) -> None:
    started = await api.post("/api/v1/runs", json={"file": "buyer.py", "symbols": ["MSFT"], "bar": "5 secs"})
    run_id = started.json()["run_id"]

    async def held(quantity: float) -> None:
        async with asyncio.timeout(20), FeedClient(web.feed_url, key, topics=["positions"]) as feed:
            async for _ in feed:
                found = [row["quantity"] for row in feed.tables["positions"] if row["owner"] == run_id]
                if found == [quantity]:
                    return

    await held(10)

    stopped = await api.post(f"/api/v1/runs/{run_id}/stop", json=body, params=query)

    assert (stopped.status_code, stopped.json()["state"]) == (200, "stopped")
    await held(left)


async def test_a_stop_that_says_both_is_refused(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v1/runs/x/stop", json={"flatten": False}, params={"flatten": "true"})

    assert (answer.status_code, "give it once" in answer.json()["detail"]) == (422, True)


def number_fields(schema: dict[str, Any], schemas: dict[str, Any]) -> Iterator[str]:
    """Yield the names of the fields of a body, at its top, that take a number."""
    for name, field in schemas[schema["$ref"].rpartition("/")[2]]["properties"].items():
        if any(kind.get("type") in {"number", "integer"} for kind in (field, *field.get("anyOf", ()))):
            yield name


async def test_no_body_takes_true_or_text_for_a_number(api: httpx.AsyncClient, operations: list[Operation]) -> None:
    schemas = (await api.get("/openapi.json")).json()["components"]["schemas"]
    orders_before = (await api.get("/api/v1/orders")).json()["total"]
    tried = []
    for method, path, operation in operations:
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        for name in number_fields(body["schema"], schemas) if "$ref" in body.get("schema", {}) else ():
            for wrong in (True, "1"):
                given = {**body["example"], name: wrong}

                await refused(api, method, filled(path), f"body.{name}", json=given)

            tried.append(name)
    assert {"quantity", "limit", "stop", "warm_up", "cash", "slippage_ticks"} <= set(tried)
    assert (await api.get("/api/v1/orders")).json()["total"] == orders_before


async def test_no_limit_is_changed_to_true(api: httpx.AsyncClient) -> None:
    before = (await api.get("/api/v1/risk")).json()["limits"]

    answer = await api.patch("/api/v1/risk/limits", json={"limits": {"max_daily_loss": True}})

    assert answer.status_code == 422, answer.text
    assert (await api.get("/api/v1/risk")).json()["limits"] == before


@pytest.mark.parametrize("character", ["\x1b[2J", "\x07", "\x9b", "\n"])
async def test_a_reason_cannot_act_on_a_terminal(api: httpx.AsyncClient, character: str) -> None:
    halts_before = (await api.get("/api/v1/risk")).json()["halts"]

    await refused(api, "POST", "/api/v1/risk/halt", "body.reason", json={"reason": f"spread{character}wide"})

    assert (await api.get("/api/v1/risk")).json()["halts"] == halts_before
