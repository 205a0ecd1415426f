"""Browsers get small pages, programs JSON: at the root, for a used login, and for whatever goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from tests.desk.test_desk_port import Host, until
from tests.plain_http import PLAIN
from tests.server.conftest import StartWeb

from ibdesk.desk import AttachedDesk, Desk, DeskState
from ibdesk.desk.port.addresses import SocketAddress
from ibdesk.store.redis import RedisSettings
from ibdesk_server.serve import WebServer
from ibdesk_server.settings import Settings

# What Chromium and Firefox send when an address is opened.
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}


async def test_the_root_is_a_page_for_browsers_and_json_for_programs(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    page, program = await api.get("/", headers=BROWSER), await api.get("/")
    unknown_page, unknown_program = await stranger.get("/", headers=BROWSER), await stranger.get("/")

    assert page.headers["content-type"].startswith("text/html")
    assert "The engine is running" in page.text
    assert program.json() == {
        "name": "ibdesk",
        "description": "/openapi.json",
        "health": "/health/detailed",
        "engine": "here",
    }
    assert "ibdesk login" in unknown_page.text
    # Strangers are not told how the desk is.
    assert "engine" not in unknown_page.text
    assert unknown_program.json()["engine"] is None


async def test_a_used_login_is_a_page_for_browsers_and_a_problem_for_programs(
    web: WebServer, stranger: httpx.AsyncClient
) -> None:
    login = web.login_url()
    await stranger.get(login)
    stranger.cookies.clear()

    page, program = await stranger.get(login, headers=BROWSER), await stranger.get(login)

    assert page.status_code == program.status_code == 401
    assert page.headers["content-type"].startswith("text/html")
    assert "This login link has been used or has expired" in page.text
    assert "{" not in page.text.partition("<main>")[2]
    assert program.headers["content-type"] == "application/problem+json"
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/docs", 401, "Log in first"),
        ("/nowhere", 404, "/nowhere does not exist"),
        ("/login?code=x&cde=y", 422, "query.cde"),
        ("/nowhere/<script>alert(1)</script>", 404, "&lt;script&gt;"),
    ],
)
async def test_what_goes_wrong_in_a_browser_is_a_page(
    stranger: httpx.AsyncClient, path: str, status: int, words: str
) -> None:
    page = await stranger.get(path, headers=BROWSER)

    assert (page.status_code, words.lower() in page.text.lower()) == (status, True), page.text
    assert "<script" not in page.text


async def test_a_change_is_answered_in_json_whoever_asks(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.post("/api/v1/risk/halt", json={"reason": "x"}, headers=BROWSER)

    assert answer.headers["content-type"] == "application/problem+json"


@pytest.fixture
def engine(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host(desk, SocketAddress(tmp_path_factory.mktemp("s") / "d"), RedisSettings())
    host.start()
    yield host
    host.stop()


@pytest.fixture
async def attached(engine: Host) -> AsyncIterator[AttachedDesk]:
    handle = await asyncio.to_thread(engine.attach)
    yield handle
    await handle.aio.close()


async def test_the_page_says_loudly_that_the_engine_is_away(
    engine: Host, attached: AttachedDesk, start_web: StartWeb, server_settings: Settings
) -> None:
    web = await start_web(attached)  # type: ignore[arg-type] # any handle will do
    key = server_settings.server.key_file.read_text().strip()
    async with httpx.AsyncClient(base_url=web.url, headers={"X-API-Key": key}, **PLAIN) as api:
        await asyncio.to_thread(engine.stop)
        await asyncio.to_thread(until, DeskState.DETACHED, attached)

        page = await api.get("/", headers=BROWSER)
        ready, detailed = await api.get("/health/ready"), (await api.get("/health/detailed")).json()

    assert '<p class="bad">The engine is away: no orders are sent' in page.text
    assert "The engine is running" not in page.text
    assert (ready.status_code, "the engine is away" in ready.json()["detail"]) == (503, True)
    assert (detailed["status"], detailed["components"]["desk"]["state"]) == ("down", "down")
    assert any("the engine is away" in reason for reason in detailed["reasons"])
