"""One shape for every error, whatever is thrown at the server; nothing of its inside in any of them."""

from __future__ import annotations

import asyncio
import json
import random
import re
from typing import Any

import httpx
import msgspec
import pytest
from tests.plain_http import PLAIN

from ibdesk.desk import Desk
from ibdesk.errors import DetachedError, IbdeskError, StrategyError
from ibdesk_server.problems import without_paths
from ibdesk_server.serve import WebServer
from ibdesk_server.settings import ServerSettings, Settings

SECONDS = 50.0
FIELDS = {"type", "title", "status", "detail", "instance", "correlation_id", "errors", "facts"}
# What would tell of the server's inside: places of files, lines of code, tables.
INSIDE = re.compile(r"Traceback|\.py\b|/site-packages|/home/|/tmp/|/root/|sqlite|SELECT |object at 0x|pydantic")


def check(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
    """Hold an answer to the shape of a problem."""
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert set(problem) == FIELDS
    assert problem["status"] == answer.status_code
    assert problem["correlation_id"] == answer.headers["x-request-id"] != ""
    assert problem["detail"] not in ("", problem["title"])
    assert INSIDE.search(answer.text) is None, answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    return problem


async def test_every_kind_of_error_has_the_shape(api: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    as_json = {"Content-Type": "application/json"}
    halt = "/api/v1/risk/halt"

    check(await stranger.get("/api/v1/account"), 401)
    check(await api.get("/nowhere/../here"), 404)
    assert check(await api.put("/api/v1/account"), 405)["detail"] == "/api/v1/account does not support PUT: use GET"
    check(await api.post(halt, content=b"{", headers=as_json), 400)
    check(await api.post(halt, content=b"\xff\xfe", headers=as_json), 400, 422)
    check(await api.post(halt, content=b"\xc1", headers={"Content-Type": "application/msgpack"}), 400)
    check(await api.post(halt, content=b"reason=x", headers={"Content-Type": "text/plain"}), 415)
    check(await api.post(halt, json={"reason": 7, "more": 1}), 422)
    check(await api.get("/api/v1/account", headers={"Accept": "image/png"}), 406)
    check(await api.post(halt, content=b"x" * 2_000_000, headers=as_json), 413)


async def test_a_request_without_measure_is_refused(api: httpx.AsyncClient) -> None:
    check(await api.get(f"/api/v1/orders?symbol={'A' * 10_000}"), 414)
    check(await api.get("/api/v1/account", headers=[(f"X-{n}", "1") for n in range(150)]), 431)
    check(await api.get("/api/v1/account", headers={"X-Long": "x" * 40_000}), 431)


async def test_a_body_that_does_not_come_ends_the_wait(desk: Desk, server_settings: Settings) -> None:
    requests = server_settings.server.requests.model_copy(update={"body_seconds": 0.2})
    server = server_settings.server.model_copy(update={"requests": requests})
    web = WebServer(desk, server_settings.model_copy(update={"server": server}))
    running = asyncio.create_task(web.run())
    await asyncio.wait_for(web.until_answering(), 30)
    key = server_settings.server.key_file.read_text().strip()

    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    head = f"POST /api/v1/risk/halt HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\nX-API-Key: {key}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    running.cancel()
    await asyncio.wait({running})

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body did not arrive within 0.2 s" in answer


def junk(chance: random.Random, depth: int = 0) -> Any:
    """Something that JSON can hold, mostly nothing that anybody expects."""
    makers: list[Any] = [
        lambda: chance.choice([None, True, False, 0, -1, 2**63, 1e308, -0.0, "", "AAPL", "\x00", "\u202e", "'; --"]),
        lambda: "x" * chance.randrange(0, 3_000),
        lambda: chance.uniform(-1e12, 1e12),
    ]
    if depth < 3:
        makers.append(lambda: [junk(chance, depth + 1) for _ in range(chance.randrange(4))])
        names = ["reason", "symbol", "side", "quantity", "limit", "file", "on", "parameters", "id", "zz"]
        makers.append(lambda: {chance.choice(names): junk(chance, depth + 1) for _ in range(chance.randrange(6))})
    return chance.choice(makers)()


@pytest.mark.timeout(180)
async def test_whatever_is_thrown_at_it_the_server_does_not_fail(api: httpx.AsyncClient) -> None:
    chance = random.Random(4)
    paths = (await api.get("/openapi.json")).json()["paths"]
    # The stream of events has no end.
    paths = {path: methods for path, methods in paths.items() if path.startswith("/api/") and "events" not in path}
    routes = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    assert len(routes) > 20

    async def throw() -> None:
        method, path = chance.choice(routes)
        path = re.sub(r"{[^}]*}", lambda _: chance.choice(["x", "..%2f..%2fetc", "%00", "AAPL", "0", "a" * 300]), path)
        body = junk(chance)
        packed = chance.random() < 0.3
        content = msgspec.msgpack.encode(body) if packed else json.dumps(body).encode()
        if chance.random() < 0.3:
            content = content[: chance.randrange(len(content) + 1)]
        headers = {"Content-Type": "application/msgpack" if packed else "application/json"}
        answer = await api.request(
            method, path, content=None if method == "GET" else content, headers=headers, timeout=SECONDS
        )
        assert answer.status_code not in (500, 501), (method, path, body, answer.text)
        if answer.status_code >= 400:
            check(answer, answer.status_code)

    for _ in range(10):
        await asyncio.gather(*(throw() for _ in range(10)))


async def test_a_crash_says_nothing_of_its_cause(web: WebServer, api: httpx.AsyncClient) -> None:
    @web.app.get("/api/v1/crash")
    async def crash() -> None:
        raise IbdeskError("journal /home/anna/.local/state/ibdesk/journals/x.sqlite cannot be read: SELECT failed")

    problem = check(await api.get("/api/v1/crash"), 500)

    assert problem["detail"] == "the server failed; its log says why"


async def test_files_go_by_their_names_and_a_desk_away_is_unavailable(web: WebServer, api: httpx.AsyncClient) -> None:
    @web.app.get("/api/v1/file")
    async def file() -> None:
        raise StrategyError("strategy file /srv/desk/strategies/buyer.txt, line 3, cannot be loaded")

    @web.app.get("/api/v1/away")
    async def away() -> None:
        raise DetachedError("unix:/run/user/0/desk.sock", "connection refused")

    assert check(await api.get("/api/v1/file"), 422)["detail"].startswith("strategy file buyer.txt, line 3")
    gone = await api.get("/api/v1/away")
    assert check(gone, 503)["facts"] == {}
    assert "desk.sock" not in gone.text
    assert gone.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("journal /var/lib/ibdesk/j.sqlite is damaged", "journal j.sqlite is damaged"),
        ("there is nothing at http://a.b/c/d", "there is nothing at http://a.b/c/d"),
        ("100 shares/day and 1/2", "100 shares/day and 1/2"),
    ],
)
def test_paths_are_cut_to_names(told: str, shown: str) -> None:
    assert without_paths(told) == shown


