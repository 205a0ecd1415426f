"""Orders by hand over REST: placed, changed, filled, cancelled, denied; each once, and nobody's change lost."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from tests.plain_http import PLAIN
from tests.server.conftest import StartWeb

from ibdesk.desk import Desk
from ibdesk_server.client import AioApiClient, ApiError, FeedClient, calls
from ibdesk_server.serve import WebServer


async def quote(api: httpx.AsyncClient, symbol: str) -> dict[str, Any]:
    """Return the quote of an instrument that has been ordered before."""
    (found,) = (await api.get("/api/v1/quotes", params={"symbol": symbol})).json()["items"]
    return dict(found)


async def place(api: httpx.AsyncClient, *, key: str | None = None, **terms: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await api.post("/api/v1/orders", json={"symbol": "AAPL"} | terms, headers=headers)


async def until(web: WebServer, key: str, order_id: str, state: str, **terms: Any) -> dict[str, Any]:
    """Return the row of an order once it is in a state, on these terms."""
    async with asyncio.timeout(50), FeedClient(web.feed_url, key, topics=["orders"]) as feed:
        async for _ in feed:
            row = feed.tables["orders"].get(order_id)
            if row is not None and row | terms | {"status": state} == row:
                return row
    raise AssertionError("the feed ended")


@pytest.fixture
async def resting(api: httpx.AsyncClient, web: WebServer, key: str) -> dict[str, Any]:
    """A bid far below the market, which works."""
    first = (await place(api, side="buy", quantity=1)).json()
    await until(web, key, first["id"], "filled")
    price = round((await quote(api, "AAPL"))["bid"] * 0.9, 2)
    placed = (await place(api, side="buy", quantity=10, limit=price)).json()
    await until(web, key, placed["id"], "working")
    return dict((await api.get(f"/api/v1/orders/{placed['id']}")).json())


async def test_an_order_is_placed_changed_filled_and_booked(
    api: httpx.AsyncClient, web: WebServer, key: str, resting: dict[str, Any]
) -> None:
    path = f"/api/v1/orders/{resting['id']}"
    ask = (await quote(api, "AAPL"))["ask"]

    changed = await api.patch(path, json={"limit": round(ask * 1.01, 2)})
    await until(web, key, resting["id"], "filled")
    filled = (await api.get(path)).json()
    fills = (await api.get("/api/v1/fills", params={"order_id": resting["id"]})).json()["items"]
    sold = (await place(api, side="sell", quantity=11)).json()
    await until(web, key, sold["id"], "filled")
    (position,) = (await api.get("/api/v1/positions", params={"owner": "manual", "symbol": "AAPL"})).json()["items"]
    trips = (await api.get("/api/v1/round-trips", params={"owner": "manual"})).json()

    assert (resting["owner"], resting["type"], resting["status"]) == ("manual", "limit", "working")
    assert (changed.status_code, changed.json()["id"]) == (202, resting["id"])
    assert (filled["filled"], filled["limit_price"]) == (10, pytest.approx(ask * 1.01, abs=0.01))
    assert sum(fill["quantity"] for fill in fills) == 10
    assert position["quantity"] == 0
    assert trips["total"] >= 1
    assert trips["items"][0]["side"] == "long"
    assert trips["items"][0]["return"] == pytest.approx(
        trips["items"][0]["pnl"] / (trips["items"][0]["entry_price"] * trips["items"][0]["quantity"])
    )


async def test_who_ordered_it_and_for_which_request_is_told(api: httpx.AsyncClient) -> None:
    headers = {"X-Request-ID": "ticket-0815-a"}
    answer = await api.post("/api/v1/orders", json={"symbol": "AAPL", "side": "buy", "quantity": 1}, headers=headers)
    order = (await api.get(answer.headers["location"])).json()

    assert answer.status_code == 201
    assert order["correlation_id"] == "ticket-0815-a"
    assert order["by"] == (await api.get("/api/v1/orders", params={"limit": 1})).json()["items"][0]["by"] != ""


async def test_a_denied_order_is_a_problem_that_names_rule_limit_and_figure(api: httpx.AsyncClient) -> None:
    answer = await place(api, side="buy", quantity=20_000)
    problem = answer.json()

    assert (answer.status_code, problem["type"]) == (409, "urn:ibdesk:OrderDeniedError")
    assert "max_order_shares allows 10000 shares, asked 20000" in problem["detail"]
    facts = problem["facts"]
    assert (facts["rule"], facts["limit"], facts["asked"]) == ("max_order_shares", 10_000, 20_000)
    assert (await api.get(f"/api/v1/orders/{facts['order_id']}")).json()["status"] == "denied"


@pytest.mark.parametrize(
    ("terms", "status", "words"),
    [
        ({"side": "hold", "quantity": 1}, 422, "body.side"),
        ({"side": "buy", "quantity": 0}, 422, "body.quantity"),
        ({"side": "buy", "quantity": -5}, 422, "body.quantity"),
        ({"side": "buy"}, 422, "body.quantity: Field required"),
        ({"side": "buy", "quantity": 1, "colour": "red"}, 422, "body.colour"),
        ({"side": "buy", "quantity": 1, "symbol": "NOSUCH"}, 404, "NOSUCH"),
        ({"side": "buy", "quantity": 1, "limit": "low"}, 422, "body.limit"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(
    api: httpx.AsyncClient, terms: dict[str, Any], status: int, words: str
) -> None:
    before = (await api.get("/api/v1/orders")).json()["total"]

    answer = await place(api, **terms)

    assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text
    assert (await api.get("/api/v1/orders")).json()["total"] == before


async def test_a_key_makes_one_order_however_often_it_is_sent(api: httpx.AsyncClient) -> None:
    terms = {"side": "buy", "quantity": 3}
    before = (await api.get("/api/v1/orders")).json()["total"]

    answers = await asyncio.gather(*(place(api, key="ticket-1", **terms) for _ in range(8)))
    again = await place(api, key="ticket-1", **terms)
    other = await place(api, key="ticket-1", **(terms | {"quantity": 4}))

    assert {answer.status_code for answer in answers} == {201}
    assert {answer.content for answer in answers} == {again.content}
    assert [answer.headers.get("idempotent-replayed") for answer in answers].count(None) == 1
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == answers[0].headers["location"]
    assert (other.status_code, "was used for another request" in other.json()["detail"]) == (409, True)
    assert (await api.get("/api/v1/orders")).json()["total"] == before + 1


async def test_the_desk_itself_knows_the_key_of_an_order(desk: Desk, api: httpx.AsyncClient, tmp_path: Any) -> None:
    terms = {"side": "buy", "quantity": 3}
    first = await place(api, key="ticket-2", **terms)
    # As on another machine, where nobody has kept the answer.
    for kept in (tmp_path / "replays").iterdir():
        kept.unlink()

    again = await place(api, key="ticket-2", **terms)

    assert again.json()["id"] == first.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"


async def test_two_web_workers_make_one_order_of_one_key(
    desk: Desk, api: httpx.AsyncClient, start_web: StartWeb, key: str
) -> None:
    other = await start_web(desk)
    async with httpx.AsyncClient(base_url=other.url, headers={"X-API-Key": key}, **PLAIN) as second:
        answers = await asyncio.gather(
            *(place(client, key="ticket-3", side="buy", quantity=2) for client in (api, second) * 4)
        )

    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_change_of_an_order_that_has_changed_is_refused(
    api: httpx.AsyncClient, web: WebServer, key: str, resting: dict[str, Any]
) -> None:
    path = f"/api/v1/orders/{resting['id']}"
    tag = (await api.get(path)).headers["etag"]
    packed = (await api.get(path, headers={"Accept": "application/msgpack"})).headers["etag"]

    first = await api.patch(path, json={"quantity": 11}, headers={"If-Match": tag})
    await until(web, key, resting["id"], "working", quantity=11)
    late = await api.patch(path, json={"quantity": 12}, headers={"If-Match": tag})
    late_packed = await api.patch(path, json={"quantity": 12}, headers={"If-Match": packed})
    anyway = await api.patch(path, json={"quantity": 12}, headers={"If-Match": "*"})

    assert tag.startswith(f'"{resting["version"]}-')
    assert packed == f'{tag[:-1]}.msgpack"'
    assert (first.status_code, late.status_code, late_packed.status_code, anyway.status_code) == (202, 412, 412, 202)
    assert "has changed since you read it" in late.json()["detail"]


async def test_the_desk_compares_once_more(desk: Desk, resting: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="has changed since you read it"):
        await desk.aio.modify(resting["id"], quantity=12, seen=int(resting["version"]) + 1)


async def test_all_open_orders_are_cancelled(
    api: httpx.AsyncClient, web: WebServer, key: str, resting: dict[str, Any]
) -> None:
    none = await api.delete("/api/v1/orders", params={"symbol": "MSFT"})
    all_ = await api.delete("/api/v1/orders", params={"owner": "manual"})
    await until(web, key, resting["id"], "cancelled")
    late = await api.patch(f"/api/v1/orders/{resting['id']}", json={"quantity": 5})

    assert (none.status_code, none.json()["cancelling"]) == (202, 0)
    assert (all_.status_code, all_.json()["cancelling"] >= 1) == (202, True)
    assert (late.status_code, "there is nothing left of it to change" in late.json()["detail"]) == (409, True)


async def test_while_halted_only_what_reduces_a_position_goes_out(
    api: httpx.AsyncClient, web: WebServer, key: str
) -> None:
    bought = (await place(api, side="buy", quantity=5)).json()
    await until(web, key, bought["id"], "filled")
    halt = (await api.post("/api/v1/risk/halt", json={"reason": "the spread looks wrong"})).json()

    more = await place(api, side="buy", quantity=1)
    less = await place(api, side="sell", quantity=1)
    await api.post("/api/v1/risk/resume", json={"id": halt["id"], "reason": "it was the feed"})
    again = await place(api, side="buy", quantity=1)

    assert (more.status_code, more.json()["facts"]["rule"]) == (409, "halt")
    assert (less.status_code, again.status_code) == (201, 201)


async def test_pages_of_orders_shift_nothing_while_orders_come(web: WebServer, key: str) -> None:
    async with AioApiClient(web.url, key) as client:
        there = [(await client.place("AAPL", "buy", 1)).id for _ in range(5)]

        seen = []
        async for order in client.walk(calls.orders(limit=2)):
            seen.append(order.id)
            if len(seen) % 2:
                await client.place("AAPL", "buy", 1)
                # Every page is followed by one more order; the walk goes back in time and must end.

    assert len(seen) == len(set(seen))
    assert set(there) <= set(seen)


async def test_the_client_places_once_though_the_answer_was_lost(web: WebServer, key: str) -> None:
    """A proxy that loses the first answer: the client sends the order again, and there is one."""
    lost = 0

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal lost
        request = await reader.read(65_536)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", web.port)
        far_writer.write(request)
        answer = await far_reader.read(65_536)
        far_writer.close()
        if lost == 0:
            lost += 1
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with AioApiClient(web.url, key) as direct, AioApiClient(f"http://127.0.0.1:{port}", key) as client:
        before = (await direct.orders()).total
        order = await client.place("AAPL", "buy", 1)
        after = (await direct.orders()).total
        lost = 0
        with pytest.raises(ApiError, match="cannot be reached"):
            await client.halt("no key, so nobody may send it twice")
        [halt] = (await direct.risk()).halts
        await direct.resume("it went through", id=halt.id)
    server.close()

    assert (lost, after - before, order.owner) == (1, 1, "manual")
