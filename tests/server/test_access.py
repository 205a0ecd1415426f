"""Who gets in, by key, by login, over HTTP and to the feed, and who does not."""

from __future__ import annotations

import asyncio
import re
import stat
from pathlib import Path

import httpx
import pytest
from starlette.datastructures import Headers
from websockets.asyncio.client import connect

from ibdesk.config import Given
from ibdesk.errors import ConfigError
from ibdesk_server.security.directory import Directory
from ibdesk_server.security.guard import Security
from ibdesk_server.security.keyfile import obtain_key
from ibdesk_server.security.login_service import LoginService
from ibdesk_server.security.principal import Principal, ProofKind, Role
from ibdesk_server.security.settings import SecuritySettings
from ibdesk_server.security.tickets import Tickets, Use
from ibdesk_server.serve import WebServer
from ibdesk_server.settings import Settings

OPEN = {"/", "/health", "/health/live", "/login", "/api/v1/auth/login", "/api/v1/auth/refresh"}


async def test_health_and_liveness_are_open(stranger: httpx.AsyncClient) -> None:
    for path in ("/health", "/health/live"):
        answer = await stranger.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_every_other_route_needs_to_know_who_asks(web: WebServer, stranger: httpx.AsyncClient) -> None:
    document = (web.app.openapi())["paths"]
    routes = [(method, path) for path, methods in document.items() for method in methods if path not in OPEN]
    routes += [("get", "/docs"), ("get", "/openapi.json")]
    assert len(routes) > 18

    for method, path in routes:
        answer = await stranger.request(method, re.sub(r"\{\w+\}", "x", path), json={})
        assert answer.status_code == 401, (method, path)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("name", "form"), [("X-API-Key", "{}"), ("Authorization", "Bearer {}")])
async def test_the_key_opens_in_either_header(stranger: httpx.AsyncClient, key: str, name: str, form: str) -> None:
    right = await stranger.get("/api/v1/account", headers={name: form.format(key)})
    wrong = await stranger.get("/api/v1/account", headers={name: form.format(key[:-1])})

    assert (right.status_code, wrong.status_code) == (200, 401)


async def test_the_key_does_not_open_as_part_of_the_address(stranger: httpx.AsyncClient, key: str) -> None:
    for name in ("key", "api_key", "X-API-Key", "code"):
        assert (await stranger.get("/api/v1/account", params={name: key})).status_code == 401


async def test_a_one_time_login_becomes_a_cookie_and_dies(web: WebServer, stranger: httpx.AsyncClient) -> None:
    address = web.login_url()

    first = await stranger.get(address)
    again = await stranger.get(address)

    assert (first.status_code, first.headers["location"]) == (303, "/docs")
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert first.headers["referrer-policy"] == "no-referrer"
    assert (await stranger.get("/api/v1/account")).status_code == 200
    assert again.status_code == 401
    assert again.json()["detail"] == "this login link has been used or has expired: ask the server for another"


async def test_a_login_also_opens_the_feed(web: WebServer, stranger: httpx.AsyncClient) -> None:
    await stranger.get(web.login_url())
    cookie = f"ibdesk_session={stranger.cookies['ibdesk_session']}"

    headers = {"Cookie": cookie, "Origin": web.url}
    async with connect(web.feed_url, additional_headers=headers, proxy=None) as connection:
        assert b"hello" in await asyncio.wait_for(connection.recv(decode=False), 10)


async def test_who_logs_out_is_out(web: WebServer, stranger: httpx.AsyncClient) -> None:
    await stranger.get(web.login_url())
    cookie = f"ibdesk_session={stranger.cookies['ibdesk_session']}"

    answer = await stranger.post("/logout")

    assert answer.status_code == 204
    assert dict(stranger.cookies) == {}
    assert (await stranger.get("/api/v1/account", headers={"Cookie": cookie})).status_code == 401


async def test_another_sites_page_changes_nothing_with_a_borrowed_login(
    web: WebServer, stranger: httpx.AsyncClient
) -> None:
    await stranger.get(web.login_url())
    halt = {"reason": "mischief"}

    foreign = await stranger.post("/api/v1/risk/halt", json=halt, headers={"Origin": "http://127.0.0.1:1"})
    detailed = (await stranger.get("/health/detailed")).json()

    assert foreign.status_code == 403
    assert foreign.json()["detail"] == "pages of another site may not change anything here"
    assert detailed["desk"]["halted"] == ""