async def test_pages_of_other_sites_read_nothing_unless_they_are_named(
    desk: Desk, api: httpx.AsyncClient, server_settings: Settings
) -> None:
    page = {"Origin": "https://desk.example"}
    asks = page | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "X-API-Key"}
    assert "access-control-allow-origin" not in (await api.get("/health", headers=page)).headers

    server = ServerSettings(**(dict(server_settings.server) | {"cors": ("https://desk.example",)}))
    web = WebServer(desk, server_settings.model_copy(update={"server": server}))
    running = asyncio.create_task(web.run())
    await asyncio.wait_for(web.until_answering(), 30)
    async with httpx.AsyncClient(base_url=web.url, headers=dict(api.headers), **PLAIN) as client:
        allowed = await client.get("/health", headers=page)
        preflight = await client.options("/api/v1/risk/halt", headers=asks)
        other = await client.get("/health", headers={"Origin": "https://evil.example"})
        changed = await client.post("/api/v1/risk/halt", json={"reason": "x"}, headers=page)
        lifted = {"id": changed.json()["id"], "reason": "x"}
        (await client.post("/api/v1/risk/resume", json=lifted, headers=page)).raise_for_status()
    running.cancel()
    await asyncio.wait({running})

    assert allowed.headers["access-control-allow-origin"] == "https://desk.example"
    assert (preflight.status_code, changed.status_code) == (200, 200)
    assert "access-control-allow-origin" not in other.headers
