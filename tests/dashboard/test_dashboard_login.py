"""Readers of the dashboard are users of the server; the dashboard itself is a viewer, who can change nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import expect
from tests.plain_http import PLAIN

from ibdesk.desk import Desk
from ibdesk_server.dashboard import start_dashboard
from ibdesk_server.security.dashboard_key import obtain_dashboard_key
from ibdesk_server.security.passwords import Passwords
from ibdesk_server.security.principal import Role
from ibdesk_server.security.settings import SecuritySettings
from ibdesk_server.serve import WebServer
from ibdesk_server.settings import ServerSettings, Settings

pytestmark = pytest.mark.timeout(240)

PASSWORD = "four words nobody guesses"
ENDED = "This login has ended. Load the page again to log in."


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    opened = await asyncio.to_thread(Desk.open, "embedded", gateway={"port": 0}, state_folder=tmp_path / "state")
    yield opened
    await opened.aio.close()


@pytest.fixture
async def web(desk: Desk, tmp_path: Path) -> AsyncIterator[WebServer]:
    # Access tokens are short here, so that the dashboard asks for its readers again soon.
    security = SecuritySettings(password_rounds=2, password_memory_kib=19_456, access_seconds=2)
    settings = ServerSettings(port=0, key_file=tmp_path / "keys" / "api.key", security=security)
    server = WebServer(desk, Settings(server=settings))
    server.security.users.add("vera", Role.VIEWER, Passwords(rounds=2, memory_kib=19_456).hash(PASSWORD))
    task = asyncio.create_task(server.run())
    await asyncio.wait_for(server.until_answering(), 30)
    yield server
    task.cancel()
    await asyncio.wait({task})


@pytest.fixture
async def dashboard(web: WebServer, tmp_path: Path) -> AsyncIterator[Any]:
    key_file = obtain_dashboard_key(ServerSettings(key_file=tmp_path / "keys" / "api.key"))
    started = await asyncio.to_thread(start_dashboard, feed=web.feed_url, key_file=key_file, port=0)
    yield started
    await asyncio.to_thread(started.close)


def root_of(address: str) -> str:
    return f"http://{urlsplit(address).netloc}"


async def test_a_user_logs_in_by_name_and_password_until_the_login_is_revoked(
    web: WebServer, dashboard: Any, browser: Any
) -> None:
    page = await browser.open(root_of(dashboard.address))
    await page.get_by_label("Name").fill("vera")
    await page.get_by_label("Password or key").fill("three words nobody guesses")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_text("Wrong name or password.")).to_be_visible(timeout=30_000)

    await page.get_by_label("Name").fill("vera")
    await page.get_by_label("Password or key").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator(".states")).to_contain_text("TWS up", timeout=60_000)

    await web.security.change(web.security.users.revoke, "vera")
    await expect(page.get_by_text(ENDED)).to_be_visible(timeout=60_000)
    await page.reload()
    await expect(page.get_by_label("Name")).to_be_visible(timeout=30_000)


async def test_the_dashboards_own_key_reads_the_feed_and_opens_nothing_else(
    web: WebServer, dashboard: Any, tmp_path: Path
) -> None:
    key = (tmp_path / "keys" / "dashboard.key").read_text().strip()
    routes = [
        (method, re.sub(r"\{\w+\}", "x", path))
        for path, methods in web.app.openapi()["paths"].items()
        for method in methods
        if path.startswith("/api/v1/") and not path.startswith(("/api/v1/auth/", "/api/v1/events"))
    ]
    async with httpx.AsyncClient(base_url=web.url, headers={"X-API-Key": key}, **PLAIN) as client:
        answers = {route: (await client.request(*route, json={})).status_code for route in routes}

    assert len(routes) > 20
    assert set(answers.values()) == {403}, answers


async def test_a_key_typed_without_a_name_lets_its_holder_look(web: WebServer, dashboard: Any, tmp_path: Path) -> None:
    login = f"{root_of(dashboard.address)}/login"
    key = (tmp_path / "keys" / "api.key").read_text().strip()
    async with httpx.AsyncClient(**PLAIN) as reader:
        wrong = await reader.post(login, data={"password": key[:-1]})
        foreign = await reader.post(login, data={"password": key}, headers={"Origin": "http://evil.example"})
        right = await reader.post(login, data={"password": key})

    assert (wrong.status_code, foreign.status_code, right.status_code) == (403, 403, 302)


async def test_the_key_is_kept_while_it_is_good_for_long(tmp_path: Path) -> None:
    settings = ServerSettings(key_file=tmp_path / "api.key")

    first = obtain_dashboard_key(settings).read_text()
    second = obtain_dashboard_key(settings).read_text()

    assert first == second


async def test_a_trader_stops_the_account_by_the_button(
    web: WebServer, dashboard: Any, browser: Any, tmp_path: Path
) -> None:
    web.security.users.add("tom", Role.TRADER, Passwords(rounds=2, memory_kib=19_456).hash(PASSWORD))
    key = (tmp_path / "keys" / "api.key").read_text().strip()
    page = await browser.open(root_of(dashboard.address))
    await page.get_by_label("Name").fill("tom")
    await page.get_by_label("Password or key").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()

    await page.get_by_role("button", name="Stop", exact=True).click(timeout=60_000)
    await page.get_by_role("button", name="Stop the account now").click()
    await expect(page.get_by_text("Give a reason.")).to_be_visible(timeout=30_000)
    await page.get_by_label("Reason").fill("fire")
    await page.get_by_label("Reason").press("Enter")
    await page.get_by_role("button", name="Stop the account now").click()
    await expect(page.get_by_text("stands until it is lifted")).to_be_visible(timeout=30_000)

    async with httpx.AsyncClient(base_url=web.url, headers={"X-API-Key": key}, **PLAIN) as client:
        halts = (await client.get("/api/v1/risk")).json()["halts"]
    assert [(halt["reason"], halt["by"]) for halt in halts] == [("fire", "tom")]
    await expect(page.locator(".banner")).to_contain_text(f"HALTED, desk: fire (halt {halts[0]['id']})", timeout=30_000)


async def test_a_trader_lifts_one_halt_of_several_by_its_id(
    web: WebServer, desk: Desk, dashboard: Any, browser: Any, tmp_path: Path
) -> None:
    key = (tmp_path / "keys" / "api.key").read_text().strip()
    kept = await desk.aio.halt("its spread", scope="instrument:AAPL", state="reducing")
    halt = await desk.aio.halt("prices look wrong")
    page = await browser.open(root_of(dashboard.address))
    await page.get_by_label("Password or key").fill(key)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator(".banner")).to_have_count(2, timeout=60_000)
    await expect(page.locator(".states")).to_contain_text("trading HALTED")

    await page.get_by_role("button", name="Stop", exact=True).click()
    await page.get_by_label("Lift the halt of this id").check()
    await page.get_by_label("Reason").fill("they were right")
    await page.get_by_label("Halt's id").fill(halt.id)
    await page.get_by_label("API key").fill(key)
    await page.get_by_label("API key").press("Tab")
    await page.screenshot(path=tmp_path / "halts.png")
    await page.get_by_role("button", name="Lift the halt").click()
    await expect(page.get_by_text(f"The halt {halt.id} is lifted.")).to_be_visible(timeout=30_000)

    await expect(page.locator(".banner")).to_have_text(
        [f"REDUCING, instrument:AAPL: its spread (halt {kept.id})"], timeout=30_000
    )
    await expect(page.locator(".states")).to_contain_text("trading REDUCING")
    assert [each.id for each in desk.risk().halts] == [kept.id]


async def test_a_viewer_who_presses_the_button_is_refused(web: WebServer, dashboard: Any, browser: Any) -> None:
    page = await browser.open(root_of(dashboard.address))
    await page.get_by_label("Name").fill("vera")
    await page.get_by_label("Password or key").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()

    await page.get_by_role("button", name="Stop", exact=True).click(timeout=60_000)
    await page.get_by_label("Reason").fill("fire")
    await page.get_by_label("Reason").press("Enter")
    await page.get_by_role("button", name="Stop the account now").click()

    refusal = "this needs the role trader, and vera is a viewer"
    await expect(page.get_by_text(refusal)).to_be_visible(timeout=30_000)