async def test_answers_carry_safe_headers(stranger: httpx.AsyncClient) -> None:
    headers = (await stranger.get("/health")).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-security-policy"].startswith("default-src 'none';")
    assert headers["cache-control"] == "no-store"
    assert re.fullmatch(r"app;dur=[\d.]+", headers["server-timing"])
    assert "server" not in headers


async def test_no_secret_is_logged_or_told(
    web: WebServer, api: httpx.AsyncClient, stranger: httpx.AsyncClient, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="uvicorn")
    caplog.set_level("DEBUG", logger="ibdesk_server")
    address = web.login_url()
    await stranger.get(address)
    code, cookie = address.partition("code=")[2], stranger.cookies["ibdesk_session"]

    told = [(await api.get(path)).text for path in ("/health/detailed", "/health/metrics", "/openapi.json", "/none")]
    logged = [record.getMessage() for record in caplog.records if record.name.startswith(("uvicorn", "ibdesk_server"))]

    for secret in (key, code, cookie):
        assert not any(secret in text for text in told + logged)


async def test_readiness_follows_the_link(api: httpx.AsyncClient) -> None:
    answer = await api.get("/health/ready")

    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "link": "up"})


async def test_metrics_come_as_text_for_prometheus_and_as_json(api: httpx.AsyncClient) -> None:
    await api.get("/api/v1/account")
    text = await api.get("/health/metrics", headers={"Accept": "text/plain"})
    figures = (await api.get("/health/metrics", headers={"Accept": "application/json"})).json()

    assert text.headers["content-type"].startswith("text/plain; version=")
    worker = figures["ibdesk_link_up"][0]["labels"]["worker"]
    assert f'\nibdesk_link_up{{worker="{worker}"}} 1.0\n' in text.text
    assert 'ibdesk_http_requests_total{method="GET",route="/api/v1/account",status="200",worker="' in text.text
    assert figures["ibdesk_link_up"][0]["value"] == 1.0
    clients = {"name": "ibdesk_feed_clients", "labels": {"worker": worker}, "value": 0.0}
    assert figures["ibdesk_feed_clients"] == [clients]


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "api.key"

    first, second = obtain_key(file), obtain_key(file)

    assert first == second
    assert len(first) == 43
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["api.key"]


def test_a_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    file = tmp_path / "api.key"
    obtain_key(file)
    file.chmod(0o644)

    with pytest.raises(ConfigError, match=r"others may read the API key in .*: run `chmod 600"):
        obtain_key(file)


def test_a_file_without_a_key_and_a_place_for_none_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.key"
    empty.touch(0o600)

    with pytest.raises(ConfigError, match=r"empty\.key does not contain an API key: delete it"):
        obtain_key(empty)
    with pytest.raises(ConfigError, match="the API key cannot be stored in"):
        obtain_key(empty / "api.key")


async def test_codes_and_sessions_run_out() -> None:
    now = 0
    settings = SecuritySettings(login_code_seconds=600, session_seconds=1_000)
    security = Security("k" * 43, settings=settings, clock=lambda: now)
    login_service = LoginService(security)
    early, late = (security.login_path().partition("code=")[2] for _ in range(2))

    now = 599 * 10**9
    session = await login_service.open_session(early)
    cookie = Headers({"cookie": f"ibdesk_session={session}"})
    assert session is not None
    assert await login_service.open_session(early) is None
    assert (await security.identify(cookie)) is not None
    now = 600 * 10**9
    assert await login_service.open_session(late) is None
    now = 1_599 * 10**9
    assert (await security.identify(cookie)) is None


def test_there_are_never_more_tickets_than_a_thousand() -> None:
    tickets = Tickets(Directory(), Use.CODE, seconds=10, clock=lambda: 0)
    somebody = Principal("ann", Role.VIEWER, ProofKind.SESSION)
    oldest, *_, newest = (tickets.issue(somebody) for _ in range(1_001))

    assert tickets.holder(oldest) is None
    assert tickets.holder(newest) is not None


@pytest.mark.parametrize("host", ["0.0.0.0", "example.com"])
def test_a_wide_address_without_encryption_is_named(host: str) -> None:
    with pytest.raises(ConfigError, match=rf"with server\.host {host}, passwords and orders would cross the network"):
        Settings.load(Given("server.host", host, "--host"))
